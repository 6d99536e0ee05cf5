"""DataParallel: one model in several processes, each of which reads its share of every batch."""

import json
import math
from typing import Any

import numpy as np

from tinygrad_rnn import random
from tinygrad_rnn.arguments import bounded, flag
from tinygrad_rnn.device import there
from tinygrad_rnn.engine import backward_each
from tinygrad_rnn.errors import ArgumentError, DistributedError
from tinygrad_rnn.nn import Module
from tinygrad_rnn.optim.arrays import copy_of
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.training.parallel.buckets import Buckets
from tinygrad_rnn.training.parallel.group import ProcessGroup

__all__ = ["DataParallel"]


class DataParallel:
    """A model that several processes train together, as one process would on all of a batch.

        shared = parallel.DataParallel(model, group)
        for x, y in data.Batches((xs, ys), 64, rank=group.rank, world_size=group.size):
            loss = losses.cross_entropy(model(x), y)      # the mean over the share
            shared.backward(loss, weight=len(y))          # the gradient of the mean over the batch
            optimizer.step()
            optimizer.zero_grad()

    All processes begin with parameters and buffers of rank 0. Gradients are averaged in buckets
    while the walk back goes on, and have the same bits everywhere, so weights stay the same, too.
    Models have to be alike, and all processes make the same calls.

    Args:
        bucket_mb: Megabytes of gradients that are sent together.
        seed_by_rank: Let every rank but the first go on with another stream of random numbers, so
            that shares are not dropped out of alike. What shuffles data has a seed of its own.
    """

    def __init__(
        self,
        model: Module,
        group: ProcessGroup,
        *,
        bucket_mb: float = 4.0,
        seed_by_rank: bool = True,
    ) -> None:
        if not isinstance(model, Module) or not isinstance(group, ProcessGroup):
            raise ArgumentError(
                f"DataParallel: given a {type(model).__name__} and a {type(group).__name__}, "
                "expected a Module and a ProcessGroup, such as parallel.SocketGroup."
            )
        self.model, self.group = model, group
        self.bucket_bytes = int(bounded("DataParallel", "bucket_mb", bucket_mb, above=0) * 2**20)
        _check_alike(model, group)
        for _, tensor in (*model.named_parameters(), *model.named_buffers()):
            _from_root(tensor, group)
        if flag("DataParallel", "seed_by_rank", seed_by_rank):
            _separate_streams(group)
        self._buckets = Buckets(group, [], self.bucket_bytes)

    def broadcast_buffers(self) -> None:
        """Give all processes the buffers of rank 0, such as running means of BatchNorm."""
        for _, tensor in self.model.named_buffers():
            _from_root(tensor, self.group)

    def backward(
        self, loss: Tensor | None, weight: float = 1.0, *, last: bool = True, flags: Any = ()
    ) -> list[bool]:
        """Add the gradient of the mean loss of all processes to ``grad`` of each parameter.

        It is Σ weight · loss / Σ weight over the processes: with the number of rows, or of
        tokens, that the mean of a share is over, it is that of the whole batch. Leaves that are
        not the model's get the gradient of this process's loss.

        Args:
            loss: A number; None where the share is empty.
            weight: How much the share counts; 0 where it is empty.
            last: Whether the step follows. Where it does not, gradients add up in the buckets,
                and are sent with those of the last call.
            flags: Answers of this process to some questions; those of all are returned, each
                true where one said so. With ``last`` only.
        """
        share = self._share(loss, weight)
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        if not self._buckets.are_of(parameters):
            self._buckets = Buckets(self.group, parameters, self.bucket_bytes)
        buckets = self._buckets
        buckets.begin(last)
        try:
            if loss is not None:
                backward_each(loss, lambda leaf, g: self._receive(leaf, g, share))
            return self._end(flags) if last else []
        except BaseException:
            buckets.forget()
            raise

    def _share(self, loss: Tensor | None, weight: float) -> float:
        """Which part of the batch this is."""
        weight = float(weight)
        if not (math.isfinite(weight) and weight >= 0) or (loss is None) != (weight == 0):
            raise ArgumentError(
                f"DataParallel.backward: weight is {weight:g} and the loss "
                f"{'None' if loss is None else 'a Tensor'}, expected a weight above 0, or 0 and "
                "None where a share is empty."
            )
        total = np.array([weight])
        self.group.all_reduce(total)
        if not total[0]:
            raise ArgumentError(
                "DataParallel.backward: the shares of all processes are empty, expected a row in "
                "one of them."
            )
        return weight / float(total[0])

    def _receive(self, leaf: Tensor, gradient: Any, share: float) -> None:
        if leaf in self._buckets:
            self._buckets.add(leaf, gradient, share)
        else:
            _add(leaf, gradient)

    def _end(self, flags: Any) -> list[bool]:
        """Wait for the sums, and hand them out; a gradient that nobody has is none."""
        buckets = self._buckets
        buckets.finish()
        said = [p in buckets.given for p in buckets.parameters] + [bool(one) for one in flags]
        answers = np.array(said, np.float64)
        self.group.all_reduce(answers)  # goes over the CPU, and waits for no GPU
        sums = buckets.sums()
        for parameter, count in zip(buckets.parameters, answers, strict=False):
            if count:
                _add(parameter, sums[parameter])
        buckets.forget()
        return [bool(count) for count in answers[len(buckets.parameters) :]]

    def __repr__(self) -> str:
        return f"DataParallel({type(self.model).__name__}, {self.group!r})"


def _add(leaf: Tensor, gradient: Any) -> None:
    """Add to ``grad``, in an array of its own: one that was handed out stays as it is."""
    total = copy_of(gradient)
    if leaf.grad is not None:
        with there(total):
            total += leaf.grad._data
    leaf.grad = Tensor(total)


def _from_root(tensor: Tensor, group: ProcessGroup) -> None:
    array = copy_of(tensor._data)
    if tensor.size:
        group.broadcast(array.view(np.uint8) if tensor.dtype == np.bool_ else array)
        tensor.assign_(array)


def _check_alike(model: Module, group: ProcessGroup) -> None:
    """All processes raise where one has another model than rank 0."""
    mine = {
        name: f"{tensor.dtype}{list(tensor.shape)}"
        for name, tensor in (*model.named_parameters(), *model.named_buffers())
    }
    theirs = json.loads(group.broadcast_bytes(json.dumps(mine).encode()))
    wrong = [
        f"{name} is {mine.get(name, 'missing')}, and {theirs.get(name, 'missing')} on rank 0"
        for name in (*mine, *(theirs.keys() - mine.keys()))
        if mine.get(name) != theirs.get(name)
    ]
    if not wrong and list(mine) != list(theirs):
        wrong = ["the same parameters stand in another order than on rank 0"]
    more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    said = group.all_gather_bytes(("; ".join(wrong[:3]) + more).encode())
    for rank, text in enumerate(said):
        if text:
            raise DistributedError(
                f"DataParallel: on rank {rank} {text.decode()}, expected the same model in all "
                "processes."
            )


def _separate_streams(group: ProcessGroup) -> None:
    """From where rank 0's stream stands, each rank takes the part of it that is its own."""
    state = json.loads(group.broadcast_bytes(json.dumps(_plain(random.get_state())).encode()))
    source = np.random.Philox()
    source.state = _arrays(state)
    random.set_state(dict((source.jumped(group.rank) if group.rank else source).state))


def _plain(state: Any) -> Any:
    """A generator's state in what JSON has."""
    if isinstance(state, dict):
        return {name: _plain(part) for name, part in state.items()}
    if isinstance(state, np.ndarray):
        return {"array": [int(number) for number in state]}
    return state.item() if isinstance(state, np.generic) else state


def _arrays(state: Any) -> Any:
    if isinstance(state, dict):
        if set(state) == {"array"}:
            return np.array(state["array"], np.uint64)
        return {name: _arrays(part) for name, part in state.items()}
    return state
