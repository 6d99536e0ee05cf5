"""Models of text: each file is one, and can be read alone."""

from tinygrad_rnn.models import smoothing
from tinygrad_rnn.models.fixed_window import FixedWindow
from tinygrad_rnn.models.language_model import LanguageModel
from tinygrad_rnn.models.ngram import NGram
from tinygrad_rnn.models.saving import load
from tinygrad_rnn.models.text_model import Score, TextModel

__all__ = ["FixedWindow", "LanguageModel", "NGram", "Score", "TextModel", "load", "smoothing"]
