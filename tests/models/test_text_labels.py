"""Labels of texts: the same by hand, whatever stands beside; what can be told without an order."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.models.slopes import check_slope
from tinygrad_rnn import errors, models, ops, optim, text

pytestmark = pytest.mark.usefixtures("reference")

E, H = 4, 6
WORDS = text.Words.of("not bad at all good but dull very was it")
TEXTS = ["not bad at all", "dull", "it was good but very dull", "was it ?"]
NAMES = ["bad", "good", "mixed"]
LABELS = ["good", "bad", "mixed", "bad"]


def model_of(names=NAMES, vocabulary=WORDS, **options):
    tg.seed(0)
    return models.TextLabels(names, vocabulary, E, H, **options).astype(tg.float64)


READERS = {
    "attention": {}, "attention of GRUs": {"cell": "GRU", "num_layers": 2},
    "mean": {"read": "mean"}, "last": {"read": "last", "num_layers": 2},
    "last, forwards": {"read": "last", "bidirectional": False}, "merged": {"merge": "sum"},
    "last, merged": {"read": "last", "merge": "sum"}, "bag": {"cell": None, "read": "mean"},
    "bag, attention": {"cell": None},
}  # fmt: skip
every_reader = pytest.mark.parametrize("how", READERS)


@every_reader
def test_a_label_by_hand(how):
    """Of one text alone, step by step of what the class says."""
    model = model_of(**READERS[how])
    scores, lengths = model(TEXTS)
    assert lengths.tolist() == [4, 1, 6, 3]
    assert scores.shape == (4, 3)
    for row, one in enumerate(TEXTS):
        e = model.embedding(WORDS.encode(one)[:, None])
        if model.layers is None:
            h = ops.relu(model.alone(e))[:, 0]
        else:
            h = model.layers(e)[0][:, 0]
        if model.read == "last":
            both = len(model.layers.directions) == 2 and model.layers.merge == "concat"
            read = ops.concat([h[-1, :H], h[0, H:]]) if both else h[-1]
            if model.layers.merge == "sum":
                model.layers.merge = "concat"
                apart = model.layers(e)[0][:, 0]
                read = ops.concat([apart[-1, :H], apart[0, H:]])
                model.layers.merge = "sum"
        elif model.read == "mean":
            read = h.mean(0)
        else:
            fits = model.look[2](ops.tanh(model.look[0](h)))[:, 0]
            weights = ops.softmax(fits)
            np.testing.assert_allclose(model.attention([one])[0], weights.numpy(), rtol=1e-11)
            read = (weights.unsqueeze(1) * h).sum(0)
        np.testing.assert_allclose(scores.numpy()[row], model.out(read).numpy(), rtol=1e-10)


@every_reader
def test_what_stands_beside_a_text_changes_nothing(how):
    model = model_of(**READERS[how])
    together = model.probabilities(TEXTS)
    for one, likely in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(model.probabilities([one])[0], likely, rtol=1e-11)
        assert likely.sum() == pytest.approx(1)
    for one, likely in zip(model.probabilities(TEXTS, batch_size=3), together, strict=True):
        np.testing.assert_allclose(one, likely, rtol=1e-11)
    best = [NAMES[likely.argmax()] for likely in together]
    assert model.labels(TEXTS) == model.labels(TEXTS, batch_size=1) == best


@every_reader
def test_the_loss_is_that_of_its_labels_and_has_its_slope(how):
    model = model_of(**READERS[how])
    loss, values = model.loss(TEXTS, LABELS)
    likely = model.probabilities(TEXTS)
    nats = [-np.log(p[NAMES.index(label)]) for p, label in zip(likely, LABELS, strict=True)]
    assert loss.item() == pytest.approx(np.mean(nats), rel=1e-12)
    said = np.array(model.labels(TEXTS)) == np.array(LABELS)
    assert values["accuracy"] == said.mean()
    check_slope(model, lambda: model.loss(TEXTS, LABELS)[0])


def test_words_have_labels_of_their_own():
    model = model_of(of="word")
    scores, lengths = model(TEXTS)
    assert scores.shape == (6, 4, 3)
    names = [["good"] * length for length in lengths]
    loss, values = model.loss(TEXTS, names)
    likely = model.probabilities(TEXTS)
    assert values["accuracy"] == np.mean([p.argmax() == 1 for own in likely for p in own])
    assert [len(own) for own in likely] == [4, 1, 6, 3]
    nats = [-np.log(p[1]) for own in likely for p in own]
    assert loss.item() == pytest.approx(np.mean(nats), rel=1e-12)
    said = model.labels(TEXTS)
    assert said == [[NAMES[p.argmax()] for p in own] for own in likely]
    (batch,) = model.batches(TEXTS, names, 4)
    assert model.loss(*batch)[0].item() == pytest.approx(loss.item(), rel=1e-12)


def test_attention_is_shares_of_each_text():
    for weights, one in zip(model_of().attention(TEXTS, batch_size=3), TEXTS, strict=True):
        assert weights.shape == (len(WORDS.encode(one)),)
        assert weights.sum() == pytest.approx(1)
        assert (weights > 0).all()
    np.testing.assert_allclose(model_of(read="mean").attention(TEXTS[:1])[0], [1 / 4] * 4)


def test_an_order_is_learned_by_layers_alone():
    """Good but dull is another thing than dull but good."""
    texts, labels = ["good but dull", "dull but good"], ["bad", "good"]
    right = {}
    for cell in ("GRU", None):
        model = model_of(["bad", "good"], cell=cell, read="mean")
        optimizer = optim.Adam(model.parameters(), lr=0.05)
        for _ in range(30):
            loss, _ = model.loss(texts, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        right[cell] = model.labels(texts) == labels
    assert right == {"GRU": True, None: False}


def test_batches_are_of_like_lengths_and_hold_every_text():
    model = model_of()
    found = list(model.batches(TEXTS * 3, LABELS * 3, 3, shuffle=True))
    assert sorted(len(ids) for texts, _ in found for ids in texts) == sorted([4, 1, 6, 3] * 3)
    for texts, labels in found:
        assert len({len(ids) for ids in texts}) == 1
        for ids, label in zip(texts, labels, strict=True):
            assert label == LABELS[[4, 1, 6, 3].index(len(ids))]


@pytest.mark.parametrize("how", ["attention", "bag", "last"])
def test_a_model_comes_back_from_its_folder(how, tmp_path):
    model = model_of(**READERS[how])
    model.save(tmp_path)
    again = models.load(tmp_path)
    assert again.names == NAMES
    for one, other in zip(model.probabilities(TEXTS), again.probabilities(TEXTS), strict=True):
        np.testing.assert_array_equal(one, other)


def test_tokens_do_without_a_vocabulary():
    model = model_of(vocabulary=len(WORDS))
    with_words = model_of()
    ids = [WORDS.encode(one) for one in TEXTS]
    assert model.labels(ids) == with_words.labels(TEXTS)


@pytest.mark.parametrize(
    ("make", "error", "told"),
    [
        (lambda: model_of().labels(["bad", "  "]), errors.ShapeError,
         r"TextLabels: texts\[1\] is '  ', expected a word at least"),
        (lambda: model_of().labels([[1], []]), errors.ShapeError, r"texts\[1\] is \[\], expected"),
        (lambda: model_of().loss("bad", ["bad"]), errors.ArgumentError,
         "texts is 'bad', expected a list of texts, one or more"),
        (lambda: model_of().loss([], []), errors.ArgumentError, r"texts is \[\], expected a list"),
        (lambda: model_of().loss(TEXTS, ["bad"]), errors.ArgumentError,
         "TextLabels.loss: 4 texts and labels of 1, expected as many"),
        (lambda: model_of().loss(TEXTS, ["bad", "good", "fine", "bad"]), errors.IndexRangeError,
         r"labels\[2\] is 'fine', expected one of \['bad', 'good', 'mixed'\]"),
        (lambda: model_of().batches(TEXTS, ["bad", "good", "fine", "bad"], 2),
         errors.IndexRangeError, r"TextLabels.batches: labels\[2\] is 'fine'"),
        (lambda: model_of(of="word").loss(["bad"], ["bad"]), errors.ShapeError,
         r"labels\[0\] is 'bad', expected a list of 1, one for each word of the text"),
        (lambda: model_of(vocabulary=5).labels(["bad"]), errors.ArgumentError,
         r"texts\[0\] is 'bad', expected a list of tokens: the model was made without a voc"),
        (lambda: model_of().labels([[99]]), errors.IndexRangeError, "99"),
        (lambda: model_of(read="last").attention(TEXTS), errors.ArgumentError,
         "of='text' and read='last', expected"),
        (lambda: model_of(of="word").attention(TEXTS), errors.ArgumentError, "of='word'"),
        (lambda: model_of(read="max"), errors.ArgumentError, "TextLabels: read is 'max'"),
        (lambda: model_of(cell=None, read="last"), errors.ArgumentError,
         'read is "last" and cell None, expected layers'),
        (lambda: model_of(["good"]), errors.ArgumentError, "expected two names or more"),
    ],
)  # fmt: skip
def test_errors_say_what_was_expected(make, error, told):
    with pytest.raises(error, match=told):
        make()
