"""Damage: every damaged file of ours is an error; one of others is never worse than it looks."""

import resource

import numpy as np
import pytest

import tinygrad_rnn as tg
from benchmarks.damage import outcomes


def test_no_damaged_file_of_ours_is_read_and_none_of_others_does_harm():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures, slowest = outcomes(300, seed=1)
    ours = {result for file, _, result in figures if file == "ours"}
    foreign = {(where, result) for file, where, result in figures if file == "foreign"}
    assert ours == {"an error"}
    assert ("header", "other numbers") not in foreign
    assert ("lengths and counts", "other numbers") not in foreign
    assert {result for where, result in foreign if where in ("cut off", "too long")} == {"an error"}
    assert ("numbers", "an error") not in foreign
    assert slowest < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


def test_every_single_bit_of_our_files_counts(tmp_path):
    path = tmp_path / "file"
    tg.save(path, {"w": np.zeros(1, np.uint8)})
    whole = path.read_bytes()
    for place in range(8 * len(whole)):
        data = bytearray(whole)
        data[place // 8] ^= 1 << place % 8
        path.write_bytes(data)
        with pytest.raises(tg.errors.FileFormatError):
            tg.load(path)
