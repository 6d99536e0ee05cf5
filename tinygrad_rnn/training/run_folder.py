"""A folder that holds one run: what it was begun with, and whether it is over."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinygrad_rnn.arguments import flag, shortened
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.files import replacing

__all__ = ["RunFolder"]

Json = dict[str, Any]


class RunFolder:
    """The folder of a run, for programs that go on where they were interrupted.

        run = training.RunFolder("out", vars(args), resume=args.resume, anew=args.anew)
        args = argparse.Namespace(**run.settings)
        ...                                                 # what may fail without a trace
        run.begin()
        trainer.fit(batches, args.epochs, resume=run.resumes,
                    callbacks=[training.Checkpoints(run.path / "checkpoints")])
        run.finish()

    A run that is not over goes on if it is asked for with the same settings; one that is over
    begins again. With other settings it is an error, unless one of these says what is meant.

    settings  those of the run: the ones given, or, of one that is resumed, those it has
    resumes   whether it goes on with what is in the folder

    Args:
        path: The folder; ``settings.json`` and ``checkpoints`` in it are the run's.
        settings: All that makes the run what it is, in what JSON can say. "resume" and "anew",
            which may be among the arguments of a program, say nothing of that and are left out.
        resume: Go on with the run that is there, whatever its settings.
        anew: Begin again, whatever is there; not both.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        settings: Mapping[str, Any],
        *,
        resume: bool = False,
        anew: bool = False,
    ) -> None:
        self.path = Path(path)
        resume, anew = flag("RunFolder", "resume", resume), flag("RunFolder", "anew", anew)
        if resume and anew:
            raise ArgumentError("RunFolder: both resume and anew, expected one of them.")
        kept = {name: settings[name] for name in settings if name not in ("resume", "anew")}
        given = json.loads(json.dumps(kept))  # as a file gives it back
        found = None if anew else self._found()
        if found is None and resume:
            raise ArgumentError(f"RunFolder: there is no run in {str(path)!r} to resume.")
        if found is not None and found["run"] != given and not resume:
            raise ArgumentError(
                f"RunFolder: {str(path)!r} holds a run with other arguments: "
                f"{_differing(found['run'], given)}. Expected resume, to go on with that one, "
                "anew, to begin in its place, or another folder."
            )
        self.resumes = found is not None and (resume or not found["finished"])
        self.settings: Json = found["run"] if found is not None and self.resumes else given

    def begin(self) -> None:
        """Write down what the run is, and remove what another one has left; or go on."""
        if not self.resumes:
            self.path.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(self.path / "checkpoints", ignore_errors=True)
            self._keep(finished=False)

    def finish(self) -> None:
        """Write down that it is over."""
        self._keep(finished=True)

    def _keep(self, finished: bool) -> None:
        said = json.dumps({"run": self.settings, "finished": finished}, indent=1)
        with replacing(self.path / "settings.json", "RunFolder") as file:
            file.write(said.encode())

    def _found(self) -> Json | None:
        place = self.path / "settings.json"
        if not place.exists():
            return None
        try:
            found = json.loads(place.read_bytes())
            return {"run": dict(found["run"]), "finished": bool(found["finished"])}
        except (ValueError, TypeError, KeyError) as error:
            raise ArgumentError(
                f"RunFolder: {str(place)!r} is damaged. Expected to begin anew, or another folder."
            ) from error


def _differing(found: Json, given: Json) -> str:
    """Which settings are not the same, the first of them, with what they were and are."""
    missing = object()
    names = [name for name in found | given if found.get(name, missing) != given.get(name, missing)]
    said = [f"{name} was {_said(found, name)}, is {_said(given, name)}" for name in names[:3]]
    return "; ".join(said) + (f"; {len(names) - 3} more" if len(names) > 3 else "")


def _said(settings: Json, name: str) -> str:
    return shortened(settings[name]) if name in settings else "not among them"
