"""Windows come complete, in order and once, from the prediction log or a table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.core.errors import DataError
from fieldcraft.monitoring import windows
from fieldcraft.monitoring.windows import MonitoringWindow, WindowSpec
from fieldcraft.project.folder import ProjectFolder
from tests.conftest import mixed_table

START = datetime(2026, 11, 26, 10, tzinfo=UTC)
LATER = START + timedelta(days=9)


@pytest.fixture(scope="module")
def bundle(finished_project_folder: Path) -> Bundle:
    return load_bundle(ProjectFolder(finished_project_folder / "project").bundle_path)


def write_part(folder: Path, at: datetime, numbers: range, model: str, step: float = 1.0) -> Path:
    """Write a file of a log at a time, with rows that arrived `step` seconds apart before it."""
    table = pl.DataFrame(
        {
            "time": [at - timedelta(seconds=step * (numbers.stop - i)) for i in numbers],
            "request_id": [f"r{i}" for i in numbers],
            "row": [0] * len(numbers),
            "model_id": [model] * len(numbers),
            "input.age": [float(i) for i in numbers],
            "output.prediction": ["yes"] * len(numbers),
        },
        schema_overrides={"time": pl.Datetime("us", "UTC")},
    )
    path = folder / f"{at:%Y-%m-%d}" / f"{at:%H%M%S}-77-{numbers.start}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    table.write_parquet(path)
    return path


def ages_of(windows_with_positions: list[tuple[MonitoringWindow, Any]]) -> list[list[float]]:
    return [
        window.values["age"].to_list() if "age" in window.values.columns else []
        for window, _ in windows_with_positions
    ]


def test_windows_span_the_files_of_a_log_and_are_read_once(tmp_path: Path, bundle: Bundle) -> None:
    for number in range(4):
        at = START + timedelta(seconds=20 * number)
        write_part(tmp_path, at, range(10 * number, 10 * number + 10), bundle.model_id)
    assert windows.find_prediction_log(str(tmp_path), bundle.model_id) == tmp_path
    span = WindowSpec(rows=15)
    first_windows = list(windows.iter_windows(str(tmp_path), bundle, span, {}, LATER))
    assert ages_of(first_windows) == [list(range(15)), list(range(15, 30))]
    assert first_windows[0][0].outputs["prediction"].to_list() == ["yes"] * 15
    assert first_windows[0][0].start == START - timedelta(seconds=10)
    again = list(windows.iter_windows(str(tmp_path), bundle, span, first_windows[0][1], LATER))
    assert ages_of(again) == [list(range(15, 30))]
    write_part(tmp_path, START + timedelta(days=1), range(40, 45), bundle.model_id)
    more = list(windows.iter_windows(str(tmp_path), bundle, span, first_windows[1][1], LATER))
    assert ages_of(more) == [list(range(30, 45))]


def test_the_log_of_a_model_is_found_among_those_of_others(tmp_path: Path, bundle: Bundle) -> None:
    write_part(tmp_path / "a", START, range(5), "another")
    assert (
        windows.find_prediction_log(str(tmp_path), bundle.model_id) == tmp_path / "a"
    )  # of an earlier version
    write_part(tmp_path / "b", START, range(5), bundle.model_id)
    assert windows.find_prediction_log(str(tmp_path), bundle.model_id) == tmp_path / "b"
    assert windows.find_prediction_log(str(tmp_path), "none of these") is None


def test_recently_written_files_are_not_read_yet(tmp_path: Path, bundle: Bundle) -> None:
    write_part(tmp_path, START, range(10), bundle.model_id)
    span = WindowSpec(rows=5)
    assert list(windows.iter_windows(str(tmp_path), bundle, span, {}, START)) == []
    later = START + timedelta(seconds=3)
    assert len(list(windows.iter_windows(str(tmp_path), bundle, span, {}, later))) == 2


def test_rows_of_other_versions_are_left_out_and_counted(tmp_path: Path, bundle: Bundle) -> None:
    write_part(tmp_path, START + timedelta(seconds=20), range(4), "another")
    write_part(tmp_path, START + timedelta(seconds=40), range(4, 10), bundle.model_id)
    for span in (WindowSpec(rows=6), WindowSpec(window_seconds=3600.0)):
        full_windows = [
            w for w, _ in windows.iter_windows(str(tmp_path), bundle, span, {}, LATER) if w.n_rows
        ]
        assert [(w.n_rows, w.n_other_model_rows) for w in full_windows] == [(6, 4)]


def test_time_windows_are_complete_and_may_be_empty(tmp_path: Path, bundle: Bundle) -> None:
    for hour in (0, 1, 3):
        at = START + timedelta(hours=hour, minutes=30)
        write_part(tmp_path, at, range(10 * hour, 10 * hour + 10), bundle.model_id)
    span = WindowSpec(window_seconds=3600.0)
    now = START + timedelta(hours=4, seconds=5)  # the last hour may still be written
    first_windows = list(windows.iter_windows(str(tmp_path), bundle, span, {}, now))
    assert [window.n_rows for window, _ in first_windows] == [10, 10, 0]
    assert [window.start for window, _ in first_windows] == [
        START + timedelta(hours=h) for h in range(3)
    ]
    rest = list(windows.iter_windows(str(tmp_path), bundle, span, first_windows[-1][1], LATER))
    assert [window.n_rows for window, _ in rest[:2]] == [10, 0]
    assert len(rest) < 9 * 24 + 2
    last = rest[-1][0].end
    assert last is not None
    assert last <= LATER


def test_a_gap_of_years_is_skipped(tmp_path: Path, bundle: Bundle) -> None:
    write_part(tmp_path, START, range(5), bundle.model_id)
    write_part(tmp_path, START + timedelta(days=800), range(5, 9), bundle.model_id)
    now = START + timedelta(days=800, hours=2)
    all_windows = list(
        windows.iter_windows(str(tmp_path), bundle, WindowSpec(window_seconds=3600.0), {}, now)
    )
    assert [window.n_rows for window, _ in all_windows if window.n_rows] == [5, 4]
    assert len(all_windows) < 10


def test_large_windows_are_sampled_evenly(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "MAX_BUFFERED_ROWS", 100)
    for number in range(10):
        at = START + timedelta(minutes=number + 1)
        write_part(tmp_path, at, range(50 * number, 50 * number + 50), bundle.model_id)
    write_part(tmp_path, START + timedelta(hours=2, minutes=3), range(9), bundle.model_id)
    all_windows = list(
        windows.iter_windows(str(tmp_path), bundle, WindowSpec(window_seconds=3600.0), {}, LATER)
    )
    [first, _, third] = ages_of(all_windows[:3])
    assert 50 < len(first) <= 100
    assert 200 < sum(first) / len(first) < 300
    assert len(third) == 9  # complete again


def test_tables_are_cut_evenly_and_only_new_rows_are_read(tmp_path: Path, bundle: Bundle) -> None:
    path = tmp_path / "rows.csv"
    mixed_table(130).write_csv(path)
    all_windows = list(windows.iter_windows(str(path), bundle, WindowSpec(rows=40), {}, LATER))
    assert [window.n_rows for window, _ in all_windows] == [44, 43, 43]
    assert all_windows[0][0].outputs.height == 44
    expected = bundle.predict(mixed_table(130).cast(pl.String))["prediction"].to_list()
    assert [p for window, _ in all_windows for p in window.outputs["prediction"]] == expected
    position = all_windows[-1][1]
    assert list(windows.iter_windows(str(path), bundle, WindowSpec(rows=40), position, LATER)) == []
    mixed_table(150).write_csv(path)
    assert [
        w.n_rows
        for w, _ in windows.iter_windows(str(path), bundle, WindowSpec(40), position, LATER)
    ] == [20]
    mixed_table(150).write_csv(tmp_path / "other.csv")
    other = windows.iter_windows(
        str(tmp_path / "other.csv"), bundle, WindowSpec(150), position, LATER
    )
    assert [w.n_rows for w, _ in other] == [150]  # the position is of another source
    mixed_table(60).write_csv(path)  # another file: from its start
    assert [
        w.n_rows
        for w, _ in windows.iter_windows(str(path), bundle, WindowSpec(99), position, LATER)
    ] == [60]


def test_missing_columns_and_unparseable_cells_of_a_table_are_counted(
    tmp_path: Path, bundle: Bundle
) -> None:
    path = tmp_path / "rows.csv"
    mixed_table(20).drop("city").with_columns(age=pl.lit("old")).write_csv(path)
    [(window, _)] = windows.iter_windows(str(path), bundle, WindowSpec(rows=40), {}, LATER)
    assert window.missing_columns == ("city",)
    assert window.n_unparseable == {"age": 20}


def test_other_tables_cannot_be_cut_by_time(tmp_path: Path, bundle: Bundle) -> None:
    mixed_table(20).write_csv(tmp_path / "rows.csv")
    assert windows.find_prediction_log(str(tmp_path), bundle.model_id) is None
    assert windows.find_prediction_log("nowhere", bundle.model_id) is None
    with pytest.raises(DataError, match="only the prediction log"):
        windows.iter_windows(
            str(tmp_path / "rows.csv"), bundle, WindowSpec(window_seconds=60.0), {}, LATER
        )


def test_a_part_is_read_when_its_name_is_two_seconds_old(tmp_path: Path, bundle: Bundle) -> None:
    write_part(tmp_path, START, range(4), bundle.model_id)
    write_part(tmp_path, START + timedelta(seconds=1), range(4, 8), bundle.model_id)

    def count(seconds: float) -> int:
        now = START + timedelta(seconds=seconds)
        return len(list(windows.iter_windows(str(tmp_path), bundle, WindowSpec(rows=4), {}, now)))

    assert [count(seconds) for seconds in (1.999, 2.0, 2.999, 3.0)] == [0, 1, 1, 2]


def test_a_time_window_includes_its_start_and_excludes_its_end(
    tmp_path: Path, bundle: Bundle
) -> None:
    edge = START + timedelta(minutes=1)
    write_part(tmp_path, edge, range(2), bundle.model_id, step=30.0)  # at 0 and 30 seconds
    write_part(tmp_path, edge + timedelta(minutes=1), range(2, 4), bundle.model_id, step=30.0)
    write_part(tmp_path, edge + timedelta(minutes=9), range(4, 5), bundle.model_id, step=60.0)
    span = WindowSpec(window_seconds=60.0)
    first_windows = list(windows.iter_windows(str(tmp_path), bundle, span, {}, LATER))[:2]
    assert ages_of(first_windows) == [[0, 1], [2, 3]]
    assert [(w.start, w.end, position) for w, position in first_windows] == [
        (START, edge, {"until": edge.timestamp()}),
        (edge, edge + timedelta(minutes=1), {"until": edge.timestamp() + 60}),
    ]
    late = timedelta(seconds=windows.MAX_ROW_DELAY_SECONDS)

    def count(now: datetime) -> int:
        return len(list(windows.iter_windows(str(tmp_path), bundle, span, {}, now)))

    assert count(edge + late - timedelta(seconds=1)) == 0  # rows of the minute may still arrive
    assert count(edge + late) == 1


def test_late_rows_of_a_finished_window_are_ignored(tmp_path: Path, bundle: Bundle) -> None:
    write_part(tmp_path, START + timedelta(seconds=30), range(3), bundle.model_id)
    span, edge = WindowSpec(window_seconds=60.0), START + timedelta(seconds=60)
    now = edge + timedelta(seconds=windows.MAX_ROW_DELAY_SECONDS)
    [(window, position)] = windows.iter_windows(str(tmp_path), bundle, span, {}, now)
    assert (window.n_rows, position) == (3, {"until": edge.timestamp()})
    write_part(tmp_path, now, range(3, 5), bundle.model_id, step=40.0)  # one late, one in time
    later = now + timedelta(seconds=60)
    [(window, _)] = windows.iter_windows(str(tmp_path), bundle, span, position, later)
    assert (window.values["age"].to_list(), window.n_rows) == ([], 0)
    assert list(windows.iter_windows(str(tmp_path), bundle, span, position, now)) == []


def test_short_gaps_are_empty_windows_and_long_ones_are_skipped() -> None:
    assert windows.skip_empty_windows(1_000 * 60.0, 0.0, 60.0) == 0.0
    assert windows.skip_empty_windows(1_001 * 60.0, 0.0, 60.0) == 1_000 * 60.0
    assert windows.skip_empty_windows(5_000.5 * 60.0, 60.0, 60.0) == 60.0 + 4_998 * 60.0


def test_the_log_whose_newest_part_is_of_the_model_is_its_log(
    tmp_path: Path, bundle: Bundle
) -> None:
    for folder, models in {"a": (bundle.model_id, "b"), "b": ("b", bundle.model_id)}.items():
        for hour, model in enumerate(models):
            at = START + timedelta(hours=hour)
            write_part(tmp_path / folder, at, range(3), model)
    (tmp_path / "c" / "2026-11-26").mkdir(parents=True)
    mixed_table(3).write_parquet(tmp_path / "c" / "2026-11-26" / "1.parquet")  # no log
    assert windows.find_prediction_log(str(tmp_path), bundle.model_id) == tmp_path / "b"
    assert windows.find_prediction_log(str(tmp_path / "a"), bundle.model_id) == tmp_path / "a"
    assert windows.find_prediction_log(str(tmp_path / "c"), bundle.model_id) is None


def test_a_locked_folder_cannot_be_locked_again(tmp_path: Path) -> None:
    with (
        windows.lock_monitoring_folder(tmp_path),
        pytest.raises(DataError, match="another monitor or feedback run"),
    ):
        windows.lock_monitoring_folder(tmp_path).__enter__()
    with windows.lock_monitoring_folder(tmp_path):  # free again
        pass


def test_rows_of_other_versions_count_for_the_window_that_they_fall_in(
    tmp_path: Path, bundle: Bundle
) -> None:
    model_id = bundle.model_id
    for number, (model, count) in enumerate(
        [("a", 2), (model_id, 3), ("a", 1), (model_id, 5), ("a", 4)]
    ):
        write_part(tmp_path, START + timedelta(seconds=9 * number), range(count), model)
    all_windows = windows.iter_windows(str(tmp_path), bundle, WindowSpec(rows=4), {}, LATER)
    assert [(w.n_rows, w.n_other_model_rows) for w, _ in all_windows] == [(4, 3), (4, 0)]


def test_a_row_on_the_edge_of_two_windows_is_in_the_later_one(
    tmp_path: Path, bundle: Bundle
) -> None:
    edge = START + timedelta(minutes=1)
    write_part(tmp_path, edge + timedelta(seconds=1), range(2), bundle.model_id)
    now = edge + timedelta(minutes=2)
    all_windows = list(
        windows.iter_windows(str(tmp_path), bundle, WindowSpec(window_seconds=60.0), {}, now)
    )
    assert ages_of(all_windows) == [[0.0], [1.0]]
