"""Weights from and to PyTorch, Keras and ONNX, and models for ONNX, with none of them installed.

Arrays go in and come out, by name; ``export_onnx`` alone needs a package, ``onnx``.
"""

from tinygrad_rnn.interop.keras import from_keras, to_keras
from tinygrad_rnn.interop.onnx_export import export_onnx
from tinygrad_rnn.interop.onnx_gates import from_onnx_gates, to_onnx_gates
from tinygrad_rnn.interop.pytorch import from_torch, to_torch

__all__ = [
    "export_onnx", "from_keras", "from_onnx_gates", "from_torch", "to_keras", "to_onnx_gates",
    "to_torch",
]  # fmt: skip
