"""Laws of the parts of models: softmax, attention, dropout, losses, clipping.

Each takes a function with the signature that it names, and Hypothesis' draw; sizes that the
function wants are given by ``functools.partial``. Functions get Tensors of float64. What they
return as arrays has values only; whoever computes with NumPy writes ``lambda x: f(x.numpy())``.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.testing import strategies as gs
from tinygrad_rnn.testing.laws.common import (
    Draw,
    expect,
    expect_close,
    expect_same,
    random,
    record,
    title_of,
)
from tinygrad_rnn.testing.numeric import Array, as_list
from tinygrad_rnn.testing.subject import Subject

__all__ = [
    "attention_key_permutation", "causal", "clip_norm_scales", "dropout_mask_replayed",
    "dropout_off_is_identity", "label_ignore_index", "loss_mean_of_parts",
    "masked_attention_row_sums", "softmax_shift",
]  # fmt: skip

Function = Callable[..., Any]

ROUNDING = 1e-10  # of sums of a few numbers that shifts of up to a thousand have rounded
NORM_ROUNDING = 1e-5  # what is added to a norm before it divides


# ----- softmax and attention -----


def softmax_shift(softmax: Function, draw: Draw) -> None:
    """Rows of ``softmax(scores (N, V))`` sum to 1; adding a number to all scores changes nothing.

    Numbers up to a thousand: exp of one alone would overflow.
    """
    law, shape = "softmax_shift", (draw(st.integers(1, 3)), draw(st.integers(1, 5)))
    scores = draw(gs.arrays(shape))
    shift = draw(gs.arrays((shape[0], 1))) * draw(st.sampled_from([1.0, 250.0]))
    rng = random(draw)
    y, _ = _agree(
        law, softmax, rng, {"scores": scores},
        lambda x: softmax(x + shift), lambda x: softmax(x),
    )  # fmt: skip
    sums = y[0].sum(axis=-1)
    expect_close(law, title_of(softmax), "the sum of a row", sums, np.ones(shape[0]), ROUNDING)


def attention_key_permutation(
    attention: Function, draw: Draw, *, query: int = 4, key: int = 4, value: int = 4
) -> None:
    """Keys and values in another order have the same context, and weights in that order.

    attention(query (B, Q), keys (B, S, K), values (B, S, V), mask (B, S)) -> context (B, V),
    weights (B, S); the mask is true where there is a key.
    """
    rng = random(draw)
    inputs, mask = _attended(draw, rng, query, key, value)
    order = rng.permutation(mask.shape[1])
    back = np.argsort(order)

    def permuted(q: Tensor, k: Tensor, v: Tensor) -> Any:
        context, weights = attention(q, k[:, order], v[:, order], mask[:, order])
        return context, weights[:, back]

    def plain(q: Tensor, k: Tensor, v: Tensor) -> Any:
        return tuple(attention(q, k, v, mask))

    _agree("attention_key_permutation", attention, rng, inputs, permuted, plain)


def masked_attention_row_sums(
    attention: Function, draw: Draw, *, query: int = 4, key: int = 4, value: int = 4
) -> None:
    """Weights sum to 1 over the keys that there are, and are 0 at others, which change nothing.

    attention as for ``attention_key_permutation``.
    """
    law, title = "masked_attention_row_sums", title_of(attention)
    rng = random(draw)
    inputs, mask = _attended(draw, rng, query, key, value)
    hidden = 1e3 * rng.standard_normal((2, *mask.shape, 1)) * ~mask[..., None]

    def noisy(q: Tensor, k: Tensor, v: Tensor) -> Any:
        return tuple(attention(q, k + hidden[0], v + hidden[1], mask))

    def plain(q: Tensor, k: Tensor, v: Tensor) -> Any:
        return tuple(attention(q, k, v, mask))

    (_, weights), gradients = _agree(law, attention, rng, inputs, noisy, plain)
    expect(
        not np.any(weights[~mask]), law, title, "a key behind the mask has a weight", "exactly 0"
    )
    sums = weights.sum(axis=-1)
    expect_close(law, title, "the sum of the weights", sums, np.ones(len(sums)), ROUNDING)
    for name, gradient in zip(("keys", "values"), gradients[1:], strict=True):
        expect(
            not np.any(gradient[~mask]), law, title,
            f"the gradient of {name} behind the mask is not 0", "exactly 0",
        )  # fmt: skip


def _attended(
    draw: Draw, rng: np.random.Generator, query: int, key: int, value: int
) -> tuple[dict[str, Array], Array]:
    """A query, keys and values, and a mask that leaves each row a key."""
    B, S = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    mask = rng.random((B, S)) < draw(st.sampled_from([1.0, 0.5]))
    mask[np.arange(B), rng.integers(S, size=B)] = True
    shapes = {"query": (B, query), "keys": (B, S, key), "values": (B, S, value)}
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}, mask


def causal(model: Function, draw: Draw, *, features: int = 4) -> None:
    """No y_t of ``model(x (T, B, I)) -> y (T, B, O)`` depends on x_s for s > t: dy_t/dx_s = 0."""
    law, rng = "causal", random(draw)
    T, B = draw(st.integers(2, 5)), draw(st.integers(1, 3))
    x = draw(gs.arrays((T, B, features)))
    t = draw(st.integers(1, T - 1))
    later = np.zeros(x.shape)
    later[t:] = rng.standard_normal(later[t:].shape)
    _, (gradient,) = _agree(
        law, model, rng, {"x": x}, lambda x: model(x + later)[:t], lambda x: model(x)[:t]
    )
    expect(
        not np.any(gradient[t:]), law, title_of(model),
        f"the gradient of x from step {t} on by outputs before it is not 0", "exactly 0",
    )  # fmt: skip


# ----- dropout -----


def dropout_off_is_identity(dropout: Function, draw: Draw) -> None:
    """``dropout(x, False)``, not in training, gives x and passes gradients on, exactly."""
    law, title, rng = "dropout_off_is_identity", title_of(dropout), random(draw)
    x = draw(gs.arrays(gs.shapes(1, 3, 1, 4)))
    call = record(Subject(title, lambda x: _tensor(dropout(x, False)), ("x",), (x,)))
    cotangents = call.cotangents(rng)
    expect_same(law, title, "the result", call.values()[0], x)
    expect_same(law, title, "the gradient", call.gradients(cotangents)[0], cotangents[0])


def dropout_mask_replayed(dropout: Function, draw: Draw) -> None:
    """The gradient is dropped, and scaled, where ``dropout(x, True)`` has dropped x."""
    law, title, rng = "dropout_mask_replayed", title_of(dropout), random(draw)
    shape = draw(gs.shapes(1, 3, 1, 5))
    x = rng.uniform(0.5, 1.0, shape) * rng.choice([-1.0, 1.0], shape)
    call = record(Subject(title, lambda x: _tensor(dropout(x, True)), ("x",), (x,)))
    cotangents = call.cotangents(rng)
    mask = call.values()[0] / x
    gradient = call.gradients(cotangents)[0]
    expect_close(law, title, "the gradient", gradient, cotangents[0] * mask, ROUNDING)


# ----- losses and clipping -----


def loss_mean_of_parts(loss: Function, draw: Draw, *, classes: int = 4) -> None:
    """A mean ``loss(scores (N, V), labels (N))`` is that of two parts, weighed by their sizes."""
    rng, N = random(draw), draw(st.integers(2, 6))
    scores, labels = draw(gs.arrays((N, classes))), draw(gs.label_batches(classes, N))
    k = draw(st.integers(1, N - 1))

    def parts(scores: Tensor) -> Any:
        first, second = loss(scores[:k], labels[:k]), loss(scores[k:], labels[k:])
        return first * (k / N) + second * (1 - k / N)

    def whole(scores: Tensor) -> Any:
        return loss(scores, labels)

    _agree("loss_mean_of_parts", loss, rng, {"scores": scores}, parts, whole)


def label_ignore_index(loss: Function, draw: Draw, *, classes: int = 4, ignore: int = -100) -> None:
    """Rows whose label is to be ignored might as well not be there; their gradient is exactly 0.

    loss(scores (N, V), labels (N)) -> a number, also a mean: of the rows that are left.
    """
    law, rng, N = "label_ignore_index", random(draw), draw(st.integers(1, 6))
    scores = draw(gs.arrays((N, classes)))
    labels = draw(gs.label_batches(classes, N, ignore=ignore))
    kept = labels != ignore
    _, (gradient,) = _agree(
        law, loss, rng, {"scores": scores},
        lambda x: loss(x, labels), lambda x: loss(x[kept], labels[kept]),
    )  # fmt: skip
    expect(
        not np.any(gradient[~kept]), law, title_of(loss),
        "the gradient of a row that is ignored is not 0", "exactly 0",
    )  # fmt: skip


def clip_norm_scales(clip: Callable[[list[Array], float], Sequence[Array]], draw: Draw) -> None:
    """``clip(gradients, max_norm)`` gives all of them times one number: min(1, max_norm / norm).

    The norm is that of all numbers in all arrays; zeros stay zeros.
    """
    law, title, rng = "clip_norm_scales", title_of(clip), random(draw)
    shapes = [draw(gs.shapes(0, 2, 1, 3)) for _ in range(draw(st.integers(1, 3)))]
    size = draw(st.sampled_from([0.0, 1e-6, 1.0, 1e6]))
    gradients = [np.asarray(size * rng.standard_normal(shape)) for shape in shapes]
    norm = float(np.sqrt(sum(np.sum(g * g) for g in gradients)))
    most = draw(st.sampled_from([0.5, 1.0, 2.0])) * (norm or 1.0)
    clipped = [np.asarray(g) for g in clip([g.copy() for g in gradients], most)]
    expect(
        len(clipped) == len(gradients), law, title, f"{len(clipped)} arrays", f"{len(gradients)}"
    )
    scale = min(1.0, most / norm) if norm else 1.0
    for number, (found, gradient) in enumerate(zip(clipped, gradients, strict=True)):
        # Many divide by norm + 1e-6, so that they need not ask whether it is 0.
        room = max(NORM_ROUNDING, 2e-6 / norm if norm else 0.0) * np.abs(gradient).max(initial=0)
        what = f"gradient {number} clipped to {most:.3g}"
        expect_close(law, title, what, found, gradient * scale, float(room))


# ----- what they share -----


def _agree(
    law: str,
    function: Function,
    rng: np.random.Generator,
    inputs: dict[str, Array],
    one: Function,
    other: Function,
) -> tuple[list[Array], list[Array]]:
    """Raise LawViolation unless two computations have the same results and gradients.

    Returns those of ``one``.
    """
    title, names, primals = title_of(function), tuple(inputs), tuple(inputs.values())
    calls = [
        record(Subject(title, lambda *xs, fn=fn: _tensors(fn(*xs)), names, primals))
        for fn in (one, other)
    ]
    values = [call.values() for call in calls]
    expect(
        len(values[0]) == len(values[1]), law, title, f"{len(values[0])} results",
        f"{len(values[1])}",
    )  # fmt: skip
    for number, (found, expected) in enumerate(zip(*values, strict=True)):
        expect_close(law, title, f"result {number}", found, expected, _room(expected))
    cotangents = calls[1].cotangents(rng)
    gradients = [call.gradients(cotangents) for call in calls]
    for name, found, expected in zip(names, *gradients, strict=True):
        expect_close(law, title, f"the gradient of {name}", found, expected, _room(expected))
    return values[0], gradients[0]


def _room(expected: Array) -> float:
    finite = np.nan_to_num(expected, nan=0.0, posinf=0.0, neginf=0.0)
    return ROUNDING * max(1.0, float(np.abs(finite).max(initial=0)))


def _tensors(result: Any) -> tuple[Tensor, ...]:
    return tuple(_tensor(part) for part in as_list(result))


def _tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else Tensor(np.asarray(x, np.float64))
