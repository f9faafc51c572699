"""Windows come whole, in order and once, from the prediction log as from any table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.core.errors import DataError
from fieldcraft.project.folder import Folder
from fieldcraft.serving import windows
from fieldcraft.serving.windows import Span, Window
from tests.conftest import mixed_table

START = datetime(2026, 11, 26, 10, tzinfo=UTC)
LATER = START + timedelta(days=9)


@pytest.fixture(scope="module")
def bundle(finished_once: Path) -> Bundle:
    return load_bundle(Folder(finished_once / "project").bundle)


def write_part(folder: Path, at: datetime, numbers: range, model: str, step: float = 1.0) -> Path:
    """A part of a log, written at a time, of rows that came so many seconds apart before."""
    table = pl.DataFrame(
        {
            "time": [at - timedelta(seconds=step * (numbers.stop - i)) for i in numbers],
            "request": [f"r{i}" for i in numbers],
            "row": [0] * len(numbers),
            "model": [model] * len(numbers),
            "age": [float(i) for i in numbers],
            "said.prediction": ["yes"] * len(numbers),
        },
        schema_overrides={"time": pl.Datetime("us", "UTC")},
    )
    path = folder / f"{at:%Y-%m-%d}" / f"{at:%H%M%S}-77-{numbers.start}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    table.write_parquet(path)
    return path


def ages(found: list[tuple[Window, Any]]) -> list[list[float]]:
    return [
        window.values["age"].to_list() if "age" in window.values.columns else []
        for window, _ in found
    ]


def test_rows_of_a_log_are_cut_across_its_parts_and_read_once(
    tmp_path: Path, bundle: Bundle
) -> None:
    for number in range(4):
        at = START + timedelta(seconds=20 * number)
        write_part(tmp_path, at, range(10 * number, 10 * number + 10), bundle.model_id)
    assert windows.log_in(str(tmp_path), bundle.model_id) == tmp_path
    span = Span(rows=15)
    found = list(windows.windows(str(tmp_path), bundle, span, {}, LATER))
    assert ages(found) == [list(range(15)), list(range(15, 30))]
    assert found[0][0].said["prediction"].to_list() == ["yes"] * 15
    assert found[0][0].first == START - timedelta(seconds=10)
    again = list(windows.windows(str(tmp_path), bundle, span, found[0][1], LATER))
    assert ages(again) == [list(range(15, 30))]
    write_part(tmp_path, START + timedelta(days=1), range(40, 45), bundle.model_id)
    more = list(windows.windows(str(tmp_path), bundle, span, found[1][1], LATER))
    assert ages(more) == [list(range(30, 45))]


def test_the_log_of_a_model_is_found_among_those_of_others(tmp_path: Path, bundle: Bundle) -> None:
    write_part(tmp_path / "a", START, range(5), "another")
    assert windows.log_in(str(tmp_path), bundle.model_id) == tmp_path / "a"  # of an earlier version
    write_part(tmp_path / "b", START, range(5), bundle.model_id)
    assert windows.log_in(str(tmp_path), bundle.model_id) == tmp_path / "b"
    assert windows.log_in(str(tmp_path), "none of these") is None


def test_parts_that_may_not_all_be_there_yet_wait(tmp_path: Path, bundle: Bundle) -> None:
    write_part(tmp_path, START, range(10), bundle.model_id)
    span = Span(rows=5)
    assert list(windows.windows(str(tmp_path), bundle, span, {}, START)) == []
    later = START + timedelta(seconds=3)
    assert len(list(windows.windows(str(tmp_path), bundle, span, {}, later))) == 2


def test_rows_of_other_versions_are_left_out_and_counted(tmp_path: Path, bundle: Bundle) -> None:
    write_part(tmp_path, START + timedelta(seconds=20), range(4), "another")
    write_part(tmp_path, START + timedelta(seconds=40), range(4, 10), bundle.model_id)
    for span in (Span(rows=6), Span(every=3600.0)):
        found = [w for w, _ in windows.windows(str(tmp_path), bundle, span, {}, LATER) if w.rows]
        assert [(w.rows, w.others) for w in found] == [(6, 4)]


def test_windows_of_time_end_when_they_are_over_and_empty_ones_are_told(
    tmp_path: Path, bundle: Bundle
) -> None:
    for hour in (0, 1, 3):
        at = START + timedelta(hours=hour, minutes=30)
        write_part(tmp_path, at, range(10 * hour, 10 * hour + 10), bundle.model_id)
    span = Span(every=3600.0)
    now = START + timedelta(hours=4, seconds=5)  # the last hour may still be written
    found = list(windows.windows(str(tmp_path), bundle, span, {}, now))
    assert [window.rows for window, _ in found] == [10, 10, 0]
    assert [window.first for window, _ in found] == [START + timedelta(hours=h) for h in range(3)]
    rest = list(windows.windows(str(tmp_path), bundle, span, found[-1][1], LATER))
    assert [window.rows for window, _ in rest[:2]] == [10, 0]
    assert len(rest) < 9 * 24 + 2
    last = rest[-1][0].last
    assert last is not None
    assert last <= LATER


def test_a_gap_of_years_is_stepped_over(tmp_path: Path, bundle: Bundle) -> None:
    write_part(tmp_path, START, range(5), bundle.model_id)
    write_part(tmp_path, START + timedelta(days=800), range(5, 9), bundle.model_id)
    now = START + timedelta(days=800, hours=2)
    found = list(windows.windows(str(tmp_path), bundle, Span(every=3600.0), {}, now))
    assert [window.rows for window, _ in found if window.rows] == [5, 4]
    assert len(found) < 10


def test_of_very_many_rows_in_a_window_an_even_sample_is_held(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "MOST", 100)
    for number in range(10):
        at = START + timedelta(minutes=number + 1)
        write_part(tmp_path, at, range(50 * number, 50 * number + 50), bundle.model_id)
    write_part(tmp_path, START + timedelta(hours=2, minutes=3), range(9), bundle.model_id)
    found = list(windows.windows(str(tmp_path), bundle, Span(every=3600.0), {}, LATER))
    [first, _, third] = ages(found[:3])
    assert 50 < len(first) <= 100
    assert 200 < sum(first) / len(first) < 300
    assert len(third) == 9  # held whole again


def test_tables_are_cut_evenly_and_only_new_rows_are_read(tmp_path: Path, bundle: Bundle) -> None:
    path = tmp_path / "rows.csv"
    mixed_table(130).write_csv(path)
    found = list(windows.windows(str(path), bundle, Span(rows=40), {}, LATER))
    assert [window.rows for window, _ in found] == [44, 43, 43]
    assert found[0][0].said.height == 44
    expected = bundle.predict(mixed_table(130).cast(pl.String))["prediction"].to_list()
    assert [p for window, _ in found for p in window.said["prediction"]] == expected
    mark = found[-1][1]
    assert list(windows.windows(str(path), bundle, Span(rows=40), mark, LATER)) == []
    mixed_table(150).write_csv(path)
    assert [w.rows for w, _ in windows.windows(str(path), bundle, Span(40), mark, LATER)] == [20]
    mixed_table(60).write_csv(path)  # another file: from its start
    assert [w.rows for w, _ in windows.windows(str(path), bundle, Span(99), mark, LATER)] == [60]


def test_what_a_table_lacks_or_nobody_can_read_is_told(tmp_path: Path, bundle: Bundle) -> None:
    path = tmp_path / "rows.csv"
    mixed_table(20).drop("city").with_columns(age=pl.lit("old")).write_csv(path)
    [(window, _)] = windows.windows(str(path), bundle, Span(rows=40), {}, LATER)
    assert window.absent == ("city",)
    assert window.unread == {"age": 20}


def test_other_tables_have_no_times(tmp_path: Path, bundle: Bundle) -> None:
    mixed_table(20).write_csv(tmp_path / "rows.csv")
    assert windows.log_in(str(tmp_path), bundle.model_id) is None
    assert windows.log_in("nowhere", bundle.model_id) is None
    with pytest.raises(DataError, match="only the prediction log"):
        windows.windows(str(tmp_path / "rows.csv"), bundle, Span(every=60.0), {}, LATER)
