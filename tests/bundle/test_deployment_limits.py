"""Latency, size and memory are measured; limits that are exceeded are reported."""

from __future__ import annotations

import subprocess
import sys
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


def test_nothing_is_exceeded_within_the_limits(bundle: Path, frame: pl.DataFrame) -> None:
    measured = check_limits(bundle, frame, DeploySettings(max_latency_ms=60_000, max_size_mb=1_000))
    assert measured["exceeded"] == []
    assert measured["latency_ms"] > 0
    assert "memory_mb" not in measured  # measured only where it is limited: it takes a process


def test_every_exceeded_limit_is_reported_with_the_allowed_value(
    bundle: Path, frame: pl.DataFrame
) -> None:
    measured = check_limits(
        bundle, frame, DeploySettings(max_latency_ms=1e-6, max_size_mb=1e-4, max_memory_mb=1)
    )
    assert [text.split(" is ")[0] for text in measured["exceeded"]] == ["latency", "size", "memory"]
    assert measured["exceeded"][0].endswith("ms per row, allowed 1e-06")
    assert measured["exceeded"][2].endswith("MB, allowed 1")
    assert measured["memory_mb"] > 20  # Python with Polars alone takes more
    assert not (bundle.parent / "sample.parquet").exists()


def test_the_size_is_that_of_all_files(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a").write_bytes(b"x" * 1_500_000)
    (tmp_path / "deep" / "b").write_bytes(b"x" * 500_000)
    assert measure_size_mb(tmp_path) == 2.0


def test_a_value_at_its_limit_does_not_exceed_it(
    bundle: Path, frame: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("measure_latency_ms", 5.0), ("measure_peak_memory_mb", 300.0)):
        monkeypatch.setattr(deployment_limits, name, lambda bundle, frame, value=value: value)
    assert (
        check_limits(bundle, frame, DeploySettings(max_latency_ms=5, max_memory_mb=300))["exceeded"]
        == []
    )
    measured = check_limits(bundle, frame, DeploySettings(max_latency_ms=4.5, max_memory_mb=299))
    assert measured["exceeded"] == [
        "latency is 5 ms per row, allowed 4.5", "memory is 300 MB, allowed 299"
    ]  # fmt: skip


def test_latency_is_the_median_over_thirty_calls_of_one_row(
    bundle: Path, frame: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicted_rows: list[pl.DataFrame] = []
    now = [0.0]

    def predict(rows: pl.DataFrame) -> None:
        predicted_rows.append(rows)
        now[0] += 1e-3 * (
            len(predicted_rows) if len(predicted_rows) < 30 else 1e6
        )  # one call that hung

    monkeypatch.setattr(
        deployment_limits, "load_bundle", lambda path: SimpleNamespace(predict=predict)
    )
    monkeypatch.setattr(deployment_limits, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    assert measure_latency_ms(bundle, frame.head(7)) == pytest.approx(15.5)
    assert [rows.rows() for rows in predicted_rows] == [frame[i % 7].rows() for i in range(30)]


def test_peak_memory_is_that_of_a_process_that_predicts_a_thousand_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heights: list[int] = []

    def run(command: list[str], **options: object) -> SimpleNamespace:
        heights.append(pl.read_parquet(command[-1]).height)
        return SimpleNamespace(stdout="123456000\n")

    monkeypatch.setattr(subprocess, "run", run)
    frame = pl.DataFrame({"a": range(5_000)})
    assert measure_peak_memory_mb(tmp_path / "bundle", frame) == 123.456
    assert heights == [1_000]
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_that_cannot_predict_leaves_no_sample_behind(
    tmp_path: Path, frame: pl.DataFrame
) -> None:
    with pytest.raises(subprocess.CalledProcessError, match="non-zero exit status"):
        measure_peak_memory_mb(tmp_path / "bundle", frame)
    assert list(tmp_path.iterdir()) == []


def test_the_script_prints_the_peak_in_bytes() -> None:
    """A megabyte more in the process is a megabyte more in the measurement, not a thousandth."""
    end = deployment_limits.MEMORY_SCRIPT.split("predict(pl.read_parquet(sys.argv[2]))")[1]
    peaks = []
    for megabytes in (1, 201):
        script = f"import sys\nfilled = b'x' * {megabytes * 10**6}\n{end}"
        command = [sys.executable, "-c", script]
        peaks.append(int(subprocess.run(command, capture_output=True, check=True).stdout))
    assert peaks[1] - peaks[0] == pytest.approx(200e6, rel=0.05)
