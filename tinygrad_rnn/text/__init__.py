"""Texts as numbers: reading files, and vocabularies of characters, bytes, words, sub-words.

speech = text.read("speech.txt")
letters = text.Characters.of(speech)
ids = letters.encode(speech)
"""

from tinygrad_rnn.text.characters import Characters
from tinygrad_rnn.text.described import vocabulary
from tinygrad_rnn.text.in_bytes import Bytes
from tinygrad_rnn.text.parallel import Pair, pairs
from tinygrad_rnn.text.reading import read
from tinygrad_rnn.text.subwords import Subwords
from tinygrad_rnn.text.vocabulary import Decoder, Vocabulary
from tinygrad_rnn.text.words import Words

__all__ = [
    "Bytes",
    "Characters",
    "Decoder",
    "Pair",
    "Subwords",
    "Vocabulary",
    "Words",
    "pairs",
    "read",
    "vocabulary",
]
