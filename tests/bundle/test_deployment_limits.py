"""What a bundle needs is measured; what breaks a limit of the project file is told."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from fieldcraft.bundle import deployment_limits
from fieldcraft.bundle.deployment_limits import (
    check_limits,
    measure_latency_ms,
    measure_peak_memory_mb,
    measure_size_mb,
)
from fieldcraft.project.settings import DeploySettings
from tests.conftest import mixed_table


@pytest.fixture(scope="module")
def bundle(linear_bundle: Path) -> Path:
    return linear_bundle


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return mixed_table(20, seed=4)


def test_limits_that_hold_are_measured_and_nothing_is_broken(
    bundle: Path, frame: pl.DataFrame
) -> None:
    found = check_limits(bundle, frame, DeploySettings(max_latency_ms=60_000, max_size_mb=1_000))
    assert found["broken"] == []
    assert found["latency"] > 0
    assert "memory" not in found  # measured only where it is limited: it takes a process


def test_every_broken_limit_is_told_with_what_is_allowed(bundle: Path, frame: pl.DataFrame) -> None:
    found = check_limits(
        bundle, frame, DeploySettings(max_latency_ms=1e-6, max_size_mb=1e-4, max_memory_mb=1)
    )
    assert [text.split(" is ")[0] for text in found["broken"]] == ["latency", "size", "memory"]
    assert found["broken"][0].endswith("ms a row, allowed 1e-06")
    assert found["broken"][2].endswith("MB, allowed 1")
    assert found["memory"] > 20  # Python with Polars alone takes more
    assert not (bundle.parent / "sample.parquet").exists()


def test_the_size_is_that_of_all_files(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a").write_bytes(b"x" * 1_500_000)
    (tmp_path / "deep" / "b").write_bytes(b"x" * 500_000)
    assert measure_size_mb(tmp_path) == 2.0


def test_a_limit_that_is_just_kept_is_not_broken(
    bundle: Path, frame: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, need in (("latency", 5.0), ("memory", 300.0)):
        monkeypatch.setattr(deployment_limits, name, lambda bundle, frame, need=need: need)
    assert (
        check_limits(bundle, frame, DeploySettings(max_latency_ms=5, max_memory_mb=300))["broken"]
        == []
    )
    found = check_limits(bundle, frame, DeploySettings(max_latency_ms=4.5, max_memory_mb=299))
    assert found["broken"] == [
        "latency is 5 ms a row, allowed 4.5", "memory is 300 MB, allowed 299"
    ]  # fmt: skip


def test_latency_is_the_median_over_thirty_calls_of_one_row(
    bundle: Path, frame: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[pl.DataFrame] = []
    now = [0.0]

    def predict(rows: pl.DataFrame) -> None:
        asked.append(rows)
        now[0] += 1e-3 * (len(asked) if len(asked) < 30 else 1e6)  # one call that hung

    monkeypatch.setattr(
        deployment_limits, "load_bundle", lambda path: SimpleNamespace(predict=predict)
    )
    monkeypatch.setattr(deployment_limits, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    assert measure_latency_ms(bundle, frame.head(7)) == pytest.approx(15.5)
    assert [rows.rows() for rows in asked] == [frame[i % 7].rows() for i in range(30)]


@pytest.mark.parametrize(("platform", "megabytes"), [("linux", 123.456), ("darwin", 0.123456)])
def test_memory_is_the_peak_that_the_system_states_in_its_own_unit(
    platform: str, megabytes: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heights: list[int] = []

    def run(command: list[str], **options: object) -> SimpleNamespace:
        heights.append(pl.read_parquet(command[-1]).height)
        return SimpleNamespace(stdout="123456\n")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(
        deployment_limits, "sys", SimpleNamespace(platform=platform, executable="python")
    )
    assert (
        measure_peak_memory_mb(tmp_path / "bundle", pl.DataFrame({"a": range(5_000)})) == megabytes
    )
    assert heights == [1_000]
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_that_cannot_predict_leaves_no_sample_behind(
    tmp_path: Path, frame: pl.DataFrame
) -> None:
    with pytest.raises(subprocess.CalledProcessError, match="non-zero exit status"):
        measure_peak_memory_mb(tmp_path / "bundle", frame)
    assert list(tmp_path.iterdir()) == []
