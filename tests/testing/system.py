"""What a system written by hand is, and random inputs for one."""

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

_NOT_FLOATING = ("lengths", "ids", "mask")


class System(NamedTuple):
    """A forward and a backward pass in plain NumPy.

    inputs says what each argument looks like, in letters that stand for sizes: "I 4H" is an
    array of float64, "lengths T B" are B integers from 0 to T, "ids V N" are N integers below
    V, "mask B T" are booleans of which each row has one True or more.

    forward(**inputs) gives a tuple of arrays, also of complex128. backward(cotangents, **inputs)
    takes one cotangent per output and gives a dict with the gradient of every floating input.
    """

    name: str
    inputs: dict[str, str]
    forward: Callable
    backward: Callable


def floating_inputs(system):
    """The names of the inputs that have a gradient."""
    return [name for name, form in system.inputs.items() if not form.startswith(_NOT_FLOATING)]


def draw_sizes(system, rng, largest=5):
    """A size from 1 to largest for every letter."""
    letters = sorted(set(re.findall("[A-Z]", " ".join(system.inputs.values()))))
    return {letter: int(rng.integers(1, largest + 1)) for letter in letters}


def draw_inputs(system, sizes, rng):
    """Random inputs of these sizes."""
    return {name: _draw(form, sizes, rng) for name, form in system.inputs.items()}


def draw_cotangents(system, inputs, rng):
    """One random cotangent per output."""
    return tuple(np.asarray(rng.standard_normal(y.shape)) for y in system.forward(**inputs))


def _draw(form, sizes, rng):
    kind, *letters = form.split() if form.startswith(_NOT_FLOATING) else ("", *form.split())
    shape = tuple(int(letter[:-1] or 1) * sizes[letter[-1]] for letter in letters)
    if kind == "lengths":
        return rng.integers(0, shape[0] + 1, size=shape[1:])
    if kind == "ids":
        return rng.integers(0, shape[0], size=shape[1:])
    if kind == "mask":
        mask = rng.random(shape) < 0.5
        mask[np.arange(shape[0]), rng.integers(0, shape[1], size=shape[0])] = True
        return mask
    return rng.standard_normal(shape)


def sigmoid(z):
    """By way of tanh, which does not overflow."""
    return 0.5 * (1 + np.tanh(0.5 * z))


def valid_steps(T, lengths):
    """True where a row still runs, (T, B, 1)."""
    return (np.arange(T)[:, None] < lengths)[..., None]


def softmax(scores, mask=True):
    """Over the last axis, among those in the mask."""
    top = np.where(mask, scores.real, -np.inf).max(axis=-1, keepdims=True)
    powers = np.exp(np.where(mask, scores - top, -np.inf))
    return powers / powers.sum(axis=-1, keepdims=True)
