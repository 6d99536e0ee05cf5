"""A run that is resumed is the run that was never stopped, to the bit."""

import contextlib

import numpy as np
import pytest

import tinygrad_rnn as tg
from benchmarks.kills import killed, moments, undisturbed
from tests.training.runs import X, Y, classifier, numbers, points, trainer
from tinygrad_rnn import data, losses, nn, optim, training
from tinygrad_rnn.errors import StateDictError


class Killed(BaseException):
    """Ends a run as a kill would: nothing is saved."""


class Kill(training.Callback):
    def __init__(self, event, step):
        self.event, self.step = event, step

    def on_step(self, run):
        self._maybe("on_step", run)

    def on_epoch_end(self, run, logs):
        self._maybe("on_epoch_end", run)

    def on_epoch_begin(self, run):
        self._maybe("on_epoch_begin", run)

    def _maybe(self, event, run):
        if (event, run.step) == (self.event, self.step):
            raise Killed


def callbacks(folder, every=3):
    return [
        training.Checkpoints(folder, every=every),
        training.EarlyStopping(patience=3, restore_best=True),
        training.CSVLog(folder / "log.csv"),
    ]


def started(make, folder, *more, every=3):
    run, source, options = make()
    run.fit(
        source, callbacks=[*callbacks(folder, every), *more], resume=True, progress=False, **options
    )
    return run


def with_dropout():
    tg.seed(5)
    return trainer(classifier(norm=True)), points(), {"epochs": 4, "validation": points(16)}


def with_accumulation():
    return trainer(accumulate=3), data.Background(points(max_tokens=None)), {"steps": 8}


def over_a_list():
    batches = [(X[n : n + 8], Y[n : n + 8]) for n in range(0, 40, 8)]
    return trainer(schedule=False), batches, {"epochs": 4}


class Speaker(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.rnn = nn.RNN(3, 4, output_dropout=0.2, **options)
        self.out = nn.Linear(4, 5)

    def forward(self, ids, *state):
        y, state = self.rnn(self.embedding(ids), *state)
        return self.out(y), state


TOKENS = np.random.default_rng(0).integers(0, 5, 150)


def with_a_state():
    def loss(model, chunk, state):
        scores, state = model(chunk.x, state)
        return losses.cross_entropy(scores, chunk.y), state

    tg.seed(5)
    run = trainer(Speaker(), loss=loss, carry_state=True)
    return run, data.Streams(TOKENS, 3, 8), {"epochs": 3}


def with_a_stateful_layer():
    def loss(model, chunk):
        return losses.cross_entropy(model(chunk.x)[0], chunk.y)

    tg.seed(5)
    run = trainer(Speaker(stateful=True), loss=loss)
    return run, data.Streams(TOKENS, 3, 8), {"epochs": 3, "validation": data.Streams(TOKENS, 3, 8)}


MAKERS = [with_dropout, with_accumulation, over_a_list, with_a_state, with_a_stateful_layer]


@pytest.mark.parametrize(
    ("make", "every"),
    [(make, 3) for make in MAKERS] + [(with_dropout, 1), (with_a_state, None)],
)
def test_a_killed_run_comes_to_the_same_bits(tmp_path, make, every):
    whole = started(make, tmp_path / "whole", every=every)
    right = numbers(whole)
    for number, kill in enumerate(
        [Kill("on_step", 5), Kill("on_epoch_end", 10), Kill("on_step", 7)]
    ):
        folder = tmp_path / str(number)
        with contextlib.suppress(Killed):
            started(make, folder, kill, every=every)
        again = started(make, folder, every=every)
        assert numbers(again) == right
        assert (folder / "log.csv").read_text().count("\n") == len(again.history.epochs) + 1


def test_kills_by_the_system(tmp_path):
    words = "points", "4", "60", "reference"
    right, steps = undisturbed(tmp_path / "undisturbed", *words)
    found, lost = killed(tmp_path / "killed", moments(3, steps, seed=3), *words)
    assert found == right
    assert max(lost) <= 4


def test_a_run_that_has_ended_is_not_run_again(tmp_path):
    started(with_dropout, tmp_path)
    before = numbers(started(with_dropout, tmp_path))
    run, source, options = with_dropout()
    history = run.fit(source, callbacks=callbacks(tmp_path), resume=True, **options)
    assert numbers(run) == before
    assert history["step"] == [5, 10, 15, 20]


def test_resuming_for_more_epochs_goes_on(tmp_path):
    run = trainer()
    run.fit(points(), 2, callbacks=[training.Checkpoints(tmp_path)])
    more = trainer()
    more.fit(points(), 5, callbacks=[training.Checkpoints(tmp_path)], resume=True)
    whole = trainer()
    whole.fit(points(), 5)
    assert more.step == 25
    assert [p.tobytes() for p in more.model.state_dict().values()] == [
        p.tobytes() for p in whole.model.state_dict().values()
    ]


def test_steps_that_end_with_the_data_are_gone_on_from(tmp_path):
    unbroken, source = trainer(), points()
    unbroken.fit(source, steps=5, progress=False)
    unbroken.fit(source, epochs=1, progress=False)
    trainer().fit(points(), steps=5, callbacks=[training.Checkpoints(tmp_path)], progress=False)
    resumed = trainer()
    resumed.fit(
        points(), 2, callbacks=[training.Checkpoints(tmp_path)], resume=True, progress=False
    )
    assert resumed.step == 10
    found, wanted = numbers(resumed), numbers(unbroken)
    assert found.pop("began") != wanted.pop("began")  # one call of fit, and two
    assert found == wanted


def test_a_state_dict_goes_on_in_the_middle_of_an_epoch():
    whole, part = trainer(), trainer()
    tg.seed(7)
    whole.fit(points(), 2, progress=False)
    tg.seed(7)
    kept = {}

    class Keep(training.Callback):
        def on_step(self, run):
            if run.step == 7:
                kept.update(run.state_dict())

    other = trainer()
    tg.seed(7)
    part.model.load_state_dict(other.model.state_dict())
    part.fit(points(), 2, callbacks=[Keep()], progress=False)
    other.load_state_dict(kept)
    assert (other.step, other.epoch, other.batch) == (7, 1, 2)
    other.fit(points(), 1, progress=False)
    assert [p.tobytes() for p in other.model.state_dict().values()] == [
        p.tobytes() for p in part.model.state_dict().values()
    ]


class Scores(training.Callback):
    """Puts scores into the records, and counts epochs that begin."""

    begun = 0

    def on_epoch_begin(self, run):
        self.begun += 1

    def on_epoch_end(self, run, logs):
        logs["score"] = [5, 1, 4, 3, 2, 3, 4, 5, 0][run.epoch - 1]


def test_callbacks_remember(tmp_path):
    def run_until(folder, *more):
        run = trainer(schedule=False)
        scores, plateau = Scores(), training.ReduceOnPlateau("score", patience=2)
        stop = training.EarlyStopping("score", patience=5, restore_best=True)
        keeper = training.Checkpoints(folder, every=3, best="score")
        callbacks = [scores, plateau, stop, keeper, *more]
        run.fit(points(), 9, callbacks=callbacks, resume=True, progress=False)
        return run, scores

    whole, _ = run_until(tmp_path / "whole")
    with contextlib.suppress(Killed):
        run_until(tmp_path / "killed", Kill("on_step", 24))
    again, scores = run_until(tmp_path / "killed")
    assert whole.epoch == again.epoch == 7
    assert scores.begun == 2  # epochs 5 and 6; epoch 4 had begun before
    assert whole.history["lr"] == again.history["lr"]
    assert numbers(whole) == numbers(again)
    best = [(tmp_path / n / "best.safetensors").read_bytes() for n in ("whole", "killed")]
    assert best[0] == best[1]


def test_a_run_that_was_stopped_is_over(tmp_path):
    for _ in range(2):
        run = trainer()
        stop = training.EarlyStopping("score", patience=2, restore_best=True)
        callbacks = [Scores(), stop, training.Checkpoints(tmp_path)]
        history = run.fit(points(), 9, callbacks=callbacks, resume=True, progress=False)
        assert run.epoch == 4
        assert history.stopped == "EarlyStopping: nothing better for 2 epochs"
    assert all(np.array_equal(a, stop.weights[n]) for n, a in run.model.state_dict().items())
    more = training.EarlyStopping("score", patience=3)
    callbacks[1] = more
    run = trainer()
    run.fit(points(), 9, callbacks=callbacks, resume=True, progress=False)
    assert run.epoch == 5


def test_a_state_dict_is_a_copy():
    kept = []

    class Keep(training.Callback):
        def on_step(self, run):
            if run.step == 2:
                state = run.state_dict()
                kept.extend([state, repr(state)])

    trainer().fit(points(), 2, callbacks=[Keep()], progress=False)
    assert repr(kept[0]) == kept[1]


def test_what_is_frozen_is_part_of_a_run():
    one, two = trainer(), trainer()
    one.model[0].freeze()
    two.load_state_dict(one.state_dict())
    assert [p.requires_grad for p in two.model.parameters()] == [False, False, True, True]


def test_another_model_is_named_and_nothing_changes():
    one = trainer()
    one.fit(points(), 1, progress=False)
    layers = nn.Sequential(nn.Linear(4, 9), nn.Tanh(), nn.Linear(9, 2))
    other = trainer(layers)
    before = numbers(other)
    with pytest.raises(StateDictError) as raised:
        other.load_state_dict(one.state_dict())
    for text in ("missing: 2.weight, 2.bias", "unexpected: 3.weight, 3.bias", "0.weight is (4, 8)"):
        assert text in str(raised.value)
    assert numbers(other) == before


def test_another_optimiser_is_named_and_nothing_changes():
    one = trainer()
    one.fit(points(), 1, progress=False)
    model = classifier()
    other = training.Trainer(model, optim.SGD(model.parameters()), one.loss)
    before = numbers(other)
    with pytest.raises(StateDictError) as raised:
        other.load_state_dict(one.state_dict())
    assert "optimizer is SGD here, and was Adam; schedule is NoneType here" in str(raised.value)
    assert numbers(other) == before
    with pytest.raises(StateDictError, match="there is no batch, began, carried"):
        other.load_state_dict({"model": 1})


def test_what_fits_in_part_changes_nothing():
    one, two = trainer(), trainer()
    one.fit(points(), 1, progress=False)
    state, before = one.state_dict(), numbers(two)
    state["optimizer"]["state"][0]["m"] = np.zeros(3, np.float32)
    with pytest.raises(StateDictError, match="expected"):
        two.load_state_dict(state)
    assert numbers(two) == before


class Unreadable(list):
    """Batches for validation on a disk that fails."""

    def __iter__(self):
        raise OSError("the disk")


@pytest.mark.parametrize("steps", [3, 5])
def test_an_epoch_whose_validation_failed_is_ended_by_who_goes_on(tmp_path, steps):
    def run(folder, validation, resume=True):
        made, keeper = trainer(), training.Checkpoints(folder, every=1)
        made.fit(
            points(), steps=steps, callbacks=[keeper], validation=validation, resume=resume,
            progress=False,
        )  # fmt: skip
        return made

    whole = run(tmp_path / "whole", [(X, Y)])
    with pytest.raises(OSError, match="the disk"):
        run(tmp_path / "broken", Unreadable([(X, Y)]))
    resumed = run(tmp_path / "broken", [(X, Y)])
    assert numbers(resumed) == numbers(whole)
    assert resumed.epoch == len(resumed.history.epochs) == 1
    again = run(tmp_path / "broken", [(X, Y)])
    assert numbers(again) == numbers(whole)


def test_no_steps_end_no_epoch():
    made = trainer()
    with pytest.raises(OSError, match="the disk"):
        made.fit(points(), steps=3, validation=Unreadable([(X, Y)]), progress=False)
    made.fit(points(), steps=0, progress=False)
    assert (made.epoch, made.step, made.batch) == (0, 3, 3)
