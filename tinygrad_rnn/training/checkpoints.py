"""Checkpoints: all of a run in one file, written so that the one before is never lost."""

import json
import os
import re
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygrad_rnn import files
from tinygrad_rnn.arguments import whole
from tinygrad_rnn.errors import (
    ArgumentError,
    FileFormatError,
    NotFiniteError,
    SaveError,
    StateDictError,
)
from tinygrad_rnn.training.callback import Recurring
from tinygrad_rnn.training.not_finite import bad_parameters
from tinygrad_rnn.training.stopping import Best
from tinygrad_rnn.training.together import Alone

if TYPE_CHECKING:
    from tinygrad_rnn.training.trainer import Trainer

__all__ = ["Checkpoints", "load_checkpoint", "newest_of", "resume", "save_checkpoint"]

_NAME = re.compile(r"step-(\d+)\.safetensors")
_TREE = "tinygrad_rnn.checkpoint"
_NOWHERE = -1, -1, False  # the run goes on, but from a checkpoint in another folder


def save_checkpoint(path: str | os.PathLike[str], trainer: "Trainer") -> None:
    """Write all that a run depends on into one file.

    Weights that are not finite are not saved: the error is a NotFiniteError.
    """
    if bad := bad_parameters(trainer.model):
        raise NotFiniteError(
            f"save_checkpoint: after step {trainer.step} {bad[0]} holds NaN or infinity, so "
            f"{os.fspath(path)!r} was not written. The trainer's clip_norm= finds such a gradient "
            "before the step."
        )
    arrays, tree = files.flatten(trainer.state_dict(), "save_checkpoint")
    if trainer.rank == 0:
        files.write(path, arrays, {_TREE: json.dumps(tree)}, "save_checkpoint")


def load_checkpoint(path: str | os.PathLike[str], trainer: "Trainer") -> None:
    """Go where the run stood that wrote the file; unless all fits, nothing changes."""
    state = _read(path)
    try:
        trainer.load_state_dict(state)
    except StateDictError as error:
        raise StateDictError(
            f"load_checkpoint: {os.fspath(path)!r} is the checkpoint of another model or run.\n"
            f"{error}"
        ) from error


def _read(path: str | os.PathLike[str]) -> dict[str, Any]:
    arrays, texts = files.read(path, "load_checkpoint")
    if _TREE not in texts:
        raise FileFormatError(
            f"load_checkpoint: {os.fspath(path)!r} holds arrays only, expected what "
            "save_checkpoint has written; tg.load reads weights."
        )
    try:
        state = files.restored(arrays, json.loads(texts[_TREE]))
        if isinstance(state, dict) and "step" in state:
            return state
        reason = "it is not of a run"
    except (ValueError, RecursionError) as error:
        reason = str(error)
    raise FileFormatError(
        f"load_checkpoint: {os.fspath(path)!r} holds what save_checkpoint has not written: {reason}"
    )


class Checkpoints(Recurring):
    """Save the run again and again, for ``fit(..., resume=True)``, and the best weights.

        trainer.fit(batches, epochs=10, callbacks=[training.Checkpoints("run")], resume=True)

    The files are ``step-....safetensors``; ``best.safetensors`` holds the weights alone, for
    ``tg.load``. A file takes its name when it is whole and on the disk, and older ones are removed
    after that. Where the disk is full, a warning says so, and the run goes on; at its end it is
    an error.

    Args:
        every: Steps from one checkpoint to the next; None: after each epoch.
        keep: How many of the newest are kept.
        best: Whose best value makes an epoch the best: None for "val_loss", or "loss" where there
            is no validation.
        mode: "min" where less is better, "max" where more is.
    """

    after_others = True

    def __init__(
        self,
        folder: str | os.PathLike[str],
        every: int | None = None,
        *,
        keep: int = 3,
        best: str | None = None,
        mode: str = "min",
    ) -> None:
        super().__init__(every)
        self.folder = Path(folder)
        self.keep = whole("Checkpoints", "keep", keep, 1, ArgumentError)
        self.best = Best("Checkpoints", best, mode)
        self._saved: tuple[int, int, bool] | None = None  # where the run stood at the last one

    # ----- during a run -----

    def on_fit_begin(self, trainer: "Trainer") -> None:
        """Make the folder, and refuse one with another run in it."""
        if trainer.rank:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in self.folder.glob(f".*{files.UNFINISHED}"):  # by a run that was killed
            left.unlink(missing_ok=True)
        later = [path for path in self.found() if _step_of(path) > trainer.step]
        if later and self._saved is None:
            raise ArgumentError(
                f"Checkpoints: {os.fspath(self.folder)!r} holds {later[0].name!r} of another run, "
                f"and this one is at step {trainer.step}. Give resume=True to go on with that run, "
                "or another folder."
            )

    def on_epoch_end(self, trainer: "Trainer", logs: dict[str, Any]) -> None:
        """Save the best weights, and the run if each epoch is saved."""
        before = self.best.value
        if self.best.beaten_by(logs) and not self._save_best(trainer):
            self.best.value = before  # what is in the file is the best still
        super().on_epoch_end(trainer, logs)

    def on_fit_end(self, trainer: "Trainer") -> None:
        """Save what came after the last checkpoint."""
        if trainer.together.any(self._saved != _place(trainer)):  # it takes all of them
            self.save(trainer)

    def on_error(self, trainer: "Trainer", error: BaseException) -> None:
        """Save what came after the last checkpoint, before the error is raised.

        Of several processes one cannot do so.
        """
        if trainer.together.size == 1:
            self.on_fit_end(trainer)

    def do(self, trainer: "Trainer", logs: dict[str, Any] | None) -> None:
        """Save the run; a full disk does not end it."""
        try:
            self.save(trainer)
        except SaveError as error:
            warnings.warn(f"{error} Training goes on.", stacklevel=2)

    def _save_best(self, trainer: "Trainer") -> bool:
        if trainer.rank:
            return True
        if bad_parameters(trainer.model):
            return False
        self._make_folder()
        try:
            files.save(self.folder / "best.safetensors", trainer.model)
        except SaveError as error:
            warnings.warn(f"{error} Training goes on.", stacklevel=2)
            return False
        return True

    def save(self, trainer: "Trainer") -> Path:
        """Write a checkpoint now, and remove those that are too old."""
        path = self.folder / f"step-{trainer.step:09d}.safetensors"
        if trainer.rank == 0:
            self._make_folder()
        save_checkpoint(path, trainer)
        self._saved = _place(trainer)
        if trainer.rank:
            return path
        # Later ones are torn, or the run would not be here: they are none of those to keep.
        older = [one for one in self.found() if _step_of(one) < trainer.step]
        for old in older[self.keep - 1 :]:
            old.unlink(missing_ok=True)
        return path

    def _make_folder(self) -> None:
        """Somebody may have removed it."""
        with suppress(OSError):  # writing will say what is wrong
            self.folder.mkdir(parents=True, exist_ok=True)

    # ----- afterwards -----

    def found(self) -> list[Path]:
        """The checkpoints in the folder, the newest first."""
        if not self.folder.is_dir():
            return []
        paths = [p for p in self.folder.iterdir() if _NAME.fullmatch(p.name) and p.is_file()]
        return sorted(paths, key=_step_of, reverse=True)

    def newest(self) -> tuple[Path, dict[str, Any]] | None:
        """The newest checkpoint that is whole; others are passed over with a warning."""
        torn = []
        for path in self.found():
            try:
                state = _read(path)
            except (FileFormatError, OSError) as error:
                torn.append(f"{path.name} ({error})")
                continue
            if torn:
                warnings.warn(
                    f"Checkpoints: passed over {'; '.join(torn)}. Going on from {path.name}.",
                    stacklevel=2,
                )
            return path, state
        if torn:
            raise FileFormatError(f"Checkpoints: none is whole: {'; '.join(torn)}.")
        return None

    def resume(self, trainer: "Trainer") -> bool:
        """Go where the newest whole checkpoint says; False if there is none."""
        return resume(trainer, [self])

    def state_dict(self) -> dict[str, Any]:
        """The best value."""
        return {"best": self.best.value}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on comparing with it."""
        self.best.value = state_dict["best"]


def newest_of(
    keepers: Sequence[Checkpoints], together: Alone
) -> tuple[Path, dict[str, Any]] | None:
    """The newest whole checkpoint in all of their folders, which the first process looks into."""
    found = None
    if together.rank == 0:
        all_newest = [newest for keeper in keepers if (newest := keeper.newest())]
        found = max(all_newest, key=lambda one: one[1]["step"], default=None)
    return together.of_first(found, _read)


def resume(trainer: "Trainer", keepers: Sequence[Checkpoints]) -> bool:
    """Go where the newest whole checkpoint in all of their folders says; False without one."""
    found = newest_of(keepers, trainer.together)
    if found is None:
        return False
    path, state = found
    try:
        trainer.load_state_dict(state)
    except StateDictError as error:
        raise StateDictError(
            f"Checkpoints: {os.fspath(path)!r} is of another model or run.\n{error}"
        ) from error
    for keeper in keepers:
        here = trainer.rank or keeper.folder == path.parent
        keeper._saved = _place(trainer) if here else _NOWHERE
    return True


def _step_of(path: Path) -> int:
    found = _NAME.fullmatch(path.name)
    return int(found[1]) if found else -1


def _place(trainer: "Trainer") -> tuple[int, int, bool]:
    return trainer.step, trainer.epoch, trainer.read
