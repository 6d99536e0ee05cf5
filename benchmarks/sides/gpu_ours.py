"""On a GPU, so many calls between two waits for it. Cases are those of ``gpu_torch.py``:

train LSTM T B H, infer GRU T B H    a layer, with its options behind: num_layers=2 lengths=0.2
words V E H layers T B               a training step of a language model of words
losses N D V                         a linear layer with cross-entropy, forward and backward
attention B T S D                    additive attention over all places, forward and backward
"""

import os

import numpy as np
from sides.arguments import arguments, draw_lengths

import tinygrad_rnn as tg
from tinygrad_rnn import losses, nn, optim

CALLS = int(os.environ.get("BENCHMARK_CALLS", "10"))
DEVICE = os.environ.get("BENCHMARK_DEVICE", "gpu")


def case(name):
    work = {"words": words, "losses": linear, "attention": attention}.get(name.split()[0], layer)
    once = work(name)

    def several():
        for _ in range(CALLS):
            once()
        wait()

    return several


def wait():
    if DEVICE != "cpu":
        import cupy

        cupy.cuda.get_current_stream().synchronize()


def drawn(*shape):
    array = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    return tg.Tensor(array).to(DEVICE)


def layer(name):
    what, kind, (T, B, H), _, options = arguments(name)
    lengths = draw_lengths(options, T, B)
    tg.seed(0)
    made = getattr(nn, kind)(H, H, **options).to(DEVICE)
    x = drawn(T, B, H)
    if what == "infer":

        def work():
            with tg.no_grad():
                made(x, lengths=next(lengths))

        return work
    x.requires_grad = True
    parameters = list(made.parameters())
    dy = drawn(T, B, H * (2 if options.get("bidirectional") else 1))
    changed = [p.shared_version().bump for p in parameters]  # as an optimiser does

    def work():
        for tensor in (x, *parameters):
            tensor.grad = None
        for bump in changed:
            bump()
        made(x, lengths=next(lengths))[0].backward(dy)

    return work


def words(name):
    V, E, H, layers, T, B = map(int, name.split()[1:])
    tg.seed(0)
    embedding, lstm, out = nn.Embedding(V, E), nn.LSTM(E, H, layers), nn.Linear(H, V)
    parameters = [p for module in (embedding, lstm, out) for p in module.to(DEVICE).parameters()]
    descent = optim.SGD(parameters, lr=0.1)
    ids = np.random.default_rng(0).integers(0, V, (T + 1, B))
    state = None

    def work():
        nonlocal state
        descent.zero_grad()
        y, (h, c) = lstm(embedding(ids[:-1]), state)
        state = h.detach(), c.detach()
        losses.linear_cross_entropy(y, out.weight, ids[1:], out.bias).backward()
        optim.clip_grad_norm(parameters, 0.25)
        descent.step()

    return work


def linear(name):
    N, D, V = map(int, name.split()[1:])
    h, w = drawn(N, D), drawn(D, V)
    targets = np.random.default_rng(0).integers(0, V, N)
    for tensor in (h, w):
        tensor.requires_grad = True

    def work():
        h.grad = w.grad = None
        losses.linear_cross_entropy(h, w, targets).backward()

    return work


def attention(name):
    B, T, S, D = map(int, name.split()[1:])
    tg.seed(0)
    made = nn.Attention("additive", D, D, D, bias=False).to(DEVICE)
    query, keys, g = drawn(B, T, D), drawn(B, S, D), drawn(B, T, D)
    given = [query, keys, *made.parameters()]
    query.requires_grad = keys.requires_grad = True

    def work():
        for tensor in given:
            tensor.grad = None
        made(query, keys, keys)[0].backward(g)

    return work


def peak(name):
    """The most bytes of the GPU that some calls of a case have held."""
    import cupy

    case(name)()
    return cupy.get_default_memory_pool().total_bytes()


if __name__ == "__main__":
    import sys

    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    print(peak(sys.argv[1]))
