"""What tests of image files begin with."""

import pytest


@pytest.fixture
def pillow():
    return pytest.importorskip("PIL.Image", reason="pillow is not installed")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path
