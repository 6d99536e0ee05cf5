"""Batches that Hypothesis invents."""

import numpy as np
from hypothesis import strategies as st


@st.composite
def settings_of_batches(draw):
    """Numbers 0 to n-1 as examples, and options of any kind of batches."""
    count = draw(st.integers(1, 40))
    options = {"shuffle": draw(st.booleans()), "seed": draw(st.integers(0, 2**64))}
    if draw(st.booleans()):
        options["lengths"] = draw(st.lists(st.integers(0, 9), min_size=count, max_size=count))
        options["pool"] = draw(st.integers(1, 4))
        if draw(st.booleans()):
            options["max_tokens"] = draw(st.integers(9, 60))
    if "max_tokens" not in options or draw(st.booleans()):
        options["batch_size"] = draw(st.integers(1, 12))
    return np.arange(count), options


def taken(batches):
    return [batch.tolist() for batch in batches]
