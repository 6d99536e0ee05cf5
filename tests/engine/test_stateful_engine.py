"""Random graphs against an engine that anybody can check.

The naive engine keeps, for every value, the Jacobians of its parents as plain arrays, and
differentiates by the chain rule over all paths; it knows nothing of passes or freeing.
"""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

import tinygrad_rnn as tg
from tinygrad_rnn.errors import GradientError

SIZE = 3


class Value:
    """A vector, and how it changes with the values that it was made of."""

    def __init__(self, array, parents=(), wanted=False):
        self.array = np.array(array)
        self.parents = [(p, j) for p, j in parents if p.wanted]  # a value and a Jacobian
        self.wanted = wanted or bool(self.parents)
        self.grad = None

    def behind(self):
        """Every value that this one was made of, itself included, parents first."""
        order, seen = [], set()

        def visit(value):
            if id(value) not in seen:
                seen.add(id(value))
                for parent, _ in value.parents:
                    visit(parent)
                order.append(value)

        visit(self)
        return order

    def gradients(self, seed):
        """The gradient of every value behind this one, by id."""
        found = {id(value): np.zeros(SIZE) for value in self.behind()}
        found[id(self)] = seed
        for value in reversed(self.behind()):
            for parent, jacobian in value.parents:
                found[id(parent)] = found[id(parent)] + found[id(value)] @ jacobian
        return found


EYE = np.eye(SIZE)
UNARY = {  # over Tensors, over arrays, and the Jacobian
    "sin": (lambda t: t.sin(), np.sin, lambda a: np.diag(np.cos(a))),
    "tanh": (lambda t: t.tanh(), np.tanh, lambda a: np.diag(1 - np.tanh(a) ** 2)),
    "neg": (lambda t: -t, np.negative, lambda a: -EYE),
    "half": (lambda t: t * 0.5, lambda a: a * 0.5, lambda a: 0.5 * EYE),
    "flip": (lambda t: t.flip(), lambda a: a[::-1], lambda a: EYE[::-1]),
    "first": (
        lambda t: t[:1].broadcast_to(SIZE),
        lambda a: np.full(SIZE, a[0]),
        lambda a: EYE[[0] * SIZE],
    ),
    "mean": (
        lambda t: t.mean(keepdims=True) + t * 0.0,
        lambda a: np.full(SIZE, a.mean()),
        lambda a: np.full((SIZE, SIZE), 1 / SIZE),
    ),
    "checkpoint": (
        lambda t: tg.checkpoint(lambda x: (x * 2.0).sin(), t),
        lambda a: np.sin(2 * a),
        lambda a: np.diag(2 * np.cos(2 * a)),
    ),
}
BINARY = {
    "add": (lambda a, b: a + b, lambda a, b: a + b, lambda a, b: (EYE, EYE)),
    "sub": (lambda a, b: a - b, lambda a, b: a - b, lambda a, b: (EYE, -EYE)),
    "mul": (lambda a, b: a * b, lambda a, b: a * b, lambda a, b: (np.diag(b), np.diag(a))),
}  # fmt: skip

numbers = st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=SIZE, max_size=SIZE)


class Engines(RuleBasedStateMachine):
    """Both engines doing the same things."""

    pairs = Bundle("pairs")

    def __init__(self):
        super().__init__()
        self.all = []
        self.freed = set()  # ids of values whose part of the graph was used up

    def pair(self, tensor, value):
        self.all.append((tensor, value))
        return tensor, value

    @rule(target=pairs, array=numbers, wanted=st.booleans())
    def leaf(self, array, wanted):
        return self.pair(
            tg.tensor(np.array(array), requires_grad=wanted), Value(array, wanted=wanted)
        )

    @rule(target=pairs, x=pairs, name=st.sampled_from(sorted(UNARY)))
    def unary(self, x, name):
        act, plain, jacobian = UNARY[name]
        a = x[1].array
        return self.pair(act(x[0]), Value(plain(a), [(x[1], jacobian(a))]))

    @rule(target=pairs, x=pairs, y=pairs, name=st.sampled_from(sorted(BINARY)))
    def binary(self, x, y, name):
        act, plain, jacobians = BINARY[name]
        a, b = x[1].array, y[1].array
        ja, jb = jacobians(a, b)
        return self.pair(act(x[0], y[0]), Value(plain(a, b), [(x[1], ja), (y[1], jb)]))

    @rule(target=pairs, x=pairs)
    def detach(self, x):
        return self.pair(x[0].detach(), Value(x[1].array))

    @rule(target=pairs, x=pairs, name=st.sampled_from(sorted(BINARY)))
    def without_recording(self, x, name):
        act, plain, _ = BINARY[name]
        with tg.no_grad():
            tensor = act(x[0], x[0])
        return self.pair(tensor, Value(plain(x[1].array, x[1].array)))

    @rule(x=pairs)
    def zero_grad(self, x):
        x[0].grad = x[1].grad = None

    def is_freed(self, value, until=()):
        """Whether a walk from here would meet a part that was used up, before ``until``."""
        leading = {id(v) for v in value.behind() if any(id(b) in until for b in v.behind())}
        for v in value.behind():
            on_the_way = not until or (
                id(v) in leading and any(id(p) in leading for p, _ in v.parents)
            )
            if v.parents and id(v) in self.freed and on_the_way:
                return True
        return False

    @precondition(lambda self: any(v.wanted for _, v in self.all))
    @rule(data=st.data(), retain=st.booleans(), seed=numbers)
    def backward(self, data, retain, seed):
        tensor, value = data.draw(st.sampled_from([p for p in self.all if p[1].wanted]))
        if self.is_freed(value):
            with pytest.raises(GradientError, match="has no saved arrays any more"):
                tensor.backward(np.array(seed), retain_graph=retain)
            # How far it came before that is nobody's business.
            self.freed |= {id(v) for v in value.behind()}
            return
        tensor.backward(np.array(seed), retain_graph=retain)
        gradients = value.gradients(np.array(seed))
        for v in value.behind():
            if not v.parents:
                g = gradients[id(v)]
                v.grad = g if v.grad is None else v.grad + g
        if not retain:
            self.freed |= {id(v) for v in value.behind()}

    @precondition(lambda self: any(v.parents for _, v in self.all))
    @rule(data=st.data(), seed=numbers, create_graph=st.booleans())
    def grad_of_some(self, data, seed, create_graph):
        tensor, value = data.draw(st.sampled_from([p for p in self.all if p[1].wanted]))
        wanted = data.draw(
            st.lists(st.sampled_from([p for p in self.all if p[1].wanted]), min_size=1, max_size=3)
        )
        if self.is_freed(value, {id(v) for _, v in wanted}):
            return
        found = tg.grad(
            tensor, [t for t, _ in wanted], np.array(seed),
            retain_graph=True, create_graph=create_graph, allow_unused=True,
        )  # fmt: skip
        gradients = value.gradients(np.array(seed))
        for g, (_, v) in zip(found, wanted, strict=True):
            if id(v) in gradients:
                np.testing.assert_allclose(g.numpy(), gradients[id(v)], rtol=1e-10, atol=1e-12)
            else:
                assert g is None

    @invariant()
    def values_and_gradients_agree(self):
        for tensor, value in self.all:
            np.testing.assert_allclose(tensor.numpy(), value.array, rtol=1e-12, atol=1e-12)
            assert tensor.requires_grad == value.wanted
            assert (tensor.grad is None) == (value.grad is None)
            if value.grad is not None:
                np.testing.assert_allclose(tensor.grad.numpy(), value.grad, rtol=1e-9, atol=1e-11)


TestEngines = Engines.TestCase
TestEngines.settings = settings(max_examples=30, stateful_step_count=30)
