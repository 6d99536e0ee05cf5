"""A cell that a user may write: an LSTM's arithmetic in other words and another order."""

from tinygrad_rnn import nn


class Notebook(nn.Cell):
    """Pages are kept or torn out, notes are taken, and some of it is read aloud."""

    state = ("spoken", "pages")
    params = {"reading": "I 4H", "hearing": "H 4H", "b_mood": "4H"}

    def step(self, x, spoken, pages, p):
        aloud, note, keep, take = (spoken @ p.hearing + (x @ p.reading + p.b_mood)).chunk(4)
        pages = take.sigmoid() * note.tanh() + pages * keep.sigmoid()
        return pages.tanh() * aloud.sigmoid(), pages
