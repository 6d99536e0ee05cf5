"""Every model: how it is made small, its loss, and what it is used for. A test sees to "every"."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import tinygrad_rnn as tg
from tests.models import (
    captioners,
    test_answerer,
    test_dialogue,
    test_navigator,
    test_poses,
    translators,
)
from tests.models import test_text_labels as labelled
from tests.models import test_video as videos
from tinygrad_rnn import losses, models, nn

V = 6
TOKENS = np.random.default_rng(3).integers(0, V, (5, 3))
BYTES = np.random.default_rng(4).integers(0, 256, (3, 3, 12, 9)).astype(np.uint8)


class Row(NamedTuple):
    """A model, its loss, and by name what else is asked of it."""

    make: Callable[[], Any]
    loss: Callable[[Any], Any]
    uses: dict[str, Callable[[Any], Any]] = {}


def _made(kind, *given, **options):
    tg.seed(0)
    return kind(*given, **options).astype(tg.float64)


# ----- texts -----

_TEXT_USES = {
    "a text": lambda model: model.log_likelihoods(TOKENS.reshape(-1)),
    "on from a text": lambda model: model.log_likelihoods([1, 2], model.advance(TOKENS[:, 0])),
    "a step": lambda model: model.step(TOKENS[0], model.start(3))[0],
    "a sample": lambda model: _step_by_step(model, 4),
}


def _step_by_step(model, steps):
    state, found, tokens = model.start(2), [], np.array([1, 2])
    for _ in range(steps):
        log_probs, state = model.step(tokens, state)
        tokens = log_probs.argmax(axis=1)
        found.append(log_probs)
    return found


def _of_texts(kind, *sizes, ar=None, **options):
    more = {} if ar is None else {"ar": ar, "tar": ar}
    return Row(
        partial(_made, kind, V, *sizes, **options),
        lambda model: model.loss(TOKENS[:-1], TOKENS[1:], **more), _TEXT_USES,
    )  # fmt: skip


def _translator(kind):
    S, T = translators.SOURCES, translators.TARGETS
    uses = {
        "nats": lambda model: model.log_likelihoods(S, T),
        "told little": lambda model: model.loss(S, T, teacher_forcing=0.4, reduction="none")[0],
        "greedy": lambda model: model.translated(S, max_length=5),
        "beam": lambda model: model.translated(S, beam=3, max_length=5, length_rule="average"),
        "sampled steps": lambda model: _spoken(model, S),
    }
    if kind not in ("none", "blind feeding"):
        uses["alignment"] = lambda model: model.alignment(S, T)
    return Row(
        partial(translators.model_of, kind, dropout=0.2, output_dropout=0.1),
        lambda model: model.loss(S, T, label_smoothing=0.1), uses,
    )  # fmt: skip


def _spoken(model, about):
    """Log-probabilities of some steps, each of what was likeliest before."""
    state, tokens = model.start(model.encode(about)), np.full(len(about), model.end)
    found = []
    for _ in range(3):
        log_probs, state, *_ = model.step(tokens, state)
        tokens = log_probs.argmax(axis=1)
        found.append(log_probs)
    return found


def _labels(how, **more):
    given = (labelled.TEXTS, labelled.LABELS)
    return Row(
        partial(labelled.model_of, **labelled.READERS.get(how, {}), **more),
        lambda model: model.loss(*given),
        {
            "labels": lambda model: model.labels(labelled.TEXTS),
            "probabilities": lambda model: model.probabilities(labelled.TEXTS),
            **(
                {"attention": lambda model: model.attention(labelled.TEXTS)}
                if "attention" in how else {}
            ),
        },
    )  # fmt: skip


# ----- images and clips -----


def _captioner(kind):
    shown, of = captioners.images(), captioners.OF
    uses = {
        "nats": lambda model: model.log_likelihoods(shown, captioners.CAPTIONS, of),
        "greedy": lambda model: model.captioned(shown, max_length=5),
        "beam": lambda model: model.captioned(list(shown), beam=2, max_length=5),
        "steps": lambda model: _spoken(model, shown),
    }
    if kind.startswith(("soft", "hard")):
        uses["attention"] = lambda model: model.attention(shown, captioners.CAPTIONS, of)
    return Row(
        partial(captioners.model_of, kind, dropout=0.2),
        lambda model: model.loss(shown, captioners.CAPTIONS, of), uses,
    )  # fmt: skip


def _of_clips(kind):
    encoder = kind.endswith("frames")
    given = videos.clips(shape=(2, 3, 4)) if encoder else videos.clips()
    make = partial(videos.speaker, kind)
    if encoder:
        own = lambda: nn.Sequential(nn.Conv2d(2, 1, 2), nn.Flatten(), nn.Linear(6, videos.D))
        make = lambda: videos.model_of(kind.split()[0], encoder=own())
    return Row(
        make, lambda model: model.loss(given, videos.CAPTIONS, videos.OF),
        {
            "nats": lambda model: model.log_likelihoods(given, videos.CAPTIONS, videos.OF),
            "beam": lambda model: model.captioned(given, beam=2, max_length=4),
            "steps": lambda model: _spoken(model, given),
        },
    )  # fmt: skip


def _video_labels(of, **options):
    names, given = ["a", "b", "c"], videos.clips()
    told = ["a", "c", "b"] if of == "clip" else [list("aba"), ["c"], list("bbca")]
    return Row(
        partial(
            _made, models.VideoLabels, names, None, videos.H, features=videos.D, of=of, **options
        ),
        lambda model: model.loss(given, told), {"labels": lambda model: model.labels(given)},
    )  # fmt: skip


def _answerer(way):
    given = test_answerer.IMAGES, test_answerer.QUESTIONS
    images = None if way == "question alone" else given[0]
    of = None if images is None else test_answerer.OF
    options = test_answerer.WAYS[way]
    uses = {
        "probabilities": lambda model: model.probabilities(images, given[1], of),
        "answers": lambda model: model.answers(images, given[1], of),
    }
    if options.get("attend"):
        uses["attention"] = lambda model: model.attention(images, given[1], of)
    return Row(
        partial(test_answerer.model_of, **options),
        lambda model: model.loss(images, given[1], ["no", "red", "yes"], of), uses,
    )  # fmt: skip


def _dialogue(way):
    shown, said, talks = test_dialogue.IMAGES, test_dialogue.CAPTIONS, test_dialogue.TALKS
    asked = [[question for question, _ in own] for own in talks]
    return Row(
        partial(test_dialogue.model_of, **test_dialogue.WAYS[way]),
        lambda model: model.loss(shown, said, talks),
        {
            "answers": lambda model: model.answers(shown, said, talks),
            "talk": lambda model: model.talk(shown, said, asked),
        },
    )  # fmt: skip


# ----- walks and poses -----


def _walker(kind, features=test_navigator.D):
    says, done = test_navigator.INSTRUCTIONS, test_navigator.DONE
    views = test_navigator.views((features,) if isinstance(features, int) else features)
    given = says, views, done
    if kind == "PathMatcher":
        uses = {"scores": lambda model: model.scores(*given)}
    else:
        uses = {
            "rewarded": lambda model: model.reward_loss(
                *given, [1, 0, 0.5], np.array([0.5, 0.2, 0.0]), entropy=0.1
            )
        }
    if kind == "Navigator" and isinstance(features, int):
        for sample in (False, True):
            uses[f"walks, sample={sample}"] = partial(_walked, sample=sample)
    return Row(
        partial(test_navigator.made, kind, features=features, dropout=0.2),
        lambda model: model.loss(*given), uses,
    )  # fmt: skip


def _walked(model, sample):
    tg.seed(3)
    worlds = [test_navigator.Corridor(n) for n in range(3)]
    return [
        [walk.actions, walk.attention]
        for walk in model.walk(worlds, test_navigator.INSTRUCTIONS, limit=5, sample=sample)
    ]


def _forecast():
    sizes = test_poses.J, test_poses.D, test_poses.H
    return test_poses.learned(test_poses.made("PoseForecast", *sizes))


_POSES = [test_poses.lost(clip, (0, 1)) for clip in test_poses.poses()]
_GAZES = [clip[:, 0, :1] + np.arange(3) for clip in test_poses.poses()]


def _network(kind, **options):
    told = np.array([0, 2, 1])
    return Row(
        partial(_made, getattr(models, kind), classes=3, **options),
        lambda model: losses.cross_entropy(model(_floats(model)), told),
        {"in use": lambda model: model.eval()(_floats(model))},
    )  # fmt: skip


def _floats(model):
    """The same images, where the model is: networks of images are given Tensors."""
    weight = next(model.parameters())
    size = (36, 33) if type(model).__name__ == "VGG" else (12, 9)
    rng = np.random.default_rng(5)
    return tg.Tensor(rng.standard_normal((3, 3, *size))).to(weight.device)


ROWS: dict[str, Row] = {
    "LanguageModel": _of_texts(models.LanguageModel, 4, 5, ar=0.5, output_dropout=0.3),
    "LanguageModel of GRUs, tied": _of_texts(
        models.LanguageModel, 4, [5, 6], tied=True, word_dropout=0.3, input_dropout=0.2,
        hidden_dropout=0.2, weight_drop=0.2, cell="GRU", initial_state="learned",
    ),
    "FixedWindow": _of_texts(models.FixedWindow, 3, 3, 5),
    **{f"Seq2Seq, {kind}": _translator(kind) for kind in translators.KINDS},
    **{f"TextLabels, {how}": _labels(how) for how in labelled.READERS},
    **{f"Captioner, {kind}": _captioner(kind) for kind in captioners.KINDS},
    **{kind: _of_clips(kind) for kind in (*videos.SPEAKERS, "S2VT of frames")},
    "MeanPooling of frames": _of_clips("MeanPooling of frames"),
    "VideoLabels of frames": _video_labels("frame", bidirectional=True),
    "VideoLabels of clips": _video_labels("clip"),
    "VideoLabels of clips, each frame alone": _video_labels("clip", cell=None),
    **{f"Answerer, {way}": _answerer(way) for way in test_answerer.WAYS},
    **{f"Dialogue, {way}": _dialogue(way) for way in test_dialogue.WAYS},
    "Navigator": _walker("Navigator"),
    "Navigator of places": _walker("Navigator", (4, 2, 3)),
    "PathMatcher": _walker("PathMatcher"),
    "VideoJoints": Row(
        test_poses.joints, lambda model: model.loss(test_poses.clips(), _POSES),
        {"joints": lambda model: model.joints(test_poses.clips())},
    ),
    "PoseForecast": Row(
        _forecast, lambda model: model.loss(_POSES, ahead=2),
        {"forecast": lambda model: model.forecast(_POSES, 3)},
    ),
    "PoseFeatures": Row(
        lambda: _made(
            models.VideoLabels, ["a", "b"], models.PoseFeatures(3, 2, 4), 5, features=4, of="clip"
        ),
        lambda model: model.loss(_POSES, ["a", "b", "b"]),
    ),
    "GazeDirections": Row(
        partial(_made, models.GazeDirections, None, 5, features=test_poses.F),
        lambda model: model.loss(test_poses.clips(), _GAZES),
        {"directions": lambda model: model.directions(test_poses.clips())},
    ),
    "ResNet": _network("ResNet", depth=10, width=2, small=True),
    "VGG": _network("VGG", depth=11, width=1, hidden_size=4),
}  # fmt: skip

# What wraps a language model: it has no loss of its own.
WRAPPERS = {
    "CachePointer": lambda model: models.CachePointer(model, 4),
    "DynamicEvaluation": lambda model: models.DynamicEvaluation(model, lr=0.1, steps=2),
}
