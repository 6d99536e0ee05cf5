"""Recurrent networks on a small autograd engine: a cell is its equations, and every cell is fused."""

__version__ = "0.1.0"
