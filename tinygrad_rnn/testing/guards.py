"""What a test must not leave behind: modes, numbers of threads, recorded graphs.

The random stream may be drawn from; it is put back, so that no test depends on another.
"""

import gc
import sys
from collections.abc import Callable

from tinygrad_rnn import modes, random
from tinygrad_rnn.device import num_threads, set_num_threads
from tinygrad_rnn.engine import Node

__all__ = ["Guard"]


class Guard:
    """The state before a test; ``leaks`` compares, says what is left, and puts it back."""

    def __init__(self, nodes: "Callable[[], int] | None" = None) -> None:
        self._nodes = nodes or alive_nodes
        self._threads = num_threads()
        self._stream = random.get_state()
        self._recording, self._inference = modes.recording.get(), modes._inference.get()
        self._entered = modes._entered.get()
        self._alive = self._nodes()

    def leaks(self, *, graphs: bool = True) -> list[str]:
        """A sentence for each thing that the test has left behind."""
        found = []
        if bool(modes.recording.get()) != bool(self._recording):
            found.append(
                f"recording is {'on' if modes.recording.get() else 'off'}: no_grad() or "
                "enable_grad() was entered and not left"
            )
        elif modes.recording.get() is not self._recording:
            found.append("a debug() session was entered and not left")
        if modes._inference.get() != self._inference:
            found.append("inference_mode() was entered and not left")
        if num_threads() != self._threads:
            found.append(f"kernels use {num_threads()} threads, before it was {self._threads}")
        if graphs and (alive := self._nodes()) > self._alive:
            found.append(
                f"{alive - self._alive} operations of recorded graphs are still alive: a global, "
                "a cache or a fixture of a wider scope holds a result; detach() it"
            )
        self._restore()
        return found

    def _restore(self) -> None:
        modes.recording.set(self._recording)
        modes._inference.set(self._inference)
        modes._entered.set(self._entered)
        set_num_threads(self._threads)
        random.set_state(self._stream)


class _Counter:
    """Counts the nodes that are alive, without looking at every object each time.

    Every instance holds a reference to its class. As long as these are as many as before,
    so are the nodes. (On a Python without the GIL they are not counted, and all is looked at.)
    What has been looked at and holds none is frozen: later looks, and the collections before
    them, pass it over, or each would take a good part of a second towards the end of a long run.
    """

    def __init__(self) -> None:
        self._references, self._count = -1, 0
        self._counted = getattr(sys, "_is_gil_enabled", lambda: True)()

    def __call__(self) -> int:
        """The number of nodes, once nothing holds more of them than before but what leaks."""
        if sys.getrefcount(Node) > self._references >= 0:
            gc.collect(1)  # the cycles that a test has just left, nearly always
        if sys.getrefcount(Node) != self._references or not self._counted:
            self._look()
        return self._count

    def _look(self) -> None:
        _forget_what_is_no_leak()
        self._count = sum(type(x) is Node for x in gc.get_objects())
        self._references = sys.getrefcount(Node)
        if not self._count:
            gc.freeze()


def _forget_what_is_no_leak() -> None:
    """Cycles, as through the traceback of an expected error, and strategies that were drawn from.

    Hypothesis keeps the latest strategies, and ``sampled_from(tensors)`` what it samples from.
    """
    kept = sys.modules.get("hypothesis.strategies._internal.utils")
    getattr(kept, "clear_strategy_cache", lambda: None)()
    gc.collect()


alive_nodes = _Counter()
