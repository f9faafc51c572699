"""A copy of a small bundle."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def bundle(linear_bundle: Path, tmp_path: Path) -> Path:
    """A copy of the small bundle, which a test may change."""
    return Path(shutil.copytree(linear_bundle, tmp_path / "bundle"))
