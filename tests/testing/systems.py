"""Systems as people write them by hand, each with a right backward pass."""

from tests.testing.system import System
from tests.testing.systems_feedforward import FEEDFORWARD
from tests.testing.systems_lstm import LSTMS
from tests.testing.systems_recurrent import RECURRENT

__all__ = ["SYSTEMS", "System"]

SYSTEMS = {system.name: system for system in (*RECURRENT, *LSTMS, *FEEDFORWARD)}
