"""What a description says makes a module that is equal, whatever was done to it; no code in it."""

import copy
import json

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.training.small_models import CUSTOM, Leaky, check_equal, embedded, net, through_json
from tinygrad_rnn import losses, nn, ops, training
from tinygrad_rnn.errors import ArgumentError, FileFormatError, TinygradError
from tinygrad_rnn.nn import attention_scores as scores

# One of each public class, with arguments that are not the defaults.
SPECS = {
    "AWDLSTM": lambda: nn.AWDLSTM(3, [4, 5], output_dropout=0.25),
    "ELU": lambda: nn.ELU(0.5),
    "GELU": nn.GELU,
    "GRU": lambda: nn.GRU(3, 4, 2, reset_after=False, bidirectional=True, merge="mean"),
    "LSTM": lambda: nn.LSTM(3, 4, 2, connect="dense", zoneout={"h": 0.1}, activation=ops.gelu),
    "RNN": lambda: nn.RNN(3, [4, 4], nonlinearity=ops.softplus, connect="highway", stateful=True),
    "Activation": lambda: nn.Activation("softmax"),
    "Attention": lambda: nn.Attention("multi_head", 4, num_heads=2, dropout=0.1, causal=True),
    "AutonomousCell": lambda: nn.AutonomousCell(4, nonlinearity="relu"),
    "AvgPool1d": lambda: nn.AvgPool1d(3, padding=1, count_padding=False),
    "AvgPool2d": lambda: nn.AvgPool2d((3, 2), stride=(1, 2)),
    "BatchNorm": lambda: nn.BatchNorm(3, momentum=None, affine=False),
    "Conv1d": lambda: nn.Conv1d(4, 6, 3, padding="same", groups=2),
    "Conv2d": lambda: nn.Conv2d(1, 2, (3, 2), 2, (1, 0), bias=False),
    "Dense": lambda: nn.Dense(units=3, input_dim=2, activation="tanh"),
    "DenselyConnected": lambda: nn.DenselyConnected(nn.Linear(3, 2)),
    "Dropout": lambda: nn.Dropout(0.25),
    "Embedding": lambda: nn.Embedding.from_pretrained(np.ones((3, 2))),
    "Flatten": lambda: nn.Flatten(1, 2),
    "GRUCell": lambda: nn.GRUCell(3, 4, reset_after=False, bias=False),
    "HardSigmoid": nn.HardSigmoid,
    "HardTanh": nn.HardTanh,
    "Highway": lambda: nn.Highway(nn.Linear(3, 3), 3),
    "Identity": nn.Identity,
    "IndRNNCell": lambda: nn.IndRNNCell(3, 4, nonlinearity="tanh"),
    "LSTMCell": lambda: nn.LSTMCell(3, 4).configure(layer_norm=["w_x", "c"], proj_size=2),
    "LSTMVariantCell": lambda: nn.LSTMVariantCell(3, 4, variant="FGR"),
    "LSTMWithoutForgetCell": lambda: nn.LSTMWithoutForgetCell(3, 4),
    "LayerNorm": lambda: nn.LayerNorm((2, 3), eps=1e-3, bias=False),
    "LayerNormGRU": lambda: nn.LayerNormGRU(3, 4),
    "LayerNormLSTM": lambda: nn.LayerNormLSTM(3, 4, layer_norm=["w_x"]),
    "LeakyReLU": lambda: nn.LeakyReLU(0.2),
    "Linear": lambda: nn.Linear(3, 4, bias=False),
    "LockedDropout": lambda: nn.LockedDropout(0.2, batch_first=True),
    "LogSoftmax": lambda: nn.LogSoftmax(0),
    "MGUCell": lambda: nn.MGUCell(3, 4),
    "MUT1Cell": lambda: nn.MUT1Cell(3, 4),
    "MUT2Cell": lambda: nn.MUT2Cell(4, 4),
    "MUT3Cell": lambda: nn.MUT3Cell(3, 4),
    "MaxPool1d": lambda: nn.MaxPool1d(2),
    "MaxPool2d": lambda: nn.MaxPool2d(2, stride=1),
    "ModuleList": lambda: nn.ModuleList([nn.Linear(2, 2)]).append(nn.ReLU()),
    "NASCell": lambda: nn.NASCell(3, 4),
    "NaiveMemoryCell": lambda: nn.NaiveMemoryCell(3, 4),
    "PeepholeLSTMCell": lambda: nn.PeepholeLSTMCell(3, 4),
    "ProjectedLSTM": lambda: nn.ProjectedLSTM(3, 4, proj_size=2, num_layers=2),
    "RHNCell": lambda: nn.RHNCell(3, 4, depth=2),
    "RNNCell": lambda: nn.RNNCell(3, 4, nonlinearity_first=True),
    "ReLU": nn.ReLU,
    "Recurrent": lambda: nn.Recurrent(
        nn.GRUCell(3, 4), 2, initial_state="learned", truncate=2, weight_drop=0.5, fused=False
    ),
    "Residual": lambda: nn.Residual(nn.GRU(3, 3)),
    "Sequential": embedded,
    "SiLU": nn.SiLU,
    "Sigmoid": nn.Sigmoid,
    "Softmax": lambda: nn.Softmax(0),
    "Softplus": nn.Softplus,
    "Softsign": nn.Softsign,
    "Tanh": nn.Tanh,
    "TiedLinear": lambda: nn.TiedLinear(nn.Embedding(5, 3)),
    "WordDropout": lambda: nn.WordDropout(0.1, 1, keep=(0, 2)),
    # beside nn
    "AdaptiveSoftmax": lambda: losses.AdaptiveSoftmax(4, 20, [5, 10]),
    "HierarchicalSoftmax": lambda: losses.HierarchicalSoftmax(4, [3, 1, 2]),
    "NegativeSampling": lambda: losses.NegativeSampling(4, 20, 3),
    "own score": lambda: nn.Attention(scores.AdditiveScore(3, 4, 5)),
    "deferred": lambda: nn.Sequential(nn.Dense(4), nn.Dense(2)),
}  # fmt: skip

# What others are made of: nothing can be made of them alone.
BASES = {"Cell", "Module", "Parameter", "Score"}


def test_every_public_class_has_a_spec():
    classes = {name for name in nn.__all__ if isinstance(getattr(nn, name), type)}
    assert classes - BASES <= set(SPECS)


@pytest.mark.parametrize("name", SPECS)
def test_a_description_makes_an_equal_module(name):
    module = SPECS[name]()
    state = str(tg.random.get_state())
    description = training.describe(module)
    assert str(tg.random.get_state()) == state  # what was drawn to compare is nobody's
    other = training.build(json.loads(json.dumps(description, allow_nan=False)))
    assert training.describe(other) == description
    check_equal(module, other)


# ----- what was done to a module after it was made -----


def grow(m):
    m.parts.append(nn.Tanh())


def replace_deep(m):
    m.parts[0] = nn.Linear(4, 2)


CHANGES = {
    "another head": lambda m: setattr(m, "head", nn.Linear(4, 5, bias=False)),
    "another kind of head": lambda m: setattr(m, "head", nn.Sequential(nn.Dense(2, 4))),
    "a head taken out": lambda m: setattr(m, "head", None),
    "one more module": lambda m: setattr(m, "more_of_it", nn.LSTM(2, 3)),
    "in a list": replace_deep,
    "behind a list": grow,
    "in a dict": lambda m: m.parts[1].update(a=nn.Tanh(), b=nn.ReLU()),
    "an option of a cell": lambda m: m.rnn.cells()[0].configure(zoneout=0.25, activation=ops.gelu),
    "a number": lambda m: setattr(m, "scale", 2.0),
    "a number below": lambda m: setattr(m.rnn, "recompute", 2),
    "one weight for two": lambda m: setattr(m.head, "weight", m.parts[0].weight),
    "one module for two": lambda m: setattr(m, "second", m.head),
    "frozen": lambda m: m.rnn.freeze(),
    "a shared module given": lambda m: setattr(m, "tied", nn.Residual(m.rnn)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_later_comes_back(change):
    module = net()
    if change == "one weight for two":
        module.head = nn.Linear(4, 4)
    CHANGES[change](module)
    other = through_json(module, CUSTOM)
    check_equal(module, other)
    assert vars(other)["scale"] == module.scale
    assert other.rnn.recompute == module.rnn.recompute
    flags = [p.requires_grad for p in module.parameters()]
    assert [p.requires_grad for p in other.parameters()] == flags
    ours, theirs = module.state_dict(), other.state_dict()
    assert list(ours) == list(theirs)
    same = [[a is b for b in ours.values()] for a in ours.values()]
    assert [[a is b for b in theirs.values()] for a in theirs.values()] == same


def test_cells_of_one_layer_may_differ():
    layer = nn.LSTM(3, 4, 2, bidirectional=True)
    layer.layers[1]["reverse"].configure(zoneout={"c": 0.5})
    other = through_json(layer)
    check_equal(layer, other)
    assert [cell.chosen for cell in other.cells()] == [{}, {}, {}, {"zoneout": {"c": 0.5}}]


def test_what_is_shared_is_described_once():
    cell, layer = nn.GRUCell(3, 3), nn.Linear(3, 3)
    model = nn.Sequential(nn.Recurrent(cell), layer, nn.Tanh(), layer)
    description = training.describe(model)
    kinds = [entry["module"] for entry in description["objects"]]
    assert kinds == ["nn.GRUCell", "nn.Recurrent", "nn.Linear", "nn.Tanh", "nn.Sequential"]
    other = training.build(description)
    assert other[1] is other[3]


def test_copies_and_deep_models_are_described():
    model = copy.deepcopy(nn.Sequential(*[nn.Residual(nn.Tanh()) for _ in range(300)]))
    check_equal(model, through_json(model))


# ----- what cannot be described, or built -----


class Holder(nn.Module):
    def __init__(self, given=None, hidden=None):
        super().__init__()
        self.hidden = hidden


def holding_itself():
    module = Holder()
    module.again = nn.Sequential(nn.Tanh(), module)
    return module


def grown():
    module = nn.Linear(2, 3)
    module.weight = nn.Parameter(np.zeros((5, 3), np.float32))
    return module


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Holder(np.ones(2)), r"Holder: given is array\(\[1., 1.\]\), a ndarray, expected"),
        (lambda: Holder(lambda x: x), "has no name to find it by.*It is Holder: given"),
        (holding_itself, "Holder holds itself"),
        (grown, r"'weight' is weight \(5, 3\), but its arguments make weight \(2, 3\)"),
        (lambda: 3, "given a int, expected a Module"),
    ],
)
def test_what_cannot_be_described_is_an_error_that_names_it(make, words):
    if words is None:
        assert training.describe(make())["objects"][0]["arguments"] == {
            "function": {"name": "copy"}
        }
        return
    with pytest.raises(TinygradError, match=words):
        training.describe(make())


def test_a_class_without_a_constructor_takes_no_arguments():
    class Bare(nn.Module):
        pass

    assert training.describe(Bare())["objects"] == [{"module": "Bare", "arguments": {}}]
    with pytest.raises(TypeError, match=r"Bare\(\) takes no arguments"):
        Bare(3)


def test_two_classes_of_one_name_are_refused():
    class Net(nn.Module):
        pass

    with pytest.raises(ArgumentError, match="two different things are called 'Net'"):
        training.describe(nn.Sequential(net(), Net()))


def test_a_class_that_is_not_known_is_asked_for():
    description = training.describe(nn.Sequential(net(), nn.Activation(copy.copy)))
    words = r"'copy', 'Leaky', 'Net' is not.*custom=\{'copy': copy, 'Leaky': Leaky, 'Net': Net\}"
    with pytest.raises(ArgumentError, match=words):
        training.build(description)
    with pytest.raises(ArgumentError, match=r"custom is .*, expected classes and func"):
        training.build(description, [Leaky])
    with pytest.raises(FileFormatError, match=r"Holder was made with 'size', but takes \(given="):
        training.build(training.describe(net()), {"Leaky": Leaky, "Net": Holder})


def damaged(change):
    description = training.describe(nn.Sequential(nn.Linear(2, 3), nn.Tanh()))
    change(description)
    return description


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(format=2), "has the format 2, expected 1. A newer version"),
        (lambda d: d["objects"][0].update(module="nn.Liner"), "library has no nn.Liner"),
        (lambda d: d["objects"][0].update(module="nn.read_vectors"), "has no nn.read_vectors"),
        (lambda d: d["objects"][0].update(module="ops.tanh"), "ops.tanh is no class of modules"),
        (lambda d: d["objects"][0]["arguments"].update(width=3), "made with 'width', but takes"),
        (lambda d: d["objects"][0]["arguments"].pop("out_features"), "not whole: TypeError"),
        (lambda d: d["objects"][2]["children"].update({"0": {"object": 2}}), None),
        (lambda d: d["objects"][0]["arguments"].update(bias={"object": 1}), "refers to 1"),
        (lambda d: d["objects"][0]["arguments"].update(bias={"code": "1"}), "holds {'code': '1'}"),
        (lambda d: d["objects"].clear(), "not whole: IndexError"),
        (lambda d: d.pop("tied"), "not whole: KeyError: 'tied'"),
        (lambda d: d.update(objects=3), "not whole: TypeError"),
        (lambda d: d["objects"][0].update(settings={"": {"forward": 3}}), "'forward' is no"),
        (lambda d: d["objects"][0].update(settings={"": {"__class__": 3}}), "is no setting"),
        (lambda d: d["objects"][2]["children"].update({"0.__dict__": None}), "not whole"),
    ],
)  # fmt: skip
def test_a_description_that_is_not_whole_is_an_error(change, words):
    with pytest.raises((FileFormatError, ArgumentError), match=words or "refers to 2|not whole"):
        training.build(damaged(change))
