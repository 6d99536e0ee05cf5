"""Every plan fits the GPU that it is made for, and where there is none the reason is said."""

import dataclasses
import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tinygrad_rnn.kernels.recurrence.persistent.maps import CELLS, PRECISIONS
from tinygrad_rnn.kernels.recurrence.persistent.planner import Device, plan
from tinygrad_rnn.kernels.recurrence.persistent.shape import FullShape

HOPPER = Device(capability=90)
AMPERE = Device(capability=80, processors=108, shared=163 << 10)
DEVICES = st.builds(
    Device,
    capability=st.sampled_from([75, 80, 86, 89, 90, 100]),
    processors=st.integers(1, 200),
    shared=st.sampled_from([48 << 10, 64 << 10, 99 << 10, 163 << 10, 227 << 10]),
    registers=st.sampled_from([32768, 65536]),
)
SIZES = st.one_of(st.integers(1, 1100), st.sampled_from([200, 512, 650, 1500]))
ROWS = st.one_of(st.integers(1, 300), st.sampled_from([1, 3, 20, 65]))


def shapes_of(found):
    return [found.forward, found.backward]


@given(st.sampled_from(list(CELLS)), ROWS, SIZES, st.sampled_from(list(PRECISIONS)), DEVICES)
def test_a_plan_of_tiles_fits(kind, B, H, precision, device):
    found = plan(kind, 10, B, 30, H, "float32", precision, device)
    if isinstance(found, str):
        assert "do not fit" in found or "compute capability" in found
        return
    assert found.needs <= device.capability
    assert found.rows == 8
    for shape in shapes_of(found):
        assert (shape.cluster > 1) == (found.way == "cluster")
        assert shape.cluster in (1, 8, 16)
        _fits(shape, device)
        assert shape.units % 16 == 0
        assert H <= shape.cluster * shape.units < H + shape.cluster * 16
        width = shape.cell.gates * shape.units if shape.backward else H
        assert width <= shape.depth < width + shape.parts * shape.precision.k_block
        assert shape.stride % 128 == 64  # lanes of 8 rows meet all banks
        assert shape.stride >= shape.depth * shape.precision.bytes
        assert shape.arriving < 1 << 20  # what a barrier can count
        assert shape.warps % shape.parts == 0
        if shape.backward:
            assert shape.warps >= shape.units // 8
            tiles = shape.cluster * shape.units // 16
            assert shape.warps // shape.parts * shape.tiles == tiles
        else:
            sets = shape.warps // shape.parts
            assert sets * 8 * shape.cell.groups == shape.units
            assert shape.parts == 1 or sets <= 15  # barriers that have a number


def _fits(shape, device):
    assert shape.threads <= device.threads
    assert shape.threads % 32 == 0
    assert 0 <= shape.resident <= shape.fragments
    assert shape.shared <= device.shared
    each = -(-shape.threads // 128)  # warps of a quarter of the processor
    assert shape.registers * 128 * each <= device.registers
    assert shape.registers <= 255


@given(
    st.sampled_from(list(CELLS)), ROWS, st.integers(1, 300),
    st.sampled_from(["float32", "float64"]), DEVICES,
)  # fmt: skip
def test_a_plan_in_full_precision_fits(kind, B, H, dtype, device):
    found = plan(kind, 10, B, 30, H, dtype, "highest", device)
    if isinstance(found, str):
        assert "do not fit" in found
        return
    assert found.way == "cta"
    for shape in shapes_of(found):
        assert isinstance(shape, FullShape)
        _fits(shape, device)
        assert shape.rows == found.rows
        assert shape.rows == 1 or -(-B // (shape.rows // 2)) > device.processors
        width = H * (shape.cell.gates if shape.backward else 1)
        assert width <= shape.quads * 16 < width + 16


@given(st.sampled_from(list(CELLS)), SIZES, st.sampled_from(list(PRECISIONS)), DEVICES)
def test_areas_of_shared_memory_follow_one_another(kind, H, precision, device):
    found = plan(kind, 10, 20, 30, H, "float32", precision, device)
    assume(not isinstance(found, str))
    for shape in shapes_of(found):
        places = list(shape.places.items())
        for (_, begin), (name, end) in itertools.pairwise(places):
            assert begin <= end
            assert name == "SHARED_BYTES" or end % 16 == 0
        assert places[0] == ("AT_OPERAND", 0)


@pytest.mark.parametrize(
    ("kind", "H", "precision", "way", "cluster"),
    [
        ("lstm", 512, "medium", "cluster", 16), ("lstm", 256, "medium", "cluster", 8),
        ("lstm", 650, "medium", "cluster", 16), ("lstm", 512, "high", "cluster", 16),
        ("lstm", 200, "high", "cluster", None), ("gru", 650, "medium", "cluster", 16),
        ("tanh", 1024, "medium", "cluster", 16), ("lstm", 64, "highest", "cta", 1),
    ],
)  # fmt: skip
def test_sizes_that_the_design_promises_have_a_plan(kind, H, precision, way, cluster):
    found = plan(kind, 35, 20, H, H, "float32", precision, HOPPER)
    assert not isinstance(found, str), found
    assert found.way == way
    assert cluster in (None, found.forward.cluster)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kind": "peephole"}, "no persistent kernel is written for 'peephole'"),
        ({"H": 1500}, "cta: the recurrent weights, 35156 KiB, do not fit into one block; cluster:"),
        ({"precision": "low"}, "precision is 'highest', 'high' or 'medium', not 'low'"),
        ({"dtype": "float64"}, "precision 'high' is of float32; float64 has 'highest'"),
        ({"dtype": "float16"}, "elements are float32 or float64, not float16"),
        ({"B": 0}, "there is nothing to run in T=10, B=0, H=100"),
        ({"device": Device(75)}, "cta needs compute capability 8.0, not 7.5; cluster needs"),
        ({"precision": "highest", "ways": ("cluster",)}, "full precision has a kernel for one"),
        ({"precision": "highest", "H": 400}, "cta: the recurrent weights, 2500 KiB, do not fit"),
    ],
)
def test_the_reason_is_said_in_words(change, reason):
    given = {
        "kind": "lstm", "T": 10, "B": 20, "I": 30, "H": 100, "dtype": "float32",
        "precision": "high", "device": HOPPER, **change,
    }  # fmt: skip
    assert plan(**given).startswith(reason)


def test_without_clusters_one_block_is_the_way():
    found = plan("gru", 10, 20, 30, 64, "float32", "medium", AMPERE)
    assert found.way == "cta"
    assert plan("lstm", 10, 20, 30, 512, "float32", "medium", AMPERE) != found


def test_definitions_are_whole():
    """A source is made of what its shape says: every field of a shape reaches it."""
    found = plan("lstm", 10, 20, 30, 512, "float32", "medium", HOPPER)
    said = found.forward.definitions()
    for name in ("cluster", "units", "threads", "parts", "tiles", "blocks", "resident", "hidden"):
        assert said[name.upper()] == getattr(found.forward, name)
    moved = dataclasses.replace(found.forward, resident=0)
    assert moved.definitions()["SHARED_BYTES"] > said["SHARED_BYTES"]
