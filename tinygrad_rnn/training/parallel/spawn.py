"""spawn: several processes on this machine, each with its place in a group."""

import multiprocessing
import secrets
import socket
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

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
    ended, and that is the error. Ctrl-C comes to all of them: a ``fit`` finishes its step, and
    what functions return then is returned. The function is found by its name: it stands in a file.

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
    told: dict[int, _Told] = {}
    try:
        interrupted = _hear(pipes, told)
        # So were they then: they end as they do, unless it comes a second time.
        if interrupted and _hear(pipes, told):
            raise KeyboardInterrupt
    except BaseException:
        for process in processes:
            process.terminate()
        raise
    finally:
        for process in processes:
            process.join()
    return _results(told, interrupted)


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
        pipe.send(_Told(found, None))
    except BaseException as error:
        text = "".join(traceback.format_exception(error))
        pipe.send(_Told(None, text, isinstance(error, DistributedError)))
        raise SystemExit(1) from None


class _Told(NamedTuple):
    """What a process has said in the end.

    hearsay    whether its error is what one sees of it when another process has failed
    """

    found: Any
    error: str | None
    hearsay: bool = False


def _hear(pipes: list[Connection], told: dict[int, _Told]) -> bool:
    """Wait for what all say; whether Ctrl-C came before that."""
    try:
        while waiting := [pipe for rank, pipe in enumerate(pipes) if rank not in told]:
            failed = any(one.error for one in told.values())
            ready = wait(waiting, _GRACE if failed else None)
            if not ready:
                raise DistributedError(_cause(told))
            for pipe in ready:
                assert isinstance(pipe, Connection)
                try:
                    said = pipe.recv()
                except EOFError:
                    said = _Told(None, "the process died without a word, as one that is killed")
                told[pipes.index(pipe)] = said
    except KeyboardInterrupt:
        return True
    return False


def _results(told: dict[int, _Told], interrupted: bool) -> list[Any]:
    if any(one.error for one in told.values()):
        if interrupted:
            raise KeyboardInterrupt
        raise DistributedError(_cause(told))
    return [told[rank].found for rank in sorted(told)]


def _cause(told: dict[int, _Told]) -> str:
    """The error of which those of others are a consequence, however late it was heard."""
    failed = {rank: one for rank, one in told.items() if one.error}
    rank = min(failed, key=lambda one: (failed[one].hearsay, one))
    return f"spawn: rank {rank} failed:\n{failed[rank].error}"
