"""Predictions line up with the rows of the file they were made for."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from fieldcraft.bundle.runtime import load_bundle
from fieldcraft.core.errors import BundleError, DataError
from fieldcraft.project.folder import Folder
from fieldcraft.stages import _flow, _plan
from fieldcraft.stages.init import Request as Start
from fieldcraft.stages.init import init
from fieldcraft.stages.predict import Request, predict
from tests.conftest import SMALL_MODEL, mixed_table


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    mixed_table(25, seed=8).write_csv(tmp_path / "rows.csv")
    return tmp_path / "rows.csv"


@pytest.mark.parametrize("name", ["out.csv", "deep/er/out.parquet"])
def test_both_forms_hold_what_the_bundle_says(
    finished: Folder, rows: Path, tmp_path: Path, name: str
) -> None:
    result = predict(Request(finished.bundle, str(rows), tmp_path / name))
    read = pl.read_parquet if name.endswith("parquet") else pl.read_csv
    expected = load_bundle(finished.bundle).predict(pl.read_csv(rows))
    found = read(tmp_path / name)
    assert result["rows"] == 25
    assert found["prediction"].to_list() == expected["prediction"].to_list()
    assert found["probability_yes"].to_list() == pytest.approx(
        expected["probability_yes"].to_list(), abs=1e-9
    )


def test_an_unknown_ending_is_told(finished: Folder, rows: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot tell how to write"):
        predict(Request(finished.bundle, str(rows), tmp_path / "out.xlsx"))


def test_rows_that_would_not_line_up_are_refused(
    finished: Folder, rows: Path, tmp_path: Path
) -> None:
    rows.write_text(rows.read_text(encoding="utf-8") + "one,cell,more,,,,,,\n", encoding="utf-8")
    with pytest.raises(DataError, match="too few or too many cells"):
        predict(Request(finished.bundle, str(rows), tmp_path / "out.csv"))


def test_a_failed_prediction_leaves_the_old_output(
    finished: Folder, rows: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    out.write_text("old", encoding="utf-8")
    (finished.bundle / "profile.json").write_text("{}", encoding="utf-8")
    with pytest.raises(BundleError, match="profile"):
        predict(Request(finished.bundle, str(rows), out))
    assert out.read_text(encoding="utf-8") == "old"


def test_headerless_rows_are_read_with_the_training_names(tmp_path: Path) -> None:
    frame = mixed_table(120)
    frame.write_csv(tmp_path / "bare.csv", include_header=False)
    names = tuple(frame.columns)
    init(Start(tmp_path / "p", str(tmp_path / "bare.csv"), ("bought",), names=names))
    project = Folder(tmp_path / "p")
    from fieldcraft.project import file

    file.edit(project.file, SMALL_MODEL)
    _flow.run_project(project, _flow.Unwatched())
    assert _plan.STEPS[-1].name == "package"
    with_target = predict(Request(project.bundle, str(tmp_path / "bare.csv"), tmp_path / "a.csv"))
    frame.drop("bought").write_csv(tmp_path / "new.csv", include_header=False)
    without = predict(Request(project.bundle, str(tmp_path / "new.csv"), tmp_path / "b.csv"))
    assert with_target["rows"] == without["rows"] == 120
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
