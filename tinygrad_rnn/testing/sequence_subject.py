"""Whatever runs over time, as the laws of sequences see it: layers, cells, and own functions."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import whole
from tinygrad_rnn.kernels.noise import Noise
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.testing.faults import Untestable
from tinygrad_rnn.testing.numeric import Array

__all__ = ["ABILITIES", "Run", "SequenceSubject", "States", "of_run"]

States = list[Tensor]
Run = Callable[..., tuple[Tensor, States]]

# What a law may need of its subject, and what a subject without it lacks.
ABILITIES = {
    "state": "it takes no initial state, or returns no final one",
    "lengths": "it takes no lengths: lengths=(B,) whole numbers",
    "mask": "it takes no mask: mask=(T, B) booleans",
    "noise": "it drops nothing by the names of rows and steps: noise=random.noise()",
    "gradients": "it computes with plain arrays, which have no gradients",
    "forward": "it does not run from the first step to the last alone, so it cannot be cut in two",
    "layers": "its layers are not known: give layers=, from the bottom up",
    "directions": "its two directions are not known: give directions=(forward, backward)",
    "forget_gate": "its forget gate is not known: give forget_gate=",
    "saturated": "how to close its gates is not known: give saturated=",
}


@dataclass(frozen=True)
class SequenceSubject:
    """Something that runs over time, in float64; ``of`` makes one.

    title         what messages call it
    run           run(x, states, lengths=, mask=, noise=) -> (y, states); x (T, B, I),
                  y (T, B, O); what it drops is a function of the noise: of its key, the
                  names of the rows, and the numbers of the steps
    input_size    I; 0 where there is no input, and x only says how many steps and rows there are
    shapes        of the states, a list of Tensors (..., B, H), for one row
    params        whatever else has gradients, by name
    can           which of ``ABILITIES`` it has
    module        the module behind it, where there is one
    step          one step: step(x (B, I), states, noise=) -> (y (B, O), states); None: ``run``
                  with T = 1
    layers        gives the layers as subjects that share its parameters, from the bottom up
    directions    gives its directions as subjects that run forwards: (subject, backwards?)
    merge         makes one output of those of the directions
    forget_gate   f of a step, (B, H): forget_gate(x (B, I), states)
    saturated     gives the same with gates that keep its memory
    memory        the number of the state that these gates keep
    """

    title: str
    run: Run = field(repr=False)
    input_size: int
    shapes: tuple[tuple[int, ...], ...]
    params: Mapping[str, Tensor] = field(repr=False)
    can: frozenset[str]
    module: Module | None = field(default=None, repr=False)
    step: Callable[..., tuple[Tensor, States]] | None = field(default=None, repr=False)
    layers: Callable[[], "Sequence[SequenceSubject]"] | None = field(default=None, repr=False)
    directions: "Callable[[], Sequence[tuple[SequenceSubject, bool]]] | None" = field(
        default=None, repr=False
    )
    merge: Callable[[list[Tensor]], Tensor] | None = field(default=None, repr=False)
    forget_gate: Callable[[Tensor, States], Any] | None = field(default=None, repr=False)
    saturated: "Callable[[], SequenceSubject] | None" = field(default=None, repr=False)
    memory: int = 0

    @classmethod
    def of(
        cls, subject: Any, input_size: int | None = None, *, training: bool = False, **known: Any
    ) -> "SequenceSubject":
        """The subject of a recurrent layer, a cell, any other module, or a function.

        Modules are copied, in float64 and, unless told otherwise, in evaluation mode, so that
        nothing is dropped.
        Modules of one's own and functions are called as ``run(x, state, lengths=lengths)``, time
        first, and return ``(y, state)``; state is whatever they return, None at first. Arguments
        that their signature does not name, among state, lengths, mask and noise, they cannot
        take.
        Rows of a state stand on the axis before the last.

            SequenceSubject.of(nn.LSTM(3, 4, bidirectional=True))
            SequenceSubject.of(lambda x: (x.cumsum(axis=0), None), input_size=2)

        Args:
            input_size: I, for functions, and for modules without such an attribute.
            training: Modules stay in training mode: laws give them a ``Noise``, the same for
                the same rows and steps however they are cut.
            known: What else is known of it: fields such as ``step`` or ``params``; ``cannot``
                names abilities that it does not have, ``title`` what to call it.
        """
        if isinstance(subject, SequenceSubject):
            return subject
        from tinygrad_rnn.testing.recurrent_subject import of_recurrent  # which needs this file

        found = of_recurrent(subject, training)
        if found is None:
            found = _of_callable(subject, input_size, training, known)
        return _with(found, known)

    @classmethod
    def of_arrays(cls, run: Any, input_size: int, **known: Any) -> "SequenceSubject":
        """The subject of a function of NumPy arrays: laws of values hold, none of gradients.

        It is called and returns as for ``of``.
        """
        if isinstance(run, Module):
            raise TypeError(
                f"SequenceSubject.of_arrays: given the module {type(run).__name__}, expected a "
                "function of NumPy arrays; SequenceSubject.of takes modules."
            )
        return _with(of_run(run, input_size, known.get("title"), arrays=True), known)

    def needs(self, law: str, *abilities: str) -> None:
        """Raise Untestable where an ability is missing."""
        for ability in abilities:
            if ability not in self.can:
                raise Untestable(self.title, f"cannot be held to {law}", ABILITIES[ability])

    def zero_states(self, rows: int) -> list[Array]:
        """States of zeros."""
        return [np.zeros((*shape[:-2], rows, shape[-1])) for shape in self.shapes]


# ----- functions, and modules that nothing is known of -----


def _of_callable(
    subject: Any, input_size: int | None, training: bool, known: dict[str, Any]
) -> SequenceSubject:
    if not callable(subject):
        raise TypeError(
            f"SequenceSubject.of: given a {type(subject).__name__}, expected a recurrent layer, a "
            "cell, or something to call as run(x, state, lengths=lengths)."
        )
    if input_size is None:
        input_size = getattr(subject, "input_size", None)
    if input_size is None:
        raise TypeError(
            "SequenceSubject.of: input_size is missing: how wide x is cannot be seen from "
            f"{getattr(subject, '__name__', type(subject).__name__)}."
        )
    return of_run(subject, input_size, known.get("title"), training=training)


def of_run(
    call: Any,
    input_size: int,
    title: str | None = None,
    *,
    arrays: bool = False,
    training: bool = False,
) -> SequenceSubject:
    """The subject of ``call(x, state, lengths=lengths)``, asked once for the form of its state."""
    module = call if isinstance(call, Module) else None
    if module is not None:
        from copy import deepcopy

        call = module = deepcopy(module).astype(np.float64).train(training)
    title = title or str(getattr(call, "__name__", type(call).__name__))
    size = whole("SequenceSubject", "input_size", input_size, least=0)
    taken = inspect.signature(call.forward if module is not None else call).parameters
    can = {name for name in ("state", "lengths", "mask", "noise") if name in taken} | {"forward"}
    can |= set() if arrays else {"gradients"}

    def called(x: Tensor, state: Any, rows: dict[str, Any]) -> tuple[Tensor, Any]:
        given = {} if state is None else {"state": state}
        given |= {name: value for name, value in rows.items() if value is not None}
        returned = call(x.numpy() if arrays else x, **given)
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise Untestable(
                title, "is no run over time", f"it returned {_kind(returned)}, expected (y, state)"
            )
        return _tensor(returned[0]), returned[1]

    first = {"noise": Noise(0)} if "noise" in can else {}
    _, form = called(Tensor(np.zeros((1, 1, size))), None, first)
    shapes = tuple(leaf.shape for leaf in _leaves(form))
    if not shapes:
        can.discard("state")
    bad = [shape for shape in shapes if len(shape) < 2 or shape[-2] != 1]
    if bad:
        raise Untestable(
            title, "has a state without rows",
            f"for one row it has the shape {bad[0]}, expected (..., 1, H)",
        )  # fmt: skip

    def run(x: Tensor, states: States | None = None, **rows: Any) -> tuple[Tensor, States]:
        state = None
        if states is not None:
            given = iter([s.numpy() for s in states] if arrays else states)
            state = _filled(form, given)
        y, final = called(x, state, rows)
        return y, _leaves(final)

    params = dict(module.named_parameters()) if module is not None else {}
    return SequenceSubject(title, run, size, shapes, params, frozenset(can), module)


def _with(subject: SequenceSubject, known: dict[str, Any]) -> SequenceSubject:
    """A subject of which more is known than could be seen."""
    known = dict(known)
    cannot = known.pop("cannot", ())
    fields = set(SequenceSubject.__dataclass_fields__) - {"run", "input_size", "can", "shapes"}
    for name, value in known.items():
        if name not in fields:
            raise TypeError(
                f"SequenceSubject: {name!r} is not known of subjects, expected some of "
                f"{', '.join(sorted(fields))}, or cannot."
            )
        if name in ("layers", "directions") and not callable(value):
            parts = tuple(value)
            if name == "directions":
                parts = tuple(zip(parts, (False, True), strict=True))
            known[name] = lambda parts=parts: parts
    if unknown := [name for name in cannot if name not in ABILITIES]:
        raise ValueError(
            f"SequenceSubject: cannot names {unknown[0]!r}, expected some of "
            f"{', '.join(ABILITIES)}."
        )
    can = subject.can | {name for name in known if name in ABILITIES and known[name] is not None}
    return replace(subject, **known, can=frozenset(can - set(cannot)))


def _leaves(state: Any) -> States:
    """The Tensors of a state, nested ones in their order."""
    if state is None:
        return []
    if isinstance(state, tuple | list):
        return [leaf for part in state for leaf in _leaves(part)]
    return [_tensor(state)]


def _filled(form: Any, leaves: Any) -> Any:
    """A state of the same form with other leaves."""
    if isinstance(form, tuple | list):
        parts = [_filled(part, leaves) for part in form]
        return type(form)(*parts) if hasattr(form, "_fields") else type(form)(parts)
    return next(leaves)


def _tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else Tensor(np.asarray(x, np.float64))


def _kind(x: Any) -> str:
    return f"{len(x)} results" if isinstance(x, tuple) else f"a {type(x).__name__}"
