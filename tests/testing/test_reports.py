"""What a report says is true: the pattern, whose fault it is, and a script that fails alike."""

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.testing.mutants import MUTANTS, installed
from tinygrad_rnn import nn, ops
from tinygrad_rnn.testing import (
    GradientMismatch,
    Untestable,
    assert_gradients,
    assert_module_gradients,
    check_gradients,
    explain,
)
from tinygrad_rnn.testing import strategies as gs
from tinygrad_rnn.testing.literals import literal

ROOT = Path(__file__).resolve().parents[2]


def normal(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape)


# ----- patterns -----


def dense(x, w, b):
    return np.tanh(x @ w + b)


def dense_vjp(g, x, w, b):
    d = g * (1 - dense(x, w, b) ** 2)
    return {"x": d @ w.T, "w": x.T @ d, "b": d.sum(axis=0)}


def spoilt(name, wrong):
    """The right gradients but for one, made of itself and of all that a vjp is given."""

    def vjp(g, x, w, b):
        right = dense_vjp(g, x, w, b)
        d = g * (1 - dense(x, w, b) ** 2)
        return {**right, name: wrong(right[name], d, x, w)}

    return vjp


def moved(g, axis=0):
    return np.concatenate([np.zeros_like(g[:1]), g[:-1]])


PATTERNS = {
    "sign": ("b", lambda g, *_: -g, "b: analytic = -1 * numeric: the sign is wrong"),
    "twice": ("b", lambda g, *_: 2 * g, "b: analytic = 2 * numeric: counted twice?"),
    "half": ("w", lambda g, *_: g / 2, "w: analytic = 0.5 * numeric: a factor 2 is missing?"),
    "mean": ("w", lambda g, *_: g / 4, "w: analytic = numeric / 4: a mean for a sum?"),
    "sum": ("w", lambda g, *_: g * 3,
            "w: analytic = 3 * numeric: a sum for a mean, or counted 3 times?"),
    "factor": ("w", lambda g, *_: 1.1 * g, "w: analytic = 1.1 * numeric: a factor is missing"),
    "digits": ("w", lambda g, *_: g * (1 - 2e-7),
               "w: analytic = (1 - 2e-07) * numeric: a constant or a step without all its "
               "digits?"),
    "nothing": ("w", lambda g, *_: None,
                "w: the gradient is 0: is a path missing, or cut by detach(), None or a plain "
                "array?"),
    "NaN": ("x", lambda g, *_: np.where(np.arange(4)[:, None] == 2, np.nan, g),
            "x: NaN at [2, 0], [2, 1], [2, 2]"),
    "infinite": ("b", lambda g, *_: g / [1, 0, 1], "b: infinite or NaN at [1]"),
    "transpose": ("w", lambda g, *_: g.T,
                  "w: analytic is the transpose of numeric (axes (1, 0)): a factor not "
                  "transposed?"),
    "reverse": ("x", lambda g, *_: g[::-1], "x: analytic is numeric in reverse along axis 0"),
    "shift": ("x", lambda g, *_: moved(g),
              "x: analytic is numeric shifted by one along axis 0: the step before or after?"),
    "gates": ("x", lambda g, *_: g[[2, 3, 0, 1]],
              "x: of 2 blocks along axis 0, 0 and 1 are swapped: gates in wrong order?"),
    "row": ("b", lambda g, d, *_: d[-1],
            "b: analytic is the contribution of the last index of axis 0 of result 0 alone: a sum "
            "is missing?"),
    "all but one": ("b", lambda g, d, *_: d[1:].sum(axis=0),
                    "b: the contribution of the first index of axis 0 of result 0 is missing"),
    "stops": ("x", lambda g, *_: np.where(np.arange(4)[:, None] < 2, 0, g),
              "x: 0 instead of the gradient at [0, 0], [0, 1], [0, 2], [1, 0] and 2 more: a sum "
              "that stops too early?"),
    "one row": ("x", lambda g, *_: g + (np.arange(4)[:, None] == 2),
                "x: wrong only at index 2 of axis 0 (of 4)"),
    "rows": ("x", lambda g, *_: g + (np.arange(4)[:, None] < 2),
             "x: wrong at 0 to 1 of axis 0 (of 4): does the way back stop there?"),
    "last rows": ("x", lambda g, *_: g + (np.arange(4)[:, None] > 1),
                  "x: wrong at 2 to 3 of axis 0 (of 4)"),
}  # fmt: skip


@pytest.mark.parametrize("kind", PATTERNS)
def test_a_pattern_is_recognised(kind):
    name, wrong, says = PATTERNS[kind]
    inputs = normal(4, 3), normal(3, 3), normal(3)
    assert explain(dense, *inputs, vjp=dense_vjp).ok
    report = explain(dense, *inputs, vjp=spoilt(name, wrong))
    assert report.pattern == says
    assert report.blame == f"vjp, in the gradient of {name}"


def test_a_leak_from_padding_is_recognised():
    def mean(x, lengths):
        real = np.arange(len(x))[:, None] < lengths
        return (x * real).sum(axis=0) / np.maximum(lengths, 1)

    def vjp(g, x, lengths):
        return np.broadcast_to(g / np.maximum(lengths, 1), x.shape)

    report = explain(mean, normal(3, 2), np.array([3, 1]), vjp=vjp)
    assert report.pattern == (
        "x: not 0 where the true gradient is ([1, 1], [2, 1]): a leak from padding or a mask?"
    )
    report = explain(lambda x: x[:2].sum(), normal(3), gradient=lambda x: [np.ones(3)])
    assert report.pattern == "x: not 0 where the true gradient is ([2]): a leak from padding or a" \
        " mask?"  # fmt: skip
    report = explain(lambda x, y: x.sum() + 0 * y.sum(), *normal(2, 3),
                     gradient=lambda x, y: (np.ones(3), np.ones(3)))  # fmt: skip
    assert report.pattern == (
        "y: the true gradient is 0: is this a leak, from padding, a mask or another row?"
    )


def test_a_gradient_of_zeros_alone_is_compared_as_closely_as_others():
    report = explain(np.sin, np.zeros(3), vjp=lambda g, x: np.zeros(3))
    assert report.per_argument == {"x": (3, 3)}
    assert report.pattern.startswith("x: the gradient is 0")


def test_equal_patterns_are_said_once():
    report = explain(
        dense, normal(4, 3), normal(3, 3), normal(3),
        vjp=lambda *a: {name: -g for name, g in dense_vjp(*a).items()},
    )  # fmt: skip
    assert report.pattern == "x, w, b: analytic = -1 * numeric: the sign is wrong"
    assert report.blame == "the gradient written by hand, in the gradient of x, w, b"


# ----- words -----


def test_a_gradient_of_nan_is_not_compared_with_a_tolerance():
    text = str(explain(dense, normal(4, 3), normal(3, 3), normal(3),
                       vjp=spoilt("b", lambda g, *_: g * np.nan)))  # fmt: skip
    assert "along          a random direction: analytic nan, numeric " in text
    assert "allowed" not in text
    assert "infinitely steep" not in text  # which is a cause in an operation, not in a vjp


def test_an_infinite_gradient_does_not_pass():
    """Nothing is too far from it: the tolerance is infinite as well."""
    report = explain(np.sin, np.ones(2), vjp=lambda g, x: np.full(2, np.inf))
    assert not report.ok
    assert report.pattern == "x: infinite or NaN at [0], [1]"


def test_a_zero_has_no_sign():
    text = str(explain(np.sin, np.ones(2), vjp=lambda g, x: -0.0 * g))
    assert ": analytic 0, numeric" in text


def test_a_gradient_that_writes_over_its_inputs_says_when():
    def vjp(g, x):
        x *= 0
        return g

    with pytest.raises(Untestable, match="x holds other numbers after its gradient was computed"):
        assert_gradients(lambda x: x * 1.0, np.ones(2), vjp=vjp)


def test_an_operation_is_blamed_with_the_line_that_called_it():
    mutant = next(m for m in MUTANTS if m.primitive == "tanh" and m.name == "slope of sigmoid")
    with installed(mutant), pytest.raises(GradientMismatch) as caught:
        assert_gradients(lambda x, w: ops.tanh(x @ w).sum(), normal(2, 3), normal(3, 2))
    said = caught.value.report.blame
    assert said.startswith("the derivative of tanh by its input 0, called at ")
    assert said.endswith("assert_gradients(lambda x, w: ops.tanh(x @ w).sum(), normal(2, 3), "
                         "normal(3, 2))")  # fmt: skip
    assert Path(__file__).name in said


# ----- reproducers -----


def ran(script, path):
    """What the script prints as its error, run from an empty folder."""
    file = path / "reproducer.py"
    file.write_text(script)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(file)], check=False, capture_output=True, text=True,
        cwd=path, env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )  # fmt: skip
    return done.stderr


def same_failure(caught, path, rows=("along", "worst element", "pattern", "blame")):
    """The script of a mismatch fails with the very numbers."""
    report = caught.value.report
    error = ran(report.reproducer, path)
    assert "GradientMismatch: " in error, error
    for row in rows:
        lines = [line for line in str(report).splitlines() if line.strip().startswith(row)]
        for line in lines:
            assert line.partition(", called at")[0] in error, error


class Pair(NamedTuple):
    data: np.ndarray
    scale: float


FACTOR, TABLE = 0.5, {"shift": np.array([1.0, np.inf]), "kind": np.float32}


def helper(x):
    return np.sin(x) * FACTOR + TABLE["shift"][0]


def test_a_function_and_all_that_it_uses(tmp_path):
    power = 2.0

    def local(x, pair, *, more: Pair | None = None):
        m = x * power  # there is a global m in many files
        return helper(m) + pair.data * pair.scale

    def its_vjp(g, x, pair):
        return g * np.cos(power * x) * FACTOR, {}

    with pytest.raises(GradientMismatch) as caught:
        assert_gradients(local, normal(3), Pair(np.arange(3), 2.0), vjp=its_vjp)
    assert "array([0, 1, 2])" in caught.value.report.reproducer
    assert "import numpy as np\n" in caught.value.report.reproducer
    same_failure(caught, tmp_path)


def test_lambdas_and_importable_functions(tmp_path):
    with pytest.raises(GradientMismatch) as caught:
        assert_gradients(
            lambda x: ops.tanh(x) * x.detach(), normal(2, 2), order=1, directions=2, seed=3
        )
    script = caught.value.report.reproducer
    assert "fn = lambda x: ops.tanh(x) * x.detach()\n" in script
    assert "from tinygrad_rnn import ops\n" in script
    assert "directions=2" in script
    same_failure(caught, tmp_path)
    with pytest.raises(GradientMismatch) as caught:
        assert_gradients(np.sin, np.ones(2), vjp=lambda g, x: g * np.sin(x))
    assert "vjp = lambda g, x: g * np.sin(x)\n" in caught.value.report.reproducer
    same_failure(caught, tmp_path)
    with pytest.raises(GradientMismatch) as caught:
        assert_gradients(
            lambda x: (x**2).sum(), np.ones(2), gradient=lambda x: (
                2 * x
                + 1
            )
        )  # fmt: skip
    same_failure(caught, tmp_path)


@check_gradients(x=gs.arrays((2, 2)), batch=gs.sequence_batches(pad="zeros"))
def falsified(x, batch):
    return ops.tanh(x) * x.detach() + batch.data.sum() * 0.0


@check_gradients(x=gs.arrays((3,)))
def falsified_with_more(x, scale):
    return ops.tanh(x) * x.detach() * scale


def test_a_property_test_is_reproduced_by_its_body(tmp_path):
    with pytest.raises(GradientMismatch) as caught:
        falsified()
    script = caught.value.report.reproducer
    assert "def falsified(x, batch):\n    return ops.tanh(x)" in script
    assert "SequenceBatch(data=np.zeros((" in script
    same_failure(caught, tmp_path)
    with pytest.raises(GradientMismatch) as caught:
        falsified_with_more(scale=2.0)
    assert "functools.partial(falsified_with_more, scale=2.0)" in caught.value.report.reproducer
    same_failure(caught, tmp_path)


class Wrong(nn.Module):
    def __init__(self, width, depth=1):
        super().__init__()
        self.width = width
        self.layers = [nn.Linear(width, width) for _ in range(depth)]

    def forward(self, x):
        for layer in self.layers:
            x = ops.tanh(layer(x)) + layer(x).detach()
        return x


class AlsoWrong(Wrong):
    def __init__(self):
        super().__init__(2)


@pytest.mark.slow
@pytest.mark.parametrize("make", [partial(Wrong, 2), AlsoWrong])
def test_a_module_is_made_again_with_its_weights(make, tmp_path):
    with pytest.raises(GradientMismatch) as caught:
        assert_module_gradients(make(), normal(3, 2))
    assert "module.load_state_dict({\n" in caught.value.report.reproducer
    same_failure(caught, tmp_path)


def test_a_module_of_the_library_is_made_by_what_it_prints(tmp_path):
    mutant = next(m for m in MUTANTS if m.primitive == "linear")
    with installed(mutant), pytest.raises(GradientMismatch) as caught:
        assert_module_gradients(nn.Linear(3, 2), normal(4, 3))
    script = caught.value.report.reproducer
    assert "\nmodule = nn.Linear(3, 2" in script
    assert "Error" not in ran(script, tmp_path)  # there, the rule is right


def _named_f():
    def f(g, x):
        return g * 2.0

    return f


def _named_vjp():
    def vjp(k, g, x):
        return k * g

    return vjp


def test_functions_of_one_name_or_none_have_names_of_their_own(tmp_path):
    def f(x):
        return np.sin(x)

    without = partial(lambda k, g, x: g * k, 4.0)
    for vjp in (_named_f(), without, partial(_named_vjp(), 4.0)):
        with pytest.raises(GradientMismatch) as caught:
            assert_gradients(f, np.ones(2), vjp=vjp)
        same_failure(caught, tmp_path, ("along", "worst element", "pattern"))


def test_what_cannot_be_written_down_is_left_open():
    with pytest.raises(GradientMismatch) as caught:
        assert_gradients(partial(_with_object, thing=object()), normal(3))
    assert "..." in caught.value.report.reproducer
    compile(caught.value.report.reproducer, "script", "exec")
    with pytest.raises(GradientMismatch) as caught:
        assert_gradients(lambda x: x.detach(), normal(30, 30))
    assert caught.value.report.reproducer is None


def _with_object(x, thing):
    return x.detach()


@pytest.mark.parametrize(
    "value",
    [
        np.zeros((0, 3)), np.array(2.5), np.array([np.nan, -np.inf]), np.array([[True], [False]]),
        np.arange(4, dtype=np.int32), np.ones(2, np.float32), np.array([1 + 2j]), np.zeros(3),
        np.zeros((2, 2), np.int64), -np.zeros(2), np.float32(0.1), float("inf"), (1,), [(), {}],
        {"a": [None, True, b"x", "y"]}, {1, 2}, np.dtype("float32"), slice, ...,
    ],
    ids=repr,
)  # fmt: skip
def test_literals_are_equal(value):
    text = literal(value)
    if value is slice:
        assert text is None
        return
    again = eval(text, {"np": np})
    assert type(again) is type(value)
    np.testing.assert_equal(again, value)
    assert str(again) == str(value)
    assert getattr(again, "dtype", None) == getattr(value, "dtype", None)
    assert getattr(again, "shape", None) == getattr(value, "shape", None)


@pytest.mark.parametrize("decorated", [False, True])
def test_pytest_shows_the_line_of_the_user_and_nothing_of_ours(pytester, monkeypatch, decorated):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # this checkout, whatever is installed
    pytester.makepyfile(
        """
        import numpy as np
        from tinygrad_rnn.testing import assert_gradients, check_gradients, strategies as gs

        def wrong(g, x):
            return g * np.sin(x)
        """
        + """
        @check_gradients(x=gs.arrays((2,)), vjp=wrong)
        def test_it(x):
            return np.sin(x)
        """
        * decorated
        + """
        def test_it():
            assert_gradients(np.sin, np.ones(2), vjp=wrong)
        """
        * (not decorated)
    )
    shown = pytester.run(
        sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", "/dev/null"
    ).stdout.str()  # fmt: skip
    assert "worst element  x[0]: analytic " in shown
    assert "def check_subject" not in shown
    assert "These lines were" not in shown
