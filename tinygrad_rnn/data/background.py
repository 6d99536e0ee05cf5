"""Reading ahead in a thread, without a difference to be seen."""

import contextvars
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from tinygrad_rnn.arguments import shortened, whole
from tinygrad_rnn.data.epochs import place_of
from tinygrad_rnn.data.transfer import Arrival, Transfer
from tinygrad_rnn.device import normalize_device
from tinygrad_rnn.errors import ArgumentError

__all__ = ["Background"]


class _Read(NamedTuple):
    """What a thread has read, and where that has led to."""

    batch: Any
    where: tuple[Any, int | None] | None
    error: BaseException | None = None
    end: bool = False


class Background:
    """Batches that a thread reads ahead, the same in the same order.

    ``state_dict()`` is the place of the batch that was handed out last, however much was read.
    What a reader raises arrives where its batch would have; the next call goes on behind it.

        with data.Background(batches) as ahead:
            for x, y in ahead:
                ...

    Without ``with`` the thread ends with the epoch, with ``close()``, or with the last reference.
    While it runs, ``batches`` belong to it.

    With ``device="gpu"`` the thread also copies arrays there, through pinned memory and beside
    what is computed, so that nobody waits for them; lengths of ``Padded`` stay on the CPU.

    Args:
        batches: Batches, Streams, or anything that can be iterated.
        ahead: How many batches may wait.
        device: Where arrays are handed out.
    """

    def __init__(self, batches: Any, ahead: int = 2, device: str = "cpu") -> None:
        if not hasattr(batches, "__iter__"):
            raise ArgumentError(
                f"Background: batches is {shortened(batches)}, expected data.Batches, "
                "data.Streams or another iterable of batches."
            )
        self.batches = batches
        self.ahead = whole("Background", "ahead", ahead, 1)
        self.device = normalize_device(device)
        self._transfer: Transfer | None = None  # begun by who computes with the batches
        self._run: _Run | None = None
        self._handed_out = False  # a batch, since the epoch began or a place was loaded

    def __iter__(self) -> Iterator[Any]:
        return _Loop(self)

    def __len__(self) -> int:
        """How many batches the epoch has."""
        if self._run is None or self._run.length is None:
            return len(self.batches)
        return self._run.length

    @property
    def epoch(self) -> int:
        """The epoch of the batch that comes next."""
        return int(self.state_dict()["epoch"])

    @property
    def batch(self) -> int:
        """The number in its epoch of the batch that comes next."""
        return int(self.state_dict()["batch"])

    @property
    def state_dict(self) -> Callable[[], dict[str, Any]]:
        """The place behind the batch that was handed out last; if ``batches`` has places."""
        read_ahead = self._of_batches("state_dict")
        return lambda: dict(read_ahead() if self._run is None else self._run.place)

    @property
    def load_state_dict(self) -> Callable[[Any], None]:
        """Go to a place."""
        load = self._of_batches("load_state_dict")

        def close_and_load(state_dict: Any) -> None:
            self.close()
            load(state_dict)
            self._handed_out = False

        return close_and_load

    def _of_batches(self, method: str) -> Callable[..., Any]:
        try:
            return getattr(self.batches, method)  # type: ignore[no-any-return]
        except AttributeError:
            raise AttributeError(
                f"Background.{method}: batches is a {type(self.batches).__name__}, which has no "
                f"{method}; data.Batches and data.Streams have."
            ) from None

    def close(self) -> None:
        """End the thread, and put ``batches`` where this is. A later loop starts another."""
        if self._run is not None:
            run, self._run = self._run, None
            run.stop()
            run.thread.join()
            if run.place is not None:
                self.batches.load_state_dict(run.place)

    def __enter__(self) -> "Background":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _next(self, begins: bool) -> Any:
        if begins and self._run is not None and self._run.begins_anew:
            self.close()
        run = self._running()
        read = run.read.get()
        if read.end:
            run.stop()
            self._run = None
            again, self._handed_out = begins and self._handed_out, False
            if again:  # the loop before took the last batch and was left: this is the next epoch's
                return self._next(begins=False)
            raise StopIteration
        if read.where is not None:
            run.place, run.length = read.where
        self._handed_out = True
        run.wanted.put(True)
        if read.error is None:
            return read.batch.batch() if isinstance(read.batch, Arrival) else read.batch
        try:
            raise read.error
        finally:
            del read  # an error that knows this frame, which knows the error, would live on

    def _running(self) -> "_Run":
        run = self._run
        if run is not None and run.process != os.getpid():  # a fork has no threads
            if run.place is None:
                raise RuntimeError(
                    "Background: batches without state_dict cannot be gone on with in a forked "
                    "process."
                )
            self.batches.load_state_dict(run.place)
            run = None
        if run is None:
            if self.device != "cpu" and self._transfer is None:
                self._transfer = Transfer(self.device)
            run = self._run = _Run(self, self._transfer)
        return run


class _Loop:
    """One loop: what is left of an epoch."""

    def __init__(self, background: Background) -> None:
        self._background: Background | None = background
        self._begins = True

    def __iter__(self) -> "_Loop":
        return self

    def __next__(self) -> Any:
        if self._background is None:
            raise StopIteration
        begins, self._begins = self._begins, False
        try:
            return self._background._next(begins)
        except StopIteration:
            self._background = None
            raise


class _Run:
    """A thread that reads what is left of an epoch."""

    def __init__(self, background: Background, transfer: Transfer | None) -> None:
        batches = background.batches
        iterator = iter(batches)
        self.process = os.getpid()
        self.place, self.length = _where(batches)
        self.begins_anew = self.place is None and iterator is not batches  # in each loop: a list
        # Simple queues can be used by a finalizer, wherever garbage happens to be collected.
        self.wanted: SimpleQueue[bool] = SimpleQueue()
        self.read: SimpleQueue[_Read] = SimpleQueue()
        for _ in range(background.ahead):
            self.wanted.put(True)
        self.stop = weakref.finalize(background, _stop, self.wanted)
        # The thread must not know the Background, which would never be garbage then.
        work = (_read_on, batches, iterator, self.wanted, self.read, transfer)
        self.thread = threading.Thread(
            target=contextvars.copy_context().run, args=work, name="reading ahead", daemon=True
        )
        self.thread.start()


def _where(batches: Any) -> tuple[Any, int | None]:
    """The place that comes next, and how many batches its epoch has; None where that is unknown."""
    place = place_of(batches)
    try:
        return place, len(batches)
    except TypeError:
        return place, None


def _read_on(
    batches: Any,
    iterator: Iterator[Any],
    wanted: "SimpleQueue[bool]",
    read: "SimpleQueue[_Read]",
    transfer: Transfer | None,
) -> None:
    """Read as much as is wanted, up to the end."""
    sent = transfer.send if transfer is not None else lambda batch: batch
    number = 0
    while wanted.get():
        try:
            read.put(_Read(sent(next(iterator)), _where(batches)))
        except StopIteration:
            read.put(_Read(None, None, end=True))
            return
        except BaseException as error:
            if not hasattr(error, "__notes__"):
                error.add_note(f"Background: while batch {number} was read ahead.")
            where = None
            with suppress(Exception):  # or it was just this that failed
                where = _where(batches)
            read.put(_Read(None, where, error))
        number += 1


def _stop(wanted: "SimpleQueue[bool]") -> None:
    """Let a thread end as soon as it has read what it is reading."""
    with suppress(Empty):
        while True:
            wanted.get_nowait()
    wanted.put(False)
