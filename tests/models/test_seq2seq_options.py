"""What a translator may be made with, and what it cannot be."""

import numpy as np
import pytest

from tests.models.translators import FRENCH, SOURCES, TARGETS, model_of, speaker
from tinygrad_rnn import data, errors, models, nn, text

pytestmark = pytest.mark.usefixtures("reference")


def test_dropout_is_for_training():
    plain = model_of()
    model = model_of(
        dropout=0.5, memory_dropout=0.5, output_dropout=0.5, encoder_layers=2, hidden_dropout=0.5
    )
    assert model.loss(SOURCES, TARGETS)[0].item() != model.loss(SOURCES, TARGETS)[0].item()
    assert (model.encoder.layers.dropout, model.decoder.layers.dropout) == (0.5, 0)
    one, other = (model.log_likelihoods(SOURCES, TARGETS) for _ in range(2))
    np.testing.assert_array_equal(np.concatenate(one), np.concatenate(other))
    assert all(module.training for module in model.modules())
    smooth, values = plain.loss(SOURCES, TARGETS, label_smoothing=0.2)
    assert smooth.item() != plain.loss(SOURCES, TARGETS)[0].item()
    assert values == {}
    plain.eval()
    assert (
        plain.loss(SOURCES, TARGETS, label_smoothing=0.2)[0].item()
        == plain.loss(SOURCES, TARGETS)[0].item()
    )


def test_what_was_read_is_dropped_in_training_alone():
    model = model_of(memory_dropout=0.5)
    ids, lengths = np.array([[0, 1, 2, 3, 1]]).T, np.array([5])
    outputs, _, final = model.encoder(ids, lengths)
    whole = model.eval().encoder(ids, lengths)
    kept = outputs.numpy() != 0
    assert 0 < kept.mean() < 1
    np.testing.assert_allclose(outputs.numpy()[kept], 2 * whole.outputs.numpy()[kept], rtol=1e-12)
    for one, other in zip(final, whole.final, strict=True):
        np.testing.assert_array_equal(one[0].numpy(), other[0].numpy())


@pytest.mark.parametrize("feeding", [False, True, "context", "conditional"])
@pytest.mark.parametrize("bridge", ["linear", "average", "zero"])
def test_all_that_is_learned_has_a_gradient(bridge, feeding):
    """Layers that a bridge gives their first state have none of their own to learn."""
    model = model_of(initial_state="learned", bridge=bridge, input_feeding=feeding)
    model.loss(SOURCES, TARGETS)[0].backward()
    assert [name for name, one in model.named_parameters() if one.grad is None] == []
    learned = [name for name, _ in model.decoder.named_parameters() if "initial" in name]
    assert learned == (["layers.initial.0.forward.h"] if bridge == "zero" else [])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: model_of(attention="adic"), "Seq2Seq: attention is 'adic', expected one of"),
        (lambda: model_of(bridge="none"), "Seq2Seq: bridge is 'none', expected one of"),
        (
            lambda: model_of(bridge="last"),
            r"brings states \[12\] wide from the encoder, the decoder",
        ),
        (lambda: model_of(attention="dot"), "between the decoder, 6 wide, and the encoder's outp"),
        (lambda: model_of(attention="location"), "attention is 'location' and longest None"),
        (lambda: model_of(local="far"), "Seq2Seq: local is 'far', expected one of"),
        (lambda: model_of(window=0), "Seq2Seq: window is 0, expected a whole number from 1"),
        (lambda: model_of("location", coverage=True), "expected one that looks at keys"),
        (lambda: model_of(longest=5), "attention is 'additive' and longest 5"),
        (lambda: model_of(read_out="cubic"), "Seq2Seq: read_out is 'cubic', expected one of"),
        (lambda: model_of(context_gate=True), "context_gate with read_out='linear'"),
        (lambda: model_of(input_feeding="all"), "Seq2Seq: input_feeding is 'all', expected one"),
        (lambda: model_of("none", input_feeding="context"), "without attention, expected attenti"),
        (lambda: model_of("none", input_feeding="conditional"), 'ing="conditional" without atten'),
        (lambda: model_of(tied="all"), 'tied="all" with two vocabularies'),
        (lambda: model_of(cell="GRUU"), "Seq2Seq: cell is 'GRUU', expected a class of cells"),
        (
            lambda: model_of(stateful=True),
            "Seq2Seq: stateful is True, expected layers that begin an",
        ),
        (
            lambda: model_of(num_layers=2),
            "num_layers is 2, expected encoder_layers and decoder_lay",
        ),
        (lambda: model_of(proj_size=3), "Seq2Seq: proj_size is 3, expected hidden_size"),
        (lambda: model_of(encoder_size=0), "hidden_size is 0, expected a whole number from 1"),
        (lambda: model_of("none", local="monotonic"), "local is 'monotonic' and attention None"),
        (lambda: model_of("none", coverage=True), "coverage is True and attention None"),
        (lambda: model_of(merge="none"), 'expected neither batch_first nor merge="none"'),
        (lambda: model_of().loss([[1]], [[1], [2]]), "given 1 sources and 2 targets, expected pai"),
        (
            lambda: model_of().loss([[1, 9]], [[1]]),
            r"source\[0\]\[1\] is 9, expected 0 to 8, a tok",
        ),
        (
            lambda: model_of().loss([[1]], [[-1]]),
            r"target\[0\]\[0\] is -1, expected 0 to 6, a token",
        ),
        (lambda: model_of().loss([[0.5]], [[1]]), "source holds float32 of shape"),
        (lambda: model_of().loss([], []), "Seq2Seq: target is empty, expected one or more"),
        (
            lambda: model_of().encode(data.pad([[1, 2, 3], [4]])),
            r"source has lengths from 1 to 3, expected 0 to 2|holds int64 of shape \(3, 2\)",
        ),
        (lambda: model_of().loss([[1]], [[1]], teacher_forcing=2), "teacher_forcing is 2"),
        (
            lambda: model_of().eval().loss([[1]], [[1]], label_smoothing=7),
            "label_smoothing is 7, expected a number from 0 to 1",
        ),
        (lambda: model_of("none").alignment([[1]], [[1]]), "the model has no attention"),
        (lambda: model_of().translate(["a"]), "a text needs vocabularies"),
        (lambda: speaker().translate("the dog"), "expected a list of texts"),
        (lambda: speaker().translate(["the"], max_length=-1), "max_length is -1"),
        (
            lambda: models.Seq2Seq(text.Bytes(), FRENCH, 2, 2).translate(["a"], copy_unknown=True),
            "copy_unknown with vocabularies of bytes and words",
        ),
        (
            lambda: models.Seq2Seq(FRENCH, FRENCH, 2, 2, attention=None).translate(
                ["le"], copy_unknown=True
            ),
            "copy_unknown with attention=None, expected a model that looks",
        ),
        (lambda: speaker().translate(["the"], constraints="le"), "constraints is 'le', expected a"),
        (
            lambda: models.Seq2Seq(3, 3, 2, 4, cell=nn.ProjectedLSTM),
            "cell LSTMCell gives out 1 numbers, expected one that gives out as many .*, 4",
        ),
    ],
)
def test_errors_say_what_was_expected(make, message):
    with pytest.raises(errors.TinygradError, match=message):
        make()
