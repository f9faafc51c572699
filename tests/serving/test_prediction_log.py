"""The log holds every row once, or counts it as dropped."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fieldcraft.contracts import Task
from fieldcraft.core import catalog
from fieldcraft.data.prediction_log import list_parts, part_time, select_inputs, select_outputs
from fieldcraft.serving import prediction_log
from fieldcraft.serving.prediction_log import (
    PredictionBatch,
    PredictionLogConfig,
    PredictionLogWriter,
    iter_chunks,
)
from fieldcraft.statistics.metrics import Predictions, concat_predictions
from tests.serving.in_process import TIMEOUT

NOON = datetime(2026, 11, 28, 12, 0, 1, tzinfo=UTC)
TASK: Task = catalog.load_plugin("tasks", "regression")


def batch(*numbers: int, request: str = "", at: float = NOON.timestamp()) -> PredictionBatch:
    """A batch of rows identified by their values: one request per row, or one for all."""
    values = np.array(numbers, dtype=np.float64)
    return PredictionBatch(
        at,
        [request or f"r{number}" for number in numbers],
        list(range(len(numbers))) if request else [0] * len(numbers),
        pl.DataFrame({"age": values, "city": [f"city {number}" for number in numbers]}),
        Predictions(
            values[:, None], 10 * values, np.stack([10 * values - 1, 10 * values + 1], axis=1)
        ),
    )


class Clock:
    """A clock that returns the given times."""

    def __init__(self, *moments: datetime) -> None:
        self.moments = list(moments)

    def __call__(self) -> datetime:
        return self.moments.pop(0) if len(self.moments) > 1 else self.moments[0]


@contextmanager
def recording(log: PredictionLogConfig, now: Any = Clock(NOON)) -> Iterator[PredictionLogWriter]:  # noqa: B008
    """Yield a writer; it has written all its rows when the block ends."""
    writer = PredictionLogWriter(log, "model 1", TASK, {}, now)
    try:
        yield writer
    finally:
        writer.stop()
    assert not writer.thread.is_alive()


def numbers_in(folder: Path) -> list[list[int]]:
    """Return the rows of each file of a log, in the order of the file names."""
    return [pl.read_parquet(path)["input.age"].cast(int).to_list() for path in list_parts(folder)]


@pytest.fixture(autouse=True)
def never_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable flushing by time, unless a test sets an interval."""
    monkeypatch.setattr(prediction_log, "FLUSH_INTERVAL_SECONDS", 3_600.0)


def test_a_file_holds_keys_inputs_and_outputs(tmp_path: Path) -> None:
    with recording(PredictionLogConfig(tmp_path)) as writer:
        writer.add(batch(3, 4, request="a", at=NOON.timestamp() - 0.25))
        writer.add(batch(5))
    [path] = list_parts(tmp_path)
    earlier = datetime(2026, 11, 28, 12, 0, 0, 750_000, tzinfo=UTC)
    expected = pl.DataFrame(
        {
            "time": [earlier, earlier, NOON],
            "request_id": ["a", "a", "r5"],
            "row": [0, 1, 0],
            "model_id": ["model 1"] * 3,
            "input.age": [3.0, 4.0, 5.0],
            "input.city": ["city 3", "city 4", "city 5"],
            "output.prediction": [30.0, 40.0, 50.0],
            "output.prediction_low": [29.0, 39.0, 49.0],
            "output.prediction_high": [31.0, 41.0, 51.0],
        },
        schema_overrides={"time": pl.Datetime("us", "UTC")},
    )
    assert pl.read_parquet(path).equals(expected)
    assert pl.read_parquet(path).schema == expected.schema


def test_excluded_columns_are_not_written(tmp_path: Path) -> None:
    with recording(PredictionLogConfig(tmp_path, exclude=("city", "never there"))) as writer:
        writer.add(batch(1, 2))
    [path] = list_parts(tmp_path)
    names = pl.read_parquet_schema(path)
    assert [name for name in names if not name.startswith("output.")] == [
        "time", "request_id", "row", "model_id", "input.age",
    ]  # fmt: skip
    assert b"city" not in path.read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_a_fraction_of_the_requests_is_sampled_by_id(tmp_path: Path, share: float) -> None:
    log = PredictionLogConfig(tmp_path, share)
    ids = [f"request {number}" for number in range(4_000)]
    kept = [name for name in ids if log.is_sampled(name)]
    assert kept == [name for name in ids if zlib.crc32(name.encode()) / 2**32 < share or share == 1]
    assert len(kept) == pytest.approx(4_000 * share, abs=4 * (4_000 * share * (1 - share)) ** 0.5)


def test_requests_are_logged_with_all_rows_or_none(tmp_path: Path) -> None:
    log = PredictionLogConfig(tmp_path, fraction=0.5)
    request_batches = [batch(2 * n, 2 * n + 1, request=f"q{n}") for n in range(20)]
    mixed = PredictionBatch(
        NOON.timestamp(),
        [name for request_batch in request_batches for name in request_batch.request_ids],
        [0, 1] * 20,
        pl.concat([request_batch.values for request_batch in request_batches]),
        concat_predictions([request_batch.predictions for request_batch in request_batches]),
    )
    with recording(log) as writer:
        writer.add(mixed)
    [path] = list_parts(tmp_path)
    table = pl.read_parquet(path)
    kept = [n for n in range(20) if zlib.crc32(f"q{n}".encode()) < 2**31]
    assert 0 < len(kept) < 20
    assert table["request_id"].to_list() == [f"q{n}" for n in kept for _ in range(2)]
    assert table["input.age"].to_list() == [2.0 * n + i for n in kept for i in range(2)]
    assert table["row"].to_list() == [0, 1] * len(kept)
    assert table["output.prediction"].to_list() == [10 * age for age in table["input.age"]]


def test_the_buffer_is_bounded_and_dropped_rows_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction_log, "MAX_BUFFERED_ROWS", 10)
    with recording(PredictionLogConfig(tmp_path)) as writer:
        writer.add(batch(*range(6)))
        writer.add(batch(*range(6, 10)))  # up to the last row that fits in the buffer
        writer.add(batch(10))
        writer.add(batch(*range(11, 14)))
        assert (
            writer.n_buffered
            == sum(len(pending.request_ids) for pending in writer.pending_batches)
            == 10
        )
        assert (writer.take_dropped(), writer.take_dropped()) == (4, 0)
        writer.write_file(writer.next_file_batches())
        assert writer.n_buffered == 0
        writer.add(batch(20))  # there is room again
    assert numbers_in(tmp_path) == [list(range(10)), [20]]
    assert (writer.n_dropped, writer.n_buffered) == (0, 0)


def test_a_request_that_is_not_sampled_takes_no_buffer_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction_log, "MAX_BUFFERED_ROWS", 1)
    with recording(PredictionLogConfig(tmp_path, fraction=0.0)) as writer:
        writer.add(batch(1, 2, 3))
        assert (writer.n_buffered, writer.n_dropped, list(writer.pending_batches)) == (
            0,
            0,
            [],
        )
    assert list(tmp_path.iterdir()) == []  # no empty file is written


def test_full_files_are_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with recording(PredictionLogConfig(tmp_path)) as writer:
        for number in range(0, 14, 2):
            writer.add(batch(number, number + 1))
        writer.add(batch(*range(14, 24)))  # a larger one is kept in one piece
        writer.add(batch(24))
        monkeypatch.setattr(prediction_log, "MAX_ROWS_PER_FILE", 4)
    assert numbers_in(tmp_path) == [
        [0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, *range(14, 24)], [24],
    ]  # fmt: skip


def test_a_file_is_full_by_the_rows_of_all_its_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with recording(PredictionLogConfig(tmp_path)) as writer:
        for numbers in ([0], [1, 2, 3, 4], [5], [6]):
            writer.add(batch(*numbers))
        monkeypatch.setattr(prediction_log, "MAX_ROWS_PER_FILE", 5)
    assert numbers_in(tmp_path) == [[0, 1, 2, 3, 4], [5, 6]]


def test_parts_are_named_by_day_time_process_and_number(tmp_path: Path) -> None:
    midnight = datetime(2026, 11, 29, 0, 0, 2, tzinfo=UTC)
    with recording(PredictionLogConfig(tmp_path), Clock(NOON, NOON, midnight)) as writer:
        for number in range(3):
            writer.add(batch(number))
            writer.write_file(writer.next_file_batches())
    paths = [path.relative_to(tmp_path) for path in list_parts(tmp_path)]
    assert [str(path) for path in paths] == [
        f"2026-11-28/120001-{writer.writer_id}-0.parquet",
        f"2026-11-28/120001-{writer.writer_id}-1.parquet",
        f"2026-11-29/000002-{writer.writer_id}-2.parquet",
    ]
    assert [part_time(tmp_path / path) for path in paths] == [NOON, NOON, midnight]
    assert numbers_in(tmp_path) == [[0], [1], [2]]


def test_writers_with_the_same_process_id_and_second_do_not_overwrite_each_other(
    tmp_path: Path,
) -> None:
    for number in range(5):
        with recording(PredictionLogConfig(tmp_path)) as writer:
            writer.add(batch(number))
    assert sorted(numbers_in(tmp_path)) == [[0], [1], [2], [3], [4]]


def test_a_full_disk_drops_the_rows_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(frame: pl.DataFrame, path: Path) -> None:
        path.write_bytes(b"PAR1 half")
        raise OSError("no space left on device")

    with recording(PredictionLogConfig(tmp_path)) as writer:
        writer.add(batch(1, 2, 3))
        with monkeypatch.context() as patch:
            patch.setattr(pl.DataFrame, "write_parquet", full)
            writer.write_file(writer.next_file_batches())
        assert (writer.n_dropped, writer.n_buffered) == (3, 0)
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
        writer.add(batch(4))
    assert numbers_in(tmp_path) == [[4]]


def test_a_file_in_place_of_the_folder_drops_the_rows(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.write_text("in the way", encoding="utf-8")
    writer = PredictionLogWriter(PredictionLogConfig(folder), "model 1", TASK, {}, Clock(NOON))
    writer.add(batch(1, 2))
    writer.flush_due.set()
    until = time.monotonic() + TIMEOUT
    while writer.n_buffered and time.monotonic() < until:
        time.sleep(0.001)
    assert (writer.take_dropped(), writer.n_buffered) == (2, 0)
    folder.unlink()
    writer.add(batch(3))
    writer.stop()
    assert numbers_in(folder) == [[3]]


def test_files_appear_atomically(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[Path]] = []
    write = pl.DataFrame.write_parquet

    def watched(frame: pl.DataFrame, path: Path) -> None:
        write(frame, path)
        seen.append(list(list_parts(tmp_path)))

    monkeypatch.setattr(pl.DataFrame, "write_parquet", watched)
    with recording(PredictionLogConfig(tmp_path)) as writer:
        writer.add(batch(1))
    assert seen == [[]]  # an unfinished file is not listed
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


@pytest.mark.parametrize(("every", "part"), [(0.001, 1_000), (3_600.0, 2)])
def test_rows_are_flushed_by_time_or_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: float, part: int
) -> None:
    monkeypatch.setattr(prediction_log, "FLUSH_INTERVAL_SECONDS", every)
    monkeypatch.setattr(prediction_log, "MAX_ROWS_PER_FILE", part)
    written = threading.Event()
    with recording(PredictionLogConfig(tmp_path)) as writer:
        write = writer.write_file

        def wrote(batches: Sequence[PredictionBatch]) -> None:
            write(batches)
            written.set()

        monkeypatch.setattr(writer, "write_file", wrote)
        writer.add(batch(1, 2))
        assert written.wait(TIMEOUT)
    assert numbers_in(tmp_path) == [[1, 2]]


def test_few_rows_wait_for_the_flush_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction_log, "MAX_ROWS_PER_FILE", 3)
    with recording(PredictionLogConfig(tmp_path)) as writer:
        writer.add(batch(1, 2))
        assert not writer.flush_due.is_set()
        assert list(tmp_path.iterdir()) == []


def test_every_row_is_written_or_counted_while_writing_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "MAX_BUFFERED_ROWS": 40,
        "MAX_ROWS_PER_FILE": 10,
        "FLUSH_INTERVAL_SECONDS": 0.0001,
        "ROWS_PER_CONVERSION": 3,
    }.items():
        monkeypatch.setattr(prediction_log, name, value)
    draw = np.random.default_rng(3)
    dropped, given_rows = 0, 0
    with recording(PredictionLogConfig(tmp_path)) as writer:
        for _ in range(300):
            size = int(draw.integers(1, 9))
            writer.add(batch(*range(given_rows, given_rows + size)))
            given_rows += size
            assert writer.n_buffered <= 40
            dropped += writer.take_dropped()
    written = [number for part in numbers_in(tmp_path) for number in part]
    assert len(written) == len(set(written)) == given_rows - dropped - writer.n_dropped
    assert writer.n_buffered == 0


@given(st.lists(st.integers(1, 400), max_size=12))
@example([256, 1])
@example([100, 155, 1, 1])
def test_chunks_are_full_and_keep_the_order(sizes: list[int]) -> None:
    batches = [
        PredictionBatch(0.0, ["r"] * size, [0] * size, pl.DataFrame(), batch().predictions)
        for size in sizes
    ]
    chunks = [
        [len(chunk_batch.request_ids) for chunk_batch in chunk] for chunk in iter_chunks(batches)
    ]
    assert [size for chunk in chunks for size in chunk] == sizes
    assert all(
        sum(chunk) >= prediction_log.ROWS_PER_CONVERSION > sum(chunk[:-1]) for chunk in chunks[:-1]
    )
    assert all(chunk and sum(chunk[:-1]) < prediction_log.ROWS_PER_CONVERSION for chunk in chunks)


def test_features_may_have_the_names_of_the_columns_of_the_log(tmp_path: Path) -> None:
    """Such names once made every write fail, and all rows were dropped."""
    names = ["time", "row", "request_id", "model_id", "prediction", "input.age"]
    values = pl.DataFrame(
        {name: [float(number), number + 0.5] for number, name in enumerate(names)}
    )
    predictions = batch(7, 8).predictions
    with recording(PredictionLogConfig(tmp_path)) as writer:
        writer.add(PredictionBatch(NOON.timestamp(), ["a", "b"], [0, 0], values, predictions))
    assert writer.n_dropped == 0
    [path] = list_parts(tmp_path)
    table = pl.read_parquet(path)
    assert select_inputs(table).equals(values)
    assert select_outputs(table)["prediction"].to_list() == [70.0, 80.0]
    assert table["row"].to_list() == [0, 0]
    assert table["time"].to_list() == [NOON, NOON]
