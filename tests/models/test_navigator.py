"""Walkers by instructions: the same by hand, whatever walks beside; rewards, and who matches."""

from functools import partial

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.models.slopes import check_slope
from tinygrad_rnn import errors, models, nn, ops, optim, text

pytestmark = pytest.mark.usefixtures("reference")

D, E, H = 5, 4, 6
ACTIONS = "forward", "left", "stop"
WORDS = text.Words.of("go to the red door then turn left and stop")
INSTRUCTIONS = ["go to the red door", "stop", "turn left and stop"]
DONE = [["forward", "left", "stop"], ["stop"], ["left", "left", "forward", "left"]]


def views(shape=(D,)):
    rng = np.random.default_rng(1)
    return [rng.standard_normal((len(own), *shape)) for own in DONE]


def made(kind="Navigator", encoder=None, features=D, **options):
    tg.seed(0)
    model = getattr(models, kind)(WORDS, ACTIONS, encoder, E, H, features=features, **options)
    return model.astype(tg.float64)


class Corridor:
    """Views are drawn by a seed; what was done is kept."""

    def __init__(self, seed):
        self.views = np.random.default_rng(seed).standard_normal((20, D))
        self.done = []

    def view(self):
        return self.views[len(self.done)]

    def act(self, action):
        self.done.append(action)


def zeros(*shape):
    return tg.tensor(np.zeros(shape))


# ----- walking -----


@pytest.mark.parametrize("features", [D, (E, 2, 3)])
def test_a_walk_by_single_steps_of_its_cells(features):
    """The equations of the class, row by row, word by word, view by view."""
    placed = features != D
    model, given = made(features=features), views(features if placed else (D,))
    scores, weights, _ = model(INSTRUCTIONS, given, DONE)
    walking, deciding = model.walking.cells()[0], model.deciding.cells()[0]
    for b, (says, seen, done) in enumerate(zip(INSTRUCTIONS, given, DONE, strict=True)):
        ids = np.array([*WORDS.encode(says), model.end])
        memory = model.reading(ids[:, None], np.array([len(ids)]))
        forward, backward = memory.final
        joined = [ops.concat(list(both), axis=-1) for both in zip(forward, backward, strict=True)]
        h, c = (product(x) for product, x in zip(model.bridge.products[0], joined, strict=True))
        s, d = [ops.tanh(h), c], [zeros(1, H), zeros(1, H)]
        before, words = len(ACTIONS), model.embedding(ids).numpy()
        for t, action in enumerate(done):
            f = tg.tensor(seen[t].reshape(1, -1))
            noticed = ops.relu(model.glance(f)) if placed else f
            s = walking(ops.concat([noticed, model.done(np.array([before]))], axis=-1), tuple(s))
            _, looked = model.attention(s[0][None], memory.outputs)
            alpha = looked.numpy()[0, 0]
            known = [s[0], tg.tensor(alpha[None] @ words), noticed]
            if placed:
                asked = known[1] + model.search.asking(s[0])
                places = seen[t].reshape(E, 6).T + model.search.where.numpy()
                beta = np.exp(places @ asked.numpy()[0] / np.sqrt(E))
                known.append(tg.tensor((beta / beta.sum())[None] @ places))
            d = deciding(ops.concat(known, axis=-1), tuple(d))
            np.testing.assert_allclose(scores.numpy()[t, b], model.out(d[0]).numpy()[0], rtol=1e-10)
            np.testing.assert_allclose(weights.numpy()[b, t, : len(ids)], alpha, rtol=1e-11)
            before = ACTIONS.index(action)


def test_walking_step_by_step_is_the_training_pass():
    model = made()
    worlds = [Corridor(seed) for seed in range(3)]
    walks = model.walk(worlds, INSTRUCTIONS, limit=7)
    scores, weights, _ = model.eval()(
        INSTRUCTIONS, [walk.views for walk in walks], [walk.actions for walk in walks]
    )
    for b, (walk, world) in enumerate(zip(walks, worlds, strict=True)):
        T, S = walk.attention.shape
        assert world.done == walk.actions
        assert walk.stopped == (walk.actions[-1] == "stop")
        assert walk.stopped or T == 7
        np.testing.assert_array_equal(walk.views, world.views[:T])
        assert [ACTIONS[k] for k in scores.numpy()[:T, b].argmax(axis=1)] == walk.actions
        np.testing.assert_allclose(walk.attention, weights.numpy()[b, :T, :S], rtol=1e-11)


def test_who_walks_beside_changes_nothing():
    model = made()
    together = model.walk([Corridor(seed) for seed in range(3)], INSTRUCTIONS, limit=6)
    for b, says in enumerate(INSTRUCTIONS):
        (alone,) = model.walk([Corridor(b)], [says], limit=6)
        assert alone.actions == together[b].actions
        S = len(WORDS.encode(says)) + 1
        assert alone.attention.shape == (len(alone.actions), S)
        np.testing.assert_allclose(alone.attention, together[b].attention, rtol=1e-11)
    whole = model.eval().loss(INSTRUCTIONS, views(), DONE)[0].item()
    each = [
        model.loss([says], [seen], [done])[0].item() * len(done)
        for says, seen, done in zip(INSTRUCTIONS, views(), DONE, strict=True)
    ]
    assert sum(each) / sum(map(len, DONE)) == pytest.approx(whole, rel=1e-12)


def test_draws_follow_the_probabilities():
    model = made()
    count = 600
    says, seed = INSTRUCTIONS[0], 3
    worlds = [Corridor(seed) for _ in range(count)]
    tg.seed(5)
    first = [walk.actions[0] for walk in model.walk(worlds, [says] * count, limit=1, sample=True)]
    scores, _, _ = model.eval()([says], [worlds[0].views[:1]], [["stop"]])
    for name, p in zip(ACTIONS, ops.softmax(scores[0, 0]).numpy(), strict=True):
        assert abs(first.count(name) / count - p) < 4 * np.sqrt(p * (1 - p) / count)


# ----- learning -----


def test_losses_have_the_slope_of_their_values():
    given, places = (INSTRUCTIONS, views(), DONE), views((E, 1, 2))
    for model, loss in (
        (made(), lambda model: model.loss(*given)[0]),
        (made(), lambda model: model.reward_loss(*given, [1, 0, 0.5], 0.25, entropy=0.1)[0]),
        (made("PathMatcher"), lambda model: model.loss(*given)[0]),
        (made(features=(E, 1, 2)), lambda model: model.loss(given[0], places, DONE)[0]),
    ):
        check_slope(model, partial(loss, model))


def test_a_reward_of_one_imitates_and_one_below_the_baseline_does_the_opposite():
    model = made()
    imitated = model.loss(INSTRUCTIONS, views(), DONE)[0].item()
    given = INSTRUCTIONS, views(), DONE
    assert model.reward_loss(*given, np.ones(3))[0].item() == pytest.approx(imitated, rel=1e-12)
    opposite, values = model.reward_loss(*given, np.zeros(3), np.ones(3))
    assert opposite.item() == pytest.approx(-imitated, rel=1e-12)
    assert values["reward"] == 0
    only = model.reward_loss(*given, [0, 0, 1])[0].item() * 8 / 4
    third = model.loss(INSTRUCTIONS[2:], views()[2:], DONE[2:])[0].item()
    assert only == pytest.approx(third, rel=1e-12)
    scores, _, done = model(*given)
    p = ops.softmax(scores).numpy()[done >= 0]
    entropy = -(p * np.log(p)).sum(axis=1).mean()
    spread, values = model.reward_loss(*given, np.zeros(3), entropy=2.0)
    assert values["entropy"].item() == pytest.approx(entropy, rel=1e-12)
    assert spread.item() == pytest.approx(-2 * entropy, rel=1e-12)


def learned(model, loss, steps):
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()


def test_walks_are_learned_from_demonstrations_and_from_reward():
    class Still(Corridor):
        def view(self):
            return np.zeros(D)

    model = made(cell="RNN")
    says = ["turn left", "go"]
    told, seen = [["left", "stop"], ["forward", "stop"]], [np.zeros((2, D))] * 2
    learned(model, lambda: model.loss(says, seen, told)[0], 12)
    walks = model.walk([Still(0), Still(0)], says, limit=9)
    assert [walk.actions for walk in walks] == told
    assert all(walk.stopped for walk in walks)

    model = made(cell="RNN")  # to stop at once is what has a reward

    def drawn():
        walks = model.walk([Still(0) for _ in range(8)], ["stop"] * 8, limit=2, sample=True)
        rewards = np.array([float(walk.actions == ["stop"]) for walk in walks])
        paths = [walk.views for walk in walks], [walk.actions for walk in walks]
        return model.reward_loss(["stop"] * 8, *paths, rewards, rewards.mean())[0]

    learned(model, drawn, 12)
    assert model.walk([Still(0)], ["stop"], limit=3)[0].actions == ["stop"]


def test_an_encoder_of_views_is_the_same_as_its_features():
    encoder = nn.Sequential(nn.Conv2d(3, 2, 2), nn.Flatten(), nn.Linear(8, D))
    images = [np.abs(seen) for seen in views((3, 3, 3))]
    for kind in ("Navigator", "PathMatcher"):
        seen = made(kind, encoder)
        given = made(kind)
        given.load_state_dict({k: v for k, v in seen.state_dict().items() if k[:8] != "encoder."})
        features = [encoder(tg.tensor(image)).numpy() for image in images]
        for one, other in zip(
            seen(INSTRUCTIONS, images, DONE), given(INSTRUCTIONS, features, DONE), strict=True
        ):
            np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-11)


# ----- the matcher -----


def test_words_are_scored_by_what_is_seen_and_done():
    model = made("PathMatcher")
    found = model.word_scores(INSTRUCTIONS, views(), DONE)
    assert [len(own) for own in found] == [6, 2, 5]
    saying = model.decoder.layers.cells()[0]
    for b, (says, seen, done) in enumerate(zip(INSTRUCTIONS, views(), DONE, strict=True)):
        acted = model.acted(np.array([ACTIONS.index(name) for name in done]))
        steps = ops.concat([ops.relu(model.glance(tg.tensor(seen))), acted], axis=-1)
        memory = model.following(steps[:, None], np.array([len(done)]))
        forward, backward = memory.final
        joined = [ops.concat(list(both), axis=-1) for both in zip(forward, backward, strict=True)]
        h, c = (product(x) for product, x in zip(model.bridge.products[0], joined, strict=True))
        s, before = (ops.tanh(h), c), model.end
        prepared = model.decoder.prepare(memory)
        for t, word in enumerate([*WORDS.encode(says), model.end]):
            s = saying(model.embedding(np.array([before])), tuple(s))
            context, _, _ = model.decoder.attention(s[0][None], prepared, None, np.array([t]))
            features = model.decoder.read_out(s[0][None], context, None)
            log_probs = ops.log_softmax(model.out(features[0])).numpy()[0]
            assert log_probs[word] == pytest.approx(found[b][t], rel=1e-11)
            before = word
    least = [np.exp(own.min()) for own in found]
    np.testing.assert_allclose(model.scores(INSTRUCTIONS, views(), DONE), least, rtol=1e-12)
    few = model.word_scores(INSTRUCTIONS, views(), DONE, batch_size=1)
    np.testing.assert_allclose(np.concatenate(few), np.concatenate(found), rtol=1e-11)
    loss, values = model.eval().loss(INSTRUCTIONS, views(), DONE)
    assert loss.item() == pytest.approx(-np.concatenate(found).mean(), rel=1e-12)
    assert values["nats"].item() == loss.item()


def test_a_path_that_leads_elsewhere_comes_to_fit_less():
    model = made("PathMatcher", cell="GRU")
    says, told = ["turn left", "go"], [["left", "stop"], ["forward", "stop"]]
    seen = [np.zeros((2, D))] * 2
    learned(model, lambda: model.loss(says, seen, told)[0], 25)
    right, wrong = model.scores(says, seen, told), model.scores(says, seen, told[::-1])
    assert right.min() > 5 * wrong.max()


# ----- files, and bad input -----


@pytest.mark.parametrize("kind", ["Navigator", "PathMatcher"])
def test_a_model_comes_back_from_its_folder(kind, tmp_path):
    model = made(kind)
    model.save(tmp_path)
    again = models.load(tmp_path)
    given = INSTRUCTIONS, views(), DONE
    assert again.loss(*given)[0].item() == model.loss(*given)[0].item()
    assert again.actions == list(ACTIONS)


def test_unknown_words_are_walked_by():
    model = made()
    (walk,) = model.walk([Corridor(0)], ["fly to the pink door"], limit=4)
    assert len(walk.actions) <= 4


@pytest.mark.parametrize(
    ("make", "error", "told"),
    [
        (
            lambda: models.Navigator(WORDS, "stop", None, E, H, features=D),
            errors.ArgumentError, "actions is 'stop', expected two names or more, each once",
        ),
        (
            lambda: models.PathMatcher(WORDS, ["a", "a"], None, E, H, features=D),
            errors.ArgumentError, r"PathMatcher: actions is \['a', 'a'\], expected two names",
        ),
        (
            lambda: made(features=(5, 2, 2)),
            errors.ShapeError, "features of places are 5 wide and words 4, expected one width",
        ),
        (
            lambda: made(features=(5, 2)),
            errors.ShapeError, r"features is \(5, 2\), expected D, or \(D, h, w\) of places",
        ),
        (
            lambda: made().walk([Corridor(0)], "go"),
            errors.ArgumentError, "instructions is 'go', expected a list of 1, one for each walk",
        ),
        (
            lambda: made().walk([Corridor(0)], ["go", "stop"]),
            errors.ArgumentError, "expected a list of 1",
        ),
        (
            lambda: made().walk([Corridor(0), Corridor(1)], ["go", " "]),
            errors.ArgumentError, r"instructions\[1\] is ' ', expected one word or more",
        ),
        (lambda: made().walk([Corridor(0)], ["go"], limit=0), errors.ShapeError, "limit is 0"),
        (
            lambda: made().loss(INSTRUCTIONS, views(), DONE[:2]),
            errors.ArgumentError, "3 walks and actions of 2, expected as many",
        ),
        (
            lambda: made().loss(INSTRUCTIONS, views(), [DONE[0], ["stop", "stop"], DONE[2]]),
            errors.ShapeError, r"actions\[1\] is \['stop', 'stop'\], expected a list of 1, one for",
        ),
        (
            lambda: made().loss(INSTRUCTIONS, views(), [DONE[0], ["fly"], DONE[2]]),
            errors.IndexRangeError, r"actions\[1\]\[0\] is 'fly', expected one of \['forward',",
        ),
        *(
            (
                lambda kind=kind, shape=shape, features=features: made(
                    kind, features=features
                ).loss(INSTRUCTIONS, views(shape), DONE),
                errors.ShapeError, rf"{kind}: views\[0\] has shape \(3, .*, expected \(T, {told}\)",
            )
            for kind in ("Navigator", "PathMatcher")
            for shape, features, told in (
                ((4,), D, "5"), ((1, 5), D, "5"), ((2, 2, E), (E, 2, 2), "4, 2, 2"),
                ((16,), (E, 2, 2), "4, 2, 2"),
            )
        ),
        (
            lambda: made(encoder=nn.Flatten(), features=(E, 2, 2)).loss(
                INSTRUCTIONS, views((E, 2, 2)), DONE
            ),
            errors.ShapeError, r"encoder's outputs have shape \(8, 16\), expected \(B, 4, 2, 2\)",
        ),
        (
            lambda: made().loss(INSTRUCTIONS, [*views()[:2], np.zeros((0, D))], DONE),
            errors.ShapeError, r"clips\[2\] has no frame, expected one or more",
        ),
        *(
            (
                lambda given=given: made("PathMatcher").word_scores(*given, batch_size=2),
                errors.ArgumentError, told,
            )
            for given, told in (
                ((INSTRUCTIONS, views()[:2], DONE), "expected a list of 2, one for each walk"),
                ((INSTRUCTIONS[:2], views()[:2], DONE), "2 walks and actions of 3, expected as m"),
            )
        ),
        (
            lambda: models.Navigator(9, ACTIONS, None, E, H, features=D).loss(["go"], [], [[]]),
            errors.ArgumentError, "clips is",
        ),
        (
            lambda: models.Navigator(9, ACTIONS, None, E, H, features=D).loss(
                ["go"], views()[:1], DONE[:1]
            ),
            errors.ArgumentError, r"instructions\[0\] is .* Give tokens, or make it with a",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(make, error, told):
    with pytest.raises(error, match=told):
        make()
