"""A state dict is a snapshot under every name; loading fits everything or changes nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.errors import GradientError, StateDictError


class Tied(nn.Module):
    """Encoder and decoder share their weight; two buffers, one of them not kept."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(3, 2)
        self.decoder = nn.Linear(3, 2)
        self.decoder.weight = self.encoder.weight
        self.register_buffer("count", np.zeros((), np.int64))
        self.register_buffer("cache", np.zeros(2), persistent=False)


def unchanged(module, before):
    return all(np.array_equal(array, before[name]) for name, array in module.state_dict().items())


def test_the_state_dict_holds_contiguous_copies_under_each_name():
    m = Tied()
    state = m.state_dict()
    assert list(state) == ["count", "encoder.weight", "encoder.bias", "decoder.weight",
                           "decoder.bias"]  # fmt: skip
    assert state["encoder.weight"] is state["decoder.weight"]
    assert state["count"].shape == ()
    for name, array in state.items():
        assert type(array) is np.ndarray
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert np.array_equal(array, m._state()[name])
    state["encoder.weight"][...] = 7
    assert not (m.encoder.weight.data == 7).any()


def test_a_buffer_that_is_a_view_is_written_out_contiguous():
    m = nn.Module()
    m.register_buffer("view", tg.from_numpy(np.arange(6.0).reshape(2, 3).T))
    assert m.state_dict()["view"].flags.c_contiguous
    assert m.state_dict()["view"].tolist() == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.parametrize("wrap", [np.asarray, tg.tensor, lambda a: a.copy("F")])
def test_a_snapshot_brings_a_module_back(wrap):
    m = Tied()
    before = m.state_dict()
    for p in m.parameters():
        p.assign_(np.zeros(p.shape, np.float32))
    m.count.assign_(np.array(3))
    assert m.load_state_dict({k: wrap(v) for k, v in before.items()}) == ([], [])
    assert unchanged(m, before)
    assert m.decoder.weight is m.encoder.weight


def test_loading_writes_into_the_same_memory_and_is_noticed():
    m = nn.Linear(2, 2)
    memory = m.weight._data
    loss = (tg.ones(1, 2, requires_grad=True) @ m.weight).sum()
    m.load_state_dict(nn.Linear(2, 2).state_dict())
    assert m.weight._data is memory
    with pytest.raises(GradientError, match="has been changed since"):
        loss.backward()


def test_everything_that_does_not_fit_is_named_at_once_and_nothing_changes():
    m = Tied()
    m.register_buffer("table", tg.from_numpy(np.broadcast_to(np.float32(1), (2,))))
    before = m.state_dict()
    state = {
        "encoder.weight": np.zeros((2, 3), np.float32),
        "decoder.weight": np.zeros((3, 2), np.float32),
        "encoder.bias": np.zeros(3, np.float32),
        "decoder.bias": np.zeros(2),
        "table": "numbers",
        "more": np.zeros(1),
        "most": np.zeros(1),
    }
    with pytest.raises(StateDictError) as caught:
        m.load_state_dict(state)
    assert str(caught.value) == (
        "load_state_dict: the state dict does not fit Tied; nothing was changed.\n"
        "  missing: count\n"
        "  unexpected: more, most\n"
        "  not numbers: table is a str\n"
        "  wrong shape: encoder.weight is (2, 3), expected (3, 2): transpose it, weights here are "
        "(in, out), encoder.bias is (3,), expected (2,)\n"
        "  wrong dtype: decoder.bias is float64, expected float32\n"
        "  one tensor here, but different numbers: encoder.weight and decoder.weight\n"
        "strict=False passes over names that are missing or unexpected.\n"
        "Nothing is converted silently: call .astype() on the arrays or the module."
    )
    assert unchanged(m, before)
    with pytest.raises(StateDictError) as caught:
        m.load_state_dict({**before, "table": np.ones(2, np.float32)})
    assert "  read-only here: table" in str(caught.value)


def test_without_strict_only_names_are_passed_over():
    m = nn.Linear(2, 2)
    before = m.state_dict()
    bias = np.ones(2, np.float32)
    result = m.load_state_dict({"bias": bias, "more": bias}, strict=False)
    assert result.missing_keys == ["weight"]
    assert result.unexpected_keys == ["more"]
    assert m.bias.tolist() == [1, 1]
    assert np.array_equal(m.weight, before["weight"])
    with pytest.raises(StateDictError) as caught:
        m.load_state_dict({"bias": np.ones(3, np.float32)}, strict=False)
    assert str(caught.value) == (
        "load_state_dict: the state dict does not fit Linear; nothing was changed.\n"
        "  wrong shape: bias is (3,), expected (2,)"
    )


def test_a_prefix_on_every_name_is_pointed_out():
    m = nn.Linear(2, 2)
    state = m.state_dict()
    with pytest.raises(StateDictError) as caught:
        m.load_state_dict({f"module.{name}": array for name, array in state.items()})
    assert str(caught.value).endswith(
        "Every unexpected name is a missing one behind 'module.': remove it."
    )
    outer = nn.Module()
    outer.net = m
    with pytest.raises(StateDictError) as caught:
        outer.load_state_dict(state)
    assert str(caught.value).endswith(
        "Every missing name is an unexpected one behind 'net.': add it."
    )


def test_one_name_of_a_tied_parameter_is_enough():
    m, other = Tied(), Tied()
    state = other.state_dict()
    del state["encoder.weight"]
    m.load_state_dict(state)
    assert np.array_equal(m.encoder.weight, other.encoder.weight)


def test_a_tied_state_fits_a_module_whose_weights_are_apart():
    m, other = Tied(), Tied()
    other.decoder.weight = nn.Parameter(other.encoder.weight)
    other.load_state_dict(m.state_dict())
    assert other.decoder.weight is not other.encoder.weight
    assert np.array_equal(other.decoder.weight, m.encoder.weight)


def test_nan_in_both_names_of_a_tied_parameter_is_the_same():
    m = Tied()
    m.encoder.weight.assign_(np.full((3, 2), np.nan, np.float32))
    m.load_state_dict({name: array.copy() for name, array in m.state_dict().items()})


def test_a_state_dict_may_view_the_module_it_is_loaded_into():
    m = nn.Module()
    m.a, m.b = nn.Parameter([1.0, 2.0]), nn.Parameter([3.0, 4.0])
    m.load_state_dict({"a": m.b.detach(), "b": m.a.numpy()})
    assert m.a.tolist() == [3, 4]
    assert m.b.tolist() == [1, 2]


def test_a_state_dict_is_a_mapping():
    with pytest.raises(StateDictError) as caught:
        nn.Linear(1, 1).load_state_dict("weights.safetensors")
    assert str(caught.value) == (
        "load_state_dict: given a str, expected a mapping from names to arrays, such as another "
        "module's state_dict()."
    )


shapes = st.lists(st.lists(st.integers(0, 3), max_size=3).map(tuple), max_size=4)


@given(shapes, st.sampled_from(["float32", "float64"]))
def test_what_one_module_saves_another_of_its_kind_loads(sizes, dtype):
    def made(seed):
        draw = np.random.default_rng(seed)
        m = nn.Module()
        m.weights = [nn.Parameter(draw.standard_normal(shape).astype(dtype)) for shape in sizes]
        return m

    one, other = made(0), made(1)
    other.load_state_dict(one.state_dict())
    assert all(
        np.array_equal(p, q) and p.dtype == q.dtype
        for p, q in zip(one.parameters(), other.parameters(), strict=True)
    )


def test_the_names_of_pytorch_are_recognised():
    given = {"weight_ih_l0": np.ones((12, 2)), "bias_hh_l0_reverse": np.ones(12)}
    for module in (nn.LSTM(2, 3), nn.LSTMCell(2, 3)):
        with pytest.raises(StateDictError, match=r"are PyTorch's\. Its weights are \(out, in\)"):
            module.load_state_dict(given)
