"""Everything that computes states its equation, and the page of them is what they state."""

import pytest

from tests.equations_page import ROOT, WITHOUT, entries, page, stated, states_one
from tinygrad_rnn import losses, nn, optim

ENTRIES = {name: found for _, name, *found in entries()}


@pytest.mark.parametrize("name", ENTRIES)
def test_it_states_its_equation(name):
    assert states_one(*ENTRIES[name])


def test_who_states_nothing_is_found():
    class Silent(nn.Module):
        """A layer that says nothing of what it does.

        x (..., I)  ->  y (..., O)
        """

    assert not states_one(*stated(Silent))


def test_nothing_public_is_missing():
    public = {*nn.__all__, *optim.__all__, *losses.__all__, *optim.schedules.__all__}
    assert public - ENTRIES.keys() == WITHOUT


def test_the_page_is_what_the_docstrings_state():
    told = "make it anew: python -m tests.equations_page > docs/equations.md"
    assert (ROOT / "docs" / "equations.md").read_text() == page(), told
