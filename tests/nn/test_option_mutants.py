"""Options that are wrong on purpose: the definitions or the laws find each of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.nn.test_cell_options import (
    test_an_lstm_with_an_option_is_what_its_definition_says as definition,
)
from tests.nn.test_option_laws import LAWS, subject_of
from tests.testing.mutants import MUTANTS as RULES
from tests.testing.mutants import installed
from tests.testing.test_laws_sequence import held
from tinygrad_rnn.kernels.noise import Noise
from tinygrad_rnn.nn import cell_changes as changes


class Mutant(NamedTuple):
    """What is wrong: a method, and what stands in its place.

    option   the option that it is about
    law      of which cell it breaks which law; None: the definition finds it
    """

    name: str
    owner: type
    method: str
    wrong: Callable[..., Any]
    option: str
    law: tuple[str, str] | None = None

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def _new_for_old(self, name, old, new):
    numbers = self.tracer.noise(new, changes.STATES + self.names.index(name), locked=False)
    rate = self.tracer.setting(f"zoneout_{name}")
    return new.apply("where", numbers < rate, new, old), new


def _unscaled(self, row, site):
    gone = self.tracer.noise(row, site, locked=self.locked) < self.tracer.setting(self.name)
    return row.apply("where", gone, 0.0, row)


def _of_the_old_state(self, *states):
    old = states[0].tracer.line("state", (), states[0].width, index=0)
    return self.narrowed(old)


clip, normal, zoneout = (c.state for c in (changes.StateClip, changes.LayerNorm, changes.Zoneout))
at = Noise.at

MUTANTS = [
    Mutant("zoneout keeps what it should renew", changes.Zoneout, "state", _new_for_old, "zoneout"),
    Mutant("a step goes on with the zoned out state", changes.Zoneout, "state",
           lambda *a: (zoneout(*a)[0],) * 2, "zoneout"),
    Mutant("what is left does not grow", changes.InputDropout, "dropped", _unscaled,
           "input_dropout"),
    Mutant("every product of a state drops something else", changes.RecurrentDropout, "operand",
           lambda self, row, weight: self.dropped(row, 7 + len(self.sites)), "recurrent_dropout"),
    Mutant("the clipped state is used and not carried", changes.StateClip, "state",
           lambda self, name, old, new: (new, clip(self, name, old, new)[1]), "state_clip"),
    Mutant("the clipped state is carried and not used", changes.StateClip, "state",
           lambda self, name, old, new: (clip(self, name, old, new)[0], new), "state_clip"),
    Mutant("the normalised state is carried", changes.LayerNorm, "state",
           lambda *a: (normal(*a)[1],) * 2, "layer_norm"),
    Mutant("products have no gain", changes.LayerNorm, "product",
           lambda self, row, weight: row.apply("standardize", row, eps=1e-5)
           + 0 * self.tracer.weight(f"gain_{weight}"), "layer_norm"),
    Mutant("the old state is given out", changes.Projection, "output", _of_the_old_state,
           "projection", ("unroll", "gru")),
    Mutant("all rows drop the same", Noise, "row_ids",
           lambda self, count: np.zeros(count, np.uint32), "zoneout"),
    Mutant("rows drop by their places", Noise, "row_ids",
           lambda self, count: np.arange(count, dtype=np.uint32), "zoneout",
           ("batch_split", "rnn_tanh")),
    Mutant("pieces start at step 0", Noise, "later", lambda self, steps: self, "zoneout",
           ("time_split", "rnn_tanh")),
    Mutant("steps drop by their places", Noise, "at",
           lambda self, *a, **k: at(Noise(self.key, 0, self.rows), *a, **k), "input_dropout",
           ("unroll", "rnn_tanh")),
    Mutant("what is locked changes", Noise, "at",
           lambda self, *a, locked=False: at(self, *a), "locked"),
]  # fmt: skip


def found(option, law):
    """Whether what looks for this mistake finds one."""
    if law is not None:
        name, cell = law
        return held(LAWS[name], subject_of(cell, option, name), examples=10) is not None
    try:
        definition(option)
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_a_wrong_option_is_found(mutant, monkeypatch):
    assert not found(mutant.option, mutant.law)
    monkeypatch.setattr(mutant.owner, mutant.method, mutant.wrong)
    assert found(mutant.option, mutant.law)


def test_a_wrong_derivative_of_standardised_rows_is_found():
    (mutant,) = (m for m in RULES if str(m) == "standardize-mean-is-missing")
    with installed(mutant):
        assert found("layer_norm", ("input_gradient", "rnn_tanh"))
