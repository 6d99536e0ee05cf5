"""Laws about what should not matter: memory layout, threads, modes, element type; and memory."""

import gc
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.kernels._pool import num_threads, set_num_threads
from tinygrad_rnn.modes import is_grad_enabled, no_grad
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.testing.agreement import Disagreement, check_dtypes
from tinygrad_rnn.testing.arrays import LAYOUTS, relayout
from tinygrad_rnn.testing.faults import LawViolation
from tinygrad_rnn.testing.laws.common import (
    Call,
    Draw,
    expect,
    expect_close,
    expect_same,
    random,
    record,
    rounding_of,
)
from tinygrad_rnn.testing.numeric import Array, differentiable
from tinygrad_rnn.testing.strategies import seeds
from tinygrad_rnn.testing.subject import Subject

__all__ = [
    "deterministic", "float32_tracks_float64", "grad_mode_isolated_per_thread", "graph_released",
    "layout_invariance",
]  # fmt: skip


def layout_invariance(
    subject: Subject, draw: Draw, *, room: Callable[[Array], float] = rounding_of
) -> None:
    """Neither the layout of inputs nor that of cotangents changes what comes out.

    Every layout is tried: all inputs and cotangents lie in memory like that.

    Args:
        room: By how much a result may differ from what it is otherwise, from its other value;
            1e-12 of the largest unless given. Sums may take another order.
    """
    law, title = "layout_invariance", subject.title
    seeds = record(subject).cotangents(random(draw))
    for layout in LAYOUTS:
        # "broadcast" changes the numbers, so that plain copies are made of what is laid out.
        laid = [relayout(x, layout) for x in subject.primals]
        ws = [relayout(w, layout) for w in seeds]
        odd = record(subject, [Tensor(x, requires_grad=True) for x in laid])
        plain = record(subject, [Tensor(np.array(x, order="C"), requires_grad=True) for x in laid])
        for number, (a, b) in enumerate(zip(odd.values(), plain.values(), strict=True)):
            what = f"with inputs in the layout {layout!r} result {number}"
            expect_close(law, title, what, a, b, room(b))
        pairs = zip(
            odd.gradients(ws), plain.gradients([np.array(w, order="C") for w in ws]), strict=True
        )
        for name, (a, b) in zip(subject.names, pairs, strict=True):
            what = f"with everything in the layout {layout!r} the gradient of {name}"
            expect_close(law, title, what, a, b, rounding_of(b))


def graph_released(subject: Subject, draw: Draw) -> None:
    """Nothing outlives its last reference: no cache, and no cycle that waits for a collection."""
    seed = draw(seeds())
    _used(subject, seed)  # what a first call makes and keeps is no leak
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        alive = [name for name, ref in _used(subject, seed) if ref() is not None]
    finally:
        if was_enabled:
            gc.enable()
    expect(
        not alive, "graph_released", subject.title,
        f"after backward {' and '.join(alive)} still live", "that they died with the last "
        "reference (does something keep them, or do they refer to each other in a cycle?)",
    )  # fmt: skip


def _used(subject: Subject, seed: int) -> list[tuple[str, Callable[[], Any]]]:
    """Weak references to whatever one call and its backward have made."""
    call = record(subject)
    nodes = [out._node for out in call.outputs if out._node is not None]
    call.gradients(call.cotangents(np.random.default_rng(seed)))
    return [
        *((name, weakref.ref(x)) for name, x in zip(subject.names, call.leaves, strict=True)),
        *((f"the array of {name}", weakref.ref(x._data))
          for name, x in zip(subject.names, call.leaves, strict=True)),
        *((f"result {i}", weakref.ref(x)) for i, x in enumerate(call.outputs)),
        *((f"node {node!r}", weakref.ref(node)) for node in nodes),
    ]  # fmt: skip


def deterministic(subject: Subject, draw: Draw, *, threads: Sequence[int] = (1, 1, 2, 4)) -> None:
    """Values and gradients have the same bits each time, on any number of threads.

    Only kernels with much to do share it out: take inputs large enough.
    """
    law, title, seed = "deterministic", subject.title, draw(seeds())
    before = num_threads()
    found = []
    try:
        for count in threads:
            set_num_threads(count)
            call = record(subject)
            cotangents = call.cotangents(np.random.default_rng(seed))
            found.append((call.values(), call.gradients(cotangents)))
    finally:
        set_num_threads(before)
    for count, (values, gradients) in zip(threads[1:], found[1:], strict=True):
        again = f"on {count} threads, after {threads[0]},"
        for number, (a, b) in enumerate(zip(values, found[0][0], strict=True)):
            expect_same(law, title, f"{again} result {number}", a, b)
        for name, a, b in zip(subject.names, gradients, found[0][1], strict=True):
            expect_same(law, title, f"{again} the gradient of {name}", a, b)


def grad_mode_isolated_per_thread(subject: Subject, draw: Draw) -> None:
    """Threads that record and threads that do not run at once, and do not notice each other."""
    law, title, seed = "grad_mode_isolated_per_thread", subject.title, draw(seeds())
    alone = record(subject)
    cotangents = alone.cotangents(np.random.default_rng(seed))
    expected = alone.gradients(cotangents)
    recorded = [out.requires_grad for out in alone.outputs]

    def under_no_grad() -> None:
        with no_grad():
            call = _as_it_is(subject)
            expect(not is_grad_enabled(), law, title, "the call turned recording on", "it off")
        # An input that is handed on wants a gradient, but nothing was recorded.
        results = [out for out in call.outputs if not any(out is x for x in call.leaves)]
        found = any(out.requires_grad for out in results)
        expect(not found, law, title, "under no_grad() a result is recorded", "a plain value")

    def recording() -> None:
        call = _as_it_is(subject)
        expect(is_grad_enabled(), law, title, "the call turned recording off", "it on")
        found = [out.requires_grad for out in call.outputs]
        which = f"beside threads under no_grad() the results recorded are {found}"
        expect(found == recorded, law, title, which, f"{recorded}, as alone")
        for name, a, b in zip(subject.names, call.gradients(cotangents), expected, strict=True):
            what = f"beside threads under no_grad() the gradient of {name}"
            expect_same(law, title, what, a, b)

    with no_grad():  # in this thread, while the others start
        _all_at_once([recording, under_no_grad, recording, under_no_grad])


def _as_it_is(subject: Subject) -> Call:
    """A call in whatever mode this thread is in."""
    leaves = subject.leaves()
    results = differentiable(subject(*leaves))
    return Call(leaves, [out for out in results if isinstance(out, Tensor)])


def _all_at_once(works: Sequence[Callable[[], None]]) -> None:
    """Run each in a thread of its own, and raise what the first of them raised."""
    start = threading.Barrier(len(works))
    errors: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        try:
            start.wait()
            work()
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=run, args=(work,)) for work in works]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if errors:
        raise errors[0]


def float32_tracks_float64(subject: Subject, draw: Draw) -> None:
    """With float32 inputs all results and gradients are float32, and right but for rounding.

    By how much they may be wrong says ``assert_dtype_laws``.
    """
    record(subject)  # there has to be something to compare
    try:
        check_dtypes(subject, seed=draw(seeds()))
    except Disagreement as found:
        raise LawViolation(
            "float32_tracks_float64", subject.title, str(found), "float32 to follow float64"
        ) from None
