"""A small bundle, made without a project."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import fieldcraft as fc
from tests.conftest import mixed_table


@pytest.fixture(scope="session")
def packed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a linear model of the small table; not to be changed."""
    table = mixed_table()
    model = fc.Classifier("linear").fit(table.drop("bought"), table["bought"])
    path = tmp_path_factory.mktemp("packed") / "bundle"
    model.to_bundle(path)
    return path


@pytest.fixture
def bundle(packed_once: Path, tmp_path: Path) -> Path:
    """A copy of the small bundle, to do with as a test likes."""
    return Path(shutil.copytree(packed_once, tmp_path / "bundle"))
