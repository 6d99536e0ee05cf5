"""Rows that are added up by their ids: the gradient of a table that rows were read from.

    total[ids[n]] += rows[n]        n ascends

so that the bits of a sum depend on its own rows alone. Python's loop over rows is slow, and so
are ``np.add.at`` and sorting: a step of a language model would take a tenth longer.
"""

from tinygrad_rnn.kernels._twin import Array, twin

__all__ = ["add_rows"]


def add_rows(total: Array, ids: Array, rows: Array) -> None:
    """Add rows in place.

    total (V, E)  C-contiguous
    ids (N,)      int64, from 0 to V - 1
    rows (N, E)   C-contiguous
    """
    twin(__name__, total).add_rows(total, ids, rows)
