"""The largest difference from PyTorch, Keras and onnxruntime over random configurations.

    python benchmarks/round_trips.py    (TINYGRAD_PEER_PYTHON=/path/to/python with all of them)

The packages are torch, keras, onnx and onnxruntime, and numba.

Nothing is timed. Weights go over and back as ``tests/interop/peers.py`` has it.
"""

import json
import os
import subprocess

from duel import HERE, peer_python
from table import show, table

COUNT = 300
PEERS = {
    "PyTorch, float64": ("torch_difference", "torch"),
    "Keras, float32": ("keras_difference", "keras"),
    "ONNX' recurrent nodes in onnxruntime, float32": ("onnx_difference", "onnxruntime"),
    "models by export_onnx, other sizes, float32": ("export_difference", "onnxruntime"),
}

SIDE = """
import importlib.metadata, json, sys, warnings
warnings.simplefilter("ignore")
import numpy as np
from tests.interop import peers
name, package, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
found = [getattr(peers, name)(np.random.default_rng(1000 + seed)) for seed in range(count)]
print(json.dumps([importlib.metadata.version(package), max(found)]))
"""


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md."""
    rows = []
    for label, (name, package) in PEERS.items():
        run = subprocess.run(
            [peer_python(), "-c", SIDE, name, package, str(COUNT)],
            env={**os.environ, "PYTHONPATH": str(HERE.parent)},
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        version, worst = json.loads(run.stdout.splitlines()[-1])
        rows.append(f"| {label} | {version} | {COUNT} | **{worst:.1e}** |")
    bar = (
        "Random layers, sizes, directions and options; random weights go from the peer into ours, "
        "then others of ours into the peer, and both run; models go one way. The largest "
        "difference of an output, over what is largest in the outputs, 1 at least. Ours runs line "
        "by line, not in kernels: weights are what is compared. Bar: 1e-6."
    )
    head = ["peer", "version", "configurations", "largest difference"]
    return {"Round trips": table(bar, head, rows)}


if __name__ == "__main__":
    show(sections())
