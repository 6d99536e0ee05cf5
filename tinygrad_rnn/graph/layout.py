"""Places for boxes and arrows: layers from top to bottom, in the manner of Sugiyama.

Boxes are numbered so that an arrow leads from a smaller to a larger number. An arrow over
several layers bends around the boxes between: it gets a thin box of its own on each.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

__all__ = ["Drawing", "arrange"]

Point = tuple[float, float]

_GAP_X, _GAP_Y, _THIN = 28.0, 44.0, 6.0
_SORTING, _STRAIGHTENING = 8, 12  # sweeps


class Drawing(NamedTuple):
    """The centre of every box, the points of every arrow, and the size of it all."""

    centres: list[Point]
    arrows: list[list[Point]]
    width: float
    height: float


def arrange(sizes: Sequence[tuple[float, float]], edges: Sequence[tuple[int, int]]) -> Drawing:
    """Place boxes of the given widths and heights, joined by arrows."""
    layer = _layers(len(sizes), edges)
    widths = [w for w, _ in sizes]
    chains = []
    links: list[tuple[int, int]] = []
    for start, end in edges:
        between = range(len(widths), len(widths) + layer[end] - layer[start] - 1)
        widths += [_THIN] * len(between)
        layer += range(layer[start] + 1, layer[end])
        chain = [start, *between, end]
        chains.append(chain)
        links += pairwise(chain)
    rows: list[list[int]] = [[] for _ in range(max(layer, default=-1) + 1)]
    for box, row in enumerate(layer):
        rows[row].append(box)
    xs = _places(rows, links, widths)
    heights = [max((sizes[b][1] for b in row if b < len(sizes)), default=0.0) for row in rows]
    tops = [sum(heights[:i]) + i * _GAP_Y for i in range(len(rows))]
    middle = [tops[r] + heights[r] / 2 for r in layer]
    left = min((x - w / 2 for x, w in zip(xs, widths, strict=True)), default=0.0)
    xs = [x - left for x in xs]
    arrows = []
    for start, *thins, end in chains:
        points = [(xs[start], middle[start] + sizes[start][1] / 2)]
        for thin in thins:
            row = layer[thin]
            points += [(xs[thin], tops[row]), (xs[thin], tops[row] + heights[row])]
        arrows.append([*points, (xs[end], middle[end] - sizes[end][1] / 2)])
    centres = [(xs[i], middle[i]) for i in range(len(sizes))]
    width = max((x + w / 2 for x, w in zip(xs, widths, strict=True)), default=0.0)
    return Drawing(centres, arrows, width, tops[-1] + heights[-1] if rows else 0.0)


def _layers(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """Each box above everything that it leads to, and no higher than that takes."""
    height = [0] * count
    for start, end in sorted(edges, reverse=True):
        height[start] = max(height[start], height[end] + 1)
    top = max(height, default=0)
    return [top - h for h in height]


def _places(
    rows: list[list[int]], links: list[tuple[int, int]], widths: list[float]
) -> list[float]:
    """A horizontal place for every box: near to its neighbours, and no two overlap."""
    above: list[list[int]] = [[] for _ in widths]
    below: list[list[int]] = [[] for _ in widths]
    for start, end in links:
        below[start].append(end)
        above[end].append(start)
    xs = [0.0] * len(widths)
    for row in rows:
        _pack(row, [0.0] * len(row), widths, xs)
    for sweep in range(_SORTING + _STRAIGHTENING):
        down, sorting = sweep % 2 == 0, sweep < _SORTING
        for row in rows if down else rows[::-1]:
            wish = {}
            for box in row:
                near = above[box] if down else below[box]
                near = near if sorting else above[box] + below[box]
                wish[box] = sum(xs[b] for b in near) / len(near) if near else xs[box]
            if sorting:
                row.sort(key=wish.__getitem__)
            _pack(row, [wish[box] for box in row], widths, xs)
    return xs


def _pack(row: list[int], wishes: list[float], widths: list[float], xs: list[float]) -> None:
    """Give a row places as near to the wished ones as its order and gaps allow.

    Boxes that would overlap move together, to the mean of their wishes (pool adjacent
    violators, which minimises the sum of squares).
    """
    offsets = [0.0]
    for left, right in pairwise(row):
        offsets.append(offsets[-1] + (widths[left] + widths[right]) / 2 + _GAP_X)
    groups: list[tuple[float, int]] = []
    for wish, offset in zip(wishes, offsets, strict=False):
        mean, count = wish - offset, 1
        while groups and groups[-1][0] > mean:
            other, more = groups.pop()
            mean = (mean * count + other * more) / (count + more)
            count += more
        groups.append((mean, count))
    means = [mean for mean, count in groups for _ in range(count)]
    for box, mean, offset in zip(row, means, offsets, strict=False):
        xs[box] = mean + offset
