"""A model comes back from its folder as it was, to the bit; what is damaged is noticed."""

import json
import os

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import errors, models, nn, text
from tinygrad_rnn.models import saving

pytestmark = pytest.mark.usefixtures("reference")

SAMPLE = "the tickets that she had printed\n"
LETTERS = text.Characters.of(SAMPLE)


class OwnCell(nn.Cell):
    state = ("h",)
    params = {"w_x": "I H", "w_h": "H H"}

    def step(self, x, h, p):
        return (x @ p.w_x + h @ p.w_h).sigmoid()


def model_of(vocabulary=LETTERS, **options):
    tg.seed(2)
    return models.LanguageModel(vocabulary, 4, 5, 2, **options)


MODELS = {
    "tied": lambda: model_of(tied=True, hidden_dropout=0.2, word_dropout=0.1, locked=False),
    "GRU": lambda: model_of(cell="GRU", weight_drop=0.3, initial_state="learned"),
    "AWDLSTM": lambda: model_of(cell=nn.AWDLSTM),
    "float64": lambda: model_of(tied=True).astype(tg.float64),
    "no vocabulary": lambda: model_of(len(LETTERS)),
    "bytes": lambda: model_of(text.Bytes()),
    "words": lambda: model_of(text.Words.of(SAMPLE)),
    "own cell": lambda: model_of(cell=OwnCell),
    "fixed window": lambda: models.FixedWindow(LETTERS, 3, embedding_dim=4, hidden_size=5),
    "3-grams": lambda: models.NGram(3, LETTERS).fit(SAMPLE),
    "add": lambda: models.NGram(2, 14, smoothing=models.smoothing.Add(0.25)).fit(range(14)),
    "interpolated": lambda: models.NGram(2, text.Bytes(), smoothing="interpolate").fit(SAMPLE),
    "sizes of NumPy": lambda: models.LanguageModel(
        LETTERS, np.int64(4), [np.int32(5), 5], np.int8(2), recompute=np.int64(2),
        hidden_dropout=np.float32(0.1), zoneout=np.float32(0.2),
    ),
    "options": lambda: model_of(cell="LSTM", connect="residual", layer_norm=True, zoneout=0.1),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_model_comes_back_as_it_was(name, tmp_path):
    model = MODELS[name]()
    model.save(tmp_path / "deep" / "down")
    again = models.load(tmp_path / "deep" / "down", custom={"OwnCell": OwnCell})
    assert type(again) is type(model)
    assert again.vocabulary == model.vocabulary
    assert again.made_with() == model.made_with()
    if isinstance(model, nn.Module):
        assert repr(again) == repr(model)
    ids = np.arange(8) % len(LETTERS)
    state, before = model.step(ids[:1], model.start()), again.step(ids[:1], again.start())
    np.testing.assert_array_equal(state[0], before[0])
    np.testing.assert_array_equal(model.log_likelihoods(ids), again.log_likelihoods(ids))
    ours, theirs = model.state_dict(), again.state_dict()
    assert list(ours) == list(theirs)
    for key, array in ours.items():
        assert array.dtype == theirs[key].dtype
        np.testing.assert_array_equal(array, theirs[key])
    if name == "tied":
        assert again.out.weight is again.embedding.weight


def test_what_was_frozen_stays_so(tmp_path):
    model = model_of()
    model.embedding.freeze()
    model.save(tmp_path)
    again = models.load(tmp_path)
    assert not again.embedding.weight.requires_grad
    assert again.out.weight.requires_grad


def test_a_folder_holds_one_model_and_nothing_of_the_one_before(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    model_of().save(tmp_path)
    first = set(os.listdir(tmp_path))
    model = model_of(cell="GRU")
    model.save(tmp_path)
    assert len(os.listdir(tmp_path)) == len(first) == 3
    assert set(os.listdir(tmp_path)) & first == {"notes.txt", "model.json"}
    assert models.load(tmp_path).score(SAMPLE) == model.score(SAMPLE)
    said = json.loads((tmp_path / "model.json").read_text())
    assert tg.load(tmp_path / said["weights"]).keys() == model.state_dict().keys()


@pytest.mark.parametrize("place", ["write", "replacing"])
def test_whatever_fails_while_it_is_written_costs_nothing(tmp_path, monkeypatch, place):
    old = model_of()
    old.save(tmp_path)

    def full(*given):
        raise errors.SaveError("the disk is full")

    monkeypatch.setattr(f"tinygrad_rnn.models.saving.{place}", full)
    with pytest.raises(errors.SaveError, match="full"):
        model_of(cell="GRU").save(tmp_path)
    np.testing.assert_array_equal(
        models.load(tmp_path).log_likelihoods(SAMPLE), old.log_likelihoods(SAMPLE)
    )
    monkeypatch.undo()
    new = model_of(cell="GRU")
    new.save(tmp_path)  # what was left over goes away
    assert len(os.listdir(tmp_path)) == 2
    assert models.load(tmp_path).score(SAMPLE) == new.score(SAMPLE)


@pytest.mark.parametrize("make", [model_of, lambda: models.NGram(2, LETTERS).fit(SAMPLE)])
def test_a_vocabulary_of_another_size_is_refused_before_anything_is_replaced(make, tmp_path):
    model = make()
    model.save(tmp_path)
    model.vocabulary = text.Characters.of("x")
    told = "save: vocabulary has 1 tokens, the model 14, expected as many"
    with pytest.raises(errors.VocabularyError, match=told):
        model.save(tmp_path)
    assert models.load(tmp_path).vocabulary == LETTERS


def test_other_vocabularies_are_refused_by_what_differs(tmp_path):
    model_of().save(tmp_path)
    assert models.load(tmp_path, vocabulary=LETTERS).vocabulary == LETTERS
    with pytest.raises(errors.VocabularyError) as caught:
        models.load(tmp_path, vocabulary=text.Characters.of(SAMPLE + "xyz"))
    assert str(caught.value) == (
        f"models.load: the vocabulary given is not that of the model in {str(tmp_path)!r} "
        "(second): one has 17 tokens, the other 14; only the first has 'x', 'y', 'z'."
    )
    with pytest.raises(errors.VocabularyError, match="one is of bytes, the other of characters"):
        models.load(tmp_path, vocabulary=text.Bytes())


def test_a_model_without_vocabulary_takes_one_of_its_size(tmp_path):
    model_of(len(LETTERS)).save(tmp_path)
    assert models.load(tmp_path).vocabulary is None
    assert models.load(tmp_path, vocabulary=LETTERS).score(SAMPLE).tokens == len(SAMPLE) - 1
    with pytest.raises(errors.VocabularyError, match=r"given has 256 tokens, the model in .* 14"):
        models.load(tmp_path, vocabulary=text.Bytes())


def changed(path, old, new):
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"format": 1', b'"format": 2', "is of format 2, kind 'LanguageModel'"),
        (b'"kind": "LanguageModel"', b'"kind": "os.system"', "kind 'os.system'"),
        (b'"weights": "', b'"weights": "../', r"weights '\.\./weights"),
        (b'"weights"', b'"wait"', "lacks 'weights'"),
        (b"dehik", b"dehiX", "is not what weights-.* was written with"),
        (b'"hidden_size": 5', b'"hidden_size": 6', "is not what weights-.* was written with"),
        (b"{", b"", "is no JSON"),
        (b"{", b"[{", "is no JSON"),
    ],
)
def test_damage_to_what_is_said_is_an_error(old, new, message, tmp_path):
    model_of().save(tmp_path)
    changed(tmp_path / "model.json", old, new)
    with pytest.raises(errors.FileFormatError, match=message):
        models.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("vocabularies", [], r"vocabularies \[\], expected a mapping"),
        ("model", 3, "has a model 3 and"),
        ("vocabularies", {"vocabulary": text.Bytes().description()}, "has 256 tokens, the model"),
    ],
)
def test_what_cannot_be_is_an_error_though_the_digests_agree(
    name, value, message, tmp_path, monkeypatch
):
    true = saving._said
    monkeypatch.setattr(saving, "_said", lambda *asked: true(*asked) | {name: value})
    model_of().save(tmp_path)
    with pytest.raises(errors.FileFormatError, match=message):
        models.load(tmp_path)


def test_damage_to_the_numbers_is_an_error(tmp_path):
    model_of().save(tmp_path)
    (weights,) = tmp_path.glob("weights-*")
    data = bytearray(weights.read_bytes())
    data[-5] ^= 1
    weights.write_bytes(data)
    with pytest.raises(errors.FileFormatError, match="it is damaged"):
        models.load(tmp_path)


def test_what_cannot_be_saved_or_loaded(tmp_path):
    with pytest.raises(errors.FileFormatError, match=r"models.load: '.*' holds no model\.json"):
        models.load(tmp_path / "nowhere")
    (tmp_path / "model.json").write_text("[1]")
    with pytest.raises(errors.FileFormatError, match=r"holds \[1\]"):
        models.load(tmp_path)
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(errors.FileFormatError, match=r"'.*file' holds no model\.json"):
        models.load(file)
    with pytest.raises(errors.SaveError, match=r"LanguageModel\.save: the folder .*file"):
        model_of().save(file)

    class Other(models.LanguageModel):
        pass

    with pytest.raises(errors.ArgumentError, match="given a Other, expected one of Answerer, C"):
        Other(5, 2, 3).save(tmp_path)
    model_of(cell=OwnCell).save(tmp_path)
    with pytest.raises(errors.ArgumentError, match="pass custom="):
        models.load(tmp_path)
