"""Bundles: a module in, a pytest test out, with one case for every law that fits it.

test_mine = testing.check_sequence_module(lambda: nn.Recurrent(MyCell(3, 4)))
test_head = testing.check_module(
    MyHead, inputs=lambda head: [gs.arrays((2, head.width))], width=st.integers(1, 4)
)
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from tinygrad_rnn import random
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.testing import laws as all_laws
from tinygrad_rnn.testing.checks import assert_module_gradients
from tinygrad_rnn.testing.faults import LawViolation
from tinygrad_rnn.testing.law_tests import FEWER, LawCase, chosen_laws, known_names, pytest_test_of
from tinygrad_rnn.testing.laws.common import Draw, expect_same
from tinygrad_rnn.testing.laws.sequence import SEQUENCE_LAWS
from tinygrad_rnn.testing.laws.state import STATE_LAWS
from tinygrad_rnn.testing.numeric import differentiable
from tinygrad_rnn.testing.sequence_subject import ABILITIES, SequenceSubject
from tinygrad_rnn.testing.strategies import seeds
from tinygrad_rnn.testing.strategies.networks import build_module
from tinygrad_rnn.testing.subject import of_module

__all__ = ["check_module", "check_sequence_module"]

Factory = Callable[..., Any]

# The general laws that hold for every module, whatever the shapes of its inputs mean.
MODULE_LAWS = (
    "no_mutation", "no_aliasing", "backward_idempotent", "accumulation", "linear_in_cotangent",
    "zero_cotangent", "undefined_cotangent_equals_zero", "needs_grad_lattice", "jvp_vjp_adjoint",
    "layout_invariance", "graph_released", "deterministic", "grad_mode_isolated_per_thread",
    "float32_tracks_float64",
)  # fmt: skip


def check_sequence_module(
    factory: Factory | Mapping[str, Factory],
    laws: str | Iterable[Any] = "all",
    *,
    without: Iterable[str] = (),
    own_weights: bool = False,
    settings: settings | None = None,
    **known: Any,
) -> Callable[..., None]:
    """Make a pytest test that holds what runs over time to the laws of sequences, case by case.

    ``factory`` is called for every example and gives a recurrent layer, a cell, a module of
    one's own, a function or a SequenceSubject; what it draws from the library's random numbers
    is another each time. Laws that it lacks an ability for are not generated: the test's
    attribute ``left_out`` names them, and why.

    Args:
        factory: Or several of them, by name.
        laws: "all", or names of laws, or laws; those must fit.
        without: Names of laws that are not meant to hold.
        own_weights: Whether modules keep their weights; else these are drawn away from 0.
        settings: Of Hypothesis, best with ``deadline=None``, as the first call of a cell compiles
            it; those of the profile, without a deadline, unless given.
        known: What ``SequenceSubject.of`` takes, such as ``input_size``.
    """
    where, every = "check_sequence_module", {**SEQUENCE_LAWS, **STATE_LAWS}
    chosen, skipped = chosen_laws(where, laws, every), known_names(where, without, every)
    factories = factory if isinstance(factory, Mapping) else {"": factory}
    cases, left_out = [], {}
    for name, make in factories.items():
        made = _Making(make, own_weights, known)
        subject = made(0)
        for law in chosen:
            called = f"{name}-{law.__name__}" if name else law.__name__
            lacks = [need for need in getattr(law, "needs", ()) if need not in subject.can]
            if law.__name__ in skipped:
                left_out[called] = "it is among those to leave out"
            elif lacks and isinstance(laws, str) and laws == "all":
                left_out[called] = ABILITIES[lacks[0]]
            else:
                subject.needs(law.__name__, *lacks)
                part = FEWER if getattr(law, "slow", False) else 1
                cases.append(LawCase(called, made.held_to(law), part))
    return pytest_test_of(where, cases, left_out, settings)


class _Making(NamedTuple):
    """How a subject is made anew for every example."""

    factory: Factory
    own_weights: bool
    known: dict[str, Any]

    def __call__(self, seed: int) -> SequenceSubject:
        """The subject; equal seeds give equal ones."""
        with random.fork():
            random.seed(seed)
            made = self.factory()
            if isinstance(made, Module) and not self.own_weights:
                made = build_module(lambda: made, seed)
            return SequenceSubject.of(made, **self.known)

    def held_to(self, law: Any) -> Callable[[Draw], None]:
        """The law of a subject that is made of what is drawn."""
        return lambda draw: law(self(draw(seeds())), draw)


# ----- any module -----


def check_module(
    factory: Factory,
    *,
    inputs: Callable[[Any], Sequence[Any]],
    laws: str | Iterable[Any] = "all",
    without: Iterable[str] = (),
    order: int = 1,
    settings: settings | None = None,
    **config: Any,
) -> Callable[..., None]:
    """Make a pytest test of a module, with one case for each of these:

    gradients     by its parameters and inputs, against numeric ones
    state_dict    a second module that loads its state dict computes the same
    and the laws of ``testing.laws`` that hold for every module, float32_tracks_float64 among
    them. Modules are drawn as ``gs.modules`` does: in float64, with weights away from 0.

    Args:
        factory: Called for every example with a value for each name in ``config``.
        inputs: From a module to its inputs: arrays, or strategies for them.
        laws: "all", or some of their names, or other laws of functions.
        without: Names of cases that are not meant to hold.
        order: 2 also differentiates the gradients.
        settings: Of Hypothesis, best with ``deadline=None``, as the first call of a cell compiles
            it; those of the profile, without a deadline, unless given.
        config: Strategies or values for the arguments of the factory.
    """

    def drawn(draw: Draw) -> tuple[Callable[[int], Module], Module, list[Any]]:
        arguments = {
            name: draw(x) if isinstance(x, st.SearchStrategy) else x for name, x in config.items()
        }
        make = partial(_built, factory, arguments)
        module = make(draw(seeds()))
        wanted = [draw(x) if isinstance(x, st.SearchStrategy) else x for x in inputs(module)]
        return make, module, wanted

    def gradients(draw: Draw) -> None:
        _, module, values = drawn(draw)
        assert_module_gradients(module, *values, order=order)

    def state_dict(draw: Draw) -> None:
        make, module, values = drawn(draw)
        _round_trip(module, make(draw(seeds())), values)

    def held(law: Any) -> Callable[[Draw], None]:
        def holds(draw: Draw) -> None:
            _, module, values = drawn(draw)
            law(of_module(module, values), draw)

        return holds

    own = {"gradients": gradients, "state_dict": state_dict}
    every = {**own, **{name: getattr(all_laws, name) for name in MODULE_LAWS}}
    where = "check_module"
    chosen, skipped = chosen_laws(where, laws, every), known_names(where, without, every)
    names = [law.__name__ for law in chosen]
    cases = [
        LawCase(name, law if law in own.values() else held(law))
        for name, law in zip(names, chosen, strict=True)
        if name not in skipped
    ]
    left_out = {name: "it is among those to leave out" for name in names if name in skipped}
    return pytest_test_of(where, cases, left_out, settings)


def _built(factory: Factory, arguments: dict[str, Any], seed: int) -> Module:
    module: Module = build_module(factory, seed, **arguments)
    return module


def _round_trip(first: Module, second: Module, values: list[Any]) -> None:
    """Raise unless a second module that loads the state dict of the first is the same."""
    law, title = "state_dict", type(first).__name__
    kept = first.state_dict()
    second.load_state_dict(kept)
    for name, array in second.state_dict().items():
        expect_same(law, title, f"{name} after load_state_dict", array, kept[name])
    subjects = [of_module(module.eval(), values) for module in (first, second)]
    results = [differentiable(subject(*subject.constants())) for subject in subjects]
    for number, (a, b) in enumerate(zip(*results, strict=True)):
        if not np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True):
            raise LawViolation(
                law, title, f"result {number} of a second module that has loaded it is another",
                "the same bits (is something that it reads neither a parameter nor a buffer?)",
            )  # fmt: skip
