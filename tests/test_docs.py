"""What the documentation shows runs, prints what stands below it, and names all that there is."""

import contextlib
import io
import re
import textwrap
from pathlib import Path

import pytest

import tinygrad_rnn as tg
from tests.nn.cell_list import CELLS
from tinygrad_rnn import nn, ops
from tinygrad_rnn.kernels._twin import use_reference

ROOT = Path(__file__).resolve().parents[1]
RECURRENCES = (ROOT / "docs" / "recurrences.md").read_text()
BLOCK = re.compile(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", re.S)


RUN = [
    "recurrences.md",
    "options.md",
    "inspect.md",
    "layers.md",
    "training.md",
    "data.md",
    "interop.md",
    "fit.md",
    "keras.md",
    "pytorch.md",
    "language-models.md",
    "decoding.md",
    "translation.md",
    "captioning.md",
    "navigation.md",
    "motion.md",
    "sentiment.md",
    "questions.md",
    "memory.md",
]


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN)
def test_the_pages_run_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    for code, expected in BLOCK.findall((ROOT / "docs" / page).read_text()):
        printed = io.StringIO()
        with use_reference(), contextlib.redirect_stdout(printed):
            exec(compile(code, page, "exec"), names)
        if expected:
            assert printed.getvalue() == expected
        elif "loss" in code:
            first, last = re.findall(r"loss (\S+)", printed.getvalue())
            assert float(last) < 0.1 * float(first)


# A class in a page or a docstring: its line, and all that stands deeper.
CELL = re.compile(r"^( *)class (\w+)\(nn\.Cell\):.*\n(?:(?:\1 +.*)?\n)+", re.M)
PAGES = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *(ROOT / "tinygrad_rnn").rglob("*.py")]
SHOWN = {
    f"{path.name}:{found[2]}": textwrap.dedent(found[0])
    for path in PAGES
    for found in CELL.finditer(path.read_text())
}


def check_that_it_lives(cell):
    """From where it starts, a cell gives out numbers, and every weight has a gradient."""
    layer = nn.Recurrent(cell)
    with use_reference():
        if cell.input_size is None:
            y, _ = layer(steps=3, state=tg.randn(1, 2, cell.hidden_size))
        else:
            y, _ = layer(tg.randn(3, 2, cell.input_size))
        (y * tg.randn(*y.shape)).sum().backward()
    assert y.numpy().any()
    for name, weight in cell.named_parameters():
        assert weight.grad.numpy().any(), name


@pytest.mark.parametrize("place", SHOWN)
def test_every_cell_that_is_shown_is_fused_and_lives(place):
    names = {"nn": nn, "ops": ops}
    exec(SHOWN[place], names)
    cell = names[place.partition(":")[2]](3, 4)
    assert cell.plan == "fused"
    check_that_it_lives(cell)


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_of_the_library_lives(name):
    check_that_it_lives(CELLS[name][0](3, 4))


def test_cells_are_shown_in_pages_and_docstrings():
    assert {"README.md:MinimalGatedUnit", "recurrences.md:Leaky", "cell.py:Leaky"} <= set(SHOWN)


KINDS = [
    kind
    for kind in map(vars(nn).get, nn.__all__)
    if isinstance(kind, type) and issubclass(kind, nn.Cell) and kind is not nn.Cell
]


def test_the_readme_counts_the_cells():
    assert f"; {len(KINDS)} cells as their equations" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_gates_is_told(kind):
    assert f"`{kind.__name__}`" in RECURRENCES
    cell = kind(3) if kind.input is None else kind(3, 4)
    if any(shape.split()[-1] not in ("H", "I") for shape in cell.params.values()):
        assert "Gates: " in (kind.__doc__ or "")


def test_every_layer_stands_on_a_page():
    pages = "".join((ROOT / "docs" / name).read_text() for name in ("layers.md", "options.md"))
    pages += RECURRENCES
    for name in nn.__all__:
        kind = getattr(nn, name)
        if isinstance(kind, type) and kind not in (nn.Module, nn.Parameter):
            assert re.search(rf"\b{name}\b", pages), name


def test_weights_of_a_layer_have_the_names_and_shapes_of_the_page():
    layer = nn.LSTM(3, 4, 2, bidirectional=True)
    weight = layer.layers[1]["reverse"].w_x
    assert dict(layer.named_parameters())["layers.1.reverse.w_x"] is weight
    assert weight.shape == (8, 16)
