"""Why gradients vanish and explode, and what is done about it, in six pictures.

    ∂h_t/∂h_k = Π_{i = t .. k+1} diag(f'(a_i)) W        a: what goes into f

1. A linear network: the gradient's norm against the lag falls or grows by log ρ a step, ρ the
   spectral radius of W, the size of its largest eigenvalue.
2. The same with tanh: the largest singular value of W bounds it, and more is not known.
3. Both regimes: nats a step against the spectral radius.
4. Gates: RNN, GRU and LSTM, and LSTMs whose forget gates are more or less open.
5. Depth instead of time: plain, residual, highway and dense stacks.
6. A cliff in the loss of a network of one unit: descending with and without clipping.

Writes vanishing_gradients.svg into the folder --out and prints the slopes. Takes seconds.
"""

import argparse
import os
from pathlib import Path

import command
import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import inspect, nn, ops, optim
from tinygrad_rnn.inspect import Chart, Line

SHORT = bool(os.environ.get("TINYGRAD_SHORT"))
STEPS = 120 if SHORT else 240
BURN_IN = STEPS // 3  # a matrix that is not normal first does as it likes
UNITS = 24
rng = np.random.default_rng(0)


def matrix(radius: float, normal: bool) -> np.ndarray:
    """A recurrent matrix (H, H) of a spectral radius: a turned and scaled copy, or any."""
    drawn = rng.standard_normal((UNITS, UNITS))
    if normal:
        return radius * np.linalg.qr(drawn)[0]
    return drawn * (radius / np.abs(np.linalg.eigvals(drawn)).max())


def norms(w: np.ndarray, activation: str) -> np.ndarray:
    """‖∂L/∂h_{T-1-k}‖ for k = 0 .. T-1, L along a direction of the last state."""
    layer = nn.RNN(1, UNITS, nonlinearity=activation, fused=False)
    layer.layers[0]["forward"].w_h.assign_(w.astype(np.float32))
    x = 0.1 * rng.standard_normal((STEPS, 1, 1)).astype(np.float32)
    return inspect.gradient_by_lag(layer, x)[0, "forward", "h"]


def slope(by_lag: np.ndarray) -> float:
    """Nats a step, after burn-in."""
    rest = np.log(np.maximum(by_lag[BURN_IN:], 1e-300))
    return float(np.polyfit(np.arange(len(rest)), rest, 1)[0])


def against_lag() -> list[Chart]:
    """Pictures 1 and 2."""
    linear, bounded = [], []
    lags = np.arange(STEPS)
    print("spectral radius  matrix      largest singular value  log radius  measured  difference")
    for colour, radius in enumerate((0.95, 1.0, 1.05)):
        for normal in (True, False):
            w = matrix(radius, normal)
            found = norms(w, "identity")
            kind, largest = "normal" if normal else "not normal", np.linalg.norm(w, 2)
            off = slope(found) - np.log(radius)
            print(f"{radius:15.2f}  {kind:10}  {largest:22.2f}  {np.log(radius):+10.4f}  "
                  f"{slope(found):+8.4f}  {off:+.4f}")  # fmt: skip
            assert abs(off) < 0.01
            name = f"ρ = {radius:g}, {kind}"
            linear.append(Line(name, lags, found, colour, dashed=not normal))
    for colour, largest in enumerate((0.9, 1.5, 3.0)):
        w = matrix(1.0, normal=False)
        w *= largest / np.linalg.norm(w, 2)
        found = norms(w, "tanh")
        bound = found[0] * largest ** lags.astype(float)
        assert (found <= bound * 1.0001).all()
        bounded.append(Line(f"σ = {largest:g}", lags, found, colour))
        bounded.append(Line("its bound", lags, bound, colour, dashed=True))
    low = {"y": (-12.0, 6.0)}
    return [
        Chart("1  Linear: a slope of log ρ", "lag", "‖∂L/∂h‖", linear, log_y=True),
        Chart("2  tanh: σᵏ is a bound, no more", "lag", "‖∂L/∂h‖", bounded, log_y=True, ends=low),
    ]


def against_radius() -> Chart:
    """Picture 3."""
    radii = np.linspace(0.75, 1.25, 5 if SHORT else 21)
    found = {
        name: [slope(norms(matrix(r, normal), f)) for r in radii]
        for name, f, normal in (
            ("linear, normal", "identity", True),
            ("linear, not normal", "identity", False),
            ("tanh, not normal", "tanh", False),
        )
    }
    dots = [Line(name, radii, y, n, dots=True) for n, (name, y) in enumerate(found.items())]
    log = Line("log ρ", radii, np.log(radii), 6, dashed=True)
    return Chart(
        "3  Vanishing below, exploding above", "spectral radius ρ", "nats a step", [*dots, log]
    )


def of_gates() -> Chart:
    """Picture 4: at first, before any training, with forget gates of different bias."""
    x = rng.standard_normal((STEPS, 4, 8)).astype(np.float32)
    lines = []
    for cell, state in ((nn.RNN, "h"), (nn.GRU, "h")):
        found = inspect.gradient_by_lag(cell(8, UNITS, fused=False), x)
        lines.append(Line(cell.__name__, np.arange(STEPS), found[0, "forward", state], len(lines)))
    for bias in (0.0, 2.0, 5.0):
        layer = nn.LSTM(8, UNITS, fused=False)
        cell = layer.layers[0]["forward"]
        b = cell.b.numpy().copy()
        b[UNITS : 2 * UNITS] = bias  # gates stand in the order i, f, g, o
        cell.b.assign_(b)
        found = inspect.gradient_by_lag(layer, x)[0, "forward", "c"]
        lines.append(Line(f"LSTM, b_f = {bias:g}", np.arange(STEPS), found, len(lines)))
    ends = {"y": (-16.0, 1.0)}
    return Chart("4  Gates keep gradients", "lag", "‖∂L/∂h‖, ‖∂L/∂c‖", lines, log_y=True, ends=ends)


def against_depth() -> Chart:
    """Picture 5: tanh layers of a small gain, each connected in another way to what it reads."""
    depth, size = 40, 32
    x = rng.standard_normal((16, size)).astype(np.float32)
    lines = []
    for number, kind in enumerate(("plain", "highway", "residual", "dense")):
        stack: list[nn.Module] = []
        for n in range(depth):
            read = size + 4 * n if kind == "dense" else size
            f = nn.Dense(4 if kind == "dense" else size, activation="tanh", input_dim=read)
            f.weight.assign_(0.8 * f.weight.numpy())
            around = {"residual": nn.Residual, "dense": nn.DenselyConnected}.get(kind)
            stack.append(nn.Highway(f, size) if kind == "highway" else around(f) if around else f)
            if kind == "highway":  # at first most of x has to pass, the more so the deeper
                stack[-1].gate.b.assign_(np.full(size, -4.0, np.float32))
        found = inspect.gradient_by_depth(stack, x)[::-1]
        lines.append(Line(kind, np.arange(depth + 1), found / found[0], number))
    title = "5  Depth: what leads around a layer"
    return Chart(title, "layers before the last", "‖∂L/∂x‖ / ‖∂L/∂y‖", lines, log_y=True)


def descend(clip: float | None) -> np.ndarray:
    """Gradient descent of (w, b), 50 steps of h = w σ(h) + b, towards σ(h) = 0.7."""
    layer = nn.RNN(1, 1, nonlinearity="sigmoid", nonlinearity_first=True, fused=False)
    layer.astype(np.float64)
    cell = layer.layers[0]["forward"]
    cell.w_h.assign_(np.array([[5.2]]))
    cell.b.assign_(np.array([-2.35]))
    cell.w_x.requires_grad = False
    optimizer, places = optim.SGD([cell.w_h, cell.b], lr=1.0), []
    for _ in range(15 if SHORT else 60):
        places.append([cell.w_h.item(), cell.b.item()])
        _, h = layer(np.zeros((50, 1, 1)), np.full((1, 1, 1), 0.5))
        optimizer.zero_grad()
        ((ops.sigmoid(h) - 0.7) ** 2).sum().backward()
        if clip is not None:
            optim.clip_grad_norm([cell.w_h, cell.b], clip)
        optimizer.step()
    return np.array(places)


def the_cliff() -> Chart:
    """Picture 6."""
    (w0, w1), (b0, b1) = ends = (2.5, 6.5), (-6.0, -1.0)
    w, b = np.meshgrid(np.linspace(w0, w1, 240), np.linspace(b1, b0, 200))
    h = np.full_like(w, 0.5)
    for _ in range(50):
        h = w / (1 + np.exp(-h)) + b
    loss = (1 / (1 + np.exp(-h)) - 0.7) ** 2
    free, clipped = descend(None), descend(0.2)
    lines = [
        Line("free", free[:, 0], free[:, 1], 3),
        Line("", free[:, 0], free[:, 1], 3, dots=True),
        Line("clipped at 0.2", clipped[:, 0], clipped[:, 1], 1),
        Line("", clipped[:, 0], clipped[:, 1], 1, dots=True),
    ]
    longest = [
        np.sqrt(np.square(np.diff(path, axis=0)).sum(axis=1)).max() for path in (free, clipped)
    ]
    print(f"the longest step on the cliff: {longest[0]:.2f}; clipped: {longest[1]:.2f}")
    below = inspect.image(-0.5 * np.sqrt(loss / loss.max()), smooth=True)
    return Chart(
        "6  A cliff, and clipping (darker: more loss)", "w", "b", lines,
        ends={"x": ends[0], "y": ends[1]}, below=below,
    )  # fmt: skip


@command.ended()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    where = Path("out/vanishing_gradients")
    parser.add_argument("--out", type=Path, default=where, help="a folder")
    folder = command.made(parser.parse_args().out)
    tg.seed(0)
    charts = [*against_lag(), against_radius(), of_gates(), against_depth(), the_cliff()]
    drawn = inspect.page_of_charts(charts, columns=2)
    (folder / "vanishing_gradients.svg").write_text(drawn, "utf-8")
    print(f"wrote {folder / 'vanishing_gradients.svg'}")
    print("slope of the linear networks: log of the spectral radius, within 0.01")


if __name__ == "__main__":
    main()
