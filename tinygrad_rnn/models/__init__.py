"""Models of text: each file is one, and can be read alone."""

from tinygrad_rnn.models.language_model import LanguageModel

__all__ = ["LanguageModel"]
