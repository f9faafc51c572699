"""Parts of a log have one name, sort by their time, and keep features and outputs apart."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcraft.data import prediction_log
from fieldcraft.data.prediction_log import (
    INPUT_PREFIX,
    LOG_COLUMNS,
    OUTPUT_PREFIX,
    add_prefix,
    first_part_name,
    is_prediction_log,
    list_parts,
    part_name,
    part_path,
    part_time,
    select_inputs,
    select_outputs,
)

NOON = datetime(2026, 11, 28, 12, 0, 1, tzinfo=UTC)


def test_a_part_is_named_after_its_time_its_writer_and_its_number(tmp_path: Path) -> None:
    path = part_path(tmp_path, NOON, "77-3f2a1c", 5)
    assert path == tmp_path / "2026-11-28" / "120001-77-3f2a1c-5.parquet"
    assert part_time(path) == NOON
    assert part_name(path) == "2026-11-28/120001-77-3f2a1c-5.parquet"


def test_parts_are_listed_in_the_order_of_their_names_from_a_name_on(tmp_path: Path) -> None:
    names = [
        "2026-11-26/235959-1-0", "2026-11-27/000001-1-1", "2026-11-27/000001-2-0", "2026-11-28/1-1",
    ]  # fmt: skip
    for name in reversed([*names, "2026-11-27/.000002-1-2.parquet.tmp", "2026-11-27/notes"]):
        path = tmp_path / (name if "." in name.rpartition("/")[2] else f"{name}.parquet")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "feedback.parquet").write_bytes(b"")
    assert [part_name(path).removesuffix(".parquet") for path in list_parts(tmp_path)] == names
    for number, name in enumerate(names):
        parts = list(list_parts(tmp_path, f"{name}.parquet"))
        assert [part_name(path) for path in parts] == [f"{n}.parquet" for n in names[number:]]
    times = [part_time(path) for path in list_parts(tmp_path)]
    assert times[0] == datetime(2026, 11, 26, 23, 59, 59, tzinfo=UTC)
    assert times[-1] == prediction_log.UNKNOWN_PART_TIME  # not our name: never settled
    assert first_part_name(times[1].timestamp()) == "2026-11-27/000001"
    assert first_part_name(None) == ""


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)), st.integers(0, 99))
def test_no_part_is_missed_that_was_written_at_a_time_or_later(time: datetime, number: int) -> None:
    time = time.replace(tzinfo=UTC)
    name = part_name(part_path(Path("log"), time, "77-3f2a1c", number))
    assert name >= first_part_name(time.timestamp())
    assert name < first_part_name(time.timestamp() + 1)


@pytest.mark.parametrize("missing", [None, *LOG_COLUMNS])
def test_a_log_has_all_columns_of_the_log(tmp_path: Path, missing: str | None) -> None:
    assert not is_prediction_log(tmp_path)
    path = part_path(tmp_path, NOON, "1-a", 0)
    path.parent.mkdir()
    names = [name for name in (*LOG_COLUMNS, "input.age") if name != missing]
    pl.DataFrame({name: [1] for name in names}).write_parquet(path)
    assert is_prediction_log(tmp_path) == (missing is None)


feature_names = st.lists(
    st.sampled_from(["time", "row", "request_id", "model_id", "input.x", "output.x", "x", ""]),
    unique=True,
)


@given(feature_names, feature_names)
def test_features_and_outputs_of_any_name_come_back_apart(
    features: list[str], outputs: list[str]
) -> None:
    inputs_table = pl.DataFrame({name: [float(i)] for i, name in enumerate(features)})
    outputs_table = pl.DataFrame({name: [str(i)] for i, name in enumerate(outputs)})
    log_table = pl.DataFrame({name: [0] for name in LOG_COLUMNS})
    columns = [
        log_table,
        add_prefix(inputs_table, INPUT_PREFIX),
        add_prefix(outputs_table, OUTPUT_PREFIX),
    ]
    table = pl.concat(columns, how="horizontal")
    assert select_inputs(table).equals(inputs_table)
    assert select_outputs(table).equals(outputs_table)
