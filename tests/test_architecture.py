"""Imports point downwards, files stay readable, and the hot path calls no BLAS."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# What a part may import, by the first name below tinygrad_rnn. Everything may import errors.
BASE = {"kernels", "device", "modes", "random", "arguments"}
CORE = BASE | {"operators", "tensor", "engine", "primitive"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "kernels": {"kernels"},
    "device": {"kernels"},
    "modes": set(),
    "operators": {"device", "tensor"},
    "random": {"device", "arguments", "kernels"},
    "arguments": set(),
    "tensor": {"device", "modes", "operators", "engine", "arguments"},
    "engine": BASE | {"tensor", "engine"},
    "primitive": CORE,
    "creation": BASE | {"tensor"},
    "ops": CORE | {"ops"},
    "transforms": CORE | {"ops"},
    "graph": CORE,
    "debug": CORE,
    "nn": CORE | {"ops", "nn"},
    "inspect": CORE | {"ops", "nn", "inspect"},
    "optim": CORE | {"optim"},
    "losses": CORE | {"ops", "nn"},  # modules hold the weights of some
    "files": CORE | {"files"},
