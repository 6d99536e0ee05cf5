"""Runs that are replayed: the launches of one, recorded as a graph, launched as one.

A graph knows addresses. It may be replayed whenever all arrays of a run stand where they stood
when it was recorded: they are alive then, and it does with them what its launches would. In a
loop that trains, memory goes round, so that soon each run meets its like.
"""

from collections import OrderedDict
from typing import Any

from tinygrad_rnn.kernels import _cuda
from tinygrad_rnn.kernels._room import address_of
from tinygrad_rnn.kernels.recurrence.gpu_walk import Walk

__all__ = ["forget", "launched"]

_FEWEST = 8  # steps that are worth a graph
_MOST = 64  # graphs that are kept
# By all that a run's launches depend on: what keeps the key's parts alive, and the graph once
# the same has been met again.
_graphs: OrderedDict[tuple[Any, ...], tuple[Any, Any]] = OrderedDict()


def launched(walk: Walk, backwards: bool) -> None:
    """Launch all of a run, or replay it."""
    if walk.schedule.steps < _FEWEST or _cuda.watched():
        for launch in walk.launches(backwards):
            launch.go()
        return
    key = _key(walk, backwards)
    met = _graphs.get(key)
    if met is None:
        _keep(key, (walk.module, walk.schedule), None)
        for launch in walk.launches(backwards):
            launch.go()
        return
    alive, graph = met
    graph = graph or _recorded(walk, backwards)
    _keep(key, alive, graph)
    graph.launch(_cuda.require().cuda.get_current_stream())


def forget() -> None:
    """Forget all graphs."""
    _graphs.clear()


def _recorded(walk: Walk, backwards: bool) -> Any:
    """The launches of a run as a graph; nothing of them is done yet."""
    stream = _cuda.require().cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        try:
            for launch in walk.launches(backwards):
                launch.go()
        finally:
            graph = stream.end_capture()
    return graph


def _keep(key: tuple[Any, ...], alive: Any, graph: Any) -> None:
    """Keep it, as what was asked for last."""
    _graphs.pop(key, None)
    _graphs[key] = alive, graph
    while len(_graphs) > _MOST:
        _graphs.popitem(last=False)


def _key(walk: Walk, backwards: bool) -> tuple[Any, ...]:
    """All that the launches of a run depend on."""
    given = [*walk.values.values(), *walk.weights.values()]
    places = [address_of(v) if hasattr(v, "data") else v for v in given]
    names = tuple(walk.values)
    where = walk.run.like.device.id
    return where, id(walk.module), id(walk.schedule), walk.run.reverse, backwards, names, *places
