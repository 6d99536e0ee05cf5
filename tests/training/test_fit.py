"""fit is the loop that one would write by hand, to the bit, and a bit more."""

from threading import Event, Thread

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.training.runs import X, Y, classifier, classify, points, trainer
from tinygrad_rnn import data, losses, nn, optim, training
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.training.run_state import evaluating


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    assert all(a[name].tobytes() == b[name].tobytes() for name in a)


def by_hand(epochs, accumulate=1, clip_value=None):
    """The same run as ``trainer().fit(points(), epochs)``."""
    tg.seed(5)
    model = classifier()
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    schedule = optim.schedules.CosineAnnealingLR(optimizer, T_max=60)
    means = []
    for batches in (points() for _ in range(1)):
        for _ in range(epochs):
            epoch = list(batches)
            total = 0.0
            for begin in range(0, len(epoch), accumulate):
                group = epoch[begin : begin + accumulate]
                optimizer.zero_grad()
                for batch in group:
                    loss, _ = classify(model, batch)
                    total += loss.item()
                    (loss if len(group) == 1 else loss * (1 / len(group))).backward()
                if clip_value:
                    optim.clip_grad_value(model.parameters(), clip_value)
                optim.clip_grad_norm(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()
            means.append(total / len(epoch))
    return model, means


@pytest.mark.parametrize(("accumulate", "clip_value"), [(1, None), (2, 0.01), (7, None)])
def test_fit_is_the_loop_by_hand(accumulate, clip_value):
    model, means = by_hand(3, accumulate, clip_value)
    run = trainer(accumulate=accumulate, clip_value=clip_value)
    history = run.fit(points(), 3, progress=False)
    same(run.model, model)
    assert history["loss"] == pytest.approx(means, rel=1e-12)
    assert run.step == 3 * -(-5 // accumulate)
    assert run.epoch == 3


def test_accumulated_batches_make_the_step_of_a_large_one():
    runs = [trainer(classifier(0.0), accumulate=n, schedule=False) for n in (1, 4)]
    runs[1].model.load_state_dict(runs[0].model.state_dict())
    for run, size in zip(runs, (32, 8), strict=True):
        run.fit(data.Batches((X[:32], Y[:32]), size), 1, progress=False)
    for a, b in zip(runs[0].model.parameters(), runs[1].model.parameters(), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-6)


def test_epochs_and_steps_whichever_end_first():
    for epochs, steps, expected in (
        (None, None, (5, 1)), (2, None, (10, 2)), (None, 7, (7, 2)), (1, 7, (5, 1)), (3, 7, (7, 2)),
        (0, None, (0, 0)), (None, 0, (0, 0)),
    ):  # fmt: skip
        run = trainer()
        history = run.fit(points(), epochs, steps=steps, progress=False)
        assert (run.step, run.epoch) == expected
        assert len(history.epochs) == expected[1]


def test_fit_goes_on_where_the_last_one_ended():
    one = trainer()
    one.fit(points(), 4, progress=False)
    two, source = trainer(), points()
    two.fit(source, 1, progress=False)
    two.fit(source, 3, progress=False)
    same(one.model, two.model)
    assert [logs["epoch"] for logs in two.history.epochs] == [1, 2, 3, 4]


def test_records_of_epochs():
    run = trainer(metrics={"double": lambda means: 2 * means["loss"]})
    history = run.fit(points(), 2, validation=points(shuffle=False), progress=False)
    assert list(history.epochs[0]) == [
        "epoch", "step", "loss", "accuracy", "double", "val_loss", "val_accuracy", "val_double",
        "lr", "seconds",
    ]  # fmt: skip
    assert history["step"] == [5, 10]
    assert history["val_double"] == [2 * loss for loss in history["val_loss"]]
    assert repr(history).startswith("History(2 epochs: loss=")
    with pytest.raises(KeyError, match="'none' is in no epoch, expected one of epoch, step"):
        history["none"]


def test_evaluating_changes_nothing():
    plain = trainer()
    plain.fit(points(), 3, progress=False)
    watched = trainer()
    watched.fit(points(), 3, validation=points(), progress=False)
    watched.evaluate(points())
    same(plain.model, watched.model)
    assert all(module.training for module in watched.model.modules())


def test_a_model_is_in_its_mode_again_when_the_last_thread_has_used_it():
    model, inside, goes_on = trainer().model, Event(), Event()

    def answer():
        with evaluating(model):
            inside.set()
            goes_on.wait(10)

    other = Thread(target=answer)
    with evaluating(model):
        other.start()
        inside.wait(10)
    assert not any(module.training for module in model.modules())
    with evaluating(model):
        goes_on.set()
        other.join(10)
        assert not any(module.training for module in model.modules())
        with evaluating(model):
            pass
        assert not any(module.training for module in model.modules())
    assert all(module.training for module in model.modules())


def test_evaluate_is_the_mean_by_weight():
    run = trainer(weight=lambda batch: len(batch[0]))
    found = run.evaluate(data.Batches((X, Y), 16))
    run.model.eval()
    scores = run.model(X)
    assert found["loss"] == pytest.approx(losses.cross_entropy(scores, Y).item(), rel=1e-5)
    assert found["accuracy"] == pytest.approx((scores.numpy().argmax(-1) == Y).mean())


def test_evaluating_leaves_stateful_layers_where_they_are():
    layer = nn.RNN(4, 2, stateful=True)
    run = trainer(layer, loss=lambda model, batch: (model(batch)[0] ** 2).mean())
    x = X.reshape(4, 10, 4)
    first = run.evaluate([x])
    assert layer.carried is None
    layer(x)
    carried = layer.carried
    assert run.evaluate([x]) == first
    assert layer.carried is carried


def test_fit_trains_what_was_in_use():
    run = trainer()
    run.model.eval()
    run.fit(points(), 1, validation=points(), progress=False)
    assert all(module.training for module in run.model.modules())


def test_parts_that_are_in_use_stay_so_while_evaluating():
    run = trainer()
    run.model[1].eval()
    run.evaluate(points())
    assert [module.training for module in run.model] == [True, False, True, True]


def test_a_schedule_may_count_epochs():
    run = trainer(schedule=False)
    run.schedule, run.schedule_each = optim.schedules.ExponentialLR(run.optimizer, 0.5), "epoch"
    assert run.fit(points(), 3, progress=False)["lr"] == [0.05, 0.025, 0.0125]


def test_any_iterable_is_a_source():
    lists, batches = trainer(), trainer()
    lists.fit([(X[:8], Y[:8]), (X[8:], Y[8:])], 2, progress=False)
    batches.fit(data.Batches((X[:16], Y[:16]), 8), 2, progress=False)
    assert lists.step == batches.step == 4


def test_functions_are_called_after_each_epoch():
    seen = []
    trainer().fit(points(), 2, callbacks=[lambda run, logs: seen.append((run.step, logs["epoch"]))])
    assert seen == [(5, 1), (10, 2)]


def test_the_events_of_a_run():
    seen = []

    class Watch(training.Callback):
        def on_fit_begin(self, run):
            seen.append("fit begins")

        def on_epoch_begin(self, run):
            seen.append(f"epoch {run.epoch}")

        def on_step(self, run):
            assert list(run.values) == ["loss", "accuracy"]
            assert run.norm > 0
            seen.append(run.step)

        def on_epoch_end(self, run, logs):
            seen.append("ends")

        def on_fit_end(self, run):
            seen.append("fit ends")

    trainer().fit(points(20), 2, callbacks=[Watch()])
    assert seen == ["fit begins", "epoch 0", 1, 2, "ends", "epoch 1", 3, 4, "ends", "fit ends"]


def test_a_callback_may_stop_the_run():
    class Enough(training.Callback):
        def on_step(self, run):
            if run.step == 3:
                run.stop("enough")

    run = trainer()
    history = run.fit(points(), 2, callbacks=[Enough()])
    assert (run.step, run.epoch, history.stopped, history.interrupted) == (3, 0, "enough", False)
    run.fit(points(), 1)
    assert run.history.stopped is None


# ----- what is wrong is named -----


def broken(**options):
    model = nn.Linear(2, 2)
    given = {
        "model": model,
        "optimizer": optim.SGD(model.parameters()),
        "loss": classify,
        **options,
    }
    return training.Trainer(**given)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"model": 3}, "Trainer: model is a int, expected a Module."),
        ({"optimizer": "adam"}, "Trainer: optimizer is a str, expected a Optimizer."),
        ({"loss": 1}, "Trainer: loss is 1, expected a function."),
        ({"metrics": ["f1"]}, "Trainer: metrics is ['f1'], expected a dict from names to"),
        ({"metrics": {"a": 1}}, "Trainer: metrics['a'] is 1, expected a function."),
        ({"schedule": 1}, "Trainer: schedule is a int, expected a Schedule."),
        ({"schedule_each": "day"}, "schedule_each is 'day', expected one of ('step', 'epoch')"),
        ({"clip_norm": "x"}, "Trainer: clip_norm is 'x', expected a number above 0."),
        ({"clip_norm": 0}, "Trainer: clip_norm is 0, expected a number above 0."),
        ({"carry_state": 1}, "Trainer: carry_state is 1, expected True or False."),
        ({"accumulate": 0}, "Trainer: accumulate is 0, expected a whole number from 1 up."),
    ],
)
def test_wrong_arguments_of_a_trainer(options, text):
    with pytest.raises(ArgumentError) as raised:
        broken(**options)
    assert text in str(raised.value)


def test_a_plateau_is_a_callback():
    optimizer = optim.SGD(nn.Linear(2, 2).parameters())
    with pytest.raises(ArgumentError, match=r"training\.ReduceOnPlateau"):
        broken(schedule=optim.schedules.ReduceLROnPlateau(optimizer))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"batches": 3}, "fit: batches is a int, expected something to loop over"),
        ({"batches": []}, "fit: batches gave none in epoch 0. Is it an iterator"),
        ({"validation": 3}, "fit: validation is a int"),
        ({"validation": []}, "evaluate: there was no batch"),
        ({"epochs": -1}, "fit: epochs is -1, expected a whole number from 0 up"),
        ({"steps": 0.5}, "fit: steps is 0.5"),
        ({"callbacks": training.CSVLog("log.csv")}, "expected a list of them."),
        ({"callbacks": [3]}, "fit: callbacks holds 3, expected objects with a method such as"),
        ({"callbacks": [training.CSVLog]}, "expected objects with a method"),
        ({"resume": True}, "there is no training.Checkpoints among the callbacks"),
    ],
)
def test_wrong_arguments_of_fit(arguments, text):
    with pytest.raises(ArgumentError) as raised:
        trainer().fit(**{"batches": points(), "progress": False, **arguments})
    assert text in str(raised.value)


def test_an_iterator_that_is_used_up_is_noticed():
    with pytest.raises(ArgumentError, match="gave none in epoch 1"):
        trainer().fit(iter([(X, Y)]), 2, progress=False)


@pytest.mark.parametrize(
    ("returned", "carry", "text"),
    [
        (3.0, False, "loss returned float, expected the loss, or (loss, values)"),
        (tg.ones(2), False, "loss returned a Tensor of shape (2,), expected"),
        ((tg.ones(()), 3), False, "loss returned (a Tensor of shape (), int), expected"),
        (tg.ones(()), True, "expected (loss, state), or (loss, state, values)"),
    ],
)
def test_what_a_loss_may_return(returned, carry, text):
    run = trainer(loss=lambda *_: returned, carry_state=carry)
    with pytest.raises(ArgumentError) as raised:
        run.fit(points(), progress=False)
    assert text in str(raised.value)


def test_groups_that_come_later_are_clipped_as_well():
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))
    optimizer = optim.SGD(model[0].parameters(), lr=1.0)
    run = training.Trainer(model, optimizer, classify, clip_norm=1e-3)
    optimizer.add_param_group({"params": list(model[1].parameters())})
    before = model[1].weight.numpy().copy()
    run.fit(points(), steps=1, progress=False)
    assert np.abs(model[1].weight.numpy() - before).max() <= 1.1e-3
