"""The algorithm of min-char-rnn in plain NumPy, derivatives by hand; how far ours is from it."""

import math

import numpy as np

import tinygrad_rnn as tg
from tests.loaded_example import loaded


class CharRNN:
    """w: x h (V, H), h h (H, H), h y (H, V), and the biases of h and y."""

    def __init__(self, w_xh, w_hh, b_h, w_hy, b_y):
        self.weights = [np.array(w, np.float64) for w in (w_xh, w_hh, b_h, w_hy, b_y)]
        self.squares = [np.zeros_like(w) for w in self.weights]

    def iteration(self, x, y, h):
        """One iteration over ids x, y (T,) from h (H,): the loss, and the last h."""
        w_xh, w_hh, b_h, w_hy, b_y = self.weights
        states, rows = [h], []
        loss = 0.0
        for now, following in zip(x, y, strict=True):
            h = np.tanh(w_xh[now] + h @ w_hh + b_h)
            scores = h @ w_hy + b_y
            e = np.exp(scores - scores.max())
            states.append(h)
            rows.append(e / e.sum())
            loss -= math.log(rows[-1][following])
        gradients = self.gradients(x, y, states, rows)
        for weight, square, gradient in zip(self.weights, self.squares, gradients, strict=True):
            gradient = np.clip(gradient, -5, 5)
            square += gradient * gradient
            weight -= 0.1 * gradient / np.sqrt(square + 1e-8)
        return loss, h

    def gradients(self, x, y, states, rows):
        """Of the summed loss, from the last step to the first."""
        _, w_hh, _, w_hy, _ = self.weights
        g_xh, g_hh, g_bh, g_hy, g_by = found = [np.zeros_like(w) for w in self.weights]
        later = np.zeros_like(states[0])
        for t in reversed(range(len(x))):
            slope = rows[t].copy()
            slope[y[t]] -= 1
            g_hy += np.outer(states[t + 1], slope)
            g_by += slope
            before = (slope @ w_hy.T + later) * (1 - states[t + 1] ** 2)
            g_xh[x[t]] += before
            g_hh += np.outer(states[t], before)
            g_bh += before
            later = before @ w_hh.T
        return found


def chunks(ids, steps=25):
    """x, y, and whether the memory is empty, for ever."""
    place = 0
    while True:
        yield ids[place : place + steps], ids[place + 1 : place + steps + 1], place == 0
        place += steps
        if place + steps + 1 >= len(ids):
            place = 0


def train(rnn, ids, steps=25):
    """The smooth loss of each iteration, for ever."""
    smooth = steps * math.log(len(rnn.weights[0]))
    h = empty = np.zeros(len(rnn.weights[1]))
    for x, y, first in chunks(ids, steps):
        loss, h = rnn.iteration(x, y, empty if first else h)
        smooth = 0.999 * smooth + 0.001 * loss
        yield smooth


class Ours:
    """The example in float64, and what it holds as lists of arrays."""

    def __init__(self, module, size):
        tg.seed(0)
        self.model = module.CharRNN(size).astype(tg.float64)
        self.adagrad = module.adagrad_for(self.model)
        cell = self.model.rnn.cells()[0]
        self.parameters = cell.w_x, cell.w_h, cell.b, self.model.out.weight, self.model.out.bias

    def weights(self):
        return [parameter.numpy().copy() for parameter in self.parameters]

    def squares(self):
        state = self.adagrad.state_dict()["state"]
        places = {id(p): k for k, p in enumerate(self.model.parameters())}
        return [np.array(state[places[id(p)]]["v"]) for p in self.parameters]


def differences(iterations, ids, size):
    """Each iteration from where ours is: the largest difference of what comes out of it.

    Of the loss, as a share of it; of a weight; of a sum of squares, as a share of the largest.
    They go on from where ours went: the first steps, of 0.1 in every weight, are chaotic, and in
    twenty iterations what was rounded has grown to the size of the loss, whoever computes it.
    """
    module = loaded("min_char_rnn")
    ours = Ours(module, size)
    by_hand, h, worst = CharRNN(*ours.weights()), None, np.zeros(3)
    for (x, y, first), _ in zip(chunks(ids), range(iterations), strict=False):
        start = np.zeros(module.HIDDEN) if first else h.numpy()[0]
        expected, last = by_hand.iteration(x, y, start)
        loss, h = module.iterate(ours.model, ours.adagrad, x, y, None if first else h)
        np.testing.assert_allclose(h.numpy()[0], last, atol=1e-9)
        weights, squares = ours.weights(), ours.squares()
        found = (
            abs(loss - expected) / expected,
            max(abs(a - b).max() for a, b in zip(weights, by_hand.weights, strict=True)),
            max(abs(a - b).max() / b.max() for a, b in zip(squares, by_hand.squares, strict=True)),
        )
        worst = np.maximum(worst, found)
        by_hand.weights, by_hand.squares = weights, squares
    return worst


def apart(iterations, ids, size, nudge=None):
    """How many iterations two free runs are as near as 1e-6 of their smooth loss.

    Ours and the one by hand; or, with a nudge, the one by hand and itself with all weights
    multiplied by 1 + nudge.
    """
    module = loaded("min_char_rnn")
    module.sample = lambda *given: []
    ours = Ours(module, size)
    weights = ours.weights()
    if nudge is None:
        found = (smooth for smooth, _ in module.train(ours.model, ids))
    else:
        found = train(CharRNN(*(w * (1 + nudge) for w in weights)), ids)
    expected = train(CharRNN(*weights), ids)
    for iteration in range(iterations):
        if not math.isclose(next(found), next(expected), rel_tol=1e-6):
            return iteration
    return iterations


def left_alone(iterations, ids, size, after):
    """The most by which smooth losses of free runs differ, as a share, from iteration ``after`` on.

    Of ours and the one by hand, both from where ours stands by then; and of the one by hand and
    itself with all weights a rounding larger.
    """
    module, way = loaded("min_char_rnn"), chunks(ids)
    ours, h, empty = Ours(module, size), None, np.zeros(module.HIDDEN)
    for (x, y, first), _ in zip(way, range(after), strict=False):
        _, h = module.iterate(ours.model, ours.adagrad, x, y, None if first else h)
    by_hand, nudged = (CharRNN(*ours.weights()) for _ in range(2))
    for rnn in (by_hand, nudged):
        rnn.squares = ours.squares()
    nudged.weights = [weight * (1 + 2**-52) for weight in nudged.weights]
    states, smooth, worst = [h.numpy()[0]] * 2, np.full(3, 25 * math.log(size)), np.zeros(2)
    for (x, y, first), _ in zip(way, range(iterations), strict=False):
        found = [
            rnn.iteration(x, y, empty if first else state)
            for rnn, state in zip((by_hand, nudged), states, strict=True)
        ]
        loss, h = module.iterate(ours.model, ours.adagrad, x, y, None if first else h)
        states = [state for _, state in found]
        smooth = 0.999 * smooth + 0.001 * np.array([found[0][0], loss, found[1][0]])
        worst = np.maximum(worst, abs(smooth[1:] / smooth[0] - 1))
    return worst.tolist()
