"""Models of text: n-grams, windows, recurrent ones, translators, captioners; and their saving."""

from tinygrad_rnn.models import smoothing
from tinygrad_rnn.models.adapting import CachePointer, DynamicEvaluation, mean_squares
from tinygrad_rnn.models.captioner import Captioner
from tinygrad_rnn.models.fixed_window import FixedWindow
from tinygrad_rnn.models.language_model import LanguageModel
from tinygrad_rnn.models.ngram import NGram
from tinygrad_rnn.models.saving import load
from tinygrad_rnn.models.seq2seq import Seq2Seq
from tinygrad_rnn.models.text_model import Score, TextModel
from tinygrad_rnn.models.translator import Translation

__all__ = [
    "CachePointer", "Captioner", "DynamicEvaluation", "FixedWindow", "LanguageModel", "NGram",
    "Score", "Seq2Seq", "TextModel", "Translation", "load", "mean_squares", "smoothing",
]  # fmt: skip
