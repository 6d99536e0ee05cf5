"""Batches of examples: in order, by length, as streams, read ahead.

Each keeps its place in ``state_dict()``, so that a run goes on where it was. An order depends
on a seed and the number of the epoch alone.
"""

from tinygrad_rnn.data.background import Background
from tinygrad_rnn.data.batches import Batches
from tinygrad_rnn.data.collate import Padded, pad, padded, padding_share, stack
from tinygrad_rnn.data.split import split
from tinygrad_rnn.data.streams import Chunk, Streams

__all__ = [
    "Background",
    "Batches",
    "Chunk",
    "Padded",
    "Streams",
    "pad",
    "padded",
    "padding_share",
    "split",
    "stack",
]
