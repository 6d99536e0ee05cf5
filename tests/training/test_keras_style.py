"""Sequential with Keras' words: the lecture's lines run, and say what they were given wrong."""

import copy
import functools
import pickle

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.training.small_models import check_same_numbers
from tinygrad_rnn import data, losses, nn, ops, optim, training
from tinygrad_rnn.errors import (
    ArgumentError,
    DTypeError,
    IndexRangeError,
    ModuleError,
    ShapeError,
    TinygradError,
)
from tinygrad_rnn.nn import Activation, Dense
from tinygrad_rnn.training import Input, Model, Sequential, to_categorical


@pytest.fixture
def clusters():
    """Points about ten centres, far enough apart to be learnt: x, their classes, one-hot."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((10, 100))
    classes = rng.integers(10, size=300)
    return 2 * centres[classes] + rng.standard_normal((300, 100)), classes, to_categorical(classes)


def small(*last):
    tg.seed(0)
    return Sequential(Dense(8, 4, activation="tanh"), Dense(3, 8), *last)


X = np.random.default_rng(1).standard_normal((10, 4)).astype(np.float32)
Y = np.arange(10) % 3


# ----- the lecture -----


def test_the_lines_of_the_lecture_run(clusters):
    tg.seed(0)
    x, _, y = clusters
    x_train, y_train, x_test, y_test = x[:200], y[:200], x[200:], y[200:]
    model = Sequential()
    model.add(Dense(units=64, input_dim=100))
    model.add(Activation("relu"))
    model.add(Dense(units=10))
    model.add(Activation("softmax"))
    model.compile(loss="categorical_crossentropy", optimizer="sgd", metrics=["accuracy"])
    history = model.fit(x_train, y_train, epochs=5, batch_size=32)
    model.train_on_batch(x_train[:32], y_train[:32])
    loss_and_metrics = model.evaluate(x_test, y_test, batch_size=128)
    classes = model.predict(x_test, batch_size=128)
    _, accuracy = loss_and_metrics
    assert history["loss"][-1] < 0.3 * history["loss"][0]
    assert accuracy == loss_and_metrics.accuracy > 0.9
    assert type(classes) is np.ndarray
    assert np.mean(classes.argmax(-1) == y_test.argmax(-1)) == pytest.approx(accuracy)
    np.testing.assert_allclose(classes.sum(-1), 1, rtol=1e-5)


def test_fit_is_the_loop_written_out():
    tg.seed(3)
    model = small(Activation("softmax")).compile("adam", "sparse_categorical_crossentropy")
    other = small()
    assert model.fit(X, Y, batch_size=5, epochs=2, shuffle=False)["step"] == [2, 4]
    optimizer = optim.Adam(other.parameters(), lr=0.001, eps=1e-7)
    for _ in range(2):
        for rows in (slice(0, 5), slice(5, 10)):
            optimizer.zero_grad()
            losses.cross_entropy(other(X[rows]), Y[rows]).backward()
            optimizer.step()
    assert np.array_equal(model[0].weight, other[0].weight)
    loss, *_ = model.evaluate(X, Y, batch_size=3)
    assert loss == pytest.approx(losses.cross_entropy(other(X), Y).item(), rel=1e-6)


def test_seeds_decide_and_each_fit_has_orders_of_its_own():
    runs = []
    for _ in range(2):
        model = small().compile("sgd", metrics="acc")
        tg.seed(7)
        model.fit(X, Y, 3, 2)
        runs.append(model.state_dict())
    for name, array in runs[0].items():
        assert np.array_equal(array, runs[1][name])
    seen = []
    model._run = lambda x, run=model._run: seen.append(x[:, 0]) or run(x)
    model.fit(X, Y, 10)
    model.fit(X, Y, 10)
    first, second = map(np.asarray, seen)
    assert sorted(first) == sorted(second)
    assert not np.array_equal(first, second)


def test_input_sizes_are_found_out_without_a_trace(clusters):
    x, classes, _ = clusters
    model = Sequential([Dense(5, activation="relu"), nn.Dropout(0.5), Dense(10)])
    model.compile("sgd", "cross_entropy", ["accuracy"])
    tg.seed(0)
    assert model.predict(x).shape == (300, 10)
    after = str(tg.random.get_state())
    model.predict(x)
    assert str(tg.random.get_state()) == after
    assert model[0].weight.shape == (100, 5)
    assert all(module.training for module in model.modules())
    model.fit(x, classes)
    assert Sequential(Dense(2)).compile("sgd", "mse").evaluate(x, np.zeros((300, 2))) < (9.0,)


# ----- losses -----


def reference(name, scores, y):
    p = np.exp(scores - scores.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    s = 1 / (1 + np.exp(-scores))
    return {
        "categorical_crossentropy": lambda: -(y * np.log(p)).sum(-1).mean(),
        "sparse_categorical_crossentropy": lambda: -np.log(p[np.arange(len(y)), y]).mean(),
        "cross_entropy": lambda: -np.log(p[np.arange(len(y)), y]).mean(),
        "binary_crossentropy": lambda: -(y * np.log(s) + (1 - y) * np.log(1 - s)).mean(),
        "bce_with_logits": lambda: -(y * np.log(s) + (1 - y) * np.log(1 - s)).mean(),
        "kl_divergence": lambda: (y * np.log(np.where(y > 0, y, 1) / p)).sum(-1).mean(),
        "mse": lambda: ((scores - y) ** 2).mean(),
        "mae": lambda: abs(scores - y).mean(),
        "huber": lambda: np.where(
            abs(scores - y) < 1, (scores - y) ** 2 / 2, abs(scores - y) - 0.5
        ).mean(),
    }[name]()


@pytest.mark.parametrize(
    ("name", "last", "y"),
    [
        ("categorical_crossentropy", [Activation("softmax")], to_categorical(Y)),
        ("categorical_crossentropy", [nn.Softmax()], to_categorical(Y).astype(int)),
        ("categorical_crossentropy", [Activation(lambda x: ops.softmax(x))], to_categorical(Y)),
        ("sparse_categorical_crossentropy", [Activation(ops.softmax)], Y),
        ("sparse_categorical_crossentropy", [Activation(lambda x: ops.softmax(x))], Y[:, None]),
        ("sparse_categorical_crossentropy", [Activation("softmax")], Y.astype(np.float64)),
        ("cross_entropy", [], Y),
        ("cross_entropy", [], Y == 1),
        ("cross_entropy", [Activation("softmax")], Y),
        ("binary_crossentropy", [nn.Sigmoid()], to_categorical(Y)),
        ("binary_crossentropy", [Activation(lambda x: ops.sigmoid(x))], to_categorical(Y)),
        ("bce_with_logits", [], to_categorical(Y)),
        ("bce_with_logits", [Activation("sigmoid")], to_categorical(Y)),
        ("kl_divergence", [nn.Softmax()], np.full((10, 3), 1 / 3)),
        ("mse", [], np.ones((10, 3))),
        ("mae", [], np.ones((10, 3))),
        ("huber", [], np.ones((10, 3))),
    ],
)
def test_losses_are_their_formulas(name, last, y):
    scores = small()(X).numpy().astype(np.float64)
    model = small(*last).compile("sgd", name)
    flat = y[:, 0] if y.shape == (10, 1) else y
    expected = reference(name, scores, flat.astype(int) if flat.ndim == 1 else flat)
    assert model.evaluate(X, y).loss == pytest.approx(expected, rel=2e-6)
    assert model.train_on_batch(X, y).loss == pytest.approx(expected, rel=2e-6)


@pytest.mark.parametrize("dense", [True, False])
def test_the_library_s_functions_know_about_the_softmax_before_them(dense):
    last = [Dense(3, 8, activation="softmax")] if dense else [Dense(3, 8), nn.Softmax()]
    tg.seed(0)
    model = Sequential(Dense(8, 4), *last).compile("sgd", losses.cross_entropy)
    loss = model.evaluate(X, Y).loss
    p = model.predict(X)
    assert loss == pytest.approx(-np.log(p[np.arange(10), Y]).mean(), rel=1e-5)


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "binary_crossentropy"])
def test_scores_of_any_size_have_finite_losses_and_gradients(loss):
    """log(softmax(x)) is -inf, and its gradient NaN, where softmax(x) is 0."""
    squash = "softmax" if loss[0] == "c" else "sigmoid"
    model = Sequential(nn.Linear(2, 2, bias=False), Activation(squash))
    model[0].weight.assign_(np.float32([[1000, -1000], [0, 0]]))
    model.compile("sgd", loss)
    x, y = np.float32([[1, 1]]), np.float32([[0, 1]])
    expected = 2000 if loss[0] == "c" else 1000
    assert model.train_on_batch(x, y).loss == pytest.approx(expected)
    step = model[0].weight.numpy() - np.float32([[1000, -1000], [0, 0]])
    half = 1 if loss[0] == "c" else 0.5  # the mean over both outputs
    np.testing.assert_allclose(step[1], [-0.01 * half, 0.01 * half], rtol=1e-5)


def test_a_softmax_that_is_not_the_end_is_left_alone():
    model = Sequential(Dense(3, 4), Activation("softmax"), nn.Linear(3, 3))
    model.compile("sgd", "cross_entropy")
    expected = losses.cross_entropy(model(X), Y).item()
    assert model.evaluate(X, Y).loss == pytest.approx(expected, rel=1e-6)


def test_functions_are_losses_and_metrics():
    def worst(outputs, y):
        return np.abs(outputs.numpy() - y).max(-1)

    model = small().compile(
        lambda p: optim.SGD(p, lr=0.1),
        lambda outputs, y: ops.square(outputs - y),
        [worst, lambda outputs, y: 3],
    )
    y = np.ones((10, 3))  # float64, as data are
    found = model.evaluate(X, y)
    scores = small()(X).numpy()
    assert found.loss == pytest.approx(((scores - 1) ** 2).mean(), rel=1e-6)
    assert found.worst == pytest.approx(abs(scores - 1).max(-1).mean(), rel=1e-6)
    assert found[2] == 3
    model.fit(X, y, epochs=3)


def test_metrics_are_counted():
    names = ["accuracy", "sparse_categorical_accuracy", "top_k_categorical_accuracy"]
    model = Sequential(Dense(8, 4)).compile("sgd", "cross_entropy", names)
    scores, y = model(X).numpy(), np.arange(10) % 8
    right = np.mean(scores.argmax(-1) == y)
    ranks = (scores > scores[np.arange(10), y][:, None]).sum(-1)
    assert model.evaluate(X, y, 3)[1:] == pytest.approx((right, right, np.mean(ranks < 5)))
    ignored = np.where(np.arange(10) < 5, y, -100)
    found = model.evaluate(X, ignored, 10)
    assert found.accuracy == np.mean(scores.argmax(-1)[:5] == y[:5])
    model = Sequential(Dense(1, 4)).compile("sgd", "mse", ["mae", "mean_squared_error"])
    error = model(X).numpy()[:, 0] - y
    expected = (abs(error).mean(), (error**2).mean())
    assert model.evaluate(X, y.astype(float))[1:] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("last", "loss"),
    [
        ([nn.Sigmoid()], "binary_crossentropy"),
        ([nn.Sigmoid()], "bce_with_logits"),
        ([], "bce_with_logits"),
        ([nn.Sigmoid()], "mse"),
    ],
)
def test_yes_is_what_is_above_the_middle(last, loss):
    tg.seed(0)
    model = Sequential(Dense(1, 4), *last).compile("sgd", loss, ["accuracy", "binary_accuracy"])
    yes = model[0](X).numpy()[:, 0] > 0
    assert 0 < yes.sum() < 10
    assert model.evaluate(X, yes)[1:] == (1.0, 1.0)


# ----- optimisers -----


@pytest.mark.parametrize("name", training.named.OPTIMIZERS)
def test_optimisers_have_names(name):
    model = small().compile(name.upper())
    before = model.state_dict()
    model.train_on_batch(X, Y)
    assert not np.array_equal(before["0.weight"], model[0].weight)


def test_an_optimiser_may_be_made_before_or_by_a_function():
    model = small()
    base, head = model[0], model[1]
    groups = [{"params": base.parameters(), "lr": 0.0}, {"params": head.parameters()}]
    model.compile(optim.SGD(groups, lr=0.1), "cross_entropy")
    before = model.state_dict()
    model.fit(X, Y)
    assert np.array_equal(before["0.weight"], base.weight)
    assert not np.array_equal(before["1.weight"], head.weight)
    model.compile(functools.partial(optim.SGD, lr=0.1, momentum=0.9, nesterov=True))
    model.fit(X, Y)
    model.compile(optim.Adagrad, clip_norm=0.1, clip_value=1.0).fit(X, Y)


def test_runs_go_on_and_are_resumed(tmp_path):
    def run(epochs, **more):
        model = small(nn.Dropout(0.5)).compile("adam")
        tg.seed(5)
        history = model.fit(X, Y, 3, epochs, **more)
        return model, history

    whole, _ = run(4)
    run(2, callbacks=[training.Checkpoints(tmp_path)])
    tg.seed(99)
    resumed = small(nn.Dropout(0.5)).compile("adam")
    history = resumed.fit(X, Y, 3, 4, callbacks=[training.Checkpoints(tmp_path)], resume=True)
    assert history["epoch"] == [1, 2, 3, 4]
    check_same_numbers(whole, resumed)


def test_single_steps_are_no_part_of_an_epoch():
    model = small().compile(functools.partial(optim.SGD, lr=0.0))
    model.train_on_batch(100 * X, Y)
    assert model.fit(X, Y)["loss"] == pytest.approx([model.evaluate(X, Y).loss])


# ----- what is trained on -----


def test_validation_is_given_or_split_off():
    model = small().compile("sgd", metrics=["accuracy"])
    logs = model.fit(X, Y, validation_data=(X[:4], Y[:4]), verbose=0).epochs[-1]
    assert logs["val_loss"] == pytest.approx(model.evaluate(X[:4], Y[:4]).loss)
    model = small().compile("sgd")
    logs = model.fit(X, Y, validation_split=0.3).epochs[-1]
    assert logs["val_loss"] == pytest.approx(model.evaluate(X[7:], Y[7:]).loss)
    other = small().compile("sgd")
    other.fit(X[:7], Y[:7])
    np.testing.assert_allclose(model[0].weight, other[0].weight, rtol=1e-5)


def test_batches_of_any_kind_are_taken():
    model = Sequential(Dense(3)).compile("sgd", metrics=["accuracy"])
    batches = data.Batches((X, Y), 5)
    model.fit(batches, epochs=2, validation_data=batches)
    assert model.evaluate(batches) == pytest.approx(model.evaluate(X, Y))
    model.fit([(X[:5], Y[:5])] and iter([(X, Y)]))
    assert model.fit(X.tolist(), Y.tolist()).epochs


def test_a_look_at_a_generator_takes_no_batch_away():
    model = Sequential(Dense(3)).compile("sgd")
    model.fit((X[n : n + 2], Y[n : n + 2]) for n in range(0, 10, 2))
    assert model._trainer.step == 5
    other = Sequential(Dense(3)).compile("sgd")
    assert other.evaluate(iter([(X, Y)])).loss > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((X, Y, {"validation_data": (X, Y)}), "given beside validation_data"),
        ((data.Batches((X, Y), 5), None, {}), "given beside batches"),
    ],
)
def test_a_split_of_nothing_is_refused(arguments, words):
    x, y, options = arguments
    with pytest.raises(ArgumentError, match=words):
        small().compile("sgd").fit(x, y, validation_split=0.5, **options)


def test_over_time_examples_come_first():
    tg.seed(0)
    model = Sequential(nn.Embedding(9, 4), nn.Residual(nn.LSTM(4, 4)), nn.LockedDropout(0.1))
    model.add(nn.Linear(4, 9)).compile("adam", "cross_entropy", ["accuracy"])
    x = np.arange(30).reshape(6, 5) % 9
    model.fit(x, x, batch_size=2, epochs=2)
    assert model.predict(x).shape == (6, 5, 9)
    alone = np.concatenate([model.predict(row[None]) for row in x])
    np.testing.assert_allclose(model.predict(x), alone, rtol=1e-5)
    assert Sequential(nn.GRU(4, 3)).predict(np.ones((6, 5, 4))).shape == (6, 5, 3)


def test_predicting_changes_nothing_and_takes_no_examples_too():
    model = Sequential(nn.Dropout(0.5), nn.BatchNorm(4), Dense(3))
    tg.seed(0)
    expected = model.predict(X)
    before = model.state_dict()
    state = str(tg.random.get_state())
    for size in (1, 3, 100):
        np.testing.assert_allclose(model.predict(X, batch_size=size), expected, rtol=1e-5)
    assert str(tg.random.get_state()) == state
    assert all(
        np.array_equal(a, b)
        for a, b in zip(before.values(), model.state_dict().values(), strict=True)
    )
    assert model.predict(X[:0]).shape == (0, 3)


# ----- several inputs and outputs -----


def two_heads():
    tg.seed(0)
    a, b = Input(4, name="a"), Input(4, name="b")
    shared = Dense(5, 4, activation="tanh")
    both = shared(a) + shared(b)
    kind = Activation("softmax")(Dense(3, 5)(both))
    return Model([a, b], {"kind": kind, "size": Dense(1, 5)(both)})


def test_models_with_several_inputs_and_outputs_are_trained():
    model = two_heads()
    sizes = X.sum(-1)
    model.compile(
        "adam",
        {"kind": "sparse_categorical_crossentropy", "size": "mse"},
        {"kind": ["accuracy"], "size": "mae"},
        loss_weights={"kind": 2.0, "size": 0.5},
    )
    inputs, targets = {"a": X, "b": -2 * X}, {"kind": Y, "size": sizes}
    found = model.evaluate(inputs, targets, 4)
    out = model(inputs)
    kind = losses.nll(ops.log(out["kind"]), Y).item()
    size = np.mean((out["size"].numpy()[:, 0] - sizes) ** 2)
    assert found._fields == ("loss", "kind_loss", "kind_accuracy", "size_loss", "size_mae")
    expected = (2 * kind + 0.5 * size, kind, size)
    assert (found.loss, found.kind_loss, found.size_loss) == pytest.approx(expected, rel=1e-5)
    assert model.evaluate([X, -2 * X], [Y, sizes], 4) == pytest.approx(found)
    history = model.fit(inputs, targets, epochs=20, batch_size=5)
    assert history["loss"][-1] < history["loss"][0]
    predicted = model.predict([X, -2 * X], batch_size=3)
    np.testing.assert_allclose(predicted["kind"], model(inputs)["kind"], rtol=1e-5)
    model.compile("sgd", ["cross_entropy", "mse"], [["accuracy"], []])
    assert model.evaluate(inputs, targets)._fields[2] == "kind_accuracy"


def test_outputs_in_a_list_have_numbers():
    x = Input(4)
    model = Model(x, [Dense(2)(x), Dense(3)(x)]).compile("sgd", "mse", ["mae"])
    found = model.evaluate(X, [np.ones((10, 2)), np.ones((10, 3))])
    assert found._fields[1:3] == ("output_0_loss", "output_0_mae")
    first, second = model.predict(X)
    assert first.shape == (10, 2)
    assert second.shape == (10, 3)
    x = Input(4)
    assert Model(x, Dense(2)(x)).predict(X).shape == (10, 2)


# ----- saved, copied, transferred -----


def test_what_was_compiled_by_names_is_compiled_when_it_is_loaded(tmp_path):
    model = small(Activation("softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"], clip_norm=1.0)
    model.fit(X, Y, epochs=2)
    model.save(tmp_path / "m")
    other = training.load_model(tmp_path / "m")
    assert type(other) is Sequential
    assert np.array_equal(other.predict(X), model.predict(X))
    assert other.evaluate(X, Y) == model.evaluate(X, Y)
    other.fit(X, Y)
    model.compile(optim.SGD(model.parameters()), "mse").save(tmp_path / "m")
    with pytest.raises(ModuleError, match="evaluate: the model is not compiled"):
        training.load_model(tmp_path / "m").evaluate(X, Y)
    two_heads().compile("sgd", ["cross_entropy", "mse"]).save(tmp_path / "two")
    assert training.load_model(tmp_path / "two").evaluate([X, X], [Y, X[:, 0]]).loss > 0


def test_copies_are_not_compiled():
    model = small().compile("sgd", lambda outputs, y: outputs.sum())
    model.fit(X, Y)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        check_same_numbers(model, other)
        with pytest.raises(ModuleError, match="fit: the model is not compiled"):
            other.fit(X, Y)
        other.compile("sgd").fit(X, Y)


def test_a_trained_model_is_taken_on(tmp_path):
    model = small(Activation("softmax")).compile("adam").fit(X, Y) and small(nn.Softmax())
    model.save(tmp_path / "m")
    body = training.load_model(tmp_path / "m")[:-2]  # the head is cut
    assert type(body) is Sequential
    body.freeze()
    transferred = Sequential(body, Dense(2, 8))
    transferred.compile("adam", "cross_entropy").fit(X, Y % 2, epochs=3)
    assert np.array_equal(body[0].weight, model[0].weight)
    transferred.unfreeze()
    groups = [
        {"params": body.parameters(), "lr": 1e-4},
        {"params": transferred[-1].parameters(), "lr": 1e-2},
    ]
    transferred.compile(optim.Adam(groups), "cross_entropy").fit(X, Y % 2)
    moved = abs(body[0].weight.numpy() - model[0].weight.numpy()).max()
    assert 0 < moved < 1.1e-4
    transferred.save(tmp_path / "t")
    check_same_numbers(transferred, training.load_model(tmp_path / "t"))


# ----- what does not fit -----


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda m: Sequential(Dense(2)).fit(X, Y), ModuleError, r"fit: .*not compiled.*compile\("),
        (lambda m: Sequential().train_on_batch(X, Y), ModuleError, "train_on_batch: .*not comp"),
        (lambda m: m.compile("sdg"), ArgumentError, "optimizer is 'sdg', expected one of sgd, rms"),
        (lambda m: m.compile(3), ArgumentError, "optimizer is 3, expected one of sgd"),
        (
            lambda m: m.compile(loss="crossentropy"),
            ArgumentError,
            "'crossentropy', expected one of categ",
        ),
        (lambda m: m.compile(loss="categorical_crossentropy "), ArgumentError, "expected one of"),
        (
            lambda m: m.compile(metrics=["f1"]),
            ArgumentError,
            "metrics is 'f1', expected one of acc",
        ),
        (lambda m: m.compile(metrics=3), ArgumentError, "metrics is 3, expected a list"),
        (lambda m: m.compile(loss=["mse", "mse"]), ArgumentError, "loss has 2 entries, expected 1"),
        (
            lambda m: m.compile(loss={"a": "mse"}),
            ArgumentError,
            "loss is given for 'a', expected no n",
        ),
        (lambda m: m.compile(optim.SGD(Dense(1, 1).parameters())).fit(X, Y), ModuleError, "other"),
        (
            lambda m: m.compile(loss=lambda o, y: 3).fit(X, Y),
            ArgumentError,
            "returned 3, expected a",
        ),
        (lambda m: m.fit(X, Y[:9]), ShapeError, "fit: expected as many.* x 10, y 9"),
        (lambda m: m.fit(X, 3), ArgumentError, "y is 3, expected an array of examples"),
        (lambda m: m.fit(X), ArgumentError, "fit: y is None, expected an array"),
        (lambda m: m.fit(X[:, :3], Y), ShapeError, r"x has shape \(10, 3\), expected .* I = 4"),
        (lambda m: m.fit(X, X), ShapeError, r"y has shape \(10, 4\), expected \(10,\) for an outp"),
        (lambda m: m.fit(X, [Y, Y]), ShapeError, "y holds 2 arrays, expected 1"),
        (lambda m: m.fit(X, {"a": Y}), ArgumentError, "y is given for 'a', expected no na"),
        (lambda m: m.fit(X, Y, validation_split=1), ArgumentError, "validation_split is 1"),
        (lambda m: m.fit(X, Y, validation_data=(X,)), ArgumentError, "tuple of 1, expected"),
        (lambda m: m.fit(X, Y, batch_size=0), ShapeError, "fit: batch_size is 0"),
        (lambda m: m.evaluate([3, 4]), ArgumentError, "a batch is a int, expected a pair"),
        (lambda m: m.predict("x"), TinygradError, "predict"),
    ],
)
def test_what_does_not_fit_is_refused(call, kind, words):
    with pytest.raises(kind, match=words):
        call(small().compile("sgd", "cross_entropy"))


@pytest.mark.parametrize(
    ("loss", "last", "y", "words"),
    [
        ("categorical_crossentropy", [nn.Softmax()], Y, "loss='sparse_categorical_crossentropy'"),
        ("sparse_categorical_crossentropy", [nn.Softmax()], to_categorical(Y), "a vector for each"),
        (
            "categorical_crossentropy",
            [nn.Tanh()],
            to_categorical(Y),
            r"-\d.*expected probabilities",
        ),
        ("mse", [], Y.astype(float), r"y has shape \(10,\), expected \(10, 3\)"),
        ("sparse_categorical_crossentropy", [nn.Softmax()], Y + 1, "3"),
        ("mse", [], np.full((10, 3), "a"), "fit"),
    ],
)
def test_targets_of_another_kind_are_told_from_the_right_ones(loss, last, y, words):
    with pytest.raises(TinygradError, match=words):
        small(*last).compile("sgd", loss).fit(X, y)


def test_layers_that_come_after_compile_want_it_again():
    model = small().compile("sgd")
    model.fit(X, Y)
    model.add(Dense(3, 3))
    with pytest.raises(ModuleError, match="fit: layers have come since compile"):
        model.fit(X, Y)
    model.compile("sgd").fit(X, Y)


def test_classes_become_vectors():
    assert np.array_equal(to_categorical([[1], [0]], 3), [[0, 1, 0], [1, 0, 0]])
    assert to_categorical(np.zeros((2, 3), int), 4).shape == (2, 3, 4)
    with pytest.raises(IndexRangeError, match="y holds 0 to 3, expected 0 to 2"):
        to_categorical(np.arange(4), 3)
    with pytest.raises(DTypeError, match="y holds float64"):
        to_categorical(np.ones(2))


def test_names_of_digits_are_names():
    one, other = Input(4, name="1"), Input(4, name="0")
    model = Model([one, other], one - other)
    given = {"0": X, "1": 2 * X}
    np.testing.assert_array_equal(model.predict(given), X)
    np.testing.assert_array_equal(model.predict([X, 2 * X]), -X)


def test_metrics_of_one_name_are_told_apart():
    model = small()
    metrics = [lambda o, t: 1.0, lambda o, t: 2.0, lambda o, t: 3.0]
    model.compile("sgd", "cross_entropy", metrics)
    logs = model.fit(X, Y, validation_split=0.2, verbose=0).epochs[-1]
    names = ["<lambda>", "<lambda>_2", "<lambda>_3"]
    assert [logs[name] for name in names] == [1, 2, 3]

    def loss(outputs, targets):
        return 99.0

    with pytest.raises(ArgumentError, match="a metric is called 'loss', expected another name"):
        model.compile("sgd", "cross_entropy", [loss])


def test_a_share_that_is_no_example_is_refused():
    model = small()
    model.compile("sgd", "cross_entropy")
    with pytest.raises(ArgumentError, match=r"0\.01, which is no example of 10"):
        model.fit(X, Y, validation_split=0.01)
