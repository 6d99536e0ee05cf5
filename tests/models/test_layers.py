"""Layers that models are made with: what none of them takes, and what all say of it."""

import pytest

from tinygrad_rnn import errors, models, nn

NAMES = ["a", "b"]
MODELS = {
    "Answerer": lambda **o: models.Answerer(5, NAMES, None, 4, 5, features=3, **o),
    "Captioner": lambda **o: models.Captioner(5, None, 4, 4, features=3, image="first", **o),
    "Dialogue": lambda **o: models.Dialogue(5, NAMES, None, 4, 5, features=3, **o),
    "GazeDirections": lambda **o: models.GazeDirections(None, 4, features=3, **o),
    "LanguageModel": lambda **o: models.LanguageModel(5, 4, 5, **o),
    "Navigator": lambda **o: models.Navigator(5, NAMES, None, 4, 5, features=3, **o),
    "PathMatcher": lambda **o: models.PathMatcher(5, NAMES, None, 4, 5, features=3, **o),
    "PoseForecast": lambda **o: models.PoseForecast(2, 2, 4, **o),
    "S2VT": lambda **o: models.S2VT(5, None, 4, 5, features=3, **o),
    "Seq2Seq": lambda **o: models.Seq2Seq(5, 5, 4, 4, **o),
    "TextLabels": lambda **o: models.TextLabels(NAMES, 5, 4, 5, **o),
    "VideoJoints": lambda **o: models.VideoJoints(2, 2, None, 4, features=3, **o),
    "VideoLabels": lambda **o: models.VideoLabels(NAMES, None, 4, features=3, **o),
}
made_stateful = lambda *sizes, bidirectional=False, **o: nn.LSTM(*sizes, stateful=True, **o)


@pytest.mark.parametrize("options", [{"stateful": True}, {"cell": made_stateful}])
@pytest.mark.parametrize("kind", MODELS)
def test_no_call_leaks_into_the_next(kind, options):
    told = f"{kind}: stateful is True, expected layers that begin anew"
    with pytest.raises(errors.ArgumentError, match=told):
        MODELS[kind](**options)


@pytest.mark.parametrize(
    ("options", "told"), [({"foo": 3}, "foo is 3"), ({"num_layers": 2}, "num_layers is 2")]
)
@pytest.mark.parametrize("kind", ["GazeDirections", "TextLabels", "VideoJoints", "VideoLabels"])
def test_what_is_said_of_layers_that_are_not_there_is_an_error(kind, options, told):
    options |= {"read": "mean"} if kind == "TextLabels" else {}
    with pytest.raises(errors.ArgumentError, match=f"{kind}: {told} and cell None, expected a cel"):
        MODELS[kind](cell=None, **options)
