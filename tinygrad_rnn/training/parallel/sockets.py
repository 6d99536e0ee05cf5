"""SocketGroup: processes in a ring of TCP connections; needs nothing that is not installed."""

import os
import selectors
import socket
import struct
import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import bounded, shortened
from tinygrad_rnn.errors import ArgumentError, DistributedError
from tinygrad_rnn.training.parallel.group import Done, ProcessGroup, Work, on_the_cpu, place_in
from tinygrad_rnn.training.parallel.meeting import Address, meet

__all__ = ["SocketGroup"]

Job = Callable[["_Ring"], None]

# What a call is, sent before its data: processes that do different things notice it.
_CALL = struct.Struct("<8s8sqq")


class SocketGroup(ProcessGroup):
    """Processes on one machine or on several, connected by sockets; arrays of NumPy.

        group = parallel.SocketGroup("10.0.0.1:29500", rank=0, world_size=2, key="...")

    A sum goes round the ring in pieces: each process sends and receives 2 (size - 1) / size times
    the array. Each piece is summed in the same order of ranks in every run.

    Args:
        address: Where rank 0 listens: ("host", port), or "host:port".
        key: A secret that all know, by which they know each other. Data are not encrypted.
        timeout: Seconds that others may take to appear, and to go on, before it is an error.
        listener: Of rank 0: a socket that listens at the address already.
    """

    def __init__(
        self,
        address: Address | str,
        rank: int,
        world_size: int,
        *,
        key: str | bytes,
        timeout: float = 300.0,
        listener: socket.socket | None = None,
    ) -> None:
        self.rank, self.size = place_in("SocketGroup", rank, world_size)
        found = key.encode() if isinstance(key, str) else key
        if not isinstance(found, bytes) or not found:
            raise ArgumentError("SocketGroup: key is empty, expected a secret that all know.")
        timeout = bounded("SocketGroup", "timeout", timeout, above=0)
        self._jobs: SimpleQueue[tuple[Job, _Job] | None] | None = None
        if self.size > 1:
            place = _address(address)
            left, right = meet(place, self.rank, self.size, found, timeout, listener)
            ring = _Ring(self.rank, self.size, left, right, timeout)
            self._jobs = SimpleQueue()
            self._process = os.getpid()
            # The thread must not know the group, which would never be garbage then.
            self._thread = threading.Thread(
                target=_work, args=(ring, self._jobs), name="sums over processes", daemon=True
            )
            self._thread.start()
            self._end = weakref.finalize(self, self._jobs.put, None)

    def all_reduce(self, array: Any, async_op: bool = False) -> Work:
        """Replace an array by the sum of those of all processes, in place."""
        flat = on_the_cpu("SocketGroup.all_reduce", array).reshape(-1)
        work = self._begin(lambda ring: ring.all_reduce(flat))
        if not async_op:
            work.wait()
        return work

    def broadcast(self, array: Any, root: int = 0) -> None:
        """Replace an array by that of the process ``root``."""
        flat = on_the_cpu("SocketGroup.broadcast", array).reshape(-1)
        root, _ = place_in("SocketGroup.broadcast", root, self.size)
        self._begin(lambda ring: ring.broadcast(flat, root)).wait()

    def close(self) -> None:
        """Do what was begun, and hang up."""
        if self._jobs is not None:
            self._end()
            self._thread.join()

    def _begin(self, job: Job) -> Work:
        if self._jobs is None:
            return Done()
        if self._process != os.getpid():
            raise DistributedError(
                "SocketGroup: a forked process cannot use its parent's connections."
            )
        if not self._end.alive:
            raise DistributedError("SocketGroup: the group was closed.")
        work = _Job()
        self._jobs.put((job, work))
        return work


class _Job:
    """A call that another thread makes."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.error: str | None = None

    def wait(self) -> None:
        """Return when it is done; raise what went wrong."""
        self.over.wait()
        if self.error is not None:
            raise DistributedError(self.error)


def _work(ring: "_Ring", jobs: "SimpleQueue[tuple[Job, _Job] | None]") -> None:
    """Make the calls in their order. After one that failed all fail: the ring is broken."""
    error: str | None = None
    while (item := jobs.get()) is not None:
        job, work = item
        if error is None:
            try:
                job(ring)
            except Exception as reason:
                error = str(reason) if isinstance(reason, DistributedError) else repr(reason)
                ring.close()  # the others shall know
        work.error = error
        work.over.set()
        del item, job, work  # arrays are not kept while nothing is to be done
    ring.close()


class _Ring:
    """The two connections, and what is done over them."""

    def __init__(
        self, rank: int, size: int, left: socket.socket, right: socket.socket, timeout: float
    ) -> None:
        self.rank, self.size, self.timeout = rank, size, timeout
        self.left, self.right = left, right
        self.calls = 0

    def close(self) -> None:
        self.left.close()
        self.right.close()

    def all_reduce(self, array: Any) -> None:
        """Each piece goes round and becomes a sum, then each sum goes round."""
        self._agree("sum", array)
        rank, size = self.rank, self.size
        ends = [len(array) * piece // size for piece in range(size + 1)]

        def piece(number: int) -> Any:
            number %= size
            return array[ends[number] : ends[number + 1]]

        arrived = np.empty(max(len(piece(number)) for number in range(size)), array.dtype)
        for step in range(size - 1):
            own = piece(rank - step - 1)
            part = arrived[: len(own)]
            self._exchange(_bytes(piece(rank - step)), _bytes(part))
            np.add(part, own, out=own)
        for step in range(size - 1):
            self._exchange(_bytes(piece(rank + 1 - step)), _bytes(piece(rank - step)))

    def broadcast(self, array: Any, root: int) -> None:
        """From each to the next, beginning with the root."""
        self._agree(f"from {root}", array)
        way = (self.rank - root) % self.size
        if way > 0:
            self._exchange(_bytes(array[:0]), _bytes(array))
        if way < self.size - 1:
            self._exchange(_bytes(array), _bytes(array[:0]))

    def _agree(self, what: str, array: Any) -> None:
        """See that the process before makes the same call."""
        call = _CALL.pack(what.encode(), str(array.dtype).encode(), array.size, self.calls)
        theirs = bytearray(len(call))
        self._exchange(memoryview(call), memoryview(theirs))
        self.calls += 1
        if theirs != call:
            before = (self.rank - 1) % self.size
            raise DistributedError(
                f"rank {self.rank} makes call {_named(call)}, but rank {before} makes call "
                f"{_named(bytes(theirs))}; expected all processes to make the same calls in the "
                "same order. Does one of them do something that depends on its rank or its data?"
            )

    def _exchange(self, out: memoryview, into: memoryview) -> None:
        """Send to the right and receive from the left, whichever can go on."""
        sent = got = 0
        while sent < len(out) or got < len(into):
            went_on = False
            if sent < len(out) and (count := self._sent(out[sent:])):
                sent, went_on = sent + count, True
            if got < len(into) and (count := self._received(into[got:])):
                got, went_on = got + count, True
            if not went_on:
                self._wait(sent < len(out), got < len(into))

    def _sent(self, data: memoryview) -> int:
        try:
            return self.right.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._gone((self.rank + 1) % self.size, str(error)) from error

    def _received(self, into: memoryview) -> int:
        before = (self.rank - 1) % self.size
        try:
            count = self.left.recv_into(into)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._gone(before, str(error)) from error
        if not count:
            raise self._gone(before, "it hung up")
        return count

    def _wait(self, to_send: bool, to_receive: bool) -> None:
        with selectors.DefaultSelector() as selector:
            if to_send:
                selector.register(self.right, selectors.EVENT_WRITE)
            if to_receive:
                selector.register(self.left, selectors.EVENT_READ)
            if selector.select(self.timeout):
                return
        before, behind = (self.rank - 1) % self.size, (self.rank + 1) % self.size
        who = f"rank {before} has sent" if to_receive else f"rank {behind} has taken"
        raise DistributedError(
            f"rank {self.rank}: {who} nothing for {self.timeout:g} seconds. Does it still run, and "
            "does it make the same calls? timeout= is how long to wait."
        )

    def _gone(self, rank: int, reason: str) -> DistributedError:
        return DistributedError(
            f"rank {self.rank}: the connection to rank {rank} is gone ({reason}). It has ended or "
            "died, or lost another one itself: the first error in the output of all processes is "
            "the cause."
        )


def _bytes(array: Any) -> memoryview:
    return memoryview(array).cast("B") if array.size else memoryview(b"")


def _named(call: bytes) -> str:
    what, dtype, size, number = _CALL.unpack(call)
    kinds = {b"sum": "all_reduce"}
    what = what.rstrip(b"\0")
    return f"{number}, {kinds.get(what, 'broadcast ' + what.decode(errors='replace'))} of " + (
        f"{dtype.rstrip(bytes(1)).decode(errors='replace')}[{size}]"
    )


def _address(given: Any) -> Address:
    try:
        if isinstance(given, str):
            host, _, port = given.rpartition(":")
            given = (host.strip("[]"), int(port))
        host, port = given
        if isinstance(host, str) and 0 <= int(port) < 65536:
            return host, int(port)
    except (TypeError, ValueError):
        pass
    raise ArgumentError(
        f"SocketGroup: address is {shortened(given)}, expected where rank 0 listens, such as "
        '"10.0.0.1:29500".'
    )
