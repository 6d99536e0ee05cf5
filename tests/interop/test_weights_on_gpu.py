"""Weights of a module on a GPU go over to others and come back, as those of the CPU do."""

import copy

import pytest

import tinygrad_rnn as tg
from tests.devices import assert_alike
from tinygrad_rnn import interop, nn

LIBRARIES = {
    "torch": (interop.to_torch, interop.from_torch),
    "keras": (interop.to_keras, interop.from_keras),
    "onnx_gates": (interop.to_onnx_gates, interop.from_onnx_gates),
}


def model():
    tg.seed(1)
    return nn.GRU(3, 4, bidirectional=True)


def test_every_library_is_here():
    named = {name.split("_", 1)[1] for name in interop.__all__}
    assert named - {"onnx"} == set(LIBRARIES)  # export_onnx stands below


@pytest.mark.parametrize("library", LIBRARIES)
def test_there_and_back(on_gpu, library):
    away, back = LIBRARIES[library]
    here, there = model(), model().to("gpu")
    given = away(there)
    assert_alike(away(here), given)
    tg.seed(2)
    other = nn.GRU(3, 4, bidirectional=True).to("gpu")
    assert back(given, other) is other
    assert {p.device for p in other.parameters()} == {"gpu:0"}
    assert_alike(other.state_dict(), here.state_dict())


def test_export(on_gpu, tmp_path):
    pytest.importorskip("onnx")
    here = nn.Sequential(nn.Linear(3, 4), nn.Tanh()).eval()
    files = []
    for device in ("cpu", "gpu"):
        path = tmp_path / f"{device}.onnx"
        interop.export_onnx(copy.deepcopy(here).to(device), path, tg.ones(2, 3, device=device))
        files.append(path.read_bytes())
    assert files[0] == files[1]
