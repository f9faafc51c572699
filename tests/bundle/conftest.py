"""A small bundle, made without a project."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def bundle(packed_once: Path, tmp_path: Path) -> Path:
    """A copy of the small bundle, to do with as a test likes."""
    return Path(shutil.copytree(packed_once, tmp_path / "bundle"))
