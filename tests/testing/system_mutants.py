"""Mistakes that people make in backward passes, one edit each."""

from tests.testing.system_edit import Edit, edits_of, mutated
from tests.testing.system_mutants_feedforward import FEEDFORWARD_MISTAKES
from tests.testing.system_mutants_lstm import LSTM_MISTAKES
from tests.testing.system_mutants_recurrent import RECURRENT_MISTAKES

__all__ = ["MUTANTS", "Edit", "mutated"]

MUTANTS = edits_of(LSTM_MISTAKES | RECURRENT_MISTAKES | FEEDFORWARD_MISTAKES)
