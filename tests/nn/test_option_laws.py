"""Every cell keeps the laws of what runs over time with every option, and with any of them at once.

Layers are in training: what they drop is a function of rows and steps, so the laws hold however
these are cut. Line by line, which compiles nothing.
"""

import zlib

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.nn.cell_list import ALIKE, CELLS, make
from tests.nn.test_cell_options import OPTIONS
from tinygrad_rnn import nn
from tinygrad_rnn.testing import SequenceSubject
from tinygrad_rnn.testing import strategies as gs
from tinygrad_rnn.testing.laws.sequence import SEQUENCE_LAWS
from tinygrad_rnn.testing.laws.state import STATE_LAWS
from tinygrad_rnn.testing.strategies.recurrent import WITH_INPUT

LAWS = {**SEQUENCE_LAWS, **STATE_LAWS}
del LAWS["cell_jacobian_is_forget_gate"]  # no cell with options has a forget gate that is known
del LAWS["saturated_gates_keep_the_state"]  # a thousand steps line by line

USUAL = settings.default.max_examples
NIGHTLY = USUAL > 100
TWO = settings(max_examples=2, suppress_health_check=list(HealthCheck))
SOME = settings(max_examples=USUAL // 2, suppress_health_check=[HealthCheck.too_slow])


def laws_for(cell, option):
    """The laws that a pair of them is held to: two for each, others for the next; all at night."""
    names = list(LAWS)
    start = zlib.crc32(f"{cell} {option}".encode())
    return names if NIGHTLY else [names[(start + k) % len(names)] for k in (0, 5)]


def subject_of(cell, option, law):
    """A layer in training whose cells have the option, of the directions that the law is about."""
    layers = 2 if law == "layer_stack" and cell != "autonomous" else 1
    both = law in ("reverse", "layer_stack")
    made = make(cell).configure(**OPTIONS[option])
    layer = nn.Recurrent(made, layers, bidirectional=both, fused=False)
    return SequenceSubject.of(layer, training=True)


def held_to(law, subject):
    """Hold a subject to a law on examples of the plainest kind, and one of any."""
    TWO(given(st.data())(lambda data: law(subject, data.draw)))()


@pytest.mark.slow
@pytest.mark.parametrize("option", OPTIONS)
def test_every_cell_keeps_the_laws_with_every_option(option):
    for cell in CELLS:
        if cell == "autonomous" and "input_dropout" in OPTIONS[option]:
            continue
        if cell in ALIKE and not NIGHTLY:
            continue
        for name in laws_for(cell, option):
            law, subject = LAWS[name], subject_of(cell, option, name)
            if set(law.needs) <= subject.can:
                held_to(law, subject)


# What layers are like that can do what a law needs.
ABLE = {
    "forward": {"bidirectional": False, "reverse": False},
    "directions": {"bidirectional": (False, True), "reverse": (True, False), "connect": None,
                   "dropout": 0.0, "output_dropout": 0.0},
    "layers": {"layers": 2, "connect": None},
}  # fmt: skip


# What is dropped depends on step and row: these cut a batch there.
ALWAYS = {"unroll", "batch_split"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in ALWAYS else pytest.mark.slow) for n in LAWS]
)
@SOME
@given(data=st.data())
def test_layers_keep_the_laws_with_any_options_at_once(name, data):
    law, rates = LAWS[name], (0.0, 0.5)
    options = {"layers": (1, 2), "dropout": rates, "output_dropout": rates}
    for need in law.needs:
        options |= ABLE.get(need, {})
    cells = WITH_INPUT if options["layers"] == 2 else tuple(gs.CELLS)
    config = data.draw(
        gs.rnn_configs(cells, of_cells=gs.cell_options(), fused=False, output="all", **options)
    )
    subject = SequenceSubject.of(config.build(), training=True)
    assume(set(law.needs) <= subject.can)
    law(subject, data.draw)
