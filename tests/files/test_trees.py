"""Trees come back with the same types and the same bits."""

import json

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import files
from tinygrad_rnn.errors import ArgumentError, FileFormatError

TREE = {
    "step": 3,
    "large": 2**90,
    "floats": [0.1, float("inf"), float("-inf"), -0.0],
    "nothing": (None, True, "text", (), [], {}),
    "moments": [np.arange(3, dtype=np.uint64), np.ones((0, 2), np.float32), np.array(2.5)],
    1: np.float32(0.1),
    "1": {"x": [np.int64(3), np.bool_(True)]},
    (1, "a"): {"array": 3},
    "tuple": {"tuple": [1]},
    "same": {1: np.float32(1), "1": np.float32(2)},
    None: False,
}


def equal(a, b):
    if isinstance(a, np.ndarray | np.generic):
        return type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape and (
            a.tobytes() == b.tobytes()
        )  # fmt: skip
    if isinstance(a, dict):
        return list(a) == list(b) and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and repr(a) == repr(b)


def through_a_file(tree, path):
    arrays, rest = files.flatten(tree)
    files.write(path, arrays, {"rest": json.dumps(rest)})
    arrays, metadata = files.read(path)
    return files.restored(arrays, json.loads(metadata["rest"]))


def test_a_tree_comes_back(tmp_path):
    assert equal(through_a_file(TREE, tmp_path / "tree"), TREE)


@pytest.mark.parametrize("tree", [3, None, np.ones(2), (), [np.ones(1)]])
def test_trees_may_be_small(tmp_path, tree):
    assert equal(through_a_file(tree, tmp_path / "tree"), tree)


def test_tensors_come_back_as_tensors(tmp_path):
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    (found,) = through_a_file((x * 2,), tmp_path / "tree")
    assert isinstance(found, tg.Tensor)
    assert found.numpy().tolist() == [2, 4]
    assert not found.requires_grad


def test_names_say_where_arrays_stand():
    arrays, _ = files.flatten({"model": {"w.x": np.ones(1)}, "m": [np.ones(1), {3: np.ones(1)}]})
    assert list(arrays) == ["model/w.x", "m/0", "m/1/3"]


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        ({"a": [{1, 2}]}, "flatten: a/0 is a set, expected a dict, list or tuple,"),
        (object(), "flatten: the tree is a object, expected"),
        ({"a": np.array(["x"])}, "flatten: a holds <U1, expected one of bool, int8,"),
        ({"a": np.ones(1, complex)}, "flatten: a holds complex128, expected"),
    ],
)
def test_what_cannot_stand_in_a_tree_is_named(tree, text):
    with pytest.raises(ArgumentError) as raised:
        files.flatten(tree)
    assert text in str(raised.value)


@pytest.mark.parametrize("rest", [{}, {"tree": 1}, {"array": "none"}, {"dict": 3}, {"dict": [1]}])
def test_what_flatten_did_not_make_is_refused(rest):
    with pytest.raises(FileFormatError):
        files.restored({}, rest)
