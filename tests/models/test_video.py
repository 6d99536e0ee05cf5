"""Models of clips: the same by hand, whatever stands beside; which of them see an order."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.models.slopes import check_slope
from tinygrad_rnn import decoding, errors, models, nn, ops, optim, text

pytestmark = pytest.mark.usefixtures("reference")

V, D, E, H = 7, 5, 4, 6
CAPTIONS = [[1, 2, 3], [], [4], [6, 6, 5, 0]]
OF = [0, 1, 1, 2]
LENGTHS = 3, 1, 4
WORDS = text.Words.of("the red ball bounces and then stops")


def clips(lengths=LENGTHS, shape=(D,)):
    rng = np.random.default_rng(1)
    return [rng.standard_normal((length, *shape)) for length in lengths]


def model_of(kind, vocabulary=V, encoder=None, **options):
    tg.seed(0)
    model = getattr(models, kind)(vocabulary, encoder, E, H, features=D, **options)
    return model.astype(tg.float64)


SPEAKERS = {
    "S2VT": {}, "S2VT of GRUs": {"cell": "GRU"}, "MeanPooling": {},
    "MeanPooling at first": {"image": "first"},
}  # fmt: skip
every_speaker = pytest.mark.parametrize("kind", SPEAKERS)


def speaker(kind, **options):
    return model_of(kind.split()[0], **SPEAKERS[kind], **options)


# ----- captions -----


def test_two_layers_watch_and_then_speak():
    """S2VT by single steps of its cells: words are padding first, then frames are."""
    model = model_of("S2VT")
    below, above = (layers.cells()[0] for layers in (model.watching, model.saying))
    found = model.log_likelihoods(clips(), CAPTIONS, OF)
    zeros = lambda *shape: tg.tensor(np.zeros(shape))
    for number, caption in enumerate(CAPTIONS):
        a, b = [[zeros(1, H), zeros(1, H)] for _ in range(2)]
        for frame in clips()[OF[number]]:
            a = below(model.read(tg.tensor(frame[None])), tuple(a))
            b = above(ops.concat([a[0], zeros(1, E)], axis=-1), tuple(b))
        for t, token in enumerate([*caption, model.end]):
            told = [model.end, *caption][t]
            a = below(zeros(1, E), tuple(a))
            b = above(ops.concat([a[0], model.embedding(np.array([told]))], axis=-1), tuple(b))
            log_probs = ops.log_softmax(model.out(b[0]))
            assert log_probs.numpy()[0, token] == pytest.approx(found[number][t], rel=1e-11)


def test_pooling_is_the_mean_of_the_frames_that_are_there():
    model = model_of("MeanPooling")
    means = np.stack([clip.mean(axis=0) for clip in clips()])
    np.testing.assert_allclose(model.encode(clips()).numpy(), means, rtol=1e-12)
    same = models.Captioner(V, None, E, H, features=D, image="every").astype(tg.float64)
    same.load_state_dict(model.state_dict())
    for one, other in zip(
        model.log_likelihoods(clips(), CAPTIONS, OF),
        same.log_likelihoods(means, CAPTIONS, OF),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-12)


@every_speaker
def test_step_by_step_is_the_training_pass(kind):
    model = speaker(kind)
    expected = model.log_likelihoods(clips(), CAPTIONS, OF)
    state = decoding.take(model.start(model.encode(clips())), OF, 3)
    tokens = np.full(4, model.end)
    for t in range(5):
        log_probs, state = model.step(tokens, state)
        tokens = np.array([row[t] if t < len(row) else model.end for row in CAPTIONS])
        for row, token in enumerate(tokens):
            if t <= len(CAPTIONS[row]):
                assert log_probs[row, token] == pytest.approx(expected[row][t], rel=1e-11)
    loss, values = model.eval().loss(clips(), CAPTIONS, OF)
    assert loss.item() == pytest.approx(-np.concatenate(expected).mean(), rel=1e-12)
    assert values["nats"].item() == loss.item()


@every_speaker
def test_what_stands_beside_a_clip_changes_nothing(kind):
    model = speaker(kind)
    together = model.log_likelihoods(clips(), CAPTIONS, OF)
    for number, caption in enumerate(CAPTIONS):
        (alone,) = model.log_likelihoods([clips()[OF[number]]], [caption])
        np.testing.assert_allclose(alone, together[number], rtol=1e-11)
    backwards = model.log_likelihoods(clips()[::-1], CAPTIONS, [2 - k for k in OF])
    np.testing.assert_allclose(np.concatenate(backwards), np.concatenate(together), rtol=1e-11)


def test_order_is_seen_by_one_and_not_by_the_other():
    for kind, seen in (("S2VT", True), ("MeanPooling", False)):
        model = speaker(kind)
        forwards = model.log_likelihoods(clips((4,)), [[1, 2]])[0]
        backwards = model.log_likelihoods([clips((4,))[0][::-1]], [[1, 2]])[0]
        assert (np.abs(forwards - backwards).max() > 1e-4) == seen


@every_speaker
def test_an_encoder_of_frames_is_the_same_as_its_features(kind):
    encoder = nn.Sequential(nn.Conv2d(3, 2, 2), nn.Flatten(), nn.Linear(8, D))
    seen = speaker(kind, encoder=encoder)
    pictures = [(np.abs(clip) * 99).astype(np.uint8) for clip in clips(shape=(3, 3, 3))]
    features = [encoder(tg.tensor(clip / 255)).numpy() for clip in pictures]
    given = speaker(kind)
    given.load_state_dict({k: v for k, v in seen.state_dict().items() if k[:7] != "encoder"})
    for one, other in zip(
        seen.log_likelihoods(pictures, CAPTIONS, OF),
        given.log_likelihoods(features, CAPTIONS, OF),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-11)
    seen.loss(pictures, CAPTIONS, OF)[0].backward()
    assert all(parameter.grad is not None for parameter in seen.parameters())


@every_speaker
def test_the_loss_has_the_slope_of_its_values(kind):
    model = speaker(kind)
    check_slope(model, lambda: model.loss(clips(), CAPTIONS, OF)[0], rel=1e-7)


@every_speaker
def test_searches_say_something_of_every_clip(kind):
    model = speaker(kind, vocabulary=WORDS)
    greedy = model.caption(clips(), max_length=6)
    assert len(greedy) == 3
    assert greedy == model.caption(clips(), max_length=6, batch_size=1)
    assert greedy == model.caption(clips(), max_length=6, beam=1, min_length=0)
    told = model.caption(clips(), max_length=6, beam=3, prefix="the ball")
    assert all(one.startswith("the ball") for one in told)


@pytest.mark.parametrize("kind", ["S2VT", "MeanPooling"])
def test_clips_and_single_images_are_learned(kind):
    model = speaker(kind, vocabulary=WORDS, cell="RNN")
    told = [["the red ball"], ["the ball stops"], ["ball bounces"]]
    (batch,) = model.batches(clips(), told, 3)
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    for _ in range(30):
        loss, _ = model.loss(*batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert model.caption(clips()) == [own[0] for own in told]


@every_speaker
def test_a_model_comes_back_from_its_folder(kind, tmp_path):
    model = speaker(kind, vocabulary=WORDS)
    model.save(tmp_path)
    again = models.load(tmp_path)
    assert again.caption(clips()) == model.caption(clips())


# ----- labels -----


def labelled(of, **options):
    tg.seed(0)
    model = models.VideoLabels(list("abc"), None, H, features=D, of=of, **options)
    for name, parameter in model.named_parameters():  # biases that are 0 let padding go unnoticed
        if name.startswith("layers") and parameter.ndim == 1:
            parameter.assign_(parameter.numpy() + np.float32(0.1))
    return model.astype(tg.float64)


def test_labels_of_frames_and_clips_by_hand():
    model = labelled("frame", bidirectional=True, cell="GRU")
    scores, lengths = model(clips())
    assert scores.shape == (4, 3, 3)
    assert lengths.tolist() == [3, 1, 4]
    for number, clip in enumerate(clips()):
        expected = model.out(model.layers(tg.tensor(clip[:, None]))[0]).numpy()
        np.testing.assert_allclose(scores.numpy()[: len(clip), number], expected[:, 0], rtol=1e-11)
    model = labelled("clip", num_layers=2)
    scores, _ = model(clips())
    for number, clip in enumerate(clips()):
        expected = model.out(model.layers(tg.tensor(clip[:, None]))[0][-1]).numpy()
        np.testing.assert_allclose(scores.numpy()[number], expected[0], rtol=1e-11)
    model = labelled("clip", cell=None)
    scores, _ = model(clips())
    for number, clip in enumerate(clips()):
        hidden = ops.relu(model.alone(tg.tensor(clip))).mean(0)
        np.testing.assert_allclose(scores.numpy()[number], model.out(hidden).numpy(), rtol=1e-11)


def test_losses_of_labels_are_means_over_what_is_there():
    model = labelled("frame")
    names = [list("abc"), ["a"], list("cccb")]
    loss, values = model.loss(clips(), names)
    scores = ops.log_softmax(model(clips())[0]).numpy()
    nats = [-scores[t, b, "abc".index(n)] for b, own in enumerate(names) for t, n in enumerate(own)]
    assert loss.item() == pytest.approx(np.mean(nats), rel=1e-12)
    said = model.labels(clips(), batch_size=2)
    assert [len(own) for own in said] == [3, 1, 4]
    right = [
        a == b
        for own, other in zip(said, names, strict=True)
        for a, b in zip(own, other, strict=True)
    ]
    assert values["accuracy"] == np.mean(right)


def test_layers_learn_an_order_that_no_frame_shows():
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, D))
    shown = [np.stack([one, other]), np.stack([other, one])]
    right = {}
    for cell in ("RNN", None):
        model = labelled("clip", cell=cell)
        optimizer = optim.Adam(model.parameters(), lr=0.05)
        for _ in range(30):
            loss, _ = model.loss(shown, ["a", "b"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        right[cell] = model.labels(shown) == ["a", "b"]
    assert right == {"RNN": True, None: False}


# ----- what is wrong -----


@pytest.mark.parametrize(
    ("make", "error", "told"),
    [
        (
            lambda: model_of("S2VT").encode([np.ones((2, D)), np.ones((0, D))]),
            errors.ShapeError, r"S2VT: clips\[1\] has no frame, expected one or more",
        ),
        (
            lambda: model_of("MeanPooling").encode([np.ones((0, D))]),
            errors.ShapeError, r"MeanPooling: clips\[0\] has no frame",
        ),
        (
            lambda: model_of("S2VT").encode([np.ones((2, D)), np.ones((2, D + 1))]),
            errors.ShapeError, r"clips\[1\] has shape \(2, 6\), clips\[0\] \(2, 5\); expected",
        ),
        (
            lambda: model_of("S2VT").encode([np.ones(D)]),
            errors.ShapeError, r"S2VT: clips\[0\] has shape \(5,\), expected \(T, C, H, W\) of fra",
        ),
        (
            lambda: model_of("S2VT").encode([np.ones((2, D)), np.ones((2, D), np.uint8)]),
            errors.DTypeError, r"S2VT: clips\[1\] holds uint8, clips\[0\] float64; expected one",
        ),
        (lambda: model_of("S2VT").encode([]), errors.ArgumentError, r"clips is \[\], expected"),
        (
            lambda: model_of("S2VT").encode([np.ones((2, 3))]),
            errors.ShapeError, r"clips have shape \(2, 1, 3\), expected \(2, 1, 5\): features=5",
        ),
        (
            lambda: model_of("MeanPooling", encoder=nn.Flatten()).encode([np.ones((2, 3, 2, 2))]),
            errors.ShapeError, r"the encoder's outputs have shape \(2, 12\), expected \(2, 5\)",
        ),
        (
            lambda: model_of("MeanPooling", image="soft"),
            errors.ArgumentError, "MeanPooling: image is 'soft'",
        ),
        (
            lambda: model_of("S2VT").loss(clips(), CAPTIONS),
            errors.ArgumentError, "S2VT: 3 images and 4 captions",
        ),
        (
            lambda: model_of("S2VT").caption(clips()),
            errors.ArgumentError, "S2VT.caption: a text needs a vocabulary",
        ),
        (
            lambda: model_of("S2VT", WORDS).batches(clips(), [["a"], [" "], ["b"]], 2),
            errors.ArgumentError, r"S2VT.batches: captions\[1\] is \[' '\], expected a list of t",
        ),
        (
            lambda: labelled("clip", bidirectional=True),
            errors.ArgumentError, "VideoLabels: bidirectional with of='clip'",
        ),
        (lambda: labelled("scene"), errors.ArgumentError, "of is 'scene'"),
        (
            lambda: models.VideoLabels(["a", "a"], None, H, features=D),
            errors.ArgumentError, r"labels is \['a', 'a'\], expected two names or more, each once",
        ),
        (
            lambda: labelled("clip").loss(clips(), ["a"]),
            errors.ArgumentError, "3 clips and labels of 1",
        ),
        (
            lambda: labelled("clip").loss(clips(), ["a", "x", "b"]),
            errors.IndexRangeError, r"labels\[1\] is 'x', expected one of \['a', 'b', 'c'\]",
        ),
        (
            lambda: labelled("frame").loss(clips(), [["a"], ["a"], ["a"]]),
            errors.ShapeError, r"labels\[0\] is \['a'\], expected a list of 3, one for each frame",
        ),
    ],
)  # fmt: skip
def test_errors_say_what_was_expected(make, error, told):
    with pytest.raises(error, match=told):
        make()
