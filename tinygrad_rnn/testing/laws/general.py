"""Laws of every function: what backward leaves alone, and how gradients add up."""

import numpy as np

from tinygrad_rnn.engine import backward, grad
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.testing.comparison import floor_of
from tinygrad_rnn.testing.faults import Untestable
from tinygrad_rnn.testing.laws.common import (
    ROUNDING,
    Call,
    Draw,
    expect,
    expect_close,
    expect_same,
    random,
    record,
    rounding_of,
)
from tinygrad_rnn.testing.numeric import Array, inner
from tinygrad_rnn.testing.strategies import needs_grad
from tinygrad_rnn.testing.subject import Subject
from tinygrad_rnn.transforms import jvp

__all__ = [
    "accumulation", "backward_idempotent", "jvp_vjp_adjoint", "linear_in_cotangent",
    "needs_grad_lattice", "no_aliasing", "no_mutation", "undefined_cotangent_equals_zero",
    "zero_cotangent",
]  # fmt: skip


def no_mutation(subject: Subject, draw: Draw) -> None:
    """Neither a call nor backward changes the inputs, the results or the cotangents."""
    law, title = "no_mutation", subject.title
    call = record(subject)
    cotangents = call.cotangents(random(draw))
    given, results = [w.copy() for w in cotangents], [x.copy() for x in call.values()]
    call.gradients(cotangents)
    for name, leaf, before in zip(subject.names, call.leaves, subject.primals, strict=True):
        expect_same(law, title, f"afterwards {name}", leaf.numpy(), before)
    for number, (found, before) in enumerate(zip(call.values(), results, strict=True)):
        expect_same(law, title, f"after backward result {number}", found, before)
    for number, (found, before) in enumerate(zip(cotangents, given, strict=True)):
        expect_same(law, title, f"after backward cotangent {number}", found, before)


def no_aliasing(subject: Subject, draw: Draw) -> None:
    """Each gradient has memory of its own: nobody else's numbers change where it is written."""
    law, title = "no_aliasing", subject.title
    call = record(subject)
    cotangents = [Tensor(w) for w in call.cotangents(random(draw))]
    pairs = _started(call, cotangents)
    if not pairs:
        return
    found = grad([o for o, _ in pairs], call.leaves, [w for _, w in pairs], allow_unused=True)
    arrays = [
        (f"the gradient of {name}", g._data)
        for name, g in zip(subject.names, found, strict=True)
        if g is not None
    ]
    others = [
        *((name, x._data) for name, x in zip(subject.names, call.leaves, strict=True)),
        *((f"result {i}", x._data) for i, x in enumerate(call.outputs)),
        *((f"cotangent {i}", x._data) for i, x in enumerate(cotangents)),
    ]
    for number, (what, array) in enumerate(arrays):
        for other, memory in arrays[number + 1 :] + others:
            shared = np.shares_memory(array, memory)
            expect(not shared, law, title, f"{what} shares memory with {other}", "its own")
        writeable = array.flags.writeable or not array.size
        expect(writeable, law, title, f"{what} cannot be written", "an array of its own")


def backward_idempotent(subject: Subject, draw: Draw) -> None:
    """With ``retain_graph=True`` a second walk back gives the same gradients, to the bit."""
    call = record(subject)
    cotangents = call.cotangents(random(draw))
    pairs = _started(call, cotangents)
    if not pairs:
        return
    outs, ws = [o for o, _ in pairs], [w for _, w in pairs]
    walks = [grad(outs, call.leaves, ws, retain_graph=True, allow_unused=True) for _ in range(2)]
    for name, first, second in zip(subject.names, *walks, strict=True):
        a, b = (np.zeros(()) if g is None else g.numpy() for g in (first, second))
        expect_same("backward_idempotent", subject.title, f"the second gradient of {name}", b, a)


def accumulation(subject: Subject, draw: Draw) -> None:
    """Each ``backward`` adds the gradients to ``grad``, exactly; the first one puts them there."""
    law, title = "accumulation", subject.title
    call = record(subject)
    cotangents = call.cotangents(random(draw))
    expected = _fresh_gradients(subject, cotangents)
    pairs = _started(call, cotangents)
    if not pairs:
        return
    sums: list[Array] = [np.zeros_like(g) for g in expected]
    for count in ("one", "two"):
        backward([o for o, _ in pairs], [w for _, w in pairs], retain_graph=True)
        sums = [total + g for total, g in zip(sums, expected, strict=True)]
        for name, leaf, total in zip(subject.names, call.leaves, sums, strict=True):
            found = np.zeros_like(total) if leaf.grad is None else leaf.grad.numpy()
            expect_same(law, title, f"grad of {name} after {count} of backward", found, total)


def linear_in_cotangent(subject: Subject, draw: Draw) -> None:
    """The gradients for ``v + c w`` are those for ``v`` and ``c`` times those for ``w``."""
    from hypothesis import strategies as st

    rng, factor = random(draw), draw(st.floats(-2, 2))
    call = record(subject)
    v, w = call.cotangents(rng), call.cotangents(rng)
    parts = [_fresh_gradients(subject, seeds) for seeds in (v, w)]
    mixed = call.gradients([a + factor * b for a, b in zip(v, w, strict=True)])
    for name, whole, a, b in zip(subject.names, mixed, *parts, strict=True):
        size = np.abs(a).max(initial=0) + abs(factor) * np.abs(b).max(initial=0)
        expect_close(
            "linear_in_cotangent", subject.title, f"for v + {factor!r} w the gradient of {name}",
            whole, a + factor * b, ROUNDING * max(1.0, float(size)),
        )  # fmt: skip


def zero_cotangent(subject: Subject, draw: Draw) -> None:
    """Where nothing depends on the results, the gradients are 0, exactly."""
    call = record(subject)
    for name, g in zip(
        subject.names, call.gradients([np.zeros(o.shape) for o in call.outputs]), strict=True
    ):
        what = f"for cotangents of 0 the gradient of {name}"
        expect_close("zero_cotangent", subject.title, what, g, np.zeros(g.shape), 0.0)


def undefined_cotangent_equals_zero(subject: Subject, draw: Draw) -> None:
    """A result that nobody uses is worth as much as one with a cotangent of 0."""
    call = record(subject)
    if len(call.outputs) < 2:
        return
    used = draw(needs_grad(len(call.outputs)))
    cotangents = call.cotangents(random(draw))
    kept = [n for n, use in enumerate(used) if use]
    some = Call(call.leaves, [call.outputs[n] for n in kept])
    found = some.gradients([cotangents[n] for n in kept])
    zeros = [w * use for w, use in zip(cotangents, used, strict=True)]
    for name, g, expected in zip(
        subject.names, found, _fresh_gradients(subject, zeros), strict=True
    ):
        what = f"with results {kept} of {len(used)} alone, the gradient of {name}"
        room = rounding_of(expected)
        expect_close("undefined_cotangent_equals_zero", subject.title, what, g, expected, room)


def needs_grad_lattice(subject: Subject, draw: Draw) -> None:
    """Whichever inputs are frozen, the gradients of the others stay the same, to the bit.

    A frozen input gets none, and where all are frozen nothing is recorded.
    """
    law, title = "needs_grad_lattice", subject.title
    count = len(subject.primals)
    call = record(subject)
    cotangents = call.cotangents(random(draw))
    full = call.gradients(cotangents)
    subsets = range(2**count) if count <= 3 else [0, _bits(draw(needs_grad(count)))]
    for needs in subsets:
        leaves = [
            Tensor(x.copy(), requires_grad=bool(needs >> i & 1))
            for i, x in enumerate(subject.primals)
        ]
        some = record(subject, leaves)
        pairs = _started(some, cotangents)
        frozen = [n for n, x in zip(subject.names, leaves, strict=True) if not x.requires_grad]
        where = f"with {', '.join(frozen) or 'nothing'} frozen"
        if len(frozen) == count:
            expect(not pairs, law, title, f"{where} a result is recorded", "a plain value")
        elif pairs:
            backward([o for o, _ in pairs], [w for _, w in pairs])
        for name, leaf, wanted in zip(subject.names, leaves, full, strict=True):
            if leaf.requires_grad:
                g = np.zeros_like(wanted) if leaf.grad is None else leaf.grad.numpy()
                expect_same(law, title, f"{where} the gradient of {name}", g, wanted)
            else:
                expect(leaf.grad is None, law, title, f"{where} {name} has a gradient", "none")


def jvp_vjp_adjoint(subject: Subject, draw: Draw) -> None:
    """Forward and reverse agree: ``<w, J u>`` is ``<J' w, u>``."""
    if subject.by_hand:
        raise Untestable(
            subject.title,
            "has no forward derivative",
            "jvp differentiates backward, and a gradient written by hand in NumPy cannot be "
            "differentiated itself",
        )
    rng = random(draw)
    call = record(subject)
    cotangents = call.cotangents(rng)
    tangents = [np.asarray(rng.uniform(-1, 1, x.shape)) for x in subject.primals]
    found = call.gradients(cotangents)

    def flat(*inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(record(subject, list(inputs)).outputs)

    _, along = jvp(flat, tuple(subject.constants()), tuple(Tensor(u) for u in tangents))
    forward = inner(cotangents, [x.numpy() for x in along])
    reverse = inner(found, tangents)
    sizes = inner([np.abs(g) for g in found], [np.abs(u) for u in tangents])
    sizes += inner([np.abs(w) for w in cotangents], [np.abs(x.numpy()) for x in along])
    room = max(ROUNDING * sizes, floor_of(subject, call.outputs, cotangents))
    expect(
        abs(forward - reverse) <= room, "jvp_vjp_adjoint", subject.title,
        f"<w, J u> by jvp is {forward:.17g}", f"<J' w, u> by backward, {reverse:.17g} to within "
        f"{room:.3g}",
    )  # fmt: skip


# ----- what they share -----


def _fresh_gradients(subject: Subject, cotangents: list[Array]) -> list[Array]:
    """The gradients of a call of its own."""
    return record(subject).gradients(cotangents)


def _started(call: Call, cotangents: list[Array] | list[Tensor]) -> list[tuple[Tensor, object]]:
    """The results that were recorded, each with its cotangent."""
    pairs = zip(call.outputs, cotangents, strict=True)
    return [(out, w) for out, w in pairs if out.requires_grad]


def _bits(flags: tuple[bool, ...]) -> int:
    return sum(flag << i for i, flag in enumerate(flags))
