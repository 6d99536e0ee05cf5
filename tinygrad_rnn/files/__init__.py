"""Weights on disk: safetensors with a digest, written atomically; no code is ever run.

    tg.save("model.safetensors", model)
    model.load_state_dict(tg.load("model.safetensors"))

A file of ours is the same to the bit or an error; a file of another library is read as it is
after its header has been checked against its size. ``write`` and ``read`` also give metadata;
``flatten`` and ``restored`` take trees of arrays and numbers, such as checkpoints, apart.
"""

from tinygrad_rnn.files.atomic import UNFINISHED, replacing
from tinygrad_rnn.files.reading import load, read
from tinygrad_rnn.files.trees import flatten, restored
from tinygrad_rnn.files.writing import save, write

__all__ = ["UNFINISHED", "flatten", "load", "read", "replacing", "restored", "save", "write"]
