"""The table of primitives."""

from collections.abc import Callable, Sequence
from functools import partial
from inspect import CO_VARARGS
from typing import Any

from tinygrad_rnn.engine import ARRAYS, TENSORS
from tinygrad_rnn.primitive.rows import AlongRule, place_for_place

__all__ = ["PRIMITIVES", "Primitive", "Rule", "register"]

Rule = Callable[..., Any]

PRIMITIVES: dict[str, Any] = {}


class Primitive:
    """An operation of the table: its name, forward, rules, and which values the rules need.

    views       the output shares the memory of the first input
    broadcasts  gradients are to be summed back to the shapes of the inputs
    paired      an element of the output comes from one element of each input
    floats      integers become float32 first (exp, mean, division)
    along       how inputs lie along an axis of the output (see ``rows.py``), if they do
    """

    __slots__ = (
        "along", "broadcasts", "call", "floats", "forward", "kept", "name", "paired", "rules",
        "views",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        forward: Callable[..., Any],
        rules: Sequence[Rule | None],
        *,
        views: bool = False,
        broadcasts: bool = False,
        paired: bool = False,
        floats: bool = False,
        along: AlongRule | None = None,
    ) -> None:
        self.name = name
        self.forward = forward
        self.along = place_for_place if along is None and paired else along
        self.rules: tuple[Rule | None, ...] = tuple(rules)
        self.views = views
        self.broadcasts = broadcasts or paired
        self.paired = paired
        self.floats = floats
        self.call: Callable[..., Any] = _uncallable
        # For each rule whether it takes the output, and each of the inputs.
        uses = [
            (False,) * (1 + len(rules)) if rule is None else _taken(name, rule, len(rules))
            for rule in rules
        ]
        self.kept: dict[tuple[bool, ...], tuple[bool, ...]] = _Kept(uses)

    def makes_floats(self, arrays: Sequence[Any]) -> bool:
        """Whether integer operands have to become floating-point numbers first."""
        return self.floats or any(isinstance(a, float) for a in arrays)

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"


class _Kept(dict[tuple[bool, ...], tuple[bool, ...]]):
    """Whether the output and each of the inputs is kept, by which inputs want a gradient.

    What only the rule of a constant would take is not kept: a frozen weight costs nothing.
    """

    def __init__(self, uses: list[tuple[bool, ...]]) -> None:
        super().__init__()
        self.uses = uses

    def __missing__(self, wanted: tuple[bool, ...]) -> tuple[bool, ...]:
        rows = [row for row, want in zip(self.uses, wanted, strict=True) if want]
        self[wanted] = kept = tuple(map(any, zip(*rows, strict=True)))
        return kept


def _taken(name: str, rule: Rule, count: int) -> tuple[bool, ...]:
    """Whether a rule takes the output and each input: not where it names them ``_...``."""
    function = rule.func if isinstance(rule, partial) else rule
    code = function.__code__  # inspect.signature() of every rule would delay each import
    names = list(code.co_varnames[2 : code.co_argcount])
    if code.co_flags & CO_VARARGS:  # *inputs: one name for all of them
        star = code.co_varnames[code.co_argcount + code.co_kwonlyargcount]
        names += [star] * (1 + count - len(names))
    if len(names) < 1 + count:
        raise TypeError(f"{name}: a rule takes (F, g, out, *inputs), with {count} inputs.")
    return tuple(not name.startswith("_") for name in names[: 1 + count])


def _uncallable(*args: Any, **kwargs: Any) -> Any:
    raise TypeError("this primitive has no Tensor function")


def register(op: Any, call: Callable[..., Any], doc: str | None = None) -> Callable[..., Any]:
    """Enter an operation into the table, and its function into both namespaces."""
    if op.name in PRIMITIVES:
        raise ValueError(f"primitive {op.name!r}: there is one of this name already.")
    call.__name__ = call.__qualname__ = op.name
    call.__doc__ = doc
    rule = op.backward if op.rules is None else next(filter(None, op.rules))
    call.__module__ = getattr(rule, "func", rule).__module__  # where it was declared
    op.call = call
    PRIMITIVES[op.name] = op
    setattr(ARRAYS, op.name, op.forward)
    setattr(TENSORS, op.name, call)
    return call
