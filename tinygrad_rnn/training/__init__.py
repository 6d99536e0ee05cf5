"""Training: the loop, what happens beside it, runs that go on where they were; models in files.

    trainer = training.Trainer(model, optimizer, loss)
    trainer.fit(batches, epochs=10, callbacks=[training.Checkpoints("run")], resume=True)

Models are saved as files, as descriptions, and made as graphs.
"""

from tinygrad_rnn.training.callback import Callback
from tinygrad_rnn.training.checkpoints import Checkpoints, load_checkpoint, save_checkpoint
from tinygrad_rnn.training.describing import describe
from tinygrad_rnn.training.description import build
from tinygrad_rnn.training.functional import Model
from tinygrad_rnn.training.graph import Input, Node, apply, item
from tinygrad_rnn.training.history import History
from tinygrad_rnn.training.notes import CSVLog, Sample
from tinygrad_rnn.training.run_folder import RunFolder
from tinygrad_rnn.training.saving import load_model, save_model
from tinygrad_rnn.training.sequential import Sequential
from tinygrad_rnn.training.stopping import EarlyStopping, ReduceOnPlateau, StopAtNaN
from tinygrad_rnn.training.targets import to_categorical
from tinygrad_rnn.training.trainer import Trainer

__all__ = [
    "CSVLog", "Callback", "Checkpoints", "EarlyStopping", "History", "Input", "Model", "Node",
    "ReduceOnPlateau", "RunFolder", "Sample", "Sequential", "StopAtNaN", "Trainer", "apply",
    "build", "describe", "item", "load_checkpoint", "load_model", "save_checkpoint", "save_model",
    "to_categorical",
]  # fmt: skip
