"""What the rows of a step are called: the local variables of the equations.

Nothing is hooked into the interpreter for it. Whatever a step does with its rows and weights
leads into code of ours, where its frame is found among the callers; and a frame keeps its
variables after the function has returned, for as long as somebody holds it.
"""

import inspect
import sys
from types import CodeType, FrameType
from typing import Any

__all__ = ["Locals"]


class Locals:
    """The variables of a cell's ``step``, and of those that it calls with super().

    with Locals(cell) as seen:
        results = cell.step(...)  # on rows or weights that call ``seen.look()``
        values = seen.values()
    """

    def __init__(self, cell: Any) -> None:
        steps = [vars(kind)["step"] for kind in type(cell).__mro__ if "step" in vars(kind)]
        functions = [inspect.unwrap(step) for step in [*steps, cell.step]]
        self.codes: set[CodeType] = {f.__code__ for f in functions if hasattr(f, "__code__")}
        self.frames: list[FrameType] = []  # a step stands behind those that it has called

    def __enter__(self) -> "Locals":
        return self

    def __exit__(self, *error: object) -> None:
        self.frames.clear()  # they hold the rows, which lead here

    def look(self) -> None:
        """Find the frames of steps among the callers."""
        found: list[FrameType] = []
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame not in self.frames:
            if frame.f_code in self.codes:
                found.append(frame)
            frame = frame.f_back
        place = len(self.frames) if frame is None else self.frames.index(frame)
        self.frames[place:place] = found

    def values(self) -> dict[str, Any]:
        """What the variables hold by name; those in a list or tuple as name_0, name_1, ..."""
        values: dict[str, Any] = {}
        for frame in self.frames:
            for name, value in frame.f_locals.items():
                if isinstance(value, tuple | list):
                    values |= {f"{name}_{k}": each for k, each in enumerate(value)}
                else:
                    values[name] = value
        return values
