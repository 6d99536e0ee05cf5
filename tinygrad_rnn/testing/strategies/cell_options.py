"""The options of cells, one by one and any of them together."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st

from tinygrad_rnn.nn.cell_options import CellKeywords
from tinygrad_rnn.testing.strategies.given import check_names

__all__ = ["cell_options"]

# Of each option the values to choose from, simplest first. Few numbers: those that matter are in
# the weights. Functions with kinks are left out, lest derivatives be looked for at them.
_VALUES: Mapping[str, tuple[Any, ...]] = MappingProxyType({
    "input_dropout": (0.5, 0.25),
    "recurrent_dropout": (0.5, 0.25),
    "locked": (True, False),
    "weight_drop": (0.5, 0.25),
    "zoneout": (0.5, 0.25),
    "layer_norm": (True,),
    "state_clip": (0.5, 0.1),
    "activation": ("sigmoid", "softplus"),
    "gate_activation": ("tanh", "softsign"),
    "proj_size": (1, 2, 3),
})  # fmt: skip
assert set(_VALUES) == set(CellKeywords.__annotations__)


def cell_options(
    names: Iterable[str] = tuple(_VALUES), *, most: int | None = None
) -> st.SearchStrategy[dict[str, Any]]:
    """Options of cells, as ``Cell.configure`` takes them; shrinks to none.

        gs.rnn_configs(of_cells=gs.cell_options())
        gs.cell_options(("zoneout", "proj_size"), most=1)

    Args:
        names: Those to choose from.
        most: How many there are at once.
    """
    names = (names,) if isinstance(names, str) else tuple(names)
    check_names("cell_options", "names", names, tuple(_VALUES))
    values = {name: st.sampled_from(_VALUES[name]) for name in names}
    chosen = st.lists(st.sampled_from(names), unique=True, max_size=most)
    return chosen.flatmap(
        lambda some: st.fixed_dictionaries({n: values[n] for n in names if n in some})
    )
