"""How processes find each other: rank 0 is called at its address, and all become a ring.

Both ends of a connection prove that they know the key, without sending it, before anything
else is read. What follows is neither encrypted nor signed: it belongs into a network of one's own.
"""

import hmac
import json
import secrets
import socket
import struct
import threading
import time
from typing import Any

from tinygrad_rnn.errors import DistributedError

__all__ = ["Address", "meet"]

Address = tuple[str, int]

_MAGIC, _NONCE, _PROOF = b"tinygrad-rnn ring 1\n", 32, 32
_CALLER, _CALLED = b"caller", b"called"
_HANDSHAKE = 10.0  # seconds that a connection has to prove itself
_LONGEST = 1 << 20  # bytes of a message while they meet


class _OtherKeyError(DistributedError):
    """Who is at the other end does not know the key."""


def meet(
    address: Address,
    rank: int,
    size: int,
    key: bytes,
    timeout: float,
    listener: socket.socket | None = None,
) -> tuple[socket.socket, socket.socket]:
    """Connections to the process before this one (whose data come) and to the one behind it.

    listener    of rank 0, where it listens already
    """
    deadline = time.monotonic() + timeout
    try:
        if rank == 0:
            with listener or socket.create_server(address, backlog=size) as listener:
                return _first(listener, size, key, deadline)
        return _other(address, rank, size, key, deadline)
    except DistributedError:
        raise
    except OSError as error:
        raise DistributedError(
            f"SocketGroup: rank {rank} cannot meet the others at {_told(address)}: {error}."
        ) from error


def _first(
    listener: socket.socket, size: int, key: bytes, deadline: float
) -> tuple[socket.socket, socket.socket]:
    """Rank 0: wait for all others, tell them of each other, and close the ring."""
    calls: dict[int, tuple[socket.socket, Any]] = {}
    try:
        while len(calls) < size - 1:
            call, hello = _answered(listener, key, deadline, _absent(calls, size))
            calls[_rank_of(hello, call, calls, size)] = call, hello["listens"]
        table = [None, *(calls[rank][1] for rank in sorted(calls))]
        for rank in sorted(calls):
            _say(calls[rank][0], {"table": table})
    finally:
        for call, _ in calls.values():
            call.close()
    return _ring(listener, tuple(table[1]), 0, size, key, deadline)


def _rank_of(hello: Any, call: socket.socket, calls: Any, size: int) -> int:
    rank: int = hello["rank"]
    wrong = ""
    if hello["size"] != size:
        wrong = f"rank {rank} was told that there are {hello['size']} processes, rank 0 {size}"
    elif rank in calls or not 0 < rank < size:
        wrong = f"two processes have rank {rank}"
    if wrong:
        _say(call, {"wrong": wrong})
        call.close()
        raise DistributedError(
            f"SocketGroup: {wrong}, expected each to be told the same world_size, and a rank of "
            "its own."
        )
    return rank


def _other(
    address: Address, rank: int, size: int, key: bytes, deadline: float
) -> tuple[socket.socket, socket.socket]:
    """Any other rank: call rank 0, and hear where the next one is."""
    call = _called(address, key, deadline, "rank 0")
    with call, socket.create_server((call.getsockname()[0], 0)) as listener:
        _say(call, {"rank": rank, "size": size, "listens": listener.getsockname()[:2]})
        call.settimeout(_left(deadline))
        try:
            answer = _hear(call)
        except OSError as error:
            raise DistributedError(
                f"SocketGroup: rank {rank} has met rank 0 at {_told(address)}, but not all others "
                f"came there in time ({error or 'it hung up'}). Rank 0 says who."
            ) from error
        if "wrong" in answer:
            raise DistributedError(f"SocketGroup: {answer['wrong']}.")
        following = answer["table"][(rank + 1) % size]
        return _ring(listener, tuple(following or address), rank, size, key, deadline)


def _ring(
    listener: socket.socket,
    following: Any,
    rank: int,
    size: int,
    key: bytes,
    deadline: float,
) -> tuple[socket.socket, socket.socket]:
    """Call the next process while the one before calls."""
    found: list[Any] = []

    def call() -> None:
        try:
            found.append(_called(following, key, deadline, f"rank {(rank + 1) % size}"))
            _say(found[0], {"rank": rank})
        except Exception as error:
            found.insert(0, error)

    thread = threading.Thread(target=call, name="calling the next process", daemon=True)
    thread.start()
    before = (rank - 1) % size
    while True:
        left, hello = _answered(listener, key, deadline, f"rank {before} has")
        if hello.get("rank") == before:
            break
        left.close()
    thread.join()
    if isinstance(found[0], Exception):
        left.close()
        raise found[0]
    for connection in (left, found[0]):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
    return left, found[0]


# ----- one connection -----


def _answered(
    listener: socket.socket, key: bytes, deadline: float, who: str
) -> tuple[socket.socket, Any]:
    """The next connection that knows the key, and what it says; strangers are hung up on."""
    strangers = 0
    while True:
        listener.settimeout(_left(deadline))
        try:
            call, _ = listener.accept()
        except TimeoutError:
            more = f"; {strangers} had another key" if strangers else ""
            raise DistributedError(
                f"SocketGroup: {who} not come to {_told(listener.getsockname())} in time{more}. "
                "Expected every process to be started, with the same address, world_size and key."
            ) from None
        try:
            call.settimeout(min(_HANDSHAKE, _left(deadline)))
            _prove(call, key, _CALLED, _CALLER)
            return call, _hear(call)
        except (OSError, ValueError, _OtherKeyError):
            strangers += 1
            call.close()


def _called(address: Any, key: bytes, deadline: float, who: str) -> socket.socket:
    """A connection to who listens at an address, as soon as somebody does."""
    while True:
        try:
            call = socket.create_connection(address, timeout=_left(deadline))
            break
        except OSError as error:
            if time.monotonic() > deadline - 0.1:
                raise DistributedError(
                    f"SocketGroup: nobody answers at {_told(address)}, where {who} should be "
                    f"({error}). Was it started? Is the port open?"
                ) from error
            time.sleep(0.05)
    try:
        _prove(call, key, _CALLER, _CALLED)
    except _OtherKeyError:
        call.close()
        raise DistributedError(
            f"SocketGroup: who answers at {_told(address)}, where {who} should be, has another "
            "key, expected the same in all processes."
        ) from None
    except OSError:
        call.close()
        raise
    return call


def _prove(call: socket.socket, key: bytes, ours: bytes, theirs: bytes) -> None:
    """Show that the key is known here, and see whether it is at the other end."""
    nonce = secrets.token_bytes(_NONCE)
    call.sendall(_MAGIC + nonce)
    start = _read(call, len(_MAGIC) + _NONCE)
    if not start.startswith(_MAGIC):
        raise _OtherKeyError("it is something else that answers")
    other = start[len(_MAGIC) :]
    call.sendall(hmac.digest(key, ours + nonce + other, "sha256"))
    try:
        proof = _read(call, _PROOF)
    except ConnectionError:  # hung up by who was not satisfied with ours
        raise _OtherKeyError("hung up") from None
    if not hmac.compare_digest(proof, hmac.digest(key, theirs + other + nonce, "sha256")):
        raise _OtherKeyError("another key")


def _say(call: socket.socket, message: Any) -> None:
    data = json.dumps(message).encode()
    call.sendall(struct.pack("<I", len(data)) + data)


def _hear(call: socket.socket) -> Any:
    (size,) = struct.unpack("<I", _read(call, 4))
    if size > _LONGEST:
        raise ConnectionError("a message that is too long")
    return json.loads(_read(call, size))


def _read(call: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = call.recv(count - len(data))
        if not part:
            raise ConnectionError("the connection was closed")
        data += part
    return data


def _left(deadline: float) -> float:
    return max(0.05, deadline - time.monotonic())


def _absent(calls: Any, size: int) -> str:
    ranks = [str(rank) for rank in range(1, size) if rank not in calls]
    return f"rank {ranks[0]} has" if len(ranks) == 1 else f"ranks {', '.join(ranks)} have"


def _told(address: Any) -> str:
    return f"{address[0]}:{address[1]}"
