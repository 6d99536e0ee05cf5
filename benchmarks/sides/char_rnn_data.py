"""What both sides of char-rnn's experiment read: the text in its 50 streams, and its settings.

char-rnn's defaults: 2 layers of 128, one-hot characters, streams of 50 rows and chunks of 50 steps,
RMSprop 0.002 (decay 0.95), the rate times 0.97 each epoch from the tenth on, gradients clipped
at 5 by value, weights uniform in +-0.08, forget gates open, the state carried along. The last
5 % of each stream are for validation.
"""

import json
import os
import sys
import time

import numpy as np
from shakespeare import text

ROWS, STEPS, LAYERS, WIDTH = 50, 50, 2, 128
RATE, DECAY, CLIP, KEPT, WHOLE_EPOCHS = 2e-3, 0.95, 5.0, 0.97, 10


def chunks():
    """Characters, and chunks of (inputs, targets), each (50, 50), for training and validation."""
    whole = text()
    letters = sorted(set(whole))
    ids = np.searchsorted(np.array(letters), np.array(list(whole)))
    count = len(ids) // (ROWS * STEPS)
    ids = ids[: ROWS * STEPS * count]
    following = np.append(ids[1:], ids[0])  # as char-rnn has it
    parts = [a.reshape(ROWS, count, STEPS).transpose(1, 2, 0) for a in (ids, following)]
    pairs = [
        (np.ascontiguousarray(x), np.ascontiguousarray(y)) for x, y in zip(*parts, strict=True)
    ]
    train = int(0.95 * count)
    return len(letters), pairs[:train], pairs[train:]


def rate(epoch):
    """The learning rate of an epoch, counted from 0."""
    return RATE * KEPT ** max(0, epoch + 1 - WHOLE_EPOCHS)


def serve(run):
    """For each line that comes in: an epoch by ``run(number)``, and what it gave as JSON."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        begin = time.perf_counter()
        train, validate = run(int(line))
        seconds = time.perf_counter() - begin
        answers.write(json.dumps({"seconds": seconds, "train": train, "val": validate()}) + "\n")
        answers.flush()
