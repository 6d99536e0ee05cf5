"""What the laws of sequences share: what they need, the cases they draw, and comparing runs."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from tinygrad_rnn import ops
from tinygrad_rnn.kernels.noise import Noise
from tinygrad_rnn.modes import enable_grad
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.testing import strategies as gs
from tinygrad_rnn.testing.comparison import generic_like, gradients_of
from tinygrad_rnn.testing.faults import LawViolation
from tinygrad_rnn.testing.laws.common import Draw, expect_close
from tinygrad_rnn.testing.numeric import Array
from tinygrad_rnn.testing.sequence_subject import SequenceSubject, States

__all__ = [
    "Case", "Results", "SequenceLaw", "agree", "close", "drawn", "gradients", "leaves_of", "pulled",
    "rows_of", "sequence_law", "valid",
]  # fmt: skip

# Two ways to sum the same numbers in float64, of 1 in size or less, over some fifty steps.
ROUNDING = 1e-10

Results = dict[str, Tensor]
Computed = Callable[[Tensor, States | None], Results]


class SequenceLaw:
    """A law of what runs over time; called with a SequenceSubject and Hypothesis' draw.

    needs   abilities without which a subject cannot be held to it: it raises Untestable
    slow    whether a bundle tries it on a few examples only
    """

    def __init__(
        self, holds: Callable[[SequenceSubject, Draw], None], needs: tuple[str, ...], slow: bool
    ) -> None:
        self._holds, self.needs, self.slow = holds, needs, slow
        self.__name__, self.__doc__ = holds.__name__, holds.__doc__
        self.__module__ = holds.__module__

    def __call__(self, subject: SequenceSubject, draw: Draw) -> None:
        """Raise LawViolation unless it holds for what is drawn."""
        subject.needs(self.__name__, *self.needs)
        with np.errstate(all="ignore"):  # padding that leaks is to be a violation, no warning
            self._holds(subject, draw)

    def __repr__(self) -> str:
        return f"<law {self.__name__}>"


def sequence_law(
    *needs: str, slow: bool = False
) -> Callable[[Callable[[SequenceSubject, Draw], None]], SequenceLaw]:
    """Make a law of a function that checks it."""
    return lambda holds: SequenceLaw(holds, needs, slow)


# ----- cases -----


class Case(NamedTuple):
    """A batch to run over: x (T, B, I), its initial states or None, its lengths or None.

    noise is what the subject drops things by, if it does; its rows have names.
    """

    x: Array
    states: list[Array] | None
    lengths: Array | None
    noise: Noise | None = None

    def dropping(self, rows: Any = slice(None), start: int = 0) -> dict[str, Noise]:
        """What to run some rows with from some step on, for the same to be dropped as in all."""
        if self.noise is None:
            return {}
        return {"noise": replace(self.noise.later(start), rows=self.noise.rows[rows])}

    @property
    def mask(self) -> Array:
        """(T, B), true where a row has a step."""
        T, B = self.x.shape[:2]
        return np.arange(T)[:, None] < (np.full(B, T) if self.lengths is None else self.lengths)


def drawn(
    subject: SequenceSubject,
    draw: Draw,
    *,
    time: tuple[int, int] = (1, 5),
    batch: tuple[int, int] = (1, 4),
    ragged: bool | None = None,
    shortest: int = 0,
    pad: str = "poison",
    given: bool | None = None,
) -> Case:
    """A case that the subject can run.

    Args:
        ragged: Whether rows have lengths; None: where the subject takes them.
        shortest: The shortest length.
        pad: What stands behind the end of a row, as for ``gs.sequence_batches``.
        given: Whether there are initial states; None: sometimes, where it takes them.
    """
    ragged = "lengths" in subject.can if ragged is None else ragged
    few = partial(gs.lengths, min_len=shortest) if ragged else None
    size = subject.input_size
    found = draw(gs.sequence_batches(time, batch, size, pad=pad, lengths=few))
    if given is None:
        given = "state" in subject.can and draw(st.sampled_from([True, True, False]))
    states: list[Array] | None = None
    if given:
        rng = np.random.default_rng(draw(gs.seeds()))
        zeros = subject.zero_states(found.data.shape[1])
        states = [np.array(rng.standard_normal(s.shape)) for s in zeros]
    noise = _noise(draw, found.data.shape[1]) if "noise" in subject.can else None
    return Case(found.data, states, found.lengths if ragged else None, noise)


def _noise(draw: Draw, rows: int) -> Noise:
    """Noise for rows of any names, which goes on from any step."""
    key = draw(gs.seeds())
    names = np.random.default_rng(key).choice(2**32, rows, replace=False)
    return Noise(key, draw(st.integers(0, 9)), names)


def valid(y: Tensor, mask: Array) -> Tensor:
    """The outputs of steps that rows have, and zeros behind their ends."""
    return y if mask.all() else ops.where(mask[..., None], y, 0.0)


def rows_of(states: States | None, rows: Any) -> States | None:
    """Some rows of every state."""
    return None if states is None else [s[..., rows, :] for s in states]


# ----- comparing -----


def agree(
    law: str, subject: SequenceSubject, draw: Draw, case: Case, one: Computed, other: Computed
) -> dict[str, Array]:
    """Raise LawViolation unless two computations have the same results and gradients.

    Each gets x and the states as leaves and returns named results; the gradients by these and
    by the parameters start from equal cotangents. Returns those of ``one``, by name.
    """
    seed = draw(gs.seeds())
    found, found_gradients = gradients(subject, case, one, seed)
    expected, expected_gradients = gradients(subject, case, other, seed)
    if list(found) != list(expected):
        raise LawViolation(law, subject.title, f"results {list(found)}", f"{list(expected)}")
    for name in expected:
        close(law, subject, name, found[name], expected[name])
    for name in expected_gradients:
        what = f"the gradient of {name}"
        close(law, subject, what, found_gradients[name], expected_gradients[name])
    return found_gradients


def gradients(
    subject: SequenceSubject, case: Case, compute: Computed, seed: int
) -> tuple[dict[str, Array], dict[str, Array]]:
    """The results, and the gradients by x, states and parameters where there are any.

    Equal seeds give equal cotangents for results of equal shapes.
    """
    x, states = leaves_of(subject, case)
    with enable_grad():
        results = compute(x, states)
    values = {name: np.array(result.numpy()) for name, result in results.items()}
    if "gradients" not in subject.can:
        return values, {}
    rng = np.random.default_rng(seed)
    weights = [generic_like(rng, result) for result in results.values()]
    return values, pulled(subject, list(results.values()), weights, x, states)


def leaves_of(subject: SequenceSubject, case: Case) -> tuple[Tensor, States | None]:
    """The input and the states of a case as leaves."""
    track = "gradients" in subject.can
    x = Tensor(case.x.copy(), requires_grad=track)
    if case.states is None:
        return x, None
    return x, [Tensor(np.array(s), requires_grad=track) for s in case.states]


def pulled(
    subject: SequenceSubject,
    outputs: list[Tensor],
    weights: list[Array],
    x: Tensor,
    states: States | None,
) -> dict[str, Array]:
    """The gradients of the weighted sum of outputs, by name; zeros where there are none."""
    leaves = {"x": x} | {f"state {i}": s for i, s in enumerate(states or [])}
    leaves |= {f"parameter {name}": p for name, p in subject.params.items() if p.requires_grad}
    gradients = gradients_of(outputs, list(leaves.values()), weights)
    return dict(zip(leaves, gradients, strict=True))


def close(law: str, subject: SequenceSubject, what: str, found: Array, expected: Array) -> None:
    """Raise LawViolation unless two arrays are the same to rounding."""
    finite = np.nan_to_num(expected, nan=0.0, posinf=0.0, neginf=0.0)
    room = ROUNDING * max(1.0, float(np.abs(finite).max(initial=0)))
    expect_close(law, subject.title, what, found, expected, room)
