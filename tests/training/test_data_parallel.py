"""Two processes on halves of a batch are one process on all of it."""

from itertools import pairwise

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.training.process_groups import (
    dies,
    hand_written,
    in_threads,
    loss_of,
    results,
    sentences,
    speaker,
    train_by_hand,
)
from tinygrad_rnn import data, nn, ops
from tinygrad_rnn.errors import ArgumentError, DistributedError
from tinygrad_rnn.training import parallel

CLOSE = {"rtol": 1e-12, "atol": 1e-13}


def share(model, group, **options):
    """Threads have one stream of random numbers, which nobody may move."""
    return parallel.DataParallel(model, group, seed_by_rank=False, **options)


def gradient(parameter):
    return None if parameter.grad is None else parameter.grad.numpy()


def square(model, x):
    return ops.square(model(x)).mean()


def layers(seed=0, *sizes):
    tg.seed(seed)
    sizes = sizes or (3, 4, 2)
    return nn.Sequential(*[nn.Linear(a, b) for a, b in pairwise(sizes)]).astype(np.float64)


X = np.random.default_rng(2).standard_normal((6, 3))


def test_two_processes_are_one_on_the_joint_batch(reference):
    """Ragged shares, an empty one, weights of all, clipping, a part that no batch uses."""
    model = speaker()
    tied = train_by_hand(model)
    found = parallel.spawn(hand_written, 2, args=({"bucket_mb": 0.0005},), timeout=60)
    assert any(weight == 0 for _, weight in found[1][0]), "a share is empty"
    assert any(a[1] != b[1] for a, b in zip(found[0][0], found[1][0], strict=True)), "ragged"
    for step, (loss, weight) in enumerate(tied[0]):
        parts = [one[0][step] for one in found]
        assert sum(w for _, w in parts) == weight
        np.testing.assert_allclose(sum(v * w for v, w in parts) / weight, loss, **CLOSE)
    for _, norms, weights, _ in found:
        np.testing.assert_allclose(norms, tied[1], **CLOSE)
        np.testing.assert_array_equal(norms, found[0][1])
        for name, array in tied[2].items():
            np.testing.assert_allclose(weights[name], array, **CLOSE, err_msg=name)
            np.testing.assert_array_equal(weights[name], found[0][2][name], err_msg=name)
    assert not np.array_equal(found[0][3], found[1][3]), "each drops out by numbers of its own"


def test_float32_has_the_same_bits_everywhere_and_the_joint_gradient(reference):
    def work(group):
        models[group.rank].astype(np.float32)
        shared = share(models[group.rank], group, bucket_mb=0.0001)
        for batch in sentences(group.rank, group.size):
            part = (None, 0) if batch is None else loss_of(models[group.rank], batch)
            shared.backward(*part)
        return [gradient(p) for p in models[group.rank].parameters()]

    models = [speaker(seed) for seed in range(3)]
    found = results(work, 3)
    alone = speaker(0).astype(np.float32)
    for batch in sentences():
        loss_of(alone, batch)[0].backward()
    for number, parameter in enumerate(alone.parameters()):
        for grads in found:
            if parameter.grad is None:
                assert grads[number] is None
                continue
            np.testing.assert_array_equal(grads[number], found[0][number])
            np.testing.assert_allclose(grads[number], parameter.grad.numpy(), 1e-4, 1e-6)


def test_a_part_that_one_process_uses_and_one_that_none_does(reference):
    def work(group):
        model = models[group.rank]
        shared = share(model, group)
        x = X[group.rank :: 2]
        y = model[0](x)
        loss = ops.square(model[1](y) if group.rank else y[:, :2]).mean()
        shared.backward(loss, len(x))
        return [gradient(p) for p in model.parameters()]

    models = [layers(0, 3, 4, 2, 5) for _ in range(3)]
    first, second = results(work)
    alone = models[2]
    y, z = alone[0](X[::2]), alone[0](X[1::2])
    ((ops.square(y[:, :2]).mean() + ops.square(alone[1](z)).mean()) * 0.5).backward()
    for number, parameter in enumerate(alone.parameters()):
        if parameter.grad is None:
            assert first[number] is second[number] is None
        else:
            np.testing.assert_allclose(first[number], parameter.grad.numpy(), **CLOSE)
            np.testing.assert_array_equal(first[number], second[number])


def test_sums_are_over_while_the_walk_back_goes_on(reference):
    """In the middle of the walk: what is behind it has been summed over both processes."""

    def work(group):
        model = models[group.rank]
        shared = share(model, group, bucket_mb=1e-6)
        begun = group.all_reduce
        events, works = [], []

        def noted(array, async_op=False):
            found = begun(array, async_op)
            if async_op:
                events.append(f"sum of {array.size}")
                works.append(found)
            return found

        group.all_reduce = noted
        y = model[0](X)

        def in_the_middle(g):
            for one in works:
                one.wait()  # would hang if sums began after the walk
            events.append("the walk is at the first layer")

        y.register_hook(in_the_middle)
        shared.backward(ops.square(model[2](model[1](y))).mean())
        return events

    models = [layers(0, 3, 4, 4, 2) for _ in range(2)]
    for events in results(work):
        middle = events.index("the walk is at the first layer")
        assert (middle, len(events)) == (4, 7), events


def test_gradients_add_up_until_the_last_batch_of_a_step(reference):
    def work(group):
        model = models[group.rank]
        shared = share(model, group)
        calls = []
        begun = group.all_reduce
        group.all_reduce = lambda array, async_op=False: (
            calls.append(async_op),
            begun(array, async_op),
        )[1]
        for number, rows in enumerate((X[:3], X[3:])):  # shares of 2 and 1, of 2 and 1 rows
            x = rows[group.rank :: 2]
            shared.backward(square(model, x) * 0.5, len(x), last=number == 1)
        assert calls == [False, False, True, False]
        first = [p.grad.numpy().copy() for p in model.parameters()]
        shared.backward(square(model, X[group.rank :: 2]), 3)  # adds to what is there
        return first, [p.grad.numpy() for p in model.parameters()]

    models = [layers() for _ in range(3)]
    found = results(work)
    alone = models[2]
    for number, x in enumerate((X[:3], X[3:], X)):
        (square(alone, x) * (0.5 if number < 2 else 1)).backward()
        if number:
            for first in found:
                for mine, parameter in zip(first[number - 1], alone.parameters(), strict=True):
                    np.testing.assert_allclose(mine, parameter.grad.numpy(), **CLOSE)


def test_what_is_frozen_is_not_sent_and_may_be_thawed(reference):
    def work(group):
        model = models[group.rank]
        shared = share(model, group)
        model[0].requires_grad_(False)
        shared.backward(square(model, X))
        assert model[0].weight.grad is None
        model[0].requires_grad_(True)
        shared.backward(square(model, X))
        return model[0].weight.grad.numpy()

    models = [layers() for _ in range(3)]
    square(models[2], X).backward()
    for found in results(work):
        np.testing.assert_allclose(found, models[2][0].weight.grad.numpy(), **CLOSE)


def test_hooks_and_leaves_that_are_not_the_models(reference):
    def work(group):
        model = models[group.rank]
        shared = share(model, group)
        model[0].weight.register_hook(lambda g: g * 3)
        x = tg.tensor(X[group.rank :: 2], requires_grad=True)
        shared.backward(square(model, x), 3)
        return model[0].weight.grad.numpy(), x.grad.numpy()

    models = [layers() for _ in range(3)]
    square(models[2], X).backward()
    joint = models[2][0].weight.grad.numpy()
    for rank, (weight, own) in enumerate(results(work)):
        np.testing.assert_allclose(weight, 3 * joint, **CLOSE)
        x = tg.tensor(X[rank::2], requires_grad=True)
        square(layers(), x).backward()
        np.testing.assert_array_equal(own, x.grad.numpy())


def test_weights_and_buffers_are_those_of_rank_0(reference):
    def work(group):
        model = models[group.rank]
        shared = share(model, group)
        model(X[group.rank :: 2].astype(np.float32))
        shared.broadcast_buffers()
        return model.state_dict()

    models = []
    for seed in range(2):
        tg.seed(seed)
        models.append(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4)))
    assert not np.array_equal(models[0][0].weight.numpy(), models[1][0].weight.numpy())
    first, second = results(work)
    assert list(first) == list(second)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])
    assert np.any(first["1.running_mean"] != 0)


# ----- what goes wrong -----


def test_models_that_differ_are_named_in_all_processes():
    models = [layers(), layers(0, 3, 5, 2)]
    for error in in_threads(lambda group: share(models[group.rank], group)):
        assert isinstance(error, DistributedError)
        assert "on rank 1 0.weight is float64[3, 5], and float64[3, 4] on rank 0" in str(error)


@pytest.mark.parametrize(
    ("loss", "weight"), [(False, 1.0), (True, 0.0), (True, -1.0), (True, np.nan)]
)
def test_weights_that_mean_nothing(loss, weight):
    with parallel.SocketGroup("h:1", 0, 1, key="k") as group:
        model = layers()
        shared = share(model, group)
        with pytest.raises(ArgumentError, match=r"DataParallel.backward: weight is"):
            shared.backward(square(model, X) if loss else None, weight)


def test_no_share_has_a_row():
    group = parallel.SocketGroup("h:1", 0, 1, key="k")
    with pytest.raises(ArgumentError, match="the shares of all processes are empty"):
        share(layers(), group).backward(None, 0)


def test_what_is_no_model_or_no_group():
    with pytest.raises(ArgumentError, match="given a Linear and a str"):
        parallel.DataParallel(nn.Linear(2, 2), "group")


def test_an_error_in_the_walk_leaves_nothing_behind(reference):
    with parallel.SocketGroup("h:1", 0, 1, key="k") as group:
        model = layers()
        shared = share(model, group)
        y = model[0](X)
        y.register_hook(lambda g: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            shared.backward(ops.square(model[1](y)).mean())
        assert all(p.grad is None for p in model.parameters())
        shared.backward(square(model, X))
    alone = layers()
    square(alone, X).backward()
    for ours, theirs in zip(model.parameters(), alone.parameters(), strict=True):
        np.testing.assert_array_equal(ours.grad.numpy(), theirs.grad.numpy())


@pytest.mark.parametrize(
    ("how", "message"), [("killed", "rank 1 failed:\n.*died"), ("raises", "the reader is broken")]
)
def test_a_process_that_dies_ends_the_others(how, message):
    with pytest.raises(DistributedError, match=message):
        parallel.spawn(dies, 2, args=(how,), timeout=60)


# ----- shares of the data -----


@pytest.mark.parametrize("shuffle", [False, True])
def test_shares_are_those_of_the_joint_batches(shuffle):
    options = {"shuffle": shuffle, "seed": 5}
    joint = data.Batches(np.arange(23), 5, **options)
    shares = [data.Batches(np.arange(23), 5, rank=r, world_size=4, **options) for r in range(4)]
    for _ in range(2):
        for batch, *parts in zip(joint, *shares, strict=True):
            assert sorted(np.concatenate([p for p in parts if p is not None])) == sorted(batch)
            assert len(parts[0]) == -(-len(batch) // 4)
    assert [one.tolist() for one in shares[1].rows()] == [
        rows[1::4].tolist() for rows in joint.rows()
    ]
    one, other = shares[0], data.Batches(np.arange(23), 5, rank=3, world_size=4, **options)
    next(iter(one))
    other.load_state_dict(one.state_dict())
    assert (other.epoch, other.batch) == (one.epoch, one.batch) == (2, 1)


def test_streams_are_shared_out_by_columns():
    text = np.arange(100)
    joint = data.Streams(text, 6, 4)
    shares = [data.Streams(text, 6, 4, rank=r, world_size=4) for r in range(4)]
    for chunk, *parts in zip(joint, *shares, strict=True):
        for rank, part in enumerate(parts):
            np.testing.assert_array_equal(part.x, chunk.x[:, rank::4])
            np.testing.assert_array_equal(part.y, chunk.y[:, rank::4])
            assert part.first == chunk.first


def test_bad_shares():
    with pytest.raises(ArgumentError, match="Batches: rank is 2, expected one from 0 to 1"):
        data.Batches(np.arange(5), 2, rank=2, world_size=2)
    with pytest.raises(ArgumentError, match="Streams: rank is 2, expected one from 0 to 1"):
        data.Streams(np.arange(50), 4, 2, rank=2, world_size=2)
    with pytest.raises(ValueError, match="expected a stream for each"):
        data.Streams(np.arange(50), 2, 2, rank=2, world_size=3)
