"""The recurrent language model: one text in pieces, step by step or whole gives the same."""

import itertools

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import data, errors, losses, models, nn, optim, training

pytestmark = pytest.mark.usefixtures("reference")

V = 7
CELLS = ["RNN", "GRU", "LSTM", "MUT1", nn.LSTMCell, nn.AWDLSTM]


def model_of(embedding_dim=4, hidden_size=5, num_layers=2, **options):
    tg.seed(0)
    return models.LanguageModel(V, embedding_dim, hidden_size, num_layers, **options).astype(
        tg.float64
    )


def tokens(*shape):
    return np.random.default_rng(3).integers(0, V, shape)


@pytest.mark.parametrize("cell", CELLS)
def test_a_text_step_by_step_is_the_text_at_once(cell):
    model, text = model_of(cell=cell, initial_state="learned"), tokens(20)
    state, found = model.start(), []
    for token, following in itertools.pairwise(text):
        log_probs, state = model.step(np.array([token]), state)
        assert np.exp(log_probs).sum() == pytest.approx(1)
        found.append(log_probs[0, following])
    np.testing.assert_allclose(model.log_likelihoods(text), found, rtol=1e-12)


def test_a_long_text_goes_in_pieces_with_its_state(monkeypatch):
    model, text = model_of(), tokens(50)
    whole = model.log_likelihoods(text)
    monkeypatch.setattr("tinygrad_rnn.models.language_model._STEPS", 7)
    np.testing.assert_allclose(model.log_likelihoods(text), whole, rtol=1e-12)
    _, one = model.step(text[:1], model.start())
    for read, state in ((1, one), (20, model.advance(text[:20])), (0, model.advance([]))):
        rest = model.log_likelihoods(text[read:], state)
        np.testing.assert_allclose(rest, whole[read:], rtol=1e-12)


def test_reading_drops_nothing_and_leaves_the_model_as_it_was():
    plain, text = model_of(), tokens(30)
    model = model_of(word_dropout=0.5, input_dropout=0.5, hidden_dropout=0.5, output_dropout=0.5)
    np.testing.assert_array_equal(model.log_likelihoods(text), plain.log_likelihoods(text))
    assert all(module.training for module in model.modules())
    assert not any(parameter.grad is not None for parameter in model.parameters())


def test_rows_are_read_side_by_side():
    model, text = model_of(), tokens(6, 3)
    state = model.start(rows=3)
    for column in text:
        log_probs, state = model.step(column, state)
    for row in range(3):
        alone = model.start()
        for column in text:
            expected, alone = model.step(column[row : row + 1], alone)
        np.testing.assert_allclose(log_probs[row], expected[0], rtol=1e-12)


def test_the_loss_is_the_cross_entropy_of_the_next_token():
    model, x, y = model_of(), tokens(9, 3), tokens(9, 3)[::-1]
    loss, _, values = model.loss(x, y)
    hidden, _ = model(x)
    expected = losses.cross_entropy(model.scores(hidden), y)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    assert values["nats"].item() == loss.item()
    assert not values["nats"].requires_grad


def test_a_state_carried_across_chunks_is_the_whole():
    model, text = model_of(num_layers=1, hidden_size=[5, 6]), tokens(13, 2)
    whole, end, _ = model.loss(text[:-1], text[1:])
    total, state = 0.0, None
    for begin in range(0, 12, 5):
        x, y = text[begin : min(begin + 5, 12)], text[begin + 1 : begin + 6]
        loss, state, _ = model.loss(x, y, state)
        total = total + loss.item() * len(x) / 12
    assert total == pytest.approx(whole.item(), rel=1e-12)
    for part, other in zip(state[0], end[0], strict=True):
        np.testing.assert_allclose(part.numpy(), other.numpy(), rtol=1e-12)


def test_it_learns_a_pattern_from_streams():
    text = np.tile([0, 1, 2, 1, 0, 3, 4, 3], 20)
    tg.seed(1)
    model = models.LanguageModel(5, 8, 16, cell="GRU", tied=True)

    def loss(model, chunk, state):
        return model.loss(chunk.x, chunk.y, state)

    trainer = training.Trainer(
        model, optim.Adam(model.parameters(), lr=0.05), loss, carry_state=True
    )
    trainer.fit(data.Streams(text, 4, 10), 12, progress=False)
    assert -model.log_likelihoods(text)[8:].mean() < 0.1


# ----- tied weights -----


@pytest.mark.parametrize(("hidden_size", "projected"), [([5, 4], False), (5, True)])
def test_a_tied_table_gets_the_gradients_of_both_uses(hidden_size, projected):
    tied = model_of(hidden_size=hidden_size, tied=True)
    free = model_of(hidden_size=hidden_size, tied=False)
    assert (tied.projection is not None) == projected
    assert tied.out.weight is tied.embedding.weight
    state = free.state_dict()
    if projected:  # a free model with the same numbers: its output weights are the product
        product = tied.projection.weight.numpy() @ tied.embedding.weight.numpy().T
    else:
        product = tied.embedding.weight.numpy().T
    state |= {k: v for k, v in tied.state_dict().items() if k in state and k != "out.weight"}
    free.load_state_dict(state | {"out.weight": product})
    x, y = tokens(6, 2), tokens(6, 2)[::-1]
    losses_of = [model.loss(x, y)[0] for model in (tied, free)]
    for loss in losses_of:
        loss.backward()
    assert losses_of[0].item() == pytest.approx(losses_of[1].item(), rel=1e-12)
    read = free.embedding.weight.grad.numpy()
    said = free.out.weight.grad.numpy().T
    if projected:
        said = said @ tied.projection.weight.numpy()
    np.testing.assert_allclose(tied.embedding.weight.grad.numpy(), read + said, rtol=1e-9)


# ----- what cannot be -----


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: model_of(cell="LTSM"), "LanguageModel: cell is 'LTSM', expected a class of cells"),
        (lambda: model_of(cell=nn.AutonomousCell), "expected a class of cells that read an input"),
        (lambda: model_of(cell=3), "LanguageModel: cell is 3, expected a class of cells"),
        (lambda: model_of(cell=lambda *sizes, **_: 5), "LanguageModel: cell made 5, expected rec"),
        (lambda: model_of(bidirectional=True), "sees the tokens that are to be predicted"),
        (lambda: model_of(batch_first=True), "expected neither batch_first"),
        (lambda: model_of(tied=1), "LanguageModel: tied is 1, expected True or False"),
        (lambda: model_of(locked="no"), "LanguageModel: locked is 'no', expected True or False"),
        (lambda: model_of(output_dropout=1.0), "rate is 1.0, expected a number from 0 to below 1"),
        (lambda: models.LanguageModel("abc", 2, 3), "LanguageModel: vocabulary is 'abc'"),
        (lambda: models.LanguageModel(0, 2, 3), "LanguageModel: vocabulary is 0"),
        (lambda: model_of()(tokens(4)), r"LanguageModel: ids have shape \(4,\), expected \(T, B\)"),
        (lambda: model_of()(np.full((2, 1), V)), "id 7 among 2 ids, expected 0 to 6"),
        (lambda: model_of().log_likelihoods([1, V]), "LanguageModel: .* 0 to 6"),
        (lambda: model_of().log_likelihoods([]), "LanguageModel: .* has 0 tokens, expected 1"),
        (lambda: model_of().start(0), "start: rows is 0"),
    ],
)
def test_errors_say_what_was_expected(make, message):
    with pytest.raises(errors.TinygradError, match=message):
        make()


def test_one_token_says_nothing_of_another():
    assert model_of().log_likelihoods([3]).shape == (0,)


# ----- what is dropped while training -----


def seen_by(module):
    """What a module is given, and what it gives out, call by call."""
    seen = []
    module.register_forward_hook(lambda _, given, out: seen.append((given[0], out)))
    return seen


def ratio(part, whole):
    return (part / whole).numpy()


@pytest.mark.parametrize("locked", [True, False])
@pytest.mark.parametrize("place", ["input_dropout", "output_dropout"])
def test_inputs_and_outputs_are_dropped_where_they_should_be(place, locked):
    model = model_of(**{place: 0.5}, locked=locked)
    seen = seen_by(getattr(model, place))
    embedded, run = seen_by(model.embedding), seen_by(model.layers)
    model.loss(tokens(20, 3), tokens(20, 3))
    ((given, dropped),) = seen
    kept = ratio(dropped, given)
    assert set(np.unique(kept)) == {0, 2}
    assert (kept == kept[0]).all() == locked
    if place == "input_dropout":
        assert given is embedded[0][1]
        assert run[0][0] is dropped
    else:
        assert given is run[0][1][0]


def test_a_word_is_dropped_wherever_it_stands():
    model, ids = model_of(word_dropout=0.5), tokens(40, 1)
    seen = seen_by(model.embedding)
    model.loss(ids, ids)
    kept = ratio(seen[0][1], tg.Tensor(model.embedding.weight.numpy()[ids]))
    assert set(np.unique(kept)) == {0, 2}
    for word in range(V):
        assert len(np.unique(kept[ids == word])) == 1


@pytest.mark.parametrize("locked", [True, False])
def test_layers_drop_what_goes_between_them(locked):
    model = model_of(hidden_dropout=0.5, locked=locked)
    assert (model.layers.dropout, model.layers.locked) == (0.5, locked)
    assert model.layers.output_dropout == 0
    assert [cell.chosen.get("input_dropout") for cell in model.layers.cells()] == [None, None]


def test_recurrent_weights_are_dropped_for_a_whole_call():
    """One step after another with a zero input: an LSTM's h does what the same weights do."""
    model = model_of(num_layers=1, weight_drop=0.5, cell="RNN")
    cell = model.layers.cells()[0]
    for name, parameter in cell.named_parameters():
        parameter.assign_(np.eye(5) if name == "w_h" else np.zeros(parameter.shape))
    start = tg.Tensor(np.full((1, 1, 5), 1e-6))
    hidden, _ = model(np.zeros((4, 1), int), start)
    steps = np.round(hidden.numpy()[:, 0] / 1e-6)
    kept = steps[0] > 0
    assert 0 < kept.sum() < 5
    np.testing.assert_array_equal(steps, np.where(kept, 2.0 ** np.arange(1, 5)[:, None], 0))


@pytest.mark.parametrize(("ar", "tar"), [(2.0, 0.0), (0.0, 3.0), (2.0, 3.0)])
def test_activations_are_regularised_after_their_dropout_and_changes_before(ar, tar):
    model = model_of(output_dropout=0.5)
    seen = seen_by(model.output_dropout)
    loss, _, values = model.loss(tokens(6, 2), tokens(6, 2), ar=ar, tar=tar)
    hidden, dropped = (part.numpy() for part in seen[0])
    expected = ar * np.mean(dropped**2) + tar * np.mean(np.diff(hidden, axis=0) ** 2)
    assert loss.item() - values["nats"].item() == pytest.approx(expected, rel=1e-9)
    evaluated, _, values = model.eval().loss(tokens(6, 2), tokens(6, 2), ar=ar, tar=tar)
    assert evaluated.item() == values["nats"].item()
    one_step, _, _ = model.loss(tokens(1, 2), tokens(1, 2), tar=1.0)
    assert np.isfinite(one_step.item())
