"""What is saved comes back to the bit; a file is there whole or not at all; no code is run."""

import errno
import os
import pickle
import resource
import stat
import subprocess
import sys
from collections import OrderedDict

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import tinygrad_rnn as tg
from tinygrad_rnn import files, nn, optim
from tinygrad_rnn.errors import ArgumentError, DTypeError, FileFormatError, SaveError

TYPES = [
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "complex64",
]  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.safetensors"


def same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype
        assert a[name].shape == b[name].shape
        assert a[name].tobytes() == b[name].tobytes()


def arrays_of_all_types():
    rng = np.random.default_rng(0)
    shapes = [(), (0,), (3,), (2, 0, 2), (5, 1, 3)]
    return {
        f"{kind}.{number}": np.asarray(rng.standard_normal(shape) * 3).astype(kind)
        for kind in TYPES
        for number, shape in enumerate(shapes)
    }


def test_all_types_and_shapes_come_back(path):
    arrays = arrays_of_all_types() | {"naïve ☃\n": np.array([np.nan, -0.0, np.inf])}
    tg.save(path, arrays)
    same(tg.load(path), arrays)


def test_other_libraries_read_our_files_and_we_read_theirs(path):
    arrays = {name: np.asarray(array) for name, array in arrays_of_all_types().items()}
    tg.save(path, arrays, {"made": "here"})
    same(load_file(path), arrays)
    save_file(arrays, path, {"made": "there"})
    found, metadata = files.read(path)
    same(found, arrays)
    assert metadata == {"made": "there"}


def test_layouts_are_written_as_the_numbers_they_hold(path):
    x = np.arange(24, dtype=np.float32).reshape(4, 6)
    tg.save(path, {"turned": x.T, "some": x[::2, ::-3], "swapped": x.astype(">f4")})
    found = tg.load(path)
    for name, expected in (("turned", x.T), ("some", x[::2, ::-3]), ("swapped", x)):
        np.testing.assert_array_equal(found[name], expected)


def test_modules_and_tensors_are_saved(path):
    model, other = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)), nn.Linear(1, 1)
    tg.save(path, model)
    same(tg.load(path), model.state_dict())
    tg.save(path, {"x": other.weight})
    assert tg.load(path)["x"] == other.weight.item()


def test_metadata_comes_back_without_the_digest(path):
    files.write(path, {}, {"vocabulary": "a\x00bé"})
    assert files.read(path) == ({}, {"vocabulary": "a\x00bé"})


@pytest.mark.parametrize(
    ("tensors", "metadata", "error", "text"),
    [
        (3, None, ArgumentError, "save: tensors is a int, expected a module or a dict of arrays."),
        (
            {"a": {1}},
            None,
            ArgumentError,
            "save: a is a set, expected a dict, list or tuple",
        ),
        ({"a": np.ones(1, complex)}, None, DTypeError, "save: 'a' holds complex128, which a"),
        ({3: np.ones(1)}, None, ArgumentError, "save: a tensor has the name 3, expected a string"),
        ({"\ud800": np.ones(1)}, None, ArgumentError, "that can be encoded"),
        ({"__metadata__": np.ones(1)}, None, ArgumentError, "other than '__metadata__'"),
        ({}, {"a": 1}, ArgumentError, "save: metadata has 'a': 1, expected texts by name"),
        ({}, {"tinygrad_rnn.digest": "0"}, ArgumentError, "other than 'tinygrad_rnn.file' and"),
    ],
)
def test_what_cannot_be_saved_is_named(path, tensors, metadata, error, text):
    with pytest.raises(error) as raised:
        tg.save(path, tensors, metadata)
    assert text in str(raised.value)
    assert os.listdir(path.parent) == []


# ----- whole or not at all -----


@pytest.mark.parametrize("name", ["write", "fsync", "replace", "lseek"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_full_disk_leaves_the_old_file(path, monkeypatch, name, code):
    tg.save(path, {"x": np.ones(3)})

    def fails(*_):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(os, name, fails)
        with pytest.raises(SaveError) as raised:
            tg.save(path, {"x": np.zeros(3)})
    reason = "the disk is full" if code == errno.ENOSPC else "input/output error"
    assert str(raised.value) == (
        f"save: '{path}' could not be written: {reason}; the file that is there is unchanged."
    )
    assert raised.value.errno == code
    assert os.listdir(path.parent) == [path.name]
    assert tg.load(path)["x"].sum() == 3


def test_file_and_folder_are_brought_to_the_disk(path, monkeypatch):
    kinds, fsync = [], os.fsync

    def watched(descriptor):
        kinds.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    tg.save(path, {})
    assert kinds == [False, True]


def test_a_system_that_takes_no_hints_saves_all_the_same(path, monkeypatch):
    def refused(*given):
        raise OSError(errno.EINVAL, "no hints")

    monkeypatch.setattr(os, "posix_fadvise", refused, raising=False)
    tg.save(path, {"x": np.arange(5)})
    assert np.array_equal(tg.load(path)["x"], np.arange(5))


def test_an_interrupt_leaves_the_old_file(path, monkeypatch):
    tg.save(path, {"x": np.ones(3)})

    def stops(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", stops)
        with pytest.raises(KeyboardInterrupt):
            tg.save(path, {"x": np.zeros(3)})
    assert os.listdir(path.parent) == [path.name]
    assert tg.load(path)["x"].sum() == 3


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(SaveError, match="there is no such folder; nothing was left"):
        tg.save(tmp_path / "none" / "x", {})


def test_writing_goes_through_a_link(path, tmp_path):
    link = tmp_path / "link"
    tg.save(path, {"x": np.ones(1)})
    link.symlink_to(path)
    tg.save(link, {"x": np.zeros(1)})
    assert link.is_symlink()
    assert tg.load(path)["x"] == 0


LIMITED = """
import resource, sys
import numpy as np
import tinygrad_rnn as tg
tg.save(sys.argv[1], {"x": np.ones(3)})
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    tg.save(sys.argv[1], {"x": np.zeros(100_000)})
except tg.errors.SaveError as error:
    sys.exit("the file is larger than this system or its limits allow" not in str(error))
sys.exit(2)
"""


def test_a_real_limit_of_the_system_leaves_the_old_file(path):
    assert resource.RLIMIT_FSIZE is not None
    assert subprocess.run([sys.executable, "-c", LIMITED, path], check=False).returncode == 0
    assert os.listdir(path.parent) == [path.name]
    assert tg.load(path)["x"].sum() == 3


# ----- what is none -----


class Runs:
    def __reduce__(self):
        return pytest.fail, ("code of a pickle was run",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_refused(path, protocol):
    path.write_bytes(pickle.dumps(Runs(), protocol))
    with pytest.raises(FileFormatError) as raised:
        tg.load(path)
    if protocol >= 2:
        assert "it is a pickle" in str(raised.value)
        assert "No code is run from a file with weights" in str(raised.value)
        assert "safetensors.torch.save_file" in str(raised.value)


def test_an_archive_of_numpy_is_named(path):
    with open(path, "wb") as file:
        np.savez(file, a=np.ones(2))
    with pytest.raises(FileFormatError, match=r"it is an archive of NumPy's; np\.load\(path\)"):
        tg.load(path)


def test_who_gives_the_path_second_is_told_so(path):
    with pytest.raises(ArgumentError, match=r"it comes first: save\(path, tensors\)"):
        tg.save({"a": np.ones(2)}, path)


@pytest.mark.parametrize(
    ("start", "text"),
    [
        (b"PK\x03\x04", "it is a zip archive, such as torch.save makes. No code is run"),
        (b"\x89HDF\r\n", "it is an HDF5 file, such as Keras makes"),
        (b"\x93NUMPY", "it is an array of NumPy"),
        (b"", "it is no whole safetensors file"),
        (b"hello", "it is no whole safetensors file"),
    ],
)
def test_other_files_are_named(path, start, text):
    path.write_bytes(start + bytes(20) if start else b"")
    with pytest.raises(FileFormatError) as raised:
        tg.load(path)
    assert str(raised.value).startswith(f"load: '{path}' cannot be read: ")
    assert text in str(raised.value)


def test_a_header_as_long_as_the_mark_of_a_pickle_is_no_pickle(path):
    tg.save(path, {"x": np.ones(1)})
    short = int.from_bytes(path.read_bytes()[:8], "little")
    tg.save(path, {"x" * (1 + 0x280 - short): np.ones(1)})
    assert path.read_bytes()[:2] == b"\x80\x02"
    assert len(tg.load(path)) == 1


def test_pipes_and_folders_do_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(FileFormatError, match=r"it is no file\.$"):
            tg.load(place)
    with pytest.raises(FileNotFoundError):
        tg.load(tmp_path / "none")


def test_types_that_numpy_lacks_are_named(path):
    header = b'{"w":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(FileFormatError, match=r"w BF16\. Convert them to F32"):
        tg.load(path)


def test_dicts_of_dicts_come_back(path):
    layer = nn.LSTM(2, 3)
    adam = optim.Adam(layer.parameters(), lr=0.1)
    layer(tg.ones(2, 1, 2))[0].sum().backward()
    adam.step()
    rest = {"epoch": 3, "at": (1, None), "names": ["a", "b"], "rate": np.float32(0.5)}
    tg.save(path, {"model": layer.state_dict(), "optimizer": adam.state_dict(), **rest})
    run = tg.load(path)
    assert {name: run[name] for name in rest} == rest
    other = nn.LSTM(2, 3)
    other.load_state_dict(run["model"])
    copy = optim.Adam(other.parameters(), lr=0.5)
    copy.load_state_dict(run["optimizer"])
    for one, optimizer in ((layer, adam), (other, copy)):
        optimizer.zero_grad()
        one(tg.ones(2, 1, 2))[0].sum().backward()
        optimizer.step()
    for a, b in zip(layer.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    tg.save(path, adam)
    copy.load_state_dict(tg.load(path))


def test_dicts_that_cannot_be_saved_or_read(path):
    with pytest.raises(ArgumentError, match="save: a/b is a object, expected a dict, list"):
        tg.save(path, {"a": {"b": object()}})
    with pytest.raises(ArgumentError, match=r"metadata has 'tinygrad_rnn\.tree', expected another"):
        tg.save(path, {"a": {}}, {"tinygrad_rnn.tree": "{}"})
    for text in ("{", '{"array": "none"}', "[" * 10_000):
        files.write(path, {}, {"tinygrad_rnn.tree": text})
        with pytest.raises(FileFormatError, match="what it says of its arrays is nothing"):
            tg.load(path)


def test_whatever_is_no_array_comes_back_as_it_was(path):
    tg.save(path, {"rate": 0.1, "state": (np.ones(2, "float32"), np.zeros(2)), "name": "x"})
    found = tg.load(path)
    assert (found["rate"], found["name"]) == (0.1, "x")
    assert [array.dtype for array in found["state"]] == ["float32", "float64"]
    tg.save(path, {"model": OrderedDict(w=np.ones(2)), "epoch": 1})
    found = tg.load(path)
    assert found["epoch"] == 1
    assert found["model"]["w"].tolist() == [1, 1]
