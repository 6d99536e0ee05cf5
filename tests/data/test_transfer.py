"""Batches that go to a GPU while it computes: copies are late here, as they are there."""

import gc
import threading
import weakref

import numpy as np
import pytest

from tests.standin import arrays, module
from tinygrad_rnn import data
from tinygrad_rnn.errors import DeviceError

X = np.arange(24.0, dtype=np.float32).reshape(12, 2)
Y = np.arange(12)


class Copy:
    """One that is still to be made, and keeps nothing from being given back."""

    def __init__(self, source, target):
        self.source, self.target = weakref.ref(source), weakref.ref(target)


@pytest.fixture
def late(standin, monkeypatch):
    """A device that copies at the last moment: when a stream is told to wait for what follows."""

    class Late:
        def __init__(self):
            self.waiting, self.lock, self.reused = {}, threading.RLock(), 0

        def set(self, target, source, stream=None):
            if stream is None:
                target._host[...] = source
                return
            with self.lock:
                self.waiting.setdefault(id(stream), []).append(Copy(source, target))

        def record(self, stream, event=None):
            event = event or module.Event()
            event.done = not self.waiting.get(id(stream))
            event.stream = stream
            event.comes_behind = list(self.waiting.get(id(stream), ()))
            return event

        def wait_event(self, stream, event):
            with self.lock:
                for copy in event.comes_behind:
                    if copy in self.waiting.get(id(event.stream), ()):
                        self.waiting[id(event.stream)].remove(copy)
                        self.make(copy)
            event.done = True

        def make(self, copy):
            source, target = copy.source(), copy.target()
            if source is None:
                raise AssertionError("pinned memory was given back before it was copied")
            if target is None:
                self.reused += 1  # memory that may be another array's by now
            else:
                target._host[...] = source

    late = Late()

    def fresh(shape, dtype=float, order="C"):
        return np.full(shape, 99, dtype).view(Pinned)

    class Pinned(np.ndarray):
        """Can be referred to weakly."""

    monkeypatch.setattr(arrays.ndarray, "set", lambda a, b, stream=None: late.set(a, b, stream))
    monkeypatch.setattr(module.Stream, "record", lambda s, event=None: late.record(s, event))
    monkeypatch.setattr(module.Stream, "wait_event", lambda s, event: late.wait_event(s, event))
    import cupyx

    monkeypatch.setattr(cupyx, "empty_pinned", fresh)
    return late


def host(batch):
    return [part.get().tolist() for part in batch]


def test_batches_arrive_whole_in_order_and_nobody_waits(late, standin):
    plain = data.Batches((X, Y), 5, shuffle=True, seed=1)
    sent = data.Background(data.Batches((X, Y), 5, shuffle=True, seed=1), device="gpu")
    for _ in range(2):
        arrived = list(zip(plain, sent, strict=True))
        assert standin.synchronised == 0
        for (x, y), batch in arrived:
            assert [str(part.device) for part in batch] == ["<CUDA Device 0>"] * 2
            assert host(batch) == [x.tolist(), y.tolist()]
        standin.waits.clear()
    assert sent.state_dict() == plain.state_dict()


def test_trees_of_arrays_and_what_stays(late):
    class Files:
        def __len__(self):
            return 4

        def __getitem__(self, number):
            return {"ids": np.arange(number + 1), "name": np.array(number), "pair": (X[0], X[1])}

    def collate(rows):
        return [data.pad([row["ids"] for row in rows]), "text", 3, {"x": rows[0]["pair"]}, None]

    ((padded, text, number, more, none), *_) = data.Background(
        data.Batches(Files(), 2, collate=collate), device="gpu:1"
    )
    assert padded.data.device.id == 1
    assert padded.data.get().tolist() == [[0, 0], [0, 1]]
    assert isinstance(padded, data.Padded)
    assert isinstance(padded.lengths, np.ndarray)
    assert (text, number, none) == ("text", 3, None)
    assert more["x"][1].get().tolist() == X[1].tolist()


def test_chunks_of_streams_keep_their_names(late):
    for chunk, expected in zip(
        data.Background(data.Streams(Y, 2, 3), device="gpu"), data.Streams(Y, 2, 3), strict=True
    ):
        assert isinstance(chunk, data.Chunk)
        assert chunk.x.get().tolist() == expected.x.tolist()
        assert chunk.first is expected.first


def test_what_nobody_takes_leaves_its_memory_alone(late):
    """Its memory is given back, but not before it has been written."""
    sent = data.Background(data.Batches((X, Y), 2), ahead=3, device="gpu")
    first = next(iter(sent))
    sent.close()
    gc.collect()
    assert late.reused == 0
    assert not any(late.waiting.values())
    assert host(first) == [X[:2].tolist(), Y[:2].tolist()]


def test_a_share_without_rows_and_an_array_without_elements(late):
    shares = data.Background(data.Batches(Y[:3], 2, rank=1, world_size=2), device="gpu")
    first, second = shares
    assert first.get().tolist() == [1]
    assert second is None
    ((empty,),) = data.Background([[np.zeros((0, 3))]], device="gpu")
    assert empty.shape == (0, 3)


def test_on_the_cpu_it_is_the_plain_reader():
    ((x, y), *_) = data.Background(data.Batches((X, Y), 3), device="cpu")
    assert type(x) is type(y) is np.ndarray


def test_devices_that_are_not_there(standin):
    with pytest.raises(DeviceError, match="this machine has 2 GPU"):
        next(iter(data.Background([X], device="gpu:5")))
    with pytest.raises(DeviceError, match="device is 'tpu'"):
        data.Background([X], device="tpu")
