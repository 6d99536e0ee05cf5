"""Callbacks that write down what happens: a table in a file, samples of what a model says."""

import csv
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygrad_rnn import files
from tinygrad_rnn.arguments import function_of
from tinygrad_rnn.training.callback import Recurring
from tinygrad_rnn.training.run_state import in_use

if TYPE_CHECKING:
    from tinygrad_rnn.training.trainer import Trainer

__all__ = ["CSVLog", "Sample"]


class CSVLog(Recurring):
    """A table with a row for each epoch, or for every so many steps.

    A run that is resumed goes on with the table: rows of steps that are made again are
    removed.
    """

    def __init__(self, path: str | os.PathLike[str], every: int | None = None) -> None:
        super().__init__(every)
        self.path = Path(path)

    def on_fit_begin(self, trainer: "Trainer") -> None:
        """Remove rows of steps that are still to be made."""
        if trainer.rank:
            return
        rows = self._rows()
        counted, done = ("epoch", trainer.epoch) if self.every is None else ("step", trainer.step)
        kept = [row for row in rows if int(row[counted]) <= done] if done else []
        if rows != kept:
            self._write(list(rows[0]), kept)

    def do(self, trainer: "Trainer", logs: dict[str, Any] | None) -> None:
        """Write a row."""
        if trainer.rank:
            return
        if logs is None:
            lr = trainer.optimizer.param_groups[0]["lr"]
            logs = {"step": trainer.step, "epoch": trainer.epoch, **trainer.values, "lr": lr}
        self._add(logs)

    def _columns(self) -> list[str]:
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            return next(csv.reader(file), [])

    def _rows(self) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            return [row for row in csv.DictReader(file) if (row.get("step") or "").isdecimal()]

    def _add(self, row: dict[str, Any]) -> None:
        """One line more; columns that are new make the table anew."""
        columns = self._columns()  # the rows are not read: there may be many
        if set(row) - set(columns):
            rows = self._rows()
            columns = list(dict.fromkeys([*(rows[0] if rows else ()), *row]))
            self._write(columns, [*rows, row])
            return
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, columns).writerow(row)

    def _write(self, columns: list[str], rows: list[dict[str, Any]]) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows(rows)
        with files.replacing(self.path, "CSVLog") as file:
            file.write(text.getvalue().encode())


class Sample(Recurring):
    """Show what the model says, every so many steps or after each epoch.

        training.Sample(lambda trainer: generate(trainer.model, 200), every=100)

    The function is called while the model is in use (nothing is dropped or recorded), and what
    it draws does not change the run.

    Args:
        function: Is given the trainer; what it returns is shown.
        every: Steps; None: after each epoch.
        show: What is done with it; None writes it above the progress bar.
    """

    def __init__(
        self,
        function: Callable[["Trainer"], Any],
        every: int | None = None,
        *,
        show: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(every)
        self.function = function_of("Sample", "function", function)
        self.show = _written if show is None else function_of("Sample", "show", show)

    def do(self, trainer: "Trainer", logs: dict[str, Any] | None) -> None:
        """Let it say something."""
        if trainer.rank:
            return
        with in_use(trainer.model):
            said = self.function(trainer)
        if said is not None:
            self.show(said)


def _written(said: Any) -> None:
    from tqdm.auto import tqdm

    tqdm.write(str(said))
