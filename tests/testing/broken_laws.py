"""For every general law a function that breaks it."""

import functools
from typing import NamedTuple

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import modes, ops
from tinygrad_rnn.primitive import Fused, run_fused
from tinygrad_rnn.testing import Subject, laws
from tinygrad_rnn.testing.subject import of_function

A = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
B = np.array([[1.0, 2.0, -0.5], [-2.0, 0.5, 3.0]])
IDS = np.array([[1, 0, 1], [1, 1, 0]])


class Broken(NamedTuple):
    """A law, what it is called with, a function that breaks it, and what the law says."""

    name: str
    subject: Subject
    says: str
    options: dict = {}

    def __str__(self):
        return self.name

    @property
    def law(self):
        return functools.partial(getattr(laws, self.name), **self.options)


def _fused(forward, backward, reference):
    """A subject of one fused operation over A and B, with a backward to get wrong."""
    op = Fused("operation", forward, backward, reference)
    return of_function(lambda a, b: run_fused(op, [a, b], {}), [A, B])


def _product(backward, reference=lambda a, b: a * b):
    return _fused(lambda a, b: (a * b, None), backward, reference)


def _both(backward):
    """Two results, a product and a sum."""

    def reference(a, b):
        return a * b, a + b

    return _fused(lambda a, b: (reference(a, b), None), backward, reference)


def overwrites(a, b):
    a._data[...] = 1.0
    return a * b


def hands_out_an_input(_, gs, needs, a, b):
    return [a, gs[0] * a]


def half_the_second_time():
    calls = []

    def backward(residuals, gs, needs, a, b):
        calls.append(1)
        return [gs[0] * b / (2 - len(calls) % 2), gs[0] * a]

    return backward


def adds_what_is_there(a, b):
    a.register_hook(lambda g: g if a.grad is None else g + a.grad)
    return a * b


def none_is_one(_, gs, needs, a, b):
    g, h = (np.ones(a.shape) if g is None else g for g in gs)
    return [g * b + h, g * a + h]


def forgets_half_alone(_, gs, needs, a, b):
    return [gs[0] * b * (1.0 if needs[1] else 0.5), gs[0] * a]


def in_order_of_memory(a):
    return a.ravel(order="K") * np.arange(1.0, a.size + 1)


KEPT = []


def keeps(a):
    KEPT.append(a * 2.0)
    return KEPT[-1] * 1.0


def in_a_cycle(a):
    box = [a * 2.0]
    box.append(box)
    return box[0] * 1.0


def records_on_its_own(a):
    modes.recording.set(True)
    return a * 2.0


def rough_in_float32(a):
    return a * (1.001 if a.dtype == np.float32 else 1.0)


def mean_of_copies(g, a, b):
    def fitted(g, x):
        axes = tuple(range(g.ndim - x.ndim))
        g = g.mean(axes)
        return g.mean(tuple(i for i, n in enumerate(x.shape) if n == 1), keepdims=True)

    return fitted(g * b, a), fitted(g * a, b)


def last_one_wins(g, table):
    total = np.zeros(table.shape)
    total[IDS] = g
    return total


def naive_logsumexp(a):
    return ops.log(ops.sum(ops.exp(a)))


BROKEN = [
    Broken("no_mutation", of_function(overwrites, [A, B]), "afterwards a"),
    Broken("no_aliasing", _product(hands_out_an_input), "gradient of a shares memory with a"),
    Broken("backward_idempotent", _product(half_the_second_time()), "second gradient of a"),
    Broken("accumulation", of_function(adds_what_is_there, [A, B]), "grad of a after two"),
    Broken("linear_in_cotangent",
           of_function(np.sin, [A], vjp=lambda g, x: np.abs(g) * np.cos(x)), "the gradient of"),
    Broken("zero_cotangent", of_function(np.sin, [A], vjp=lambda g, x: np.cos(x)), "expected 0"),
    Broken("undefined_cotangent_equals_zero", _both(none_is_one), "alone, the gradient of"),
    Broken("needs_grad_lattice", _product(forgets_half_alone),
           "with b frozen the gradient of a"),
    Broken("jvp_vjp_adjoint", _product(lambda _, gs, needs, a, b: [gs[0] * b, gs[0] * a],
                                       lambda a, b: a * b * 1.01), "<w, J u> by jvp"),
    Broken("layout_invariance",
           of_function(in_order_of_memory, [A],
                       vjp=lambda g, a: (g * np.arange(1.0, a.size + 1)).reshape(a.shape)),
           "in the layout 'F' result 0"),
    Broken("graph_released", of_function(keeps, [A]), "still live"),
    Broken("graph_released", of_function(in_a_cycle, [A]), "still live"),
    Broken("deterministic", of_function(lambda a: a * tg.num_threads(), [A]), "on . threads"),
    Broken("deterministic", of_function(lambda a: a * tg.randn(2, 3, dtype=tg.float64), [A]),
           "on 1 threads, after 1"),
    Broken("grad_mode_isolated_per_thread", of_function(records_on_its_own, [A]),
           "turned recording on"),
    Broken("float32_tracks_float64", of_function(rough_in_float32, [A]), "in float32 and float64"),
    Broken("float32_tracks_float64", of_function(lambda a: ops.astype(a, np.float64), [A]),
           "gave float64 for inputs of float32"),
    Broken("empty_and_singleton", of_function(lambda a: ops.squeeze(a), [A]), "has . axes"),
    Broken("empty_and_singleton", of_function(lambda a: a[0] * 2.0, [A]), "raised IndexRangeError"),
    Broken("broadcast_equals_explicit", of_function(np.multiply, [A, B], vjp=mean_of_copies),
           "the gradient of"),
    Broken("finite_on_extremes", of_function(naive_logsumexp, [A]), "are not finite"),
    Broken("finite_on_extremes", of_function(naive_logsumexp, [A]), "elements of result 0",
           {"reference": np.logaddexp.reduce}),
    Broken("repeated_weight",
           of_function(lambda a, b: (a.detach() if a is b else a) * b, [A, B]),
           "the gradient of one weight as a, b"),
    Broken("embedding_equals_one_hot",
           of_function(lambda table: table[IDS], [A], vjp=last_one_wins),
           "the gradient of table", {"ids": IDS}),
]  # fmt: skip
