"""The tree that a beam search has looked at: in the terminal, and as a page."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from tinygrad_rnn.decoding.candidates import Candidates
from tinygrad_rnn.decoding.hypotheses import Beam, Hypothesis

__all__ = ["Node", "Trees"]

Names = Callable[[int], str] | Sequence[str] | None

_ACROSS, _DOWN, _MARGIN = 150, 34, 24  # pixels from node to node, and around all


@dataclass(eq=False)
class Node:
    """A token behind those above it; the root is what the search began with.

    log_prob   of the token, as the rules have left it
    total      Σ of them from the beginning
    fate       "kept" in the beam, "finished", or "dropped"
    best       whether the best hypothesis goes through it
    """

    token: int
    log_prob: float = 0.0
    total: float = 0.0
    fate: str = "kept"
    best: bool = False
    children: "list[Node]" = field(default_factory=list, repr=False)

    def walk(self, dropped: bool = True) -> "Iterator[tuple[int, Node]]":
        """Itself and all below, each with its depth, from the top to the bottom."""
        ahead = [(0, self)]
        while ahead:
            depth, node = ahead.pop()
            yield depth, node
            ahead += [(depth + 1, child) for child in reversed(node.shown(dropped))]

    def shown(self, dropped: bool = True) -> "list[Node]":
        """What follows it, with or without what was dropped."""
        return [child for child in self.children if dropped or child.fate != "dropped"]

    def text(self, names: Names = None, dropped: bool = True) -> str:
        """The tree for a terminal; ``names`` are the words of tokens, a list or a function.

        ● is the best hypothesis, ■ an end, × what was dropped, unless ``dropped`` is False.
        """
        lines, ahead = [_name(names, self.token)], list(_lines(self, "", dropped))
        while ahead:
            line, indent, node = ahead.pop()
            mark = {"finished": " ■", "dropped": " ×", "kept": ""}[node.fate]
            numbers = f"  {node.log_prob:.2f}  Σ {node.total:.2f}{mark}{' ●' * node.best}"
            lines.append(line + _name(names, node.token) + numbers)
            ahead += _lines(node, indent, dropped)
        return "\n".join(lines)

    def page(self, names: Names = None, dropped: bool = True) -> str:
        """A page in HTML that holds all it needs, with the tree as a drawing."""
        shown = list(self.walk(dropped))
        places, leaves = _places(shown, dropped)
        width = 2 * _MARGIN + _ACROSS * (1 + max(depth for depth, _ in shown))
        height = 2 * _MARGIN + _DOWN * leaves
        lines, marks = [], []
        for depth, node in shown:
            x, y = places[id(node)]
            for child in node.shown(dropped):
                a, b = places[id(child)]
                bend = (x + a) / 2
                lines.append(
                    f'<path class="{_kind(child)}" d="M{x},{y:.1f} C{bend},{y:.1f} '
                    f'{bend},{b:.1f} {a},{b:.1f}"/>'
                )
            about = f"log P {node.log_prob:.4f}, total {node.total:.4f}, {node.fate}"
            numbers = f"<tspan dx='6'>{node.total:.2f}</tspan>" if depth else ""
            marks.append(
                f'<g class="{_kind(node)}"><title>{about}</title><circle cx="{x}" cy="{y:.1f}" '
                f'r="4"/><text x="{x + 8}" y="{y - 5:.1f}">{escape(_name(names, node.token))}'
                f"{numbers}</text></g>"
            )
        drawing = "\n".join([*lines, *marks])
        return _PAGE.format(width=width, height=f"{height:.0f}", drawing=drawing)


def _lines(node: Node, indent: str, dropped: bool) -> Iterator[tuple[str, str, Node]]:
    """How the lines of what follows a node begin, and those behind them; the last one first."""
    for n, child in enumerate(reversed(node.shown(dropped))):
        line, behind = ("├─ ", "│  ") if n else ("└─ ", "   ")
        yield indent + line, indent + behind, child


def _places(
    walk: list[tuple[int, Node]], dropped: bool
) -> tuple[dict[int, tuple[int, float]], int]:
    """Leaves below each other, and each node in the middle of what follows it; how many leaves.

    A node stands in a walk ahead of what follows it, so the walk back knows that already.
    """
    places: dict[int, tuple[int, float]] = {}
    leaves = sum(not node.shown(dropped) for _, node in walk)
    free = leaves
    for depth, node in reversed(walk):
        below = node.shown(dropped)
        free -= not below
        rows = [places[id(child)][1] for child in below] or [_MARGIN + _DOWN * (free + 0.5)]
        places[id(node)] = _MARGIN + depth * _ACROSS, (rows[0] + rows[-1]) / 2
    return places, leaves


def _kind(node: Node) -> str:
    return f"{node.fate} best" if node.best else node.fate


def _name(names: Names, token: int) -> str:
    if names is None:
        return str(token)
    return names(token) if callable(names) else names[token]


class Trees:
    """Writes down what a search looks at, a tree for each source."""

    def __init__(self, begin: Any, most: int) -> None:
        self.most = most
        self.roots = [Node(int(token)) for token in begin]
        self.nodes: dict[tuple[int, ...], Node] = {
            (source,): root for source, root in enumerate(self.roots)
        }

    def add(self, beam: Beam, found: Candidates, ended: Candidates, kept: Candidates) -> None:
        """A step: of each source as many candidates as end or go on, and the next best."""
        order = np.lexsort((-found.total, found.source))
        fates = {
            (int(row), int(token)): fate
            for some, fate in ((kept, "kept"), (ended, "finished"))
            for row, token in zip(some.row, some.token, strict=True)
        }
        dropped = dict.fromkeys(found.lane.tolist(), 0)
        for n in order:
            lane, row, token = int(found.lane[n]), int(found.row[n]), int(found.token[n])
            fate = fates.get((row, token), "dropped")
            dropped[lane] += fate == "dropped"
            if fate == "dropped" and dropped[lane] > self.most:
                continue
            path = (int(beam.source[row]), *beam.tokens[row, 1:].tolist())
            known = self.nodes.get((*path, token))
            if known is not None:  # another group has it, too
                known.fate = fate if known.fate == "dropped" else known.fate
                continue
            node = Node(token, float(found.step[n]), float(found.total[n]), fate)
            self.nodes[(*path, token)] = node
            self.nodes[path].children.append(node)

    def marked(self, best: list[list[Hypothesis]]) -> list[Node]:
        """The trees, with the best hypotheses marked."""
        for source, (first, *_) in enumerate(best):
            path = (source, *first.tokens.tolist())
            for end in range(1, len(path) + 1):
                self.nodes[path[:end]].best = True
        return self.roots


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Beam search</title><style>
:root {{ color-scheme: light dark; --ink: #222; --pale: #aaa; --best: #c2410c; --end: #1d4ed8 }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #ddd; --pale: #666; --best: #fb923c; --end: #93c5fd }} }}
body {{ font: 14px system-ui, sans-serif; margin: 1rem; color: var(--ink) }}
svg {{ font: 13px system-ui, sans-serif }}
text {{ fill: var(--ink); paint-order: stroke; stroke: Canvas; stroke-width: 4px }}
tspan {{ fill: var(--pale); font-size: 11px }}
path {{ fill: none; stroke: var(--ink); stroke-width: 1.2 }} circle {{ fill: var(--ink) }}
path.dropped {{ stroke: var(--pale); stroke-dasharray: 3 3 }}
.dropped text, .dropped circle {{ fill: var(--pale) }}
.finished circle {{ fill: var(--end) }}
path.best {{ stroke: var(--best); stroke-width: 3 }} .best text {{ font-weight: 600 }}
.best circle {{ stroke: var(--best); stroke-width: 3 }}
</style></head><body>
<p>Each token with the sum of log-probabilities up to it. Thick: the best hypothesis;
blue: finished; dashed: dropped from the beam.</p>
<div style="overflow:auto"><svg width="{width}" height="{height}"
xmlns="http://www.w3.org/2000/svg">
{drawing}
</svg></div></body></html>
"""
