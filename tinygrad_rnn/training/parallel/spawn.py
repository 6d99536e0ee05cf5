"""spawn: several processes on this machine, each with its place in a group."""

import multiprocessing
import secrets
import socket
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from tinygrad_rnn.arguments import function_of, whole
from tinygrad_rnn.device import num_threads, set_num_threads
from tinygrad_rnn.errors import ArgumentError, DistributedError
from tinygrad_rnn.training.parallel.group import ProcessGroup
from tinygrad_rnn.training.parallel.sockets import SocketGroup

__all__ = ["spawn"]

_GRACE = 10.0  # seconds that the others have to end after one has failed


def spawn(
    function: Callable[..., Any],
    world_size: int,
    args: Sequence[Any] = (),
    *,
    timeout: float = 300.0,
) -> list[Any]:
    """Call ``function(group, *args)`` in new processes on this machine; what each returns, by rank.

        def train(group, epochs): ...

        if __name__ == "__main__":
            parallel.spawn(train, 2, args=(10,))

    Threads of the machine are shared out among them. Where one raises or dies the others are
    ended, and that is the error. The function is found by its name, so it stands in a file.

    Args:
        timeout: As ``SocketGroup`` has it: how long one waits for another.
    """
    function_of("spawn", "function", function)
    size = whole("spawn", "world_size", world_size, 1, ArgumentError)
    context = multiprocessing.get_context("spawn")
    threads, key = max(1, num_threads() // size), secrets.token_bytes(32)
    processes, pipes = [], []
    with socket.create_server(("127.0.0.1", 0), backlog=size) as listener:
        address = listener.getsockname()[:2]
        for rank in range(size):
            ours, theirs = context.Pipe(duplex=False)
            place = address, rank, size, key, timeout, None if rank else listener
            process = context.Process(
                target=_run, args=(function, args, place, threads, theirs), name=f"rank {rank}",
                daemon=True,
            )  # fmt: skip
            process.start()
            theirs.close()  # so that its end is seen when the process is gone
            processes.append(process)
            pipes.append(ours)
    try:
        return _results(pipes)
    except BaseException:
        for process in processes:
            process.terminate()
        raise
    finally:
        for process in processes:
            process.join()


def _run(
    function: Callable[..., Any], args: Sequence[Any], place: Any, threads: int, pipe: Connection
) -> None:
    """In the new process: do it, and tell what came of it."""
    address, rank, size, key, timeout, listener = place
    set_num_threads(threads)
    try:
        group: ProcessGroup
        with SocketGroup(address, rank, size, key=key, timeout=timeout, listener=listener) as group:
            found = function(group, *args)
        pipe.send((True, found))
    except BaseException as error:
        pipe.send((False, ("".join(traceback.format_exception(error)), _second_hand(error))))
        raise SystemExit(1) from None


def _second_hand(error: BaseException) -> bool:
    """Whether it is what one hears of when another one has failed."""
    return isinstance(error, DistributedError)


def _results(pipes: list[Connection]) -> list[Any]:
    """What all return; the error of the one that failed first, if one did."""
    found: dict[int, Any] = {}
    told: Any
    failed: dict[int, tuple[str, bool]] = {}
    waiting = {pipe: rank for rank, pipe in enumerate(pipes)}
    while waiting:
        ready = wait(list(waiting), _GRACE if failed else None)
        if not ready:
            break
        for pipe in ready:
            assert isinstance(pipe, Connection)
            rank = waiting.pop(pipe)
            try:
                fine, told = pipe.recv()
            except EOFError:
                fine, told = (
                    False,
                    ("the process died without a word, as one that is killed", False),
                )
            if fine:
                found[rank] = told
            else:
                failed[rank] = told
    if failed:
        # What others say of it comes after the cause, however late that was heard.
        rank = min(failed, key=lambda one: (failed[one][1], one))
        raise DistributedError(f"spawn: rank {rank} failed:\n{failed[rank][0]}")
    return [found[rank] for rank in range(len(pipes))]
