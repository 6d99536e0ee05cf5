"""Averages of weights."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn, optim
from tinygrad_rnn.errors import ArgumentError, DTypeError, StateDictError

HISTORY = np.random.default_rng(0).standard_normal((7, 3, 2))


def averaged(history, **options):
    w = nn.Parameter(np.zeros((3, 2)))
    ema = optim.EMA([w], **options)
    for numbers in history:
        w.assign_(numbers)
        ema.update()
    return w, ema


def test_an_average_with_decay():
    _, ema = averaged(HISTORY, decay=0.7)
    wanted = HISTORY[0]
    for numbers in HISTORY[1:]:
        wanted = 0.7 * wanted + 0.3 * numbers
    np.testing.assert_allclose(ema.averages[0], wanted, rtol=1e-13)


def test_an_average_that_warms_up():
    _, ema = averaged(HISTORY, decay=0.4, warm_up=True)
    wanted = HISTORY[0]
    for t, numbers in enumerate(HISTORY[1:], 2):
        decay = min(0.4, (1 + t) / (10 + t))
        wanted = decay * wanted + (1 - decay) * numbers
    np.testing.assert_allclose(ema.averages[0], wanted, rtol=1e-13)


def test_without_decay_it_is_the_mean():
    _, ema = averaged(HISTORY, decay=None)
    np.testing.assert_allclose(ema.averages[0], HISTORY.mean(0), rtol=1e-13)


def test_averages_take_the_place_of_the_weights_for_a_while_also_after_an_error():
    w, ema = averaged(HISTORY)

    def evaluate():
        with ema.averaged():
            np.testing.assert_array_equal(w.numpy(), ema.averages[0])
            raise KeyError

    with pytest.raises(KeyError):
        evaluate()
    np.testing.assert_array_equal(w.numpy(), HISTORY[-1])
    ema.copy_to_parameters()
    np.testing.assert_array_equal(w.numpy(), ema.averages[0])


def test_an_update_that_fails_is_not_counted():
    w, ema = averaged(HISTORY)
    w._data.flags.writeable = False
    with pytest.raises(ArgumentError, match="read-only"):
        ema.update()
    assert ema.t == len(HISTORY)


@pytest.mark.parametrize("kind", [optim.ASGD, optim.NTASGD])
def test_an_average_of_rows_begins_with_the_weights_they_had(kind):
    w = nn.Parameter(np.ones((3, 2)))
    begin = {"t0": 0, "lambd": 0.0} if kind is optim.ASGD else {"averaging": 1}
    optimizer = kind([w], lr=1.0, lazy=True, **begin)
    for row in (0, 0, 1):
        w.grad = tg.tensor((np.arange(3)[:, None] == row) * np.ones((3, 2)))
        optimizer.step()
    second = 0.5 if kind is optim.ASGD else 2 / 3  # ASGD takes its first two weights whole
    with optimizer.averaged():
        np.testing.assert_allclose(w.numpy()[1:], np.array([[second] * 2, [1.0] * 2]))


def test_resuming_gives_the_same_bits():
    _, whole = averaged(HISTORY, decay=0.7, warm_up=True)
    w, first = averaged(HISTORY[:3], decay=0.7, warm_up=True)
    second = optim.EMA([w], decay=0.7, warm_up=True)
    second.load_state_dict(first.state_dict())
    for numbers in HISTORY[3:]:
        w.assign_(numbers)
        second.update()
    np.testing.assert_array_equal(second.averages[0], whole.averages[0])


def test_what_does_not_fit_is_refused():
    w = nn.Parameter(np.zeros(3))
    with pytest.raises(ArgumentError, match=r"EMA: decay is 1.0, expected a number from 0"):
        optim.EMA([w], decay=1.0)
    with pytest.raises(ArgumentError, match="EMA: params is empty"):
        optim.EMA([])
    used_up = iter([w])
    assert next(used_up) is w
    for refuses in (optim.clip_grad_norm, optim.clip_grad_value, optim.Accumulation):
        with pytest.raises(ArgumentError, match=f"{refuses.__name__}: params is empty.*used up"):
            refuses(used_up, 1)
    ema = optim.EMA([w])
    other = optim.EMA([nn.Parameter(tg.ones(3))])
    with pytest.raises(StateDictError, match=r"the averages are .*float32.* expected .*float64"):
        ema.load_state_dict(other.state_dict())
    with pytest.raises(StateDictError, match="expected what the state_dict"):
        ema.load_state_dict({})
    with pytest.raises(StateDictError, match="expected what the state_dict"):
        ema.load_state_dict(ema.state_dict() | {"t": -1})
    triggered = optim.NTASGD([w])
    states = triggered.state_dict() | {"losses": ["x"]}
    states["param_groups"][0]["lr"] = 7.0
    with pytest.raises(StateDictError, match=r"losses is \['x'\], expected numbers; nothing was"):
        triggered.load_state_dict(states)
    assert triggered.param_groups[0]["lr"] == 30.0


@pytest.mark.usefixtures("reference")
@pytest.mark.parametrize("kind", [optim.EMA, optim.ASGD])
def test_weights_that_were_converted_are_not_those_of_the_averages(kind):
    model = nn.Linear(2, 3)
    keeps = kind(model.named_parameters())
    model(tg.ones(1, 2)).sum().backward()
    calls = [lambda: keeps.averaged().__enter__()]
    if kind is optim.EMA:
        calls.append(keeps.update)
    else:
        keeps.step()
    model.astype("float64")
    before = model.state_dict()
    for call in calls:
        with pytest.raises(DTypeError, match=r"weight is float64\[2, 3\].*'average' was kept as"):
            call()
    np.testing.assert_equal(model.state_dict(), before)


def stepped(optimizer, tensors):
    for tensor in tensors:
        tensor.grad = tg.tensor(np.ones(tensor.shape))
    optimizer.step()
    optimizer.zero_grad()


def test_parameters_that_joined_late_are_averaged_with_the_others():
    a, b, c = (nn.Parameter(np.zeros(1)) for _ in range(3))
    optimizer = optim.NTASGD([a, b], lr=1.0)
    for step in range(10):
        if step == 6:
            optimizer.begin()
        if step == 8:
            optimizer.add_param_group({"params": [c]})
        stepped(optimizer, [a] if step < 4 else [a, b] if step < 8 else [a, b, c])
    with optimizer.averaged():
        found = [float(tensor.numpy()[0]) for tensor in (a, b, c)]
    assert found == [-8.5, -4.5, -1.5]


def test_a_first_average_is_the_weights_whatever_was_there():
    w = nn.Parameter(np.array([np.nan, np.inf, -np.inf]))
    ema, optimizer = optim.EMA([w], decay=0.5), optim.NTASGD([w], averaging=1)
    w.assign_(np.array([1.0, 2.0, -np.inf]))
    ema.update()
    np.testing.assert_array_equal(ema.averages[0], [1, 2, -np.inf])
    ema.update()
    np.testing.assert_array_equal(ema.averages[0], [1, 2, -np.inf])
    w.grad = tg.zeros(3, dtype="float64")
    optimizer.step()
    with optimizer.averaged():
        np.testing.assert_array_equal(w.numpy(), [1, 2, -np.inf])
