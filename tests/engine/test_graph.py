"""tg.graph shows how a tensor was computed, with values and gradients, in text and as an image."""

import gc
import weakref
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.graph.layout import arrange


def example():
    a, b = tg.tensor(2.0, requires_grad=True), tg.tensor(1.0, requires_grad=True)
    return a, b, (a + b) * (b + 1)


def test_the_example_of_every_lecture():
    a, b, e = example()
    shown = tg.graph(e, a=a, b=b, e=e)
    assert str(shown) == repr(shown) == GOLDEN
    values = {item.name: (float(item.value), float(item.gradient)) for item in shown.items}
    assert values["a"][1] == 1 + 1  # b + 1
    assert values["b"][1] == 2 + 2 * 1 + 1  # a + 2b + 1
    assert a.grad is None


GOLDEN = """\
                 shape  value  gradient
a                -      2      2
b                -      1      5
v1 = add(a, b)   -      3      2
v2 = add(b, 1)   -      2      3
e = mul(v1, v2)  -      6      1"""


def test_what_has_no_name_gets_one():
    a, _, e = example()
    names = [item.name for item in tg.graph(e).items]
    assert names == ["leaf1", "leaf2", "v1", "v2", "v3"]
    assert [item.name for item in tg.graph(e, leaf2=a).items][:2] == ["leaf2", "leaf1"]


def test_modules_name_their_parameters_and_results_can_be_named():
    m, x = nn.Linear(2, 1), tg.tensor([[1.0, 2.0]])
    y = m(x)
    loss = (y * y).sum()
    shown = {item.name: item for item in tg.graph(loss, m, x=x, y=y, loss=loss).items}
    assert list(shown) == ["x", "weight", "bias", "y", "v1", "loss"]
    assert shown["y"].inputs == ("x", "weight", "bias")
    assert (shown["x"].op, shown["weight"].op, shown["y"].op) == ("constant", "leaf", "linear")
    assert shown["x"].value == "[[1, 2]]"
    assert shown["y"].shape == (1, 1)


def test_values_that_were_not_saved_are_computed_again():
    x = tg.tensor([1.0, 4.0], requires_grad=True)
    y = ((x + 1.0) - 3.0).sum() + 0.5
    assert [item.value for item in tg.graph(y).items] == ["[1, 4]", "[2, 5]", "[-1, 2]", "1", "1.5"]


def test_constants_that_share_memory_are_told_apart():
    c, w = tg.tensor([[1.0], [2.0]]), tg.tensor([[3.0]], requires_grad=True)
    y = c[0:1] @ w + c[1:2] @ w
    items = {item.name: item.value for item in tg.graph(y, c=c).items}
    assert items == {
        "const1": "[[1]]", "leaf1": "[[3]]", "v1": "[[3]]", "const2": "[[2]]", "v2": "[[6]]",
        "v3": "[[9]]",
    }  # fmt: skip


def test_large_values_are_left_out_and_shapes_stay():
    x = tg.zeros(3, 4, requires_grad=True)
    item = tg.graph(x.exp().sum()).items[1]
    assert (item.value, item.gradient, item.shape) == ("", "", (3, 4))
    assert "3×4" in str(tg.graph(x.exp().sum()))


def test_a_leaf_and_a_constant_are_graphs_too():
    assert str(tg.graph(tg.tensor(1.0, requires_grad=True))).splitlines()[1:] == [
        "leaf1  -      1      1"
    ]
    assert str(tg.graph(tg.tensor(1.0))).splitlines()[1:] == ["const1  -      1"]


def test_the_gradient_of_several_numbers_is_that_of_their_sum():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    assert tg.graph(x * x).items[0].gradient == "[2, 4]"


def test_several_outputs_of_one_operation():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    first, second = tg.checkpoint(lambda x: (x * 2, x * 3), x)
    shown = tg.graph((first * second).sum()).items
    assert [item.op for item in shown] == [
        "leaf", "checkpoint", "checkpoint[0]", "checkpoint[1]", "mul", "sum",
    ]  # fmt: skip
    assert shown[0].gradient == "[12, 24]"


def test_after_backward_it_says_why_less_is_known():
    a, b, e = example()
    e.backward()
    shown = str(tg.graph(e, a=a, b=b)).splitlines()
    assert shown[1].split() == ["a", "-", "2", "2"]
    assert shown[-1] == (
        "Gradients are those of earlier passes, on leaves: backward() has freed the graph; call "
        "tg.graph() before it, or pass retain_graph=True to it."
    )


def test_looking_calls_no_hook_and_leaves_the_graph_whole():
    a, _, e = example()
    seen = []
    h = e * 2
    h.register_hook(seen.append)
    h.retain_grad()
    str(tg.graph(h))
    assert not seen
    assert h.grad is None
    h.backward()
    assert a.grad.item() == 4


def test_a_snapshot_keeps_nothing_alive():
    _, _, e = example()
    node = weakref.ref(e._node)
    gc.disable()
    try:
        shown = tg.graph(e)
        del e
        assert node() is None
    finally:
        gc.enable()
    assert "mul" in str(shown)


def test_deep_graphs_are_cut_with_a_note():
    x = tg.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(10_000):
        y = y + x
    shown = tg.graph(y, limit=30)
    assert len(shown.items) == 32
    assert str(shown).splitlines()[1].split()[:3] == ["v1", "=", "..."]
    assert str(shown).splitlines()[-1] == ("9970 older operations are left out; limit= shows more.")
    assert "9970 older operations" in shown.svg()
    assert shown.items[1].gradient == "1e+04"  # of all uses of x
    whole = tg.graph(y, limit=20_000)
    assert len(whole.items) == 10_001


def test_the_image_is_well_formed_and_holds_every_box(tmp_path):
    a, b, e = example()
    shown = tg.graph(e, a=a, b=b, e=e)
    shown.save(tmp_path / "graph.svg")
    text = (tmp_path / "graph.svg").read_text(encoding="utf-8")
    assert text == shown.svg() == shown._repr_svg_()
    root = ET.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f".//{space}g/{space}rect")) == 5
    assert len(root.findall(f".//{space}g/{space}path")) == 5
    words = {t.text for t in root.iter(f"{space}text")}
    assert {"a", "b", "v1 = add", "v2 = add (1)", "e = mul", "gradient 5"} <= words


def test_names_are_escaped():
    x = tg.tensor(1.0, requires_grad=True)
    ET.fromstring(tg.graph(x * 2, **{"<&>": x}).svg())


def test_boxes_of_a_layer_do_not_overlap():
    rng = np.random.default_rng(0)
    for _ in range(20):
        count = int(rng.integers(2, 25))
        sizes = [(float(w), 30.0) for w in rng.uniform(20, 200, count)]
        edges = [(int(rng.integers(0, end)), end) for end in range(1, count) for _ in range(2)]
        drawing = arrange(sizes, sorted(set(edges)))
        for i, (x, y) in enumerate(drawing.centres):
            assert x - sizes[i][0] / 2 >= -1e-6
            assert x + sizes[i][0] / 2 <= drawing.width + 1e-6
            for j in range(i):
                u, v = drawing.centres[j]
                if v == y:
                    assert abs(x - u) >= (sizes[i][0] + sizes[j][0]) / 2
        for (start, end), points in zip(sorted(set(edges)), drawing.arrows, strict=True):
            heights = [v for _, v in points]
            assert heights == sorted(heights)
            assert drawing.centres[start][1] < drawing.centres[end][1]


def test_only_tensors_have_graphs():
    with pytest.raises(TypeError) as caught:
        tg.graph(3.0)
    assert str(caught.value) == (
        "graph(): got a float, expected a Tensor, whose graph is to be shown."
    )
