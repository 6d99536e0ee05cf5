"""What may stand in a cell's step: it is traced, or runs on Tensors and says so, or raises.

Each expression is the new state, from z (the products of x and h), h and the weights p.
"""

# ruff: noqa: F401 - expressions use what is imported
import math

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn, ops
from tinygrad_rnn.errors import CellError, GradientError, TraceError
from tinygrad_rnn.kernels._twin import use_reference

I, H, B = 3, 4, 2

TRACED = """
z * np.float64(0.5); np.int64(2) * z; z ** 3; z ** True
+z; -z; abs(z); z.chunk(1)[0]; z.data is z or z.tanh(); z if repr(z) else h; z if f"{z}" else h
z.clip(-1, 1); z.clamp(-1, 1); ops.clip(z, np.float32(-1), 1); z.clip(low=0); z.clip(high=0)
z.elu(); z.gelu(); z.silu(); z.softplus(); z.leaky_relu(); z.leaky_relu(0.2); z.pow(2); z.relu()
ops.elu(z); ops.gelu(z); ops.silu(z); ops.softplus(z); ops.leaky_relu(z, 0.2); ops.pow(z, 3)
z.add(h); z.sub(h); z.mul(h); z.div(h); z.maximum(h); z.minimum(0); ops.maximum(z, 0); z.square()
z.exp(); z.expm1(); z.exp().log(); z.square().log1p(); z.sin(); z.cos(); z.sign(); z.abs().sqrt()
(z.abs() + 1).reciprocal(); z.sigmoid(); z.tanh(); z.neg(); ops.dropout(z, 0.0)
z.matmul(p.w_h); z.dot(p.w_h); ops.matmul(z, p.w_h); ops.linear(z, p.w_h); ops.linear(z, p.w_h, p.b)
ops.where(z > 0, z, h); ops.where(z == h, z, 0.0);
z.layer_norm(); ops.layer_norm(z, p.b, h, 1e-3); h.layer_norm(p.b) * z; p.b.layer_norm() + z
ops.where(p.b >= h, 1, z); p.b.tanh() * z; +p.b * z; abs(p.b) + z; p.b ** 2 + z; (p.b - 1) / (z + 9)
"""

FALLS_BACK = """
z + np.ones(4); np.ones(4) + z; z * tg.ones(4, dtype=np.float64); tg.arange(4) * z; z * [1, 2, 3, 4]
tg.tensor(z.numpy()) + z; h * z.shape[0]; len(z) * h; z.ndim * h; z.size * h; z.dtype.itemsize * h
z if z.dtype == np.float64 else h; z[..., :4] * 1.0; z[:, :4] + h; z[0] + h
ops.concat([z[..., :2], z[..., 2:]], axis=-1); ops.stack([z, h]).sum(axis=0)
ops.concat(z.chunk(2), axis=-1); (z > 0).astype(np.float64) * z; (z > 0) * z; (z > 0).sum() * z
ops.where((z > 0) & (h > 0), z, h); ops.where(~(z > 0), z, h); ops.where(z != 0, z, h)
ops.where(z, z, h); ops.where(np.arange(4) > 1, z, h); (z.abs() + 1) ** h; 2 ** z
h @ np.ones((4, 4)); h @ tg.ones(4, 4, dtype=np.float64); z @ p.w_h.T; h @ (p.w_h * 2)
p.w_h.sum() * z; p.w_h.shape[0] * z; p.w_h[0] + z; z if p.b[0] != 9 else h; len(p.b) * z
ops.norm(z, axis=-1, keepdims=True) * z; z / z.norm(axis=-1, keepdims=True)
z.softmax(); ops.softmax(z); z.log_softmax(); ops.logsumexp(z, keepdims=True) + z
z.sum(axis=-1, keepdims=True) + z; z - z.mean(axis=-1, keepdims=True); z.cumsum(axis=-1)
z - z.max(axis=-1, keepdims=True); z.var(axis=-1, keepdims=True) + z; z.std() + z; z.prod() + z
z.min() + z; z.argmax(-1)[:, None] * z; z.argmin() + z; z.topk(4)[0];
ops.einsum("bi,ij->bj", z, p.w_h)
z.detach() + z; z.data * h; np.asarray(z) * h; np.asarray(z).sum() * h; z.clone(); z.to("cpu")
z.astype(np.float64); z.reshape(-1, 4); z.view(-1, 4); z.flatten().reshape(-1, 4); z.expand(-1, 4)
z.unsqueeze(0).squeeze(0); z.broadcast_to(2, 4); z.flip(axis=-1); z.pad([(0, 0), (0, 0)])
z.repeat(1, -1); z.tile(1, 1); z.permute(0, 1); z.swapaxes(0, 0); z.T.T; z.mT.mT
z.gather(-1, np.zeros((2, 4), int)); z.take_along_axis(np.zeros((2, 4), int));
z.masked_fill(z > 0, 0.0)
z.index_update((..., 0), 0.0); z.index_add((..., 0), 1.0); ops.masked_fill(z, z > 0, 0.0)
z.scatter_add(1, np.zeros((2, 4), int), h); ops.embedding(p.w_h, np.zeros(2, int)) + z
(z.unbind(-1)[0] + 0).unsqueeze(-1) + z; z.split(2, axis=-1)[0].sum() + z; sum(list(z)) + z
z if z.device == "cpu" else h; quietly(z) * h
"""

# What cannot be, and what it raises: the same for Tensors outside of a cell.
WRONG = {
    "np.tanh(z)": (GradientError, r"np\.tanh: got a tensor that requires .* Use tg\.ops\.tanh"),
    "math.tanh(z)": (ValueError, r"float\(\): the tensor has shape"),
    "float(z) * h": (ValueError, r"float\(\): the tensor has shape"),
    "z if z > 0 else h": (ValueError, "truth value"),
    "max(z, h)": (ValueError, "truth value"),
    "z.clip(1, -1)": (ValueError, "clip: low is 1"),
    "ops.clip(z, 1, -1)": (ValueError, "clip: low is 1"),
    "z.clip()": (ValueError, "clip: give low, high or both"),
    "z.tanh(1)": (TypeError, "argument"),
    "z.chunk(0)": (ValueError, "chunk: chunks is 0, expected"),
    "z @ h": (ValueError, "matmul: a has shape"),
    "z % 2": (TypeError, "unsupported operand"),
    "z + None": (TypeError, "add: got"),
    "z.bogus()": (AttributeError, "'Tensor' object has no attribute 'bogus'"),
    "z.real": (AttributeError, "no attribute 'real'"),
    "undefined": (NameError, "'undefined' is not defined"),
    "p.nothing": (AttributeError, r"step reads p\.nothing.*declares w_x, w_h, b"),
    "z.numpy()": (CellError, "Written.step returned ndarray for the state 'h', expected float64"),
    "z.T": (
        CellError,
        r"step returned float64\[4, 2\] for the state 'h', expected float64\[2, 4\]",
    ),
    "z.astype(np.float32)": (CellError, r"step returned float32\[2, 4\] for the state 'h'"),
    "tg.ones(4)": (CellError, r"step returned float32\[4\] for the state 'h'"),
    "3.0": (CellError, "step returned float for the state 'h'"),
    "{'h': z}": (CellError, "step returned dict for the state 'h'"),
    "None": (CellError, "step returned None, expected the new h"),
    "(z, h)": (CellError, "step returned 2 rows, expected the new h"),
    "()": (CellError, "step returned 0 rows, expected the new h"),
    "z > 0": (CellError, "step returned a comparison for the state 'h'"),
}


def quietly(z):
    with tg.no_grad():
        return z * 1.0


def listed(text):
    return [part.strip() for part in text.replace("\n", ";").split(";") if part.strip()]


def written(source, name="Written"):
    """A cell of this expression, in float64, and the expression as a function."""
    function = eval(f"lambda z, h, p: {source}", globals())

    class Written(nn.Cell):
        state = ("h",)
        params = {"w_x": "I H", "w_h": "H H", "b": "H"}

        def step(self, x, h, p):
            return function(x @ p.w_x + h @ p.w_h + p.b, h, p)

    Written.__qualname__ = name
    tg.seed(1)
    cell = Written(I, H).astype(np.float64)
    cell.b.assign_(np.linspace(-1, 1, H))
    return cell, function


def check(cell, function):
    """The step, and its gradients, are those of the expression on Tensors."""
    x = tg.randn(B, I, dtype=np.float64, requires_grad=True)
    h = tg.randn(B, H, dtype=np.float64, requires_grad=True)
    got = cell(x, h)
    inputs = [x, h, *cell.parameters()]
    gradients = tg.grad(got.sum(), inputs, allow_unused=True)
    want = function(x @ cell.w_x + h @ cell.w_h + cell.b, h, cell)
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)
    expected = tg.grad(want.sum(), inputs, allow_unused=True)
    for g, e in zip(gradients, expected, strict=True):
        g, e = (np.zeros(1) if a is None else a.numpy() for a in (g, e))
        np.testing.assert_allclose(g + 0 * e, e + 0 * g, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("source", listed(TRACED))
def test_traced(source):
    cell, function = written(source)
    with use_reference():  # compiling each would take a minute
        assert isinstance(str(cell.program), str)
        check(cell, function)
    cell.fused = "require"
    assert cell.plan == "fused"


@pytest.mark.parametrize("source", listed(FALLS_BACK))
def test_falls_back_with_one_warning_and_right_results(source):
    cell, function = written(source, source)
    assert cell.plan == "composite"
    message = r"Written runs step by step.*: .*\(.*test_tracing.py:\d+: return "
    with pytest.warns(RuntimeWarning, match=message) as caught:
        check(cell, function)
    assert len(caught) == 1
    cell.fused = "require"
    with pytest.raises(TraceError, match="Written cannot be fused: "):
        cell(tg.zeros(B, I, dtype=np.float64))


@pytest.mark.parametrize("source", WRONG)
def test_what_is_wrong_raises_without_a_warning(source):
    error, message = WRONG[source]
    cell, _ = written(source)
    x = tg.zeros(B, I, dtype=np.float64)
    with pytest.raises(error, match=message):
        cell(x)


@pytest.mark.parametrize(
    ("number", "plain"),
    [
        ("np.float32(0.5) * z", "0.5 * z"),
        ("z ** np.float32(2.0)", "z ** 2"),
        ("ops.where(h > 0, 1.0, 0.0) * z", "ops.where(h > 0, 1, 0) * z"),
    ],
)
def test_numbers_of_every_kind_are_numbers(number, plain):
    assert written(number)[0].program is written(plain)[0].program


def test_a_step_that_draws_or_counts_does_so_at_every_step():
    draws, counts = np.random.default_rng(0), iter(range(1000))
    message = r"Moody\.step does something else when it is called"
    for function in (lambda h: h + draws.random(), lambda h: h + 1 if next(counts) % 2 else h + 2):
        step = lambda self, x, h, p, function=function: function(h) + x @ p.w
        cell = type("Moody", (nn.Cell,), {"state": ("h",), "params": {"w": "I H"}, "step": step})
        layer = nn.Recurrent(cell(I, H))
        with pytest.warns(RuntimeWarning, match=message):
            y = layer(tg.zeros(5, B, I))[0].numpy()
        assert len(set(np.diff(y[:, 0, 0]).tolist())) > 1
        layer.cells()[0].fused = "require"
        with pytest.raises(TraceError, match="same equations at every step"):
            layer(tg.zeros(5, B, I))


def test_a_number_that_is_none_is_the_same_when_it_is_met_again():
    cell, _ = written("z * float('nan')")
    assert cell.plan == "fused"


def test_an_error_of_a_step_on_tensors_says_why_it_was_not_fused():
    cell, _ = written("z if z > 0 else h")
    with pytest.raises(ValueError) as caught:
        cell(tg.zeros(B, I, dtype=np.float64))
    (note,) = caught.value.__notes__
    assert note.startswith("Written has no kernel, runs on Tensors: ")
    assert "<lambda>: a branch on the value" in note
    cell, _ = written("np.tanh(z)")
    with pytest.raises(TraceError, match="a function of NumPy; Tensors and rows have methods"):
        _ = cell.program


def test_a_row_of_another_call_is_no_row_of_this_one():
    class Keeps(nn.Cell):
        state = ("h",)
        params = {"w": "I H"}
        kept = None

        def step(self, x, h, p):
            last, Keeps.kept = Keeps.kept, h
            return (x @ p.w).tanh() if last is None else (x @ p.w + last).tanh()

    with pytest.raises(TraceError, match="a row of another call"):
        _ = Keeps(I, H).program


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (lambda self, h: None, "Wrong.output returned None, expected one row"),
        (lambda self, h: (h, h), "Wrong.output returned a tuple, expected one row"),
        (lambda self, h: h > 0, "Wrong.output returned a comparison"),
        (lambda self, h: 1.0, r"Wrong.output returned float, expected a Tensor \(B, width\)"),
        (lambda self, h: h.sum(), r"Wrong.output returned float32\[\], expected a Tensor"),
    ],
)
def test_what_a_cell_gives_out_is_a_row(output, message):
    class Wrong(nn.Cell):
        state = ("h",)
        params = {"w": "I H"}

        def step(self, x, h, p):
            return (x @ p.w + h).tanh()

    Wrong.output = output
    with pytest.raises(CellError, match=message):
        Wrong(I, H)(tg.zeros(B, I))


@pytest.mark.parametrize(
    ("state", "params", "step", "name"),
    [
        ({"h": "H", "n": "1"}, {"w": "I H"}, lambda x, h, n, p: (h + x @ p.w, n + 1), "n is 1"),
        ({"h": "4"}, {"w": "I 4"}, lambda x, h, p: (h + x @ p.w).tanh(), "h is 4"),
        (("h",), {"w": "I H", "v": "H 1"}, lambda x, h, p: (h @ p.v) * (x @ p.w), "v is 1"),
        (("h",), {"w": "I H", "b": "1"}, lambda x, h, p: h + x @ p.w + p.b, "b is 1"),
    ],
)
def test_widths_without_a_letter_run_step_by_step(state, params, step, name):
    kind = type("Fixed", (nn.Cell,), {"state": state, "params": params, "__qualname__": name})
    kind.step = lambda self, *rows: step(*rows)
    cell = kind(I, H)
    states = tuple(tg.ones(B, n) for n in cell.state_sizes.values())
    with pytest.warns(RuntimeWarning, match=f"Fixed: {name} wide, but kernels take widths by let"):
        got = cell(tg.ones(B, I), states)
    want = step(tg.ones(B, I), *states, cell)
    np.testing.assert_allclose(
        got[0] if len(states) > 1 else got, want[0] if len(states) > 1 else want
    )
