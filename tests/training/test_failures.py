"""Whatever goes wrong is named, and nothing that was done is lost."""

import copy
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.training.runs import X, Y, classifier, classify, numbers, points, trainer
from tinygrad_rnn import data, nn, training
from tinygrad_rnn.errors import NotFiniteError


class At(training.Callback):
    """Does something after a step."""

    def __init__(self, step, action):
        self.step, self.action = step, action

    def on_step(self, run):
        if run.step == self.step:
            self.action(run)


def fail(run):
    raise RuntimeError("broken")


def whole(epochs=3):
    run = trainer()
    run.fit(points(), epochs, progress=False)
    return numbers(run)


def resumed(folder, epochs=3):
    run = trainer()
    run.fit(points(), epochs, callbacks=[training.Checkpoints(folder)], resume=True, progress=False)
    found = numbers(run)
    found["left"] = numbers(trainer())["left"]
    return found


# ----- readers and callbacks -----


def test_a_callback_that_raises_is_named_and_the_run_is_saved(tmp_path):
    seen = []
    run = trainer()
    with pytest.raises(RuntimeError, match="broken") as raised:
        run.fit(
            points(), 3, progress=False,
            callbacks=[
                training.Checkpoints(tmp_path), At(8, fail), At(8, lambda run: seen.append(1)),
            ],
        )  # fmt: skip
    assert raised.value.__notes__ == [
        "fit: raised by the callback At in on_step, after step 8 in epoch 1."
    ]
    assert seen == [1]  # the others are called all the same
    assert sorted(os.listdir(tmp_path))[-1] == "step-000000008.safetensors"
    assert resumed(tmp_path)["model"] == whole()["model"]


def test_a_function_that_raises_after_an_epoch(tmp_path):
    def careless(run, logs):
        raise KeyError("val_loss")

    with pytest.raises(KeyError) as raised:
        trainer().fit(points(), 2, callbacks=[careless, training.Checkpoints(tmp_path)])
    assert "by the callback careless in on_epoch_end, after step 5" in raised.value.__notes__[0]
    assert resumed(tmp_path)["model"] == whole()["model"]


class Reader(data.Batches):
    """Fails to read a batch."""

    broken = True

    def _read(self, number):
        if self.broken and (self.epoch, number) == (1, 2):
            raise OSError("the cable was pulled")
        return super()._read(number)


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_reader_that_raises_is_named_and_the_batch_is_read_again(
    tmp_path, background, accumulate
):
    def made(broken):
        source = Reader((X, Y), 8, shuffle=True, seed=3)
        source.broken = broken
        return data.Background(source) if background else source

    keeper = training.Checkpoints(tmp_path, every=4)
    with pytest.raises(OSError, match="the cable was pulled") as raised:
        trainer(accumulate=accumulate).fit(made(True), 3, callbacks=[keeper], progress=False)
    step = {1: 7, 2: 4}[accumulate]
    assert f"while batch 2 of epoch 1 was read, after step {step}." in raised.value.__notes__[-1]
    again = trainer(accumulate=accumulate)
    again.fit(
        made(False), 3, callbacks=[training.Checkpoints(tmp_path)], resume=True, progress=False
    )
    right = trainer(accumulate=accumulate)
    right.fit(made(False), 3, progress=False)
    assert numbers(again)["model"] == numbers(right)["model"]


def test_a_loss_that_raises_leaves_the_last_checkpoint(tmp_path):
    def moody(model, batch):
        if run.step == 7:
            raise ZeroDivisionError
        return classify(model, batch)

    run = trainer(loss=moody)
    with pytest.raises(ZeroDivisionError):
        run.fit(points(), 3, callbacks=[training.Checkpoints(tmp_path, every=3)], progress=False)
    assert sorted(os.listdir(tmp_path))[-1] == "step-000000006.safetensors"
    assert resumed(tmp_path)["model"] == whole()["model"]


# ----- what is no number -----


def test_a_mark_is_the_place_where_it_was_made_whatever_moves_the_stream_later():
    def here():
        return str(tg.random.get_state())

    moves = [
        lambda: None,
        lambda: tg.random.uniform((3,)),
        lambda: tg.seed(2),
        lambda: tg.random.noise(),
        lambda: (tg.random.mark(), tg.random.uniform((3,))),
        lambda: [kept.append(tg.random.mark()), tg.random.uniform((3,))],
    ]
    kept = []
    for move in moves:
        before, mark = here(), tg.random.mark()
        move()
        with tg.random.fork():
            tg.random.uniform((2,))
        assert str(mark.state()) == before
    with tg.random.fork():  # a stream of its own
        before, mark = here(), tg.random.mark()
        with tg.random.fork(tg.random.get_state()):
            tg.random.uniform((2,))
        tg.random.uniform((2,))
        assert str(mark.state()) == before


class Blows(nn.Module):
    """Gives NaN from some call on."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        return x * np.float32(np.nan) if self.calls > 6 else x


def test_the_first_bad_layer_is_named(tmp_path):
    inner = nn.Sequential(nn.Tanh(), Blows())
    run = trainer(nn.Sequential(nn.Linear(4, 3), inner, nn.Linear(3, 2)))
    with pytest.raises(NotFiniteError) as raised:
        run.fit(points(), 3, callbacks=[training.Checkpoints(tmp_path, every=2)], progress=False)
    assert str(raised.value) == (
        "fit: the loss, nan, is not finite in step 7 (batch 1 of epoch 1): the first bad output "
        "is that of layer '1.1' (Blows): 24 NaN or infinity among 24 numbers of shape (8, 3). The "
        "step was not made."
    )
    assert sorted(os.listdir(tmp_path))[-1] == "step-000000006.safetensors"
    assert all(np.isfinite(array).all() for array in run.model.state_dict().values())
    assert all(not module._forward_hooks for module in run.model.modules())


def test_looking_for_it_leaves_everything_as_it_was():
    run = trainer(nn.Sequential(nn.Linear(4, 2), nn.BatchNorm(2), Blows()))
    kept = {}
    with pytest.raises(NotFiniteError):
        run.fit(points(), 3, callbacks=[At(6, lambda run: kept.update(numbers(run)))])
    found = numbers(run)["model"]
    counted = run.model[1].num_batches_tracked.item()
    assert counted == 7  # six steps and the step that was not made; not the second look
    for name in found:
        assert (found[name] == kept["model"][name]) == ("running" not in name and "num" not in name)


class Unlucky(nn.Module):
    """Gives NaN by chance."""

    def forward(self, x):
        return x * np.float32(np.nan) if tg.rand(1).item() < 0.1 else x


def test_the_second_look_has_the_same_random_numbers():
    for seed in range(5):
        run = trainer(nn.Sequential(nn.Linear(4, 2), Unlucky()))
        tg.seed(seed)
        with pytest.raises(NotFiniteError, match=r"that of layer '1' \(Unlucky\)"):
            run.fit(points(), 99, progress=False)


def weights(run):
    run.model[0].bias.assign_(np.full(8, np.nan, np.float32))


@pytest.mark.parametrize(
    ("batch", "loss", "action", "text"),
    [
        ((X * np.nan, Y), classify, None, "the batch holds 160 NaN or infinity among 160 numbers"),
        ((X, Y), classify, weights, "of the weights, 0.bias were not finite before"),
        (
            (X, Y), lambda model, batch: model(batch[0]).sum() * np.inf, None,
            "all layers gave finite numbers, it is the loss function",
        ),
    ],
)  # fmt: skip
def test_where_else_it_may_come_from(batch, loss, action, text):
    run = trainer(loss=loss)
    if action:
        action(run)
    with pytest.raises(NotFiniteError) as raised:
        run.fit([batch], progress=False)
    assert text in str(raised.value)


def test_gradients_that_are_not_finite_are_named():
    def steep(model, batch):  # the slope of a root at 0
        return classify(model, batch)[0] + (model[3].weight * 0).sum() ** 0.5

    run = trainer(classifier(0.0), loss=steep)
    before = numbers(run)
    with pytest.raises(NotFiniteError) as raised:
        run.fit(points(), progress=False)
    assert str(raised.value) == (
        "fit: a gradient is not finite in step 1 (batch 0 of epoch 0): that of 3.weight. The step "
        "was not made."
    )
    assert numbers(run)["model"] == before["model"]


def test_a_run_may_stop_in_peace():
    run = trainer(nn.Sequential(nn.Linear(4, 2), Blows()))
    history = run.fit(points(), 3, callbacks=[training.StopAtNaN()], progress=False)
    assert run.step == 6
    assert history.stopped.startswith("fit: the loss, nan, is not finite in step 7")


class BlowsOnce(Blows):
    def forward(self, x):
        self.calls += 1
        return x * np.float32(np.nan) if self.training and self.calls == 7 else x


def test_a_run_may_go_back(tmp_path):
    run = trainer(nn.Sequential(nn.Linear(4, 2), BlowsOnce()), schedule=False)
    with pytest.warns(UserWarning, match="Went back to the newest checkpoint"):
        run.fit(
            points(), 2, progress=False,
            callbacks=[training.Checkpoints(tmp_path, every=4), training.StopAtNaN(roll_back=True)],
        )  # fmt: skip
    assert run.step == 9  # one batch was left out
    assert run.optimizer.param_groups[0]["lr"] == 0.025


def test_going_back_ends_some_time(tmp_path):
    run = trainer(nn.Sequential(nn.Linear(4, 2), Blows()), schedule=False)
    with pytest.warns(UserWarning, match="Went back"), pytest.raises(NotFiniteError):
        run.fit(
            points(), 3, progress=False,
            callbacks=[training.Checkpoints(tmp_path, every=4), training.StopAtNaN(True, times=2)],
        )  # fmt: skip
    run = trainer(nn.Sequential(nn.Linear(4, 2), Blows()))
    with pytest.raises(NotFiniteError):  # there is nothing to go back to
        run.fit(points(), 3, callbacks=[training.StopAtNaN(True)], progress=False)


@pytest.mark.parametrize("of", ["validation", "metrics"])
def test_what_raises_after_the_steps_of_an_epoch_loses_none_of_them(tmp_path, of):
    broken = [True]

    def check(*given):
        if broken.pop() if broken else False:
            raise RuntimeError("broken")
        return 1.0

    class Held:
        def __iter__(self):
            check()
            return iter([(X, Y)])

    run = trainer(metrics={"one": check} if of == "metrics" else None, schedule_each="epoch")
    held = Held() if of == "validation" else None
    source = points()
    with pytest.raises(RuntimeError, match="broken") as raised:
        run.fit(source, 3, callbacks=[training.Checkpoints(tmp_path)], validation=held)
    assert raised.value.__notes__ == [
        "fit: raised by the validation or the metrics of epoch 0, after step 5."
    ]
    assert os.listdir(tmp_path) == ["step-000000005.safetensors"]
    run.fit(source, 3, validation=held, progress=False)  # and here it goes on, too
    assert (run.epoch, run.step, len(run.history.epochs)) == (3, 15, 3)
    right = trainer(schedule_each="epoch")
    right.fit(points(), 3, progress=False)
    assert run.schedule.state_dict() == right.schedule.state_dict()


def test_a_fit_within_a_fit_is_refused(tmp_path):
    run = trainer()
    again = At(2, lambda run: run.fit(points(), steps=1))
    with pytest.raises(tg.errors.ArgumentError, match="this trainer is in a fit already"):
        run.fit(points(), 2, callbacks=[again, training.Checkpoints(tmp_path)], progress=False)
    assert numbers_of(resumed(tmp_path)) == numbers_of(whole())


def numbers_of(found):
    return found["model"], found["optimizer"], found["history"]


def test_a_copy_from_within_a_fit_stands_where_it_was():
    run, copies = trainer(), []
    take = At(7, lambda run: copies.append(copy.deepcopy(run)))
    run.fit(points(), 3, callbacks=[take], progress=False)
    assert copies[0].step == 7
    copies[0].fit(points(), 2, progress=False)
    assert copies[0].step == 15


def test_a_batch_that_is_left_out_leaves_no_trace(tmp_path):
    class Counts(nn.Module):
        """Passes on what it has seen."""

        def __init__(self):
            super().__init__()
            self.sum = np.zeros(4)

        def forward(self, x):
            self.sum = self.sum + x.sum(0)
            return x

        def passing_state(self):
            return self.sum

        def load_passing_state(self, state):
            self.sum = np.zeros(4) if state is None else state

    spoilt = X.copy()
    spoilt[19, 0] = np.nan
    run = trainer(nn.Sequential(Counts(), nn.BatchNorm(4), nn.Linear(4, 2)))
    keeper = training.Checkpoints(tmp_path, every=50)
    batches = data.Batches((spoilt, Y), 8)
    run.fit(batches, callbacks=[training.StopAtNaN(), keeper], progress=False)
    assert run.step == 2
    assert np.allclose(run.model[0].sum, X[:16].sum(0))
    assert all(np.isfinite(array).all() for array in run.model.state_dict().values())


# ----- Ctrl-C -----

INTERRUPTED = """
import sys, time
from tests.training.runs import points, trainer
from tinygrad_rnn import training
from tinygrad_rnn.kernels._twin import use_reference

class Slow(training.Callback):
    def on_step(self, run):
        print(run.step, flush=True)
        time.sleep(0.02)

with use_reference():
    run = trainer()
    history = run.fit(
        points(), 100, callbacks=[training.Checkpoints(sys.argv[1]), Slow()], progress=False,
    )
print("interrupted", history.interrupted, run.step, flush=True)
"""


def test_an_interrupt_finishes_the_step_and_saves(tmp_path):
    words = [sys.executable, "-c", INTERRUPTED, tmp_path]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        while process.stdout.readline() != "7\n":
            pass
        process.send_signal(signal.SIGINT)
        lines = process.stdout.read().splitlines()
    assert process.returncode == 0
    step = int(lines[-1].removeprefix("interrupted True "))
    assert step < 20
    assert sorted(os.listdir(tmp_path))[-1] == f"step-{step:09d}.safetensors"
    assert resumed(tmp_path, 5)["model"] == whole(5)["model"]


def test_an_interrupt_during_validation_goes_on_with_the_validation(tmp_path):
    class Tired(data.Batches):
        def _read(self, number):
            if run.step == 5 and number == 2:
                signal.raise_signal(signal.SIGINT)
            return super()._read(number)

    run = trainer()
    keeper = training.Checkpoints(tmp_path)
    history = run.fit(points(), 2, validation=Tired((X, Y), 8), callbacks=[keeper], progress=False)
    assert history.interrupted
    assert (run.step, run.epoch, run.read, history.epochs) == (5, 0, True, [])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    again, right = trainer(), trainer()
    right.fit(points(), 2, validation=data.Batches((X, Y), 8), progress=False)
    again.fit(
        points(), 2, validation=data.Batches((X, Y), 8), resume=True, progress=False,
        callbacks=[training.Checkpoints(tmp_path)],
    )  # fmt: skip
    assert again.history["val_loss"] == right.history["val_loss"]


def test_a_second_interrupt_raises_and_other_handlers_are_left_alone():
    run = trainer()
    with pytest.raises(KeyboardInterrupt):
        run.fit(points(), callbacks=[At(2, lambda _: [signal.raise_signal(2) for _ in range(2)])])
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    try:
        history = run.fit(points(), 2, callbacks=[At(4, lambda _: signal.raise_signal(2))])
    finally:
        signal.signal(signal.SIGINT, before)
    assert (seen, history.interrupted) == ([1], False)


def test_a_batch_that_spoils_gradients_alone_is_named():
    x = X.copy()
    x[3, 1] = np.inf  # tanh makes 1 of it
    with pytest.raises(NotFiniteError, match=r"a gradient.*the batch holds 1 NaN or infinity"):
        trainer().fit(data.Batches((x, Y), 8), progress=False)
