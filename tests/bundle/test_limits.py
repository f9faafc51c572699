"""What a bundle needs is measured; what breaks a limit of the project file is told."""

from __future__ import annotations

import subprocess
from pathlib import Path

import polars as pl
import pytest

from fieldcraft.bundle.limits import check_limits, latency, memory, size
from fieldcraft.project.settings import Deploy
from tests.conftest import mixed_table


@pytest.fixture(scope="module")
def bundle(finished_once: Path) -> Path:
    return finished_once / "project" / "bundle"


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return mixed_table(20, seed=4)


def test_limits_that_hold_are_measured_and_nothing_is_broken(
    bundle: Path, frame: pl.DataFrame
) -> None:
    found = check_limits(bundle, frame, Deploy(latency=60_000, size=1_000))
    assert found["broken"] == []
    assert found["latency"] > 0
    assert "memory" not in found  # measured only where it is limited: it takes a process


def test_every_broken_limit_is_told_with_what_is_allowed(bundle: Path, frame: pl.DataFrame) -> None:
    found = check_limits(bundle, frame, Deploy(latency=1e-6, size=1e-4, memory=1))
    assert [text.split(" is ")[0] for text in found["broken"]] == ["latency", "size", "memory"]
    assert found["broken"][0].endswith("ms a row, allowed 1e-06")
    assert found["broken"][2].endswith("MB, allowed 1")
    assert found["memory"] > 20  # Python with Polars alone takes more
    assert not (bundle.parent / "sample.parquet").exists()


def test_the_size_is_that_of_all_files(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a").write_bytes(b"x" * 1_500_000)
    (tmp_path / "deep" / "b").write_bytes(b"x" * 500_000)
    assert size(tmp_path) == 2.0


def test_one_row_is_enough_to_measure_speed(bundle: Path, frame: pl.DataFrame) -> None:
    assert latency(bundle, frame.head(1)) > 0


def test_a_bundle_that_cannot_predict_leaves_no_sample_behind(
    tmp_path: Path, frame: pl.DataFrame
) -> None:
    with pytest.raises(subprocess.CalledProcessError, match="non-zero exit status"):
        memory(tmp_path / "bundle", frame)
    assert list(tmp_path.iterdir()) == []
