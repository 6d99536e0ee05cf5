"""What a search by compiled kernels finds is what the model says of it in one pass."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.models.translators import SOURCES, TARGETS
from tinygrad_rnn import data, decoding, errors, models
from tinygrad_rnn.kernels import attention


@pytest.mark.parametrize("kind", ["additive", "general"])
@pytest.mark.parametrize("feeding", [False, True])
def test_scores_and_alignments_are_those_of_the_training_pass(kind, feeding, monkeypatch):
    tg.seed(0)
    model = models.Seq2Seq(
        9, 40, 8, 20, attention=kind, input_feeding=feeding, tied=feeding, read_out="tanh"
    )
    asked, attend = [], attention.attend
    monkeypatch.setattr(
        attention, "attend", lambda *given: asked.append(len(given[0])) or attend(*given)
    )
    state = model.start(model.encode(SOURCES))
    assert np.shares_memory(state.memory.keys, decoding.take(state, [3, 3], 4).memory.keys)
    given = {"bos": model.end, "eos": model.end, "beam": 3, "n_best": 3, "max_length": 6}
    found = decoding.beam_search(model.scored, state, **given)
    assert asked[0] == 4
    assert max(asked) == 12
    for source, hypotheses in zip(SOURCES, found, strict=True):
        for one in hypotheses:
            tokens = one.tokens[one.tokens < model.end]
            said = model.log_likelihoods([source], [tokens])[0][: len(one.tokens)]
            assert one.log_prob == pytest.approx(said.sum(), rel=1e-5)
            (weights,) = model.alignment([source], [tokens])
            alignment = one.alignment[:, : len(source) + 1]
            np.testing.assert_allclose(alignment, weights[: len(one.tokens)], atol=1e-6)
    written = decoding.beam_search(model.step, model.start(model.encode(SOURCES)), **given)
    for one, other in zip(found, written, strict=True):
        assert [h.tokens.tolist() for h in one] == [h.tokens.tolist() for h in other]


def test_the_two_cells_of_a_conditional_step_do_not_drop_the_same(monkeypatch):
    model = models.Seq2Seq(9, 40, 8, 20, input_feeding="conditional", recurrent_dropout=0.5)
    asked = []
    for layers in (model.decoder.layers, model.decoder.then):

        def watched(*given, noise, forward=layers.forward, **how):
            asked.append((noise.key, noise.first_step))
            return forward(*given, noise=noise, **how)

        monkeypatch.setitem(vars(layers), "forward", watched)
    model.loss(SOURCES, TARGETS)
    steps = 1 + max(map(len, TARGETS))
    first, then = asked[::2], asked[1::2]
    assert [step for _, step in first] == [step for _, step in then] == list(range(steps))
    assert len({key for key, _ in first}) == len({key for key, _ in then}) == 1
    assert first[0] != then[0]


def test_a_sample_of_translations_does_not_depend_on_what_stands_beside():
    tg.seed(0)
    model = models.Seq2Seq(9, 9, 6, 8)
    how = {"beam": 3, "stochastic": True, "seed": 1, "max_length": 5}
    drawn = [model.translated([[1], [1], [1, 2], [1]], batch_size=n, **how) for n in (1, 2, 64)]
    for other in drawn[1:]:
        assert [one.tolist() for one in other] == [one.tolist() for one in drawn[0]]
    assert len({tuple(drawn[0][n]) for n in (0, 1, 3)}) > 1  # each has numbers of its own
    (named,) = model.translated([[1]], row_ids=[3], **how)
    assert named.tolist() == drawn[0][3].tolist()


@pytest.mark.parametrize("name", ["return_tree", "bos", "eos"])
def test_what_sentences_have_no_place_for_is_refused(name):
    model = models.Seq2Seq(9, 9, 6, 8)
    with pytest.raises(errors.ArgumentError, match=f"translated: {name} is not for sentences"):
        model.translated([[1]], beam=2, **{name: 1})


def test_sources_come_in_lists_arrays_iterators_or_padded():
    tg.seed(0)
    model = models.Seq2Seq(9, 9, 6, 8)
    rows = [[1, 2, 3], [4], []]
    wanted = [one.tolist() for one in model.translated(rows, max_length=4)]
    arrays = [np.array(row, int) for row in rows]
    for source in (iter(rows), arrays, data.pad(rows, batch_first=True)):
        assert [one.tolist() for one in model.translated(source, max_length=4)] == wanted
    assert model.translated([], max_length=4) == []


@pytest.mark.parametrize("source", [5, [1, 2], "ab", ["ab"]])
def test_what_is_no_list_of_sentences_is_said_to_be_none(source):
    model = models.Seq2Seq(9, 9, 6, 8)
    with pytest.raises(errors.ArgumentError, match=r"translated: source is .*expected lists of"):
        model.translated(source, max_length=4)
