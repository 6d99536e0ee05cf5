"""Groups to test with: several in one process, each in a thread; and what processes do."""

import contextvars
import functools
import os
import secrets
import signal
import socket
import sys
import threading

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import data, losses, nn, optim
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.training import parallel


def in_threads(function, size=2, timeout=20.0):
    """What ``function(group)`` returns or raises in threads with a group each, by rank."""
    key = secrets.token_bytes(16)

    def work(rank, place):
        with parallel.SocketGroup(*place, size, key=key, timeout=timeout, **only(rank)) as group:
            return function(group)

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def only(rank):
            return {} if rank else {"listener": listener}

        address = listener.getsockname()[:2]
        return at_once([functools.partial(work, rank, (address, rank)) for rank in range(size)])


def at_once(functions):
    """What functions return or raise that run in threads side by side."""
    found = [None] * len(functions)

    def work(number, function):
        try:
            found[number] = function()
        except BaseException as error:
            found[number] = error

    threads = [
        threading.Thread(target=contextvars.copy_context().run, args=(work, number, function))
        for number, function in enumerate(functions)
    ]
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)  # threads that wait for each other's messages take turns quickly
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), "one of them hangs"
    finally:
        sys.setswitchinterval(usual)
    return found


def results(function, size=2, **options):
    """The same where none may raise."""
    found = in_threads(function, size, **options)
    wrong = [one for one in found if isinstance(one, BaseException)]
    if wrong:
        raise ExceptionGroup("in these processes", wrong)
    return found


# ----- a small run, in one process or in several -----

TEXT = np.random.default_rng(0).integers(0, 11, 400)


class Speaker(nn.Module):
    """An LSTM language model with tied weights, and a part that few batches use."""

    def __init__(self, words=11, width=6):
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.rnn = nn.LSTM(width, width, num_layers=2)
        self.out = nn.TiedLinear(self.embedding)
        self.rare = nn.Linear(width, width)
        self.never = nn.Linear(width, width)

    def forward(self, ids, rare=False, state=None):
        y, state = self.rnn(self.embedding(ids), state)
        return self.out(self.rare(y) if rare else y), state


def speaker(seed=0):
    tg.seed(seed)
    return Speaker().astype(np.float64)


def sentences(rank=0, world_size=1):
    """Batches of 7, 7, 7, 7 and 1 sentences of different lengths: shares are ragged, one empty."""
    rng = np.random.default_rng(1)
    lengths = rng.integers(2, 9, 29)
    rows = [TEXT[10 * i : 10 * i + n] for i, n in enumerate(lengths)]
    return data.Batches(
        rows, 7, shuffle=True, seed=4, collate=data.padded(), rank=rank, world_size=world_size
    )


def loss_of(model, batch, rare=False):
    """The mean over all words that follow another, and how many they are."""
    ids, lengths = batch
    scores, _ = model(ids[:-1], rare)
    counts = np.arange(len(ids) - 1)[:, None] < lengths - 1
    return losses.cross_entropy(scores, ids[1:], mask=counts), int(counts.sum())


def train_by_hand(model, epochs=2, group=None, **options):
    """The losses and weights of all shares, the norms, and what the model is in the end."""
    shared = group and parallel.DataParallel(model, group, **options)
    batches = sentences(*((group.rank, group.size) if group else (0, 1)))
    optimizer = optim.Adam(model.named_parameters(), lr=0.05)
    told, norms = [], []
    for _ in range(epochs):
        for number, batch in enumerate(batches):
            loss, weight = (None, 0) if batch is None else loss_of(model, batch, number % 2 == 1)
            if shared is None:
                loss.backward()
            else:
                shared.backward(loss, weight)
            told.append((loss.item() if weight else 0.0, weight))
            norms.append(optim.clip_grad_norm(model.parameters(), 0.5))
            optimizer.step()
            optimizer.zero_grad()
    return told, norms, model.state_dict()


def hand_written(group, options):
    """A process of ``parallel.spawn``: starts from weights of its own, which are not used."""
    with use_reference():
        model = speaker(seed=group.rank)
        return *train_by_hand(model, group=group, **options), tg.randn(3).numpy()


def dies(group, how):
    """Rank 1 dies in its second step; the others must not wait for it."""
    with use_reference():
        model = speaker()
        shared = parallel.DataParallel(model, group)
        for number, batch in enumerate(sentences(group.rank, group.size)):
            if number == 1 and group.rank == 1:
                if how == "killed":
                    os.kill(os.getpid(), signal.SIGKILL)
                raise ValueError("the reader is broken")
            shared.backward(*loss_of(model, batch))
