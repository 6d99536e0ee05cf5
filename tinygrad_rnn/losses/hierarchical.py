"""Hierarchical softmax: a class is found by yes or no, down a tree."""

import math
from heapq import heapify, heappop, heapreplace
from typing import Any

import numpy as np

from tinygrad_rnn import ops
from tinygrad_rnn.arguments import shortened, whole
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.losses.layers import ClassLoss
from tinygrad_rnn.nn import Parameter, init
from tinygrad_rnn.tensor import Tensor, as_array, constant

__all__ = ["HierarchicalSoftmax"]


class HierarchicalSoftmax(ClassLoss):
    """A softmax as a walk down a binary tree whose leaves are the classes (Morin & Bengio 2005).

        p(c) = Π_j σ(t_j (h · weight[n_j] + bias[n_j]))

    n_1, n_2, ... are the inner nodes on the way from the root to c, and t_j is 1 where the way
    goes to the first child, else -1. A loss costs as many products of D numbers as the way is
    long, about log2 V, instead of V. The probabilities of all classes sum to 1.

    Args:
        in_features: D.
        counts: How often each class occurs: the tree is Huffman's, ways to frequent classes
            are short. Or V, for a tree in which all ways are about equally long.
    """

    def __init__(self, in_features: int, counts: Any) -> None:
        where = "HierarchicalSoftmax"
        occurs = as_array(counts, where, exact=True)
        if not occurs.ndim:
            occurs = np.ones(whole(where, "counts", counts, least=2))
        if occurs.ndim != 1 or len(occurs) < 2 or not (occurs >= 0).all():
            raise ArgumentError(
                f"{where}: counts is {shortened(counts)}, expected how often each of two or more "
                "classes occurs, from 0 up, or how many classes there are."
            )
        super().__init__(in_features, len(occurs))
        self.tree = _huffman(occurs)
        # Where each class's way leads: inner nodes and signs, filled up with the sign 0.
        self.ways, self.signs = _ways(self.tree)
        self.weight = Parameter(np.zeros((self.classes - 1, self.in_features), np.float32))
        self.bias = Parameter(np.zeros(self.classes - 1, np.float32))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the vectors evenly from -1/√D to 1/√D; biases start at 0."""
        bound = 1.0 / math.sqrt(self.in_features)
        init.uniform_(self.weight, -bound, bound)
        init.zeros_(self.bias)

    def _losses(self, h: Tensor, ids: Array, *, summed: bool) -> Tensor:
        ways, signs = self.ways[ids], self.signs[ids]  # (N, steps)
        vectors = ops.embedding(self.weight, ways)  # (N, steps, D)
        scores = (vectors @ h.reshape(*h.shape, 1)).squeeze(-1)
        scores = scores + ops.embedding(self.bias, ways)
        steps = ops.where(signs != 0, ops.softplus(scores * constant(-signs, scores)), 0.0)
        return steps.sum() if summed else steps.sum(-1)

    def log_prob(self, h: object) -> Tensor:
        """The logarithm of the probability of every class: h (..., D) -> (..., V)."""
        h = self._rows(h)
        scores = ops.linear(h, self.weight.T, self.bias)
        # Both ways out of every node, then the sums from the root down, a level at a time.
        first, second = -ops.softplus(-scores), -ops.softplus(scores)
        nodes, reached = np.array([self.classes - 2]), None  # the root was made last
        found, classes = [], []
        while len(nodes):
            both = ops.stack([first[..., nodes], second[..., nodes]], axis=-1)
            if reached is not None:
                both = both + reached.reshape(*reached.shape, 1)
            both = both.reshape(*h.shape[:-1], 2 * len(nodes))
            below = self.tree[nodes].reshape(-1)
            leaves = below < self.classes
            found.append(both[..., np.flatnonzero(leaves)])
            classes.append(below[leaves])
            nodes, reached = below[~leaves] - self.classes, both[..., np.flatnonzero(~leaves)]
        return ops.concat(found, axis=-1)[..., np.argsort(np.concatenate(classes))]

    def extra_repr(self) -> str:
        """D, V and the longest way."""
        return f"{self.in_features}, {self.classes}, steps={self.ways.shape[1]}"


def _huffman(counts: Array) -> Array:
    """The children of each inner node (V - 1, 2); c < V is a class, V + n the inner node n.

    The two rarest are joined until one is left, the older one first among equals.
    """
    V = len(counts)
    heap = [(float(count), number) for number, count in enumerate(counts)]
    heapify(heap)
    children = np.empty((V - 1, 2), np.int64)
    for node in range(V - 1):
        few, a = heappop(heap)
        more, b = heap[0]
        heapreplace(heap, (few + more, V + node))
        children[node] = a, b
    return children


def _ways(children: Array) -> tuple[Array, Array]:
    """The inner nodes and the signs on the way to each class (V, steps); the sign 0 ends it."""
    V = len(children) + 1
    way: list[list[tuple[int, int]]] = [[] for _ in range(2 * V - 1)]
    for node in range(V - 2, -1, -1):  # parents come after their children
        for child, sign in zip(children[node], (1, -1), strict=True):
            way[child] = [*way[V + node], (node, sign)]
    steps = max(map(len, way[:V]))
    nodes, signs = np.zeros((V, steps), np.int64), np.zeros((V, steps), np.int8)
    for c in range(V):
        nodes[c, : len(way[c])], signs[c, : len(way[c])] = zip(*way[c], strict=True)
    return nodes, signs
