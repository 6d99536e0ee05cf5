"""Damaging files with weights at random, and reading them."""

import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

import tinygrad_rnn as tg


def _flipped(data: bytearray, rng: np.random.Generator, begin: int, end: int) -> None:
    for _ in range(int(rng.integers(1, 9))):
        data[int(rng.integers(begin, end))] ^= 1 << int(rng.integers(8))


def _forged(data: bytearray, rng: np.random.Generator) -> None:
    """Another length: of the header, or some number in it made another."""
    if rng.random() < 0.5:
        right = int.from_bytes(data[:8], "little")
        near, far = right + int(rng.integers(-9, 10)), int(rng.integers(2**63))
        wrong = [near, far, 2**64 - 1, 0, right * 2][int(rng.integers(5))]
        data[:8] = (max(wrong, 0) if wrong != right else right + 1).to_bytes(8, "little")
        return
    header = bytes(data[8 : 8 + int.from_bytes(data[:8], "little")])
    digits = [n for n, byte in enumerate(header) if chr(byte).isdigit()]
    for _ in range(int(rng.integers(1, 4))):
        place = 8 + digits[int(rng.integers(len(digits)))]
        data[place] = ord("0") + (data[place] - ord("0") + int(rng.integers(1, 10))) % 10


def _mutant(whole: bytes, number: int, rng: np.random.Generator) -> tuple[bytes, str]:
    """A damaged file, and where the damage is."""
    data, payload = bytearray(whole), 8 + int.from_bytes(whole[:8], "little")
    kind = number % 5
    if kind == 0:
        _flipped(data, rng, 0, payload)
    elif kind == 1:
        _flipped(data, rng, payload, len(data))
    elif kind == 2:
        del data[int(rng.integers(len(data))) :]
    elif kind == 3:
        data += bytes(int(rng.integers(1, 99)))
    else:
        _forged(data, rng)
    if data == whole:  # one bit flipped twice
        del data[-1]
    places = ("header", "numbers", "cut off", "too long", "lengths and counts")
    return bytes(data), places[kind]


def _outcome(path: Path, whole: Path) -> str:
    """What reading comes to."""
    try:
        found = tg.load(path)
    except tg.errors.FileFormatError:
        return "an error"
    right = tg.load(whole)
    if sorted(map(_numbers, found.values())) != sorted(map(_numbers, right.values())):
        return "other numbers"
    return "other names or texts"


def _numbers(array: np.ndarray) -> tuple[str, tuple[int, ...], bytes]:
    return array.dtype.name, array.shape, array.tobytes()


def outcomes(count: int, seed: int = 0) -> tuple[Counter[tuple[str, str, str]], float]:
    """Of ``count`` damaged files of ours and as many of another library: whose it was, where
    the damage is, and what reading came to; and the seconds of the slowest.
    """
    rng, figures, slowest = np.random.default_rng(seed), Counter[tuple[str, str, str]](), 0.0
    arrays = {f"layers.{n}.w": rng.standard_normal((n, 3)).astype("f4") for n in range(1, 9)}
    with tempfile.TemporaryDirectory() as folder:
        ours, foreign, path = (Path(folder) / name for name in ("ours", "foreign", "damaged"))
        tg.save(ours, arrays, {"made": "2026"})
        save_file(arrays, foreign, {"made": "2026"})
        for file in (ours, foreign):
            whole = file.read_bytes()
            for number in range(count):
                data, where = _mutant(whole, number, rng)
                path.write_bytes(data)
                begin = time.perf_counter()
                figures[file.name, where, _outcome(path, file)] += 1
                slowest = max(slowest, time.perf_counter() - begin)
    return figures, slowest
