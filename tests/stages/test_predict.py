"""Predictions are aligned with the rows of the input file."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fieldcraft.bundle.runtime import load_bundle
from fieldcraft.core.errors import BundleError, DataError
from fieldcraft.core.types import Json
from fieldcraft.data.read import read_table
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages import _pipeline, _workflows
from fieldcraft.stages import predict as stage
from fieldcraft.stages.init import InitRequest as Start
from fieldcraft.stages.init import init
from fieldcraft.stages.predict import PredictRequest, predict
from tests.conftest import SMALL_MODEL, mixed_table, rent_table

READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    "csv": pl.read_csv,
    "parquet": pl.read_parquet,
    "jsonl": pl.read_ndjson,
}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    mixed_table(25, seed=8).write_csv(tmp_path / "rows.csv")
    return tmp_path / "rows.csv"


@pytest.mark.parametrize("name", ["out.csv", "deep/er/out.parquet"])
def test_output_files_hold_the_predictions_of_the_bundle(
    finished_project: ProjectFolder, rows: Path, tmp_path: Path, name: str
) -> None:
    result = predict(PredictRequest(finished_project.bundle_path, str(rows), tmp_path / name))
    read = pl.read_parquet if name.endswith("parquet") else pl.read_csv
    expected = load_bundle(finished_project.bundle_path).predict(pl.read_csv(rows))
    predictions = read(tmp_path / name)
    assert result["rows"] == 25
    assert predictions["prediction"].to_list() == expected["prediction"].to_list()
    assert predictions["probability_yes"].to_list() == pytest.approx(
        expected["probability_yes"].to_list(), abs=1e-9
    )


@pytest.fixture(scope="module")
def large_table_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of about twenty blocks of the smallest memory limit."""
    path = tmp_path_factory.mktemp("many") / "rows.csv"
    mixed_table(3_000, seed=9).write_csv(path)
    return path


def predict_in_small_blocks(bundle: Path, rows: Path, out: Path, **options: Any) -> Json:
    """Predict in blocks of about ten thousand bytes."""
    return predict(PredictRequest(bundle, str(rows), out, memory_mb=0.32, workers=2, **options))


@pytest.mark.parametrize("ending", READERS)
def test_blocks_make_the_same_predictions_in_order(
    linear_bundle: Path, large_table_path: Path, tmp_path: Path, ending: str
) -> None:
    shares: list[float] = []
    counts: list[int] = []

    def progress_calls(rows: int, share: float) -> None:
        counts.append(rows)
        shares.append(share)

    out = tmp_path / f"out.{ending}"
    result = predict_in_small_blocks(linear_bundle, large_table_path, out, on_rows=progress_calls)
    predictions = READERS[ending](out)
    expected = load_bundle(linear_bundle).predict(read_table(large_table_path).frame)
    assert predictions.columns == expected.columns
    assert predictions["prediction"].to_list() == expected["prediction"].to_list()
    assert predictions["probability_yes"].to_list() == pytest.approx(
        expected["probability_yes"].to_list(), abs=1e-6
    )
    assert result["rows"] == sum(counts) == 3_000
    assert len(shares) > 10
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_malformed_rows_are_rejected_and_identifiers_stay_aligned(
    ensemble_project: ProjectFolder, tmp_path: Path
) -> None:
    rows, malformed = tmp_path / "rows.csv", tmp_path / "odd.csv"
    rent_table(900, seed=4).drop("rent").write_csv(rows)
    lines = rows.read_text(encoding="utf-8").split("\n")
    lines[5:5] = ["one,cell"]
    lines[700:700] = ["=a,b,c,d,e,f,g,h,i,j,k,l,m,n"]
    malformed.write_text("\n".join(lines), encoding="utf-8")
    valid = predict_in_small_blocks(ensemble_project.bundle_path, rows, tmp_path / "sound.csv")
    result = predict_in_small_blocks(ensemble_project.bundle_path, malformed, tmp_path / "out.csv")
    assert (valid["rejected_rows"], result["rejected_rows"]) == (0, 2)
    assert result["rows"] == 900
    predictions = pl.read_csv(tmp_path / "out.csv")
    assert predictions["flat"].to_list() == [f"f4-{number}" for number in range(900)]
    assert predictions.equals(pl.read_csv(tmp_path / "sound.csv"))
    assert pl.read_csv(result["rejects_file"]).rows() == [
        ("", 6, "2 cells instead of 12", "one,cell"),
        ("", 701, "14 cells instead of 12", "'" + lines[700]),
    ]
    predict_in_small_blocks(ensemble_project.bundle_path, rows, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv.rejects.csv").exists()


def test_too_many_malformed_rows_are_an_error_without_data_loss(
    linear_bundle: Path, large_table_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    malformed, out = tmp_path / "odd.csv", tmp_path / "out.csv"
    malformed.write_text(
        large_table_path.read_text(encoding="utf-8") + "one,cell\n" * 45, encoding="utf-8"
    )
    out.write_text("old", encoding="utf-8")
    with pytest.raises(DataError, match=r"45 of 3,045 rows of odd\.csv cannot be read") as caught:
        predict_in_small_blocks(linear_bundle, malformed, out)
    assert "--max-rejected-fraction 0.01" in caught.value.detail
    assert "line 3002" in caught.value.detail
    assert out.read_text(encoding="utf-8") == "old"
    assert pl.read_csv(tmp_path / "out.csv.rejects.csv").height == 45
    monkeypatch.setattr(stage, "predict_block", None)  # all rows have been predicted
    assert (
        predict_in_small_blocks(linear_bundle, malformed, out, max_rejected_fraction=0.02)[
            "rejected_rows"
        ]
        == 45
    )


def test_a_file_of_malformed_rows_is_not_read_to_its_end(
    linear_bundle: Path, large_table_path: Path, tmp_path: Path
) -> None:
    head = large_table_path.read_text(encoding="utf-8").split("\n")[0]
    (tmp_path / "bad.csv").write_text(head + "\none,cell" * 50_000, encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read") as caught:
        predict_in_small_blocks(linear_bundle, tmp_path / "bad.csv", tmp_path / "out.csv")
    assert int(caught.value.what.split()[0].replace(",", "")) < 25_000


def test_an_empty_table_is_an_error(
    linear_bundle: Path, large_table_path: Path, tmp_path: Path
) -> None:
    head = large_table_path.read_text(encoding="utf-8").split("\n")[0]
    (tmp_path / "none.csv").write_text(f"{head}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"none\.csv has no rows"):
        predict_in_small_blocks(linear_bundle, tmp_path / "none.csv", tmp_path / "out.csv")


def test_a_killed_prediction_resumes_with_identical_output(
    linear_bundle: Path, large_table_path: Path, tmp_path: Path
) -> None:
    command = [
        sys.executable,
        "-m",
        "fieldcraft",
        "predict",
        str(linear_bundle),
        str(large_table_path),
    ]
    for ending in ("csv", "parquet"):
        reference_path, out = tmp_path / f"whole.{ending}", tmp_path / f"out.{ending}"
        predict_in_small_blocks(linear_bundle, large_table_path, reference_path)
        part_counts: set[int] = set()
        for min_parts in (1, 4, 9):
            killed = subprocess.Popen([*command, "-o", str(out), "--memory-mb", "0.32"])
            part_counts.add(kill_after(killed, tmp_path / f".out.{ending}.parts", min_parts))
            assert not out.exists()
        assert max(part_counts) >= 9
        result = predict(PredictRequest(linear_bundle, str(large_table_path), out, memory_mb=0.32))
        assert result["rows"] == 3_000
        assert out.read_bytes() == reference_path.read_bytes()
        assert not (tmp_path / f".out.{ending}.parts").exists()


def kill_after(process: subprocess.Popen[bytes], home: Path, min_parts: int) -> int:
    """Kill a process once there are so many parts; return how many there were."""
    until = time.monotonic() + 60
    while (n_parts := len(list(home.glob("*/*.part")))) < min_parts:
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.002)
    process.kill()
    process.wait()
    return n_parts


def test_parts_of_another_input_are_not_used(
    linear_bundle: Path, large_table_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, out = tmp_path / "rows.csv", tmp_path / "out.csv"
    rows.write_bytes(large_table_path.read_bytes())
    with monkeypatch.context() as patched:
        patched.setattr(
            stage, "check_rejects", lambda *given: 1 / 0
        )  # crash after all parts are written
        with pytest.raises(ZeroDivisionError):
            predict_in_small_blocks(linear_bundle, rows, out)
    lines = large_table_path.read_text(encoding="utf-8").split("\n")
    rows.write_text("\n".join([lines[0], *reversed(lines[1:3001]), ""]), encoding="utf-8")
    predict_in_small_blocks(linear_bundle, rows, out)
    predict_in_small_blocks(linear_bundle, large_table_path, tmp_path / "forward.csv")
    predictions = pl.read_csv(tmp_path / "forward.csv")["prediction"].to_list()
    assert pl.read_csv(out)["prediction"].to_list() == predictions[::-1]


def test_a_failed_prediction_leaves_the_old_output(
    finished_project: ProjectFolder, rows: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    out.write_text("old", encoding="utf-8")
    (finished_project.bundle_path / "profile.json").write_text("{}", encoding="utf-8")
    with pytest.raises(BundleError, match="profile"):
        predict(PredictRequest(finished_project.bundle_path, str(rows), out))
    assert out.read_text(encoding="utf-8") == "old"


def test_headerless_rows_are_read_with_the_training_names(tmp_path: Path) -> None:
    frame = mixed_table(120)
    frame.write_csv(tmp_path / "bare.csv", include_header=False)
    names = tuple(frame.columns)
    init(Start(tmp_path / "p", str(tmp_path / "bare.csv"), ("bought",), column_names=names))
    project = ProjectFolder(tmp_path / "p")
    from fieldcraft.project import project_file

    project_file.apply_edits(project.file_path, SMALL_MODEL)
    _workflows.run_project(project, _workflows.NullCallbacks())
    assert _pipeline.STEPS[-1].name == "package"
    with_target = predict(
        PredictRequest(project.bundle_path, str(tmp_path / "bare.csv"), tmp_path / "a.csv")
    )
    frame.drop("bought").write_csv(tmp_path / "new.csv", include_header=False)
    without = predict(
        PredictRequest(project.bundle_path, str(tmp_path / "new.csv"), tmp_path / "b.csv")
    )
    assert with_target["rows"] == without["rows"] == 120
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
