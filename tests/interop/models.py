"""Models for export: name -> the model, its inputs, dynamic axes, and inputs of other sizes."""

import numpy as np

from tinygrad_rnn import nn, ops

TB = {0: "T", 1: "B"}


def numbers(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def ids(*shape):
    return np.random.default_rng(sum(shape)).integers(0, 9, shape)


class Attending(nn.Module):
    def __init__(self, *arguments, **options):
        super().__init__()
        self.attention = nn.Attention(*arguments, **options)

    def forward(self, query, keys):
        return self.attention(query, keys)


class Decoder(nn.Module):
    """What a model of one's own does: cells, a loop, indices, arithmetic, tied weights."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(9, 4, padding_id=0)
        self.encoder = nn.GRU(4, 6)
        self.cell = nn.GRUCell(4, 6)
        self.memory = nn.LSTMCell(6, 3)
        self.attention = nn.Attention("general", 6, 6, batch_first=False)
        self.tied = nn.TiedLinear(self.embedding)

    def forward(self, source, h):
        keys, _ = self.encoder(self.embedding(source))
        for _ in range(2):
            h = self.cell(h[:, :4] * 0.5, h)
        m, c = self.memory(h)
        context, weights = self.attention(h, keys)
        y = ops.concat([h, context, m, c], axis=-1)
        z = ops.log1p(ops.square(y))
        scores = self.tied(y[:, -4:].swapaxes(0, 1).mT.exp() - ops.expm1(y[:, 4:8]))
        last = ops.clip(z[None, 0:1, ::-2], 0.1, 0.9).max(axis=1)
        return (
            scores,
            (weights, y.sum(axis=-1, keepdims=True)),
            last,
            z.flip(1).mean(),
            (2.0 ** -y.tanh()[-1]) ** 3,
        )


class OwnForward(nn.Linear):
    """A kind that ONNX has, but for what it computes."""

    def forward(self, x):
        return ops.where(np.eye(3) > 0, ops.matmul(x, self.weight) ** 2.0, 0.5)


class Stateful(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 3, 2, bidirectional=True)

    def forward(self, x, h, c):
        return self.lstm(x, state=(h, c))


class Ragged(nn.Module):
    def __init__(self, kind, **options):
        super().__init__()
        self.layer = kind(4, 3, 2, bidirectional=True, **options)

    def forward(self, x, lengths, *state):
        return self.layer(x, *state, lengths=lengths)


class Converting(nn.Module):
    """Whole numbers and booleans beside floating-point numbers."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(np.zeros(4, np.float32))

    def forward(self, ids, mask):
        return (
            ops.mul(ids, 1.5), ops.div(ids, 2), ops.mean(ids, 0), ops.pow(ids, 3), ops.exp(ids),
            ops.concat([ids, self.weight[None]]), ops.where(mask, ids, 0.5), ops.sum(mask, 0),
            ops.mul(self.weight, mask), ops.add(self.weight, [1, 2, 3, 4.5]), ops.add(ids, 1),
        )  # fmt: skip


class Named(nn.Module):
    """Weights that are called as inputs, outputs and what lies between them would be."""

    NAMES = ("x", "x_", "y", "y1", "constant_0", "number_0", "number_1", "step_0", "value_0")

    def __init__(self):
        super().__init__()
        for name in self.NAMES:
            setattr(self, name, nn.Parameter(np.zeros(4, np.float32)))

    def forward(self, x):
        result = ops.tanh(ops.mul(x, 1.5)) + ops.expm1(x[0:2, 1])[None, 0]
        for name in self.NAMES:
            result = result * getattr(self, name) + 0.5
        return result


class Cut(nn.Module):
    """Slices that go back from a place counted from the end."""

    def forward(self, x):
        ends = (None, -12, -8, 0, -3)
        return tuple(ops.getitem(x, np.s_[:, -7:end:step]) for end in ends for step in (-1, -2))


def recurrent():
    options = {
        "plain": {}, "deep": {"bidirectional": True, "num_layers": 2}, "reverse": {"reverse": True},
        "sum": {"bidirectional": True, "merge": "sum"},
        "mean last": {"bidirectional": True, "merge": "mean", "output": "last"},
        "mul": {"bidirectional": True, "merge": "mul", "num_layers": 2},
        "none": {"bidirectional": True, "merge": "none", "num_layers": 2},
        "rows first": {"batch_first": True, "bidirectional": True},
        "last": {"output": "last", "bidirectional": True, "batch_first": True},
        "widths": {},
    }  # fmt: skip
    for k, (name, more) in enumerate(options.items()):
        kind = (nn.LSTM, nn.GRU, nn.RNN)[k % 3]
        layer = kind(4, [3, 5] if name == "widths" else 3, **more)
        if name == "widths":
            layer = nn.Sequential(layer, nn.Identity())
        yield name, (layer, [numbers(5, 2, 4)], [TB], [numbers(8, 3, 4)])


IMAGES = nn.Sequential(
    nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm(4), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(4, 4, (3, 1), stride=2, groups=2), nn.AvgPool2d(2, padding=1), nn.Flatten(),
    nn.Dense(3, 24, activation="sigmoid"), nn.Softmax(),
)  # fmt: skip
SIGNAL = nn.Sequential(
    nn.Conv1d(4, 4, 3, padding="same", bias=False), nn.GELU(), nn.MaxPool1d(3, 2, 1),
    nn.AvgPool1d(2, padding=1, count_padding=False), nn.BatchNorm(4, affine=False),
)  # fmt: skip
ACTIVATIONS = [
    getattr(nn, name)()
    for name in "HardTanh HardSigmoid Softsign Softplus SiLU LeakyReLU ELU Tanh LogSoftmax".split()
]

MODELS = {
    **dict(recurrent()),
    "language model": (
        nn.Sequential(
            nn.Embedding(9, 4), nn.LSTM(4, 6, num_layers=2, dropout=0.5, zoneout=0.0),
            nn.LayerNorm(6), nn.LockedDropout(0.3), nn.Dense(5, 6, activation="tanh"),
            nn.Linear(5, 9), nn.LogSoftmax(),
        ),
        [ids(5, 2)], [TB], [ids(9, 4)],
    ),
    "images": (IMAGES, [numbers(2, 1, 12, 16)], [{0: "B"}], [numbers(5, 1, 12, 16)]),
    "signal": (SIGNAL, [numbers(2, 4, 12)], [{0: "B", 2: "L"}], [numbers(3, 4, 17)]),
    "activations": (nn.Sequential(*ACTIVATIONS), [numbers(3, 4)], [{0: "B"}], [numbers(6, 4)]),
    **{
        score: (
            Attending(score, *sizes, **options), [numbers(2, 3, 4), numbers(2, 5, 4)],
            [{0: "B", 1: "T"}, {0: "B", 1: "S"}], [numbers(3, 7, 4), numbers(3, 6, 4)],
        )
        for score, sizes, options in [
            ("dot", (), {}), ("scaled_dot", (), {}), ("general", (4, 4), {}),
            ("additive", (4, 4, 5), {}), ("multi_head", (4,), {"num_heads": 2}),
        ]
    },
    "causal": (
        Attending("scaled_dot", causal=True), [numbers(2, 5, 4), numbers(2, 5, 4)],
        [{0: "B"}, {0: "B"}], [numbers(3, 5, 4), numbers(3, 5, 4)],
    ),
    "decoder": (
        Decoder(), [ids(5, 2), numbers(2, 6)], [TB, {0: "B"}], [ids(9, 4), numbers(4, 6)],
    ),
    "around": (
        nn.Sequential(
            nn.Residual(nn.LSTM(4, 4)), nn.Highway(nn.Linear(4, 4), 4),
            nn.DenselyConnected(nn.GRU(4, 4, reset_after=False)), nn.LayerNorm((2, 8), bias=False),
        ),
        [numbers(5, 2, 4)], [{0: "T"}], [numbers(7, 2, 4)],
    ),
    "own forward": (OwnForward(3, 3), [numbers(3, 3)], [], [numbers(3, 3)]),
    "a state that is given": (
        Stateful(), [numbers(5, 2, 4), numbers(4, 2, 3), numbers(4, 2, 3)],
        [TB, {1: "B"}, {1: "B"}], [numbers(6, 3, 4), numbers(4, 3, 3), numbers(4, 3, 3)],
    ),
    "lengths": (
        Ragged(nn.LSTM), [numbers(5, 3, 4), np.array([5, 0, 3])],
        [TB, {0: "B"}], [numbers(7, 4, 4), np.array([1, 7, 3, 2])],
    ),
    "full lengths": (
        Ragged(nn.LSTM), [numbers(5, 3, 4), np.array([5, 5, 5])],
        [], [numbers(5, 3, 4), np.array([5, 0, 3])],
    ),
    "a single id": (nn.Embedding(9, 4), [np.zeros((5, 2), int)], [TB], [ids(9, 4)]),
    "conversions": (
        Converting(), [ids(3, 4), ids(3, 4) > 4], [{0: "B"}] * 2, [ids(6, 4), ids(6, 4) > 2],
    ),
    "names": (Named(), [numbers(3, 4)], [], [numbers(3, 4) + 1]),
    "cuts": (Cut(), [numbers(2, 9)], [{1: "T"}], [numbers(2, 4)]),
    "lengths, the last": (
        Ragged(nn.GRU, output="last", merge="sum"),
        [numbers(5, 3, 4), np.array([5, 0, 3]), numbers(4, 3, 3)],
        [TB, {0: "B"}, {1: "B"}], [numbers(7, 4, 4), np.array([1, 7, 3, 2]), numbers(4, 4, 3)],
    ),
    "peepholes": (
        nn.Recurrent(nn.PeepholeLSTMCell(4, 3)), [numbers(5, 2, 4)], [], [numbers(5, 2, 4)],
    ),
    "activations of gates": (
        nn.GRU(4, 3, activation="softsign", bias=False), [numbers(5, 2, 4)], [], [numbers(5, 2, 4)],
    ),
}  # fmt: skip
