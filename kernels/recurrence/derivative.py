"""The derivative of a lowered program: which values are kept, a backward segment per segment.

The derivative rules are those of the primitives (``rule(F, g, out, *inputs, **attrs)``),
run here over expressions: one formula serves the engine and the kernel.

What the forward segments *save* costs no memory: a value whose formula is costly, such as
a gate, takes the place of the slot that it was computed from, once nothing else wants that.
Everything else that the rules ask for is computed again from what is there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tinygrad_rnn.kernels.recurrence.blocks import Expressions, Target
from tinygrad_rnn.kernels.recurrence.elementwise import COMPARISONS, ELEMENTWISE
from tinygrad_rnn.kernels.recurrence.lowering import Lowered

__all__ = ["Derivative", "Effect", "Rules", "differentiate"]

COSTLY = frozenset(name for name, op in ELEMENTWISE.items() if op.costly)


@dataclass(frozen=True, eq=False)
class Rules:
    """The derivative rules of the element-wise operations, by name: one for each operand.

    They come from the caller, who has them beside his own operations. Kernels are kept for
    each of these objects: make one, and give always the same.
    """

    by_name: Mapping[str, Sequence[Callable[..., Any] | None]]


@dataclass(frozen=True)
class Effect:
    """Something that a backward segment writes.

    kind     d_slot (buffer, block), d_state (number, block), d_input (block),
             d_param (name, block), d_scalar (name, letter of the rows it meets)
    node     the expression, or None for zero
    adds     to what is there already
    """

    kind: str
    place: tuple[Any, ...]
    node: int | None
    adds: bool


@dataclass
class Derivative:
    """What backward does, segment by segment in the order of the forward ones.

    saved       node -> the slot that holds it after its segment has run
    columns     weights whose gradient is the sum of blocks of d_slot: name -> slots
    """

    effects: list[list[Effect]]
    saved: dict[int, tuple[int, int]]
    columns: dict[str, list[tuple[int, int]]] = field(default_factory=dict)


# ----- expressions with operators, for the rules -----


class _Formula:
    """An expression with Python's operators; simplifies what rules often make."""

    __slots__ = ("node", "table")

    __hash__ = object.__hash__

    def __init__(self, table: Expressions, node: int) -> None:
        self.table = table
        self.node = node

    @property
    def constant(self) -> float | None:
        """The value, if it is a constant."""
        expression = self.table[self.node]
        return expression.attrs[0] if expression.name == "const" else None

    def lift(self, value: Any) -> "_Formula":
        """The value as a node of the same table."""
        if isinstance(value, _Formula):
            return value
        return _Formula(self.table, self.table.put("const", (), (float(value),)))

    def make(self, name: str, *others: Any, **attrs: Any) -> "_Formula":
        """The node ``name self others``."""
        args = [self.node, *(self.lift(o).node for o in others)]
        return _Formula(self.table, self.table.put(name, args, sorted(attrs.items())))

    def is_condition(self) -> bool:
        """Whether it is a comparison, or made of comparisons."""
        return self.table[self.node].name in (*COMPARISONS, "and")

    def __mul__(self, given: Any) -> "_Formula":
        other = self.lift(given)
        if other.is_condition():
            return other.make("where", self, 0.0)
        for one, rest in ((self, other), (other, self)):
            if one.constant == 0:
                return one
            if one.constant == 1:
                return rest
            if one.constant == -1:
                return -rest
        return self.make("mul", other)

    def __add__(self, given: Any) -> "_Formula":
        other = self.lift(given)
        if self.constant == 0:
            return other
        return self if other.constant == 0 else self.make("add", other)

    def __sub__(self, given: Any) -> "_Formula":
        other = self.lift(given)
        return self if other.constant == 0 else self.make("sub", other)

    def __rsub__(self, other: Any) -> "_Formula":
        return self.lift(other) - self

    def __truediv__(self, other: Any) -> "_Formula":
        return self.make("div", other)

    def __rtruediv__(self, other: Any) -> "_Formula":
        return self.lift(other).make("div", self)

    def __neg__(self) -> "_Formula":
        expression = self.table[self.node]
        if expression.name == "neg":
            return _Formula(self.table, expression.args[0])
        return self.make("neg") if self.constant is None else self.lift(-self.constant)

    __rmul__ = __mul__
    __radd__ = __add__

    def __gt__(self, other: Any) -> "_Formula":
        return self.make("gt", other)

    def __ge__(self, other: Any) -> "_Formula":
        return self.make("ge", other)

    def __lt__(self, other: Any) -> "_Formula":
        return self.make("lt", other)

    def __le__(self, other: Any) -> "_Formula":
        return self.make("le", other)

    def __eq__(self, other: object) -> "_Formula":  # type: ignore[override]
        return self.make("eq", other)

    def __and__(self, other: Any) -> "_Formula":
        return self.make("and", other)


class _Functions:
    """The ``F`` of the rules: every function makes a node."""

    def where(self, condition: Any, a: Any, b: Any) -> Any:
        """A choice, left out where both sides are the same."""
        a, b = condition.lift(a), condition.lift(b)
        return a if a.node == b.node else condition.make("where", a, b)

    # One pass over arrays elsewhere; here formulas, which the kernel's own passes take in.
    def tanh_slope(self, g: Any, y: Any) -> Any:
        """The slope of tanh, by its result."""
        return g * (1.0 - y * y)

    def sigmoid_slope(self, g: Any, y: Any) -> Any:
        """The slope of the logistic function, by its result."""
        return g * y * (1.0 - y)

    def rectify_slope(self, g: Any, y: Any) -> Any:
        """The slope of a rectifier, by its result."""
        return g * self.sign(y)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda x, *others, **attrs: x.make(name, *others, **attrs)


# ----- differentiating -----


def differentiate(lowered: Lowered, rules: Rules) -> Derivative:
    """Differentiate every segment and decide what is saved."""
    work = _Differentiation(lowered, rules)
    effects = [work.segment(s) for s in reversed(lowered.segments)][::-1]
    work.zeros(effects)
    saved = _saved(lowered, effects, work.forward_nodes)
    return Derivative(effects, saved, work.columns(effects))


# The gradient of a node so far, by the letter of the rows that it comes from: one number may meet
# rows of several widths, and what it gets of each is summed up over other columns.
_Adjoints = dict[tuple[int, str], _Formula]


class _Differentiation:
    def __init__(self, lowered: Lowered, rules: Rules) -> None:
        self.lowered = lowered
        self.rules = rules.by_name
        self.table = lowered.expressions
        self.forward_nodes = len(self.table.entries)
        self.written: set[tuple[str, tuple[Any, ...]]] = set()

    def segment(self, targets: list[Target]) -> list[Effect]:
        """What the gradients of a segment's targets do to its leaves."""
        table = self.table
        adjoints: _Adjoints = {}
        for target in targets:
            letter = table[target.node].letter
            g = self.seed(target.kind, target.number, target.block, letter)
            self.gather(adjoints, target.node, g)
            if target.kind == "state" and target.number == self.lowered.output_state:
                self.gather(adjoints, target.node, self.seed("output", 0, target.block, letter))
        letters = sorted({letter for _, letter in adjoints})
        for node in sorted(table.cone(t.node for t in targets), reverse=True):
            for letter in letters:
                if (node, letter) in adjoints and table[node].args:
                    self.spread(adjoints, node, letter)
        return self.effects(adjoints)

    def seed(self, kind: str, number: int, block: int, letter: str) -> _Formula:
        place = (block,) if kind == "output" else (number, block)
        return _Formula(self.table, self.table.put(f"d_{kind}", (), place, letter))

    def gather(self, adjoints: _Adjoints, node: int, g: _Formula) -> None:
        key = node, self.table[node].letter or self.table[g.node].letter
        adjoints[key] = adjoints[key] + g if key in adjoints else g

    def spread(self, adjoints: _Adjoints, node: int, letter: str) -> None:
        """Send the gradient of a node on to its arguments, by the rules of its operation."""
        expression = self.table[node]
        if expression.name in COMPARISONS:
            return
        args = [_Formula(self.table, a) for a in expression.args]
        out = _Formula(self.table, node)
        for arg, rule in zip(args, self.rules[expression.name], strict=True):
            if rule is not None and arg.constant is None:
                g = rule(_Functions(), adjoints[node, letter], out, *args, **dict(expression.attrs))
                if g.constant != 0:
                    self.gather(adjoints, arg.node, g)

    def effects(self, adjoints: _Adjoints) -> list[Effect]:
        """What is written for each leaf that has a gradient."""
        kinds = ("slot", "state", "input", "param", "scalar")
        effects = []
        for (node, letter), g in sorted(adjoints.items()):
            expression = self.table[node]
            if expression.name in kinds:
                more = (letter,) if expression.name == "scalar" else ()
                place = "d_" + expression.name, (*expression.attrs, *more)
                # Rows of weights' gradients are started with zeros, and go on over time.
                adds = place in self.written or expression.name in ("param", "scalar")
                self.written.add(place)
                effects.append(Effect(*place, g.node, adds))
        return effects

    def zeros(self, effects: list[list[Effect]]) -> None:
        """Start with zero, in the segment that backward does first, what only products add to."""
        lowered, first = self.lowered, effects[-1]
        for number, (_, width) in enumerate(lowered.program.states):
            for block in range(width.count):
                self.start("d_state", (number, block), effects, first)
        for index, buffer in enumerate(lowered.buffers):
            for block in range(buffer.blocks):
                if ("d_slot", (index, block)) not in self.written:
                    first.append(Effect("d_slot", (index, block), None, adds=False))
        x = lowered.program.input
        for block in range(x.count if x and lowered.reads_input else 0):
            if ("d_input", (block,)) not in self.written:
                first.append(Effect("d_input", (block,), None, adds=False))

    def start(
        self, kind: str, place: tuple[Any, ...], effects: list[list[Effect]], first: list[Effect]
    ) -> None:
        if any(e.kind == kind and e.place == place and not e.adds for e in first):
            return
        for segment in effects:
            for i, effect in enumerate(segment):
                if effect.kind == kind and effect.place == place:
                    segment[i] = Effect(kind, place, effect.node, adds=True)
        first.append(Effect(kind, place, None, adds=False))

    def columns(self, effects: list[list[Effect]]) -> dict[str, list[tuple[int, int]]]:
        """Weights that are only added to slots: their gradient is a sum of d_slot's columns.

        Their effects are taken out of the segments.
        """
        found: dict[str, list[tuple[int, int]]] = {}
        for name, shape in self.lowered.program.params:
            every = [
                (segment, e)
                for segment in effects
                for e in segment
                if e.kind == "d_param" and e.place[0] == name
            ]
            slots = []
            for segment, effect in sorted(every, key=lambda pair: pair[1].place[1]):
                same = [e for e in segment if e.node == effect.node and self.stays(e)]
                same = [e for e in same if sum(o.place == e.place for s in effects for o in s) == 1]
                slots += [same[0].place] if same else []
            if every and len(slots) == len(every) == shape[0].count:
                found[name] = slots
                for segment, effect in every:
                    segment.remove(effect)
        return found

    def stays(self, effect: Effect) -> bool:
        """Whether it is the gradient of a slot, and still what is there after all steps."""
        # In front of a standardised row there will be that of what was standardised.
        return effect.kind == "d_slot" and self.lowered.buffers[effect.place[0]].eps is None


# ----- what is saved -----


def _saved(
    lowered: Lowered, effects: list[list[Effect]], forward_nodes: int
) -> dict[int, tuple[int, int]]:
    """Values to leave in slots: costly ones that backward asks for."""
    table = lowered.expressions
    roots = [e.node for segment in effects for e in segment if e.node is not None]
    wanted = [n for n in table.cone(roots) if n < forward_nodes and table[n].name in COSTLY]
    saved: dict[int, int] = {}  # a value -> the slot leaf whose place it takes
    for node in wanted:
        for leaf in (n for n in table.cone([node]) if table[n].name == "slot"):
            trial = {**saved, node: leaf}
            # Standardised rows are what their own derivative is made of: they stay.
            free = lowered.buffers[table[leaf].attrs[0]].eps is None
            if free and leaf not in saved.values() and _holds(lowered, effects, trial):
                saved = trial
                break
    return {node: table[leaf].attrs for node, leaf in saved.items()}


def _holds(lowered: Lowered, effects: list[list[Effect]], saved: dict[int, int]) -> bool:
    """Whether nothing asks for what a slot held before a value took its place."""
    table = lowered.expressions
    gone = {leaf: node for node, leaf in saved.items()}
    for segment in effects:
        roots = [e.node for e in segment if e.node is not None]
        if gone.keys() & set(table.cone(roots, stop=saved)):
            return False
    savers: dict[int, int] = {}
    for index, forward in enumerate(lowered.segments):
        cone = table.cone([t.node for t in forward])
        for node in saved:
            if node in cone:
                savers.setdefault(node, index)
        later = [n for n in saved if savers.get(n, index) < index]
        left = set(table.cone([t.node for t in forward], stop=later))
        if any(
            leaf in left and savers[node] < index for leaf, node in gone.items() if node in savers
        ):
            return False
    return True
