"""The cases of ``gpu_ours.py`` by PyTorch, behind how they are run:

eager train LSTM T B H    each call by itself
graph train LSTM T B H    a call is recorded once, and replayed

``precision=`` among the options is "fp32" (the default: no tf32), "tf32", "bf16" or "fp16".
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import numpy as np
import torch
from sides.arguments import draw_lengths
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

CALLS = int(os.environ.get("BENCHMARK_CALLS", "10"))
DEVICE = os.environ.get("BENCHMARK_DEVICE", "cuda").replace("gpu", "cuda")
TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def case(name):
    how, name, dtype = prepared(name)
    once = once_of(name, dtype)
    once = recorded(once) if how == "graph" else once

    def several():
        for _ in range(CALLS):
            once()
        wait()

    return several


def prepared(name):
    """How, what, and in which type; tf32 is a switch of all products."""
    how, *rest = name.split()
    precision = next((w.partition("=")[2] for w in rest if w.startswith("precision=")), "fp32")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    kept = [word for word in rest if not word.startswith("precision=")]
    return how, " ".join(kept), TYPES.get(precision, torch.float32)


def once_of(name, dtype):
    work = {"words": words, "losses": linear, "attention": attention}.get(name.split()[0], layer)
    return work(name, dtype)


def recorded(once):
    """A call as a graph, after some that let libraries choose and allocate."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            once()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        once()
    return graph.replay


def wait():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def drawn(*shape, dtype=torch.float32):
    array = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    return torch.from_numpy(array).to(DEVICE, dtype)


def layer(name, dtype):
    from sides.arguments import arguments

    what, kind, (T, B, H), _, options = arguments(name)
    lengths = draw_lengths(options, T, B)
    torch.manual_seed(0)
    made = getattr(nn, kind)(H, H, **options).to(DEVICE, dtype)
    if DEVICE == "cuda":
        made.flatten_parameters()
    x = drawn(T, B, H, dtype=dtype)

    def run():
        some = next(lengths)
        if some is None:
            return made(x)[0]
        packed = pack_padded_sequence(x, torch.from_numpy(some), enforce_sorted=False)
        return pad_packed_sequence(made(packed)[0], total_length=T)[0]

    if what == "infer":

        def work():
            with torch.no_grad():
                run()

        return work
    x.requires_grad_()
    given = [x, *made.parameters()]
    dy = drawn(T, B, H * (2 if options.get("bidirectional") else 1), dtype=dtype)

    def work():
        for tensor in given:
            tensor.grad = None
        run().backward(dy)

    return work


def words(name, dtype):
    V, E, H, layers, T, B = map(int, name.split()[1:])
    torch.manual_seed(0)
    embedding, lstm, out = nn.Embedding(V, E), nn.LSTM(E, H, layers), nn.Linear(H, V)
    made = nn.ModuleList([embedding, lstm, out]).to(DEVICE, dtype)
    parameters = list(made.parameters())
    descent = torch.optim.SGD(parameters, lr=0.1)
    ids = torch.from_numpy(np.random.default_rng(0).integers(0, V, (T + 1, B))).to(DEVICE)
    state = [torch.zeros(layers, B, H, device=DEVICE, dtype=dtype) for _ in range(2)]

    def work():
        descent.zero_grad(set_to_none=True)
        y, after = lstm(embedding(ids[:-1]), tuple(state))
        loss = nn.functional.cross_entropy(out(y).reshape(-1, V), ids[1:].reshape(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 0.25, foreach=True)
        descent.step()
        for old, new in zip(state, after, strict=True):
            old.copy_(new.detach())

    return work


def linear(name, dtype):
    N, D, V = map(int, name.split()[1:])
    h, w = drawn(N, D, dtype=dtype).requires_grad_(), drawn(D, V, dtype=dtype).requires_grad_()
    targets = torch.from_numpy(np.random.default_rng(0).integers(0, V, N)).to(DEVICE)

    def work():
        h.grad = w.grad = None
        nn.functional.cross_entropy(h @ w, targets).backward()

    return work


def attention(name, dtype):
    B, T, S, D = map(int, name.split()[1:])
    torch.manual_seed(0)
    to_query, to_key = nn.Linear(D, D, bias=False), nn.Linear(D, D, bias=False)
    vector = nn.Parameter(torch.randn(D) / D**0.5)
    made = nn.ModuleList([to_query, to_key]).to(DEVICE, dtype)
    vector = nn.Parameter(vector.detach().to(DEVICE, dtype))
    query, keys = (drawn(B, n, D, dtype=dtype).requires_grad_() for n in (T, S))
    g = drawn(B, T, D, dtype=dtype)
    given = [query, keys, vector, *made.parameters()]

    def work():
        for tensor in given:
            tensor.grad = None
        scores = torch.tanh(to_query(query)[:, :, None] + to_key(keys)[:, None]) @ vector
        (torch.softmax(scores, -1) @ keys).backward(g)

    return work


def algorithm(name):
    """Which kind of recurrent kernels cuDNN has chosen, by their names."""
    _, name, dtype = prepared(name)
    once = once_of(name, dtype)
    once()
    with torch.profiler.profile() as seen:
        once()
        wait()
    kernels = {event.name for event in seen.events() if event.device_type.name == "CUDA"}
    return "persistent" if any("persist" in kernel.lower() for kernel in kernels) else "standard"


def peak(name):
    """The most bytes of the GPU that some calls of a case have held."""
    case(name)()
    return torch.cuda.max_memory_reserved()


if __name__ == "__main__":
    if sys.argv[1] == "found":
        found = torch.cuda.is_available() and f"{torch.__version__}, CUDA {torch.version.cuda}"
        print(found or "")
    else:
        print({"algorithm": algorithm, "peak": peak}[sys.argv[1]](sys.argv[2]))
