"""Predictions line up with the rows of the file they were made for."""

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
from fieldcraft.contracts import Json
from fieldcraft.core.errors import BundleError, DataError
from fieldcraft.data.read import read_table
from fieldcraft.project.folder import Folder
from fieldcraft.stages import _flow, _plan
from fieldcraft.stages import predict as stage
from fieldcraft.stages.init import Request as Start
from fieldcraft.stages.init import init
from fieldcraft.stages.predict import Request, predict
from tests.conftest import SMALL_MODEL, mixed_table, rent_table

READ: dict[str, Callable[[Path], pl.DataFrame]] = {
    "csv": pl.read_csv,
    "parquet": pl.read_parquet,
    "jsonl": pl.read_ndjson,
}


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


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows enough for some twenty blocks of the least memory."""
    path = tmp_path_factory.mktemp("many") / "rows.csv"
    mixed_table(3_000, seed=9).write_csv(path)
    return path


def small(bundle: Path, rows: Path, out: Path, **options: Any) -> Json:
    """Predict in blocks of about ten thousand bytes."""
    return predict(Request(bundle, str(rows), out, memory=0.32, workers=2, **options))


@pytest.mark.parametrize("ending", READ)
def test_blocks_make_the_same_predictions_in_order(
    packed_once: Path, many: Path, tmp_path: Path, ending: str
) -> None:
    shares: list[float] = []
    counts: list[int] = []

    def told(rows: int, share: float) -> None:
        counts.append(rows)
        shares.append(share)

    out = tmp_path / f"out.{ending}"
    result = small(packed_once, many, out, told=told)
    found = READ[ending](out)
    expected = load_bundle(packed_once).predict(read_table(many).frame)
    assert found.columns == expected.columns
    assert found["prediction"].to_list() == expected["prediction"].to_list()
    assert found["probability_yes"].to_list() == pytest.approx(
        expected["probability_yes"].to_list(), abs=1e-6
    )
    assert result["rows"] == sum(counts) == 3_000
    assert len(shares) > 10
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_rows_that_do_not_fit_are_set_aside_and_ids_stay_with_their_rows(
    blended: Folder, tmp_path: Path
) -> None:
    rows, odd = tmp_path / "rows.csv", tmp_path / "odd.csv"
    rent_table(900, seed=4).drop("rent").write_csv(rows)
    lines = rows.read_text(encoding="utf-8").split("\n")
    lines[5:5] = ["one,cell"]
    lines[700:700] = ["=a,b,c,d,e,f,g,h,i,j,k,l,m,n"]
    odd.write_text("\n".join(lines), encoding="utf-8")
    sound = small(blended.bundle, rows, tmp_path / "sound.csv")
    result = small(blended.bundle, odd, tmp_path / "out.csv")
    assert (sound["set_aside"], result["set_aside"]) == (0, 2)
    assert result["rows"] == 900
    found = pl.read_csv(tmp_path / "out.csv")
    assert found["flat"].to_list() == [f"f4-{number}" for number in range(900)]
    assert found.equals(pl.read_csv(tmp_path / "sound.csv"))
    assert pl.read_csv(result["rejects"]).rows() == [
        ("", 6, "2 cells in place of 12", "one,cell"),
        ("", 701, "14 cells in place of 12", "'" + lines[700]),
    ]
    small(blended.bundle, rows, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv.rejects.csv").exists()


def test_too_many_odd_rows_stop_the_job_and_nothing_is_lost(
    packed_once: Path, many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, out = tmp_path / "odd.csv", tmp_path / "out.csv"
    odd.write_text(many.read_text(encoding="utf-8") + "one,cell\n" * 45, encoding="utf-8")
    out.write_text("old", encoding="utf-8")
    with pytest.raises(DataError, match=r"45 of 3,045 rows of odd\.csv cannot be read") as caught:
        small(packed_once, odd, out)
    assert "1.00%" in caught.value.seen
    assert "line 3002" in caught.value.seen
    assert out.read_text(encoding="utf-8") == "old"
    assert pl.read_csv(tmp_path / "out.csv.rejects.csv").height == 45
    monkeypatch.setattr(stage, "score", None)  # all rows are predicted already
    assert small(packed_once, odd, out, set_aside=0.02)["set_aside"] == 45


def test_a_file_of_odd_rows_is_not_read_to_its_end(
    packed_once: Path, many: Path, tmp_path: Path
) -> None:
    head = many.read_text(encoding="utf-8").split("\n")[0]
    (tmp_path / "bad.csv").write_text(head + "\none,cell" * 50_000, encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read") as caught:
        small(packed_once, tmp_path / "bad.csv", tmp_path / "out.csv")
    assert int(caught.value.what.split()[0].replace(",", "")) < 25_000


def test_an_empty_table_is_told(packed_once: Path, many: Path, tmp_path: Path) -> None:
    head = many.read_text(encoding="utf-8").split("\n")[0]
    (tmp_path / "none.csv").write_text(f"{head}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"none\.csv holds no rows"):
        small(packed_once, tmp_path / "none.csv", tmp_path / "out.csv")


def test_killed_at_any_moment_and_started_again_the_bytes_are_the_same(
    packed_once: Path, many: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "fieldcraft", "predict", str(packed_once), str(many)]
    for ending in ("csv", "parquet"):
        whole, out = tmp_path / f"whole.{ending}", tmp_path / f"out.{ending}"
        small(packed_once, many, whole)
        seen: set[int] = set()
        for least in (1, 4, 9):
            killed = subprocess.Popen([*command, "-o", str(out), "--memory", "0.32"])
            seen.add(kill_after(killed, tmp_path / f".out.{ending}.parts", least))
            assert not out.exists()
        assert max(seen) >= 9
        result = predict(Request(packed_once, str(many), out, memory=0.32))
        assert result["rows"] == 3_000
        assert out.read_bytes() == whole.read_bytes()
        assert not (tmp_path / f".out.{ending}.parts").exists()


def kill_after(process: subprocess.Popen[bytes], home: Path, least: int) -> int:
    """Kill a process once so many parts are there; how many there were."""
    until = time.monotonic() + 60
    while (found := len(list(home.glob("*/*.part")))) < least:
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.002)
    process.kill()
    process.wait()
    return found


def test_parts_of_another_input_are_not_used(
    packed_once: Path, many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, out = tmp_path / "rows.csv", tmp_path / "out.csv"
    rows.write_bytes(many.read_bytes())
    with monkeypatch.context() as patched:
        patched.setattr(stage, "judge", lambda *given: 1 / 0)  # all parts are there, then it ends
        with pytest.raises(ZeroDivisionError):
            small(packed_once, rows, out)
    lines = many.read_text(encoding="utf-8").split("\n")
    rows.write_text("\n".join([lines[0], *reversed(lines[1:3001]), ""]), encoding="utf-8")
    small(packed_once, rows, out)
    small(packed_once, many, tmp_path / "forward.csv")
    there = pl.read_csv(tmp_path / "forward.csv")["prediction"].to_list()
    assert pl.read_csv(out)["prediction"].to_list() == there[::-1]


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
