"""What the letters of a program stand for in a call, and whether its arrays fit together."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.kernels.recurrence.program import Program

__all__ = ["Shapes", "fitted", "shapes_of"]

Shape = tuple[int, ...]
Shapes = tuple[Shape | None, tuple[Shape, ...], tuple[Shape, ...]]


def shapes_of(x: Any, states: Sequence[Any], weights: Sequence[Any]) -> Shapes:
    """The shapes of the input, the states and the weights of a call."""
    of_x = None if x is None else x.shape
    return of_x, tuple([s.shape for s in states]), tuple([w.shape for w in weights])


@lru_cache(maxsize=4096)  # it would take a third of the time of a small step
def fitted(program: Program, shapes: Shapes) -> Mapping[str, int]:
    """The sizes that letters stand for; ShapeError unless every array has the shape they ask."""
    x, states, weights = shapes
    if len(states) != len(program.states):
        names = ", ".join(name for name, _ in program.states)
        raise ShapeError(f"recurrence: {len(states)} states given, expected {names}.")
    if (x is None) != (program.input is None):
        raise ShapeError(
            "recurrence: x is missing." if x is None else "recurrence: the program takes no x."
        )
    sizes = _by_first(program, shapes)
    B = states[0][0] if states[0] else 0
    expected: dict[str, Shape] = {}
    given: dict[str, Shape] = {}
    if x is not None and program.input is not None:
        given["x"], expected["x"] = x, (x[0] if x else 0, B, program.input.of(sizes))
    for (name, width), shape in zip(program.states, states, strict=True):
        given[name], expected[name] = shape, (B, width.of(sizes))
    for (name, widths), shape in zip(program.params, weights, strict=True):
        given[name], expected[name] = shape, tuple(width.of(sizes) for width in widths)
    letters = ", ".join(f"{letter} = {n}" for letter, n in sizes.items())
    for name, shape in given.items():
        if shape != expected[name]:
            raise ShapeError(
                f"recurrence: {name} has shape {shape}, expected {expected[name]} "
                f"({letters}, from the states first)."
            )
    return sizes


def _by_first(program: Program, shapes: Shapes) -> dict[str, int]:
    """What the letters stand for, by the first array that tells."""
    x, states, weights = shapes
    sizes: dict[str, int] = {}
    for (_, width), shape in zip(program.states, states, strict=True):
        if width.letter and shape:
            sizes.setdefault(width.letter, shape[-1] // width.count)
    if program.input is not None and program.input.letter and x:
        sizes.setdefault(program.input.letter, x[-1] // program.input.count)
    for (_, widths), shape in zip(program.params, weights, strict=True):
        for width, n in zip(widths, shape, strict=False):
            if width.letter:
                sizes.setdefault(width.letter, n // width.count)
    for letter in program.letters:  # of an array without axes
        sizes.setdefault(letter, 0)
    return sizes
