"""Matrix products: matmul with every broadcasting of batch axes, linear, outer, einsum."""

import math
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.device import Array
from tinygrad_rnn.engine import ARRAYS, TENSORS, Part
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.kernels import matmul as kernel
from tinygrad_rnn.primitive import binary, first_axis, nary
from tinygrad_rnn.tensor import Tensor, as_tensor

__all__ = ["einsum", "linear", "matmul", "outer"]


def _flipped(x: Array) -> Array:
    """The matrices transposed, as a view."""
    return x.swapaxes(-1, -2)


class ProductGrad(Part):
    """aᵀ g, the gradient of b in a b: a product that goes on with the chains of a sum."""

    __slots__ = ("a", "g")

    def __init__(self, a: Array, g: Array) -> None:
        self.a = a
        self.g = g

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return *self.a.shape[:-2], self.a.shape[-1], self.g.shape[-1]

    @property
    def dtype(self) -> Any:
        return self.g.dtype

    def add_to(self, total: Array | None) -> Array:
        return kernel.matmul(_flipped(self.a), self.g, out=total, accumulate=total is not None)


ARRAYS.right_gradient = lambda a, g: (
    ProductGrad(a, g) if a.shape[:-2] == g.shape[:-2] else kernel.matmul(_flipped(a), g)
)
TENSORS.right_gradient = lambda a, g: TENSORS.matmul(_flipped(a), g)

_matmul = binary(
    "matmul",
    kernel.matmul,
    lambda F, g, _out, _a, b: F.matmul(g, _flipped(b)),
    lambda F, g, _out, a, _b: F.right_gradient(a, g),
    paired=False,
    along=first_axis,
)

_linear = nary(
    "linear",
    lambda x, w, b: kernel.matmul(x, w, bias=b),
    lambda F, g, _out, _x, w, _b: F.matmul(g, _flipped(w)),
    lambda F, g, _out, x, _w, _b: F.right_gradient(x, g),
    lambda F, g, _out, _x, _w, _b: F.sum(g, axis=(0,), keepdims=False, shape=g.shape),
    along=first_axis,
)


def matmul(a: object, b: object) -> Tensor:
    """The matrix product: a (..., M, K), b (..., K, N) -> (..., M, N); vectors as in NumPy."""
    if not isinstance(a, Tensor) or not isinstance(b, Tensor):
        a, b = as_tensor(a, "matmul"), as_tensor(b, "matmul")
    try:
        left, right = a._data.shape, b._data.shape
    except AttributeError:  # symbols of a cell that is being traced
        return b.__rmatmul__(a) if isinstance(a, Tensor) else a.__matmul__(b)
    if len(left) == len(right) == 2 and left[1] == right[0]:  # nothing to be found out
        return _matmul(a, b)
    if not left or not right:
        raise ShapeError("matmul: an operand without axes; use * to scale.")
    inner = right[-2] if len(right) > 1 else right[0]
    if left[-1] != inner:
        raise ShapeError(
            f"matmul: a has shape {a.shape} and b {b.shape}; the last axis of a ({a.shape[-1]}) "
            f"has to be as long as the {'second last' if b.ndim > 1 else 'only'} axis of b "
            f"({inner})."
        )
    if b.ndim == 1:
        return matmul(a, b.reshape(inner, 1)).squeeze(-1)
    if a.ndim == 1:
        return matmul(a.reshape(1, inner), b).squeeze(-2)
    if a.ndim > 2 and b.ndim == 2:  # all rows at once, and one product for the gradient of b
        rows = math.prod(a.shape[:-1])
        return _matmul(a.reshape(rows, inner), b).reshape(*a.shape[:-1], b.shape[-1])
    return _matmul(a, b)


def linear(x: object, w: object, b: object = None) -> Tensor:
    """``x @ w + b``: x (..., I), w (I, O), b (O)."""
    x, w = as_tensor(x, "linear"), as_tensor(w, "linear")
    if getattr(x, "traced", False):  # a row of a cell that is being traced
        return matmul(x, w) if b is None else matmul(x, w) + b  # type: ignore[operator]
    if b is None:
        if w.ndim != 2 or not x.ndim or x.shape[-1] != w.shape[0]:
            raise ShapeError(
                f"linear: x has shape {x.shape}, w {w.shape}; expected (..., I) and (I, O)."
            )
        return matmul(x, w)
    b = as_tensor(b, "linear")
    if w.ndim != 2 or not x.ndim or x.shape[-1] != w.shape[0] or b.shape != w.shape[1:]:
        raise ShapeError(
            f"linear: x has shape {x.shape}, w {w.shape}, b {b.shape}; "
            "expected (..., I), (I, O) and (O)."
        )
    if x.ndim == 2:
        return _linear(x, w, b)
    rows = math.prod(x.shape[:-1])
    return _linear(x.reshape(rows, w.shape[0]), w, b).reshape(*x.shape[:-1], w.shape[1])


def outer(a: object, b: object) -> Tensor:
    """Every product of an element of ``a`` (M) with one of ``b`` (N): (M, N)."""
    a, b = as_tensor(a, "outer"), as_tensor(b, "outer")
    if a.ndim != 1 or b.ndim != 1:
        raise ShapeError(f"outer: shapes {a.shape} and {b.shape}, expected two vectors.")
    return a.reshape(-1, 1) * b.reshape(1, -1)


# ----- einsum -----


def einsum(equation: str, *operands: object) -> Tensor:
    """Sums of products by letters: ``einsum("bij,bjk->bik", a, b)``.

    Letters that stand on the right stay, the others are summed; without ``->`` those that
    stand once stay, in the order of the alphabet. ``...`` stands for any axes that broadcast.
    """
    if not isinstance(equation, str):
        raise TypeError(
            f'einsum: equation is {shortened(equation)}, expected letters such as "ij,jk->ik".'
        )
    tensors = [as_tensor(x, "einsum") for x in operands]
    terms, result = _parse(equation, tensors)
    sizes: dict[str, int] = {}
    for term, x in zip(terms, tensors, strict=True):
        for letter, n in zip(term, x.shape, strict=True):
            if sizes.setdefault(letter, n) != n and 1 not in (n, sizes[letter]):
                raise ShapeError(f"einsum: {letter!r} is {sizes[letter]} and {n} in {equation!r}.")
            sizes[letter] = _joint(sizes[letter], n)
    left, x = _diagonal(terms[0], tensors[0])
    for number, (term, y) in enumerate(zip(terms[1:], tensors[1:], strict=True), 1):
        right, y = _diagonal(term, y)
        later = set(result).union(*terms[number + 1 :])
        left, x = _contract(left, x, right, y, later)
    summed = tuple(i for i, letter in enumerate(left) if letter not in result)
    if summed:
        x = x.sum(axis=summed)
        left = "".join(letter for letter in left if letter in result)
    x = x.permute([left.index(letter) for letter in result]) if left else x
    return x.broadcast_to([sizes[letter] for letter in result])


def _parse(equation: str, tensors: list[Tensor]) -> tuple[list[str], str]:
    """The letters of every operand and of the result, the dots replaced by letters."""
    left, arrow, result = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(tensors):
        raise ShapeError(f"einsum: {equation!r} has {len(terms)} terms for {len(tensors)} tensors.")
    spare = [chr(n) for n in range(0x391, 0x3D0)]  # Greek letters for the axes behind the dots
    widest = 0
    for number, (term, x) in enumerate(zip(terms, tensors, strict=True)):
        letters = term.replace("...", "")
        hidden = x.ndim - len(letters)
        if not all("a" <= c.lower() <= "z" for c in letters) or term.count("...") > 1:
            raise ShapeError(f"einsum: {term!r} in {equation!r} is not made of letters.")
        if hidden < 0 or (hidden and "..." not in term):
            raise ShapeError(
                f"einsum: operand {number} has shape {x.shape}, but {term!r} names "
                f"{len(letters)} axes."
            )
        widest = max(widest, hidden)
        # Dots align at the right, as broadcasting does.
        terms[number] = term.replace("...", "".join(spare[20 - hidden : 20]))
    dots = "".join(spare[20 - widest : 20])
    if arrow:
        result = result.replace("...", dots)
    else:
        everything = "".join(terms)
        result = dots + "".join(
            c for c in sorted(set(everything)) if everything.count(c) == 1 and c not in dots
        )
    for letter in result:
        if result.count(letter) > 1 or not any(letter in term for term in terms):
            raise ShapeError(f"einsum: {letter!r} on the right of {equation!r} is not one axis.")
    return terms, result


def _diagonal(term: str, x: Tensor) -> tuple[str, Tensor]:
    """Read the diagonal where one operand has a letter twice."""
    for letter in sorted({c for c in term if term.count(c) > 1}):
        first = term.index(letter)
        second = term.index(letter, first + 1)
        n = x.shape[first]
        others = [i for i in range(x.ndim) if i not in (first, second)]
        places = np.arange(n)
        x = x.permute([first, second, *others])[places, places]
        term = letter + "".join(term[i] for i in others)
        return _diagonal(term, x)
    return term, x


def _contract(a_term: str, a: Tensor, b_term: str, b: Tensor, later: set[str]) -> Any:
    """One product of two operands as a batched matrix product."""
    only_a = tuple(i for i, c in enumerate(a_term) if c not in b_term and c not in later)
    only_b = tuple(i for i, c in enumerate(b_term) if c not in a_term and c not in later)
    if only_a:
        a, a_term = a.sum(axis=only_a), _without(a_term, only_a)
    if only_b:
        b, b_term = b.sum(axis=only_b), _without(b_term, only_b)
    # An axis of size 1 on one side only is broadcast: a batch axis for matmul.
    batch = [c for c in a_term if c in b_term and c in later]
    summed = [c for c in a_term if c in b_term and c not in later]
    rows = [c for c in a_term if c not in b_term]
    columns = [c for c in b_term if c not in a_term]

    def sizes(letters: list[str], x: Tensor, term: str) -> list[int]:
        return [x.shape[term.index(c)] for c in letters]

    wide = list(map(_joint, sizes(summed, a, a_term), sizes(summed, b, b_term)))
    a = a.permute([a_term.index(c) for c in batch + rows + summed])
    b = b.permute([b_term.index(c) for c in batch + summed + columns])
    row_sizes, column_sizes = (
        list(a.shape[len(batch) : len(batch) + len(rows)]),
        list(b.shape[len(batch) + len(summed) :]),
    )
    a = a.broadcast_to([*a.shape[: len(batch) + len(rows)], *wide])
    b = b.broadcast_to([*b.shape[: len(batch)], *wide, *column_sizes])
    a = a.reshape([*a.shape[: len(batch)], math.prod(row_sizes), math.prod(wide)])
    b = b.reshape([*b.shape[: len(batch)], math.prod(wide), math.prod(column_sizes)])
    product = _matmul(a, b)
    shape = [*product.shape[: len(batch)], *row_sizes, *column_sizes]
    return "".join(batch + rows + columns), product.reshape(shape)


def _joint(n: int, m: int) -> int:
    """The size that two sizes of one axis broadcast to; of 1 and 0 it is 0."""
    return m if n == 1 else n


def _without(term: str, places: tuple[int, ...]) -> str:
    return "".join(c for i, c in enumerate(term) if i not in places)
