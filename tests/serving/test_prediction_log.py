"""The log holds every row once, under a name of its own, or counts it as dropped."""

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
from fieldcraft.monitoring.windows import list_parts, part_time
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
    """Rows that say by their values which they are: a request each, or one for all."""
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
    """Gives times that a test has set."""

    def __init__(self, *moments: datetime) -> None:
        self.moments = list(moments)

    def __call__(self) -> datetime:
        return self.moments.pop(0) if len(self.moments) > 1 else self.moments[0]


@contextmanager
def recording(log: PredictionLogConfig, now: Any = Clock(NOON)) -> Iterator[PredictionLogWriter]:  # noqa: B008
    """A recorder that has written all it took in once the block is over."""
    recorder = PredictionLogWriter(log, "model 1", TASK, {}, now)
    try:
        yield recorder
    finally:
        recorder.stop()
    assert not recorder.thread.is_alive()


def numbers_in(folder: Path) -> list[list[int]]:
    """The rows of each file of a log, in the order of their names."""
    return [pl.read_parquet(path)["age"].cast(int).to_list() for path in list_parts(folder)]


@pytest.fixture(autouse=True)
def never_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written because time has passed, unless a test wants it."""
    monkeypatch.setattr(prediction_log, "FLUSH_INTERVAL_SECONDS", 3_600.0)


def test_a_file_holds_what_was_asked_seen_and_answered(tmp_path: Path) -> None:
    with recording(PredictionLogConfig(tmp_path)) as recorder:
        recorder.add(batch(3, 4, request="a", at=NOON.timestamp() - 0.25))
        recorder.add(batch(5))
    [path] = list_parts(tmp_path)
    earlier = datetime(2026, 11, 28, 12, 0, 0, 750_000, tzinfo=UTC)
    expected = pl.DataFrame(
        {
            "time": [earlier, earlier, NOON], "request": ["a", "a", "r5"], "row": [0, 1, 0],
            "model": ["model 1"] * 3, "age": [3.0, 4.0, 5.0],
            "city": ["city 3", "city 4", "city 5"], "said.prediction": [30.0, 40.0, 50.0],
            "said.prediction_low": [29.0, 39.0, 49.0], "said.prediction_high": [31.0, 41.0, 51.0],
        },
        schema_overrides={"time": pl.Datetime("us", "UTC")},
    )  # fmt: skip
    assert pl.read_parquet(path).equals(expected)
    assert pl.read_parquet(path).schema == expected.schema


def test_private_columns_reach_no_file(tmp_path: Path) -> None:
    with recording(PredictionLogConfig(tmp_path, exclude=("city", "never there"))) as recorder:
        recorder.add(batch(1, 2))
    [path] = list_parts(tmp_path)
    names = pl.read_parquet_schema(path)
    assert [name for name in names if not name.startswith("said.")] == [
        "time", "request", "row", "model", "age",
    ]  # fmt: skip
    assert b"city" not in path.read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_a_share_of_the_requests_is_recorded_by_their_ids(tmp_path: Path, share: float) -> None:
    log = PredictionLogConfig(tmp_path, share)
    ids = [f"request {number}" for number in range(4_000)]
    kept = [name for name in ids if log.is_sampled(name)]
    assert kept == [name for name in ids if zlib.crc32(name.encode()) / 2**32 < share or share == 1]
    assert len(kept) == pytest.approx(4_000 * share, abs=4 * (4_000 * share * (1 - share)) ** 0.5)


def test_requests_are_recorded_with_all_their_rows_or_none(tmp_path: Path) -> None:
    log = PredictionLogConfig(tmp_path, fraction=0.5)
    rows = [batch(2 * n, 2 * n + 1, request=f"q{n}") for n in range(20)]
    mixed = PredictionBatch(
        NOON.timestamp(), [name for one in rows for name in one.request_ids], [0, 1] * 20,
        pl.concat([one.values for one in rows]), concat_predictions([one.predictions for one in rows]),
    )  # fmt: skip
    with recording(log) as recorder:
        recorder.add(mixed)
    [path] = list_parts(tmp_path)
    table = pl.read_parquet(path)
    kept = [n for n in range(20) if zlib.crc32(f"q{n}".encode()) < 2**31]
    assert 0 < len(kept) < 20
    assert table["request"].to_list() == [f"q{n}" for n in kept for _ in range(2)]
    assert table["age"].to_list() == [2.0 * n + i for n in kept for i in range(2)]
    assert table["row"].to_list() == [0, 1] * len(kept)
    assert table["said.prediction"].to_list() == [10 * age for age in table["age"]]


def test_what_waits_is_bounded_and_drops_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction_log, "MAX_BUFFERED_ROWS", 10)
    with recording(PredictionLogConfig(tmp_path)) as recorder:
        recorder.add(batch(*range(6)))
        recorder.add(batch(*range(6, 10)))  # up to the last row that may wait
        recorder.add(batch(10))
        recorder.add(batch(*range(11, 14)))
        assert (
            recorder.n_buffered
            == sum(len(one.request_ids) for one in recorder.pending_batches)
            == 10
        )
        assert (recorder.take_dropped(), recorder.take_dropped()) == (4, 0)
        recorder.write_file(recorder.next_file_batches())
        assert recorder.n_buffered == 0
        recorder.add(batch(20))  # there is room again
    assert numbers_in(tmp_path) == [list(range(10)), [20]]
    assert (recorder.n_dropped, recorder.n_buffered) == (0, 0)


def test_a_request_that_is_not_recorded_takes_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction_log, "MAX_BUFFERED_ROWS", 1)
    with recording(PredictionLogConfig(tmp_path, fraction=0.0)) as recorder:
        recorder.add(batch(1, 2, 3))
        assert (recorder.n_buffered, recorder.n_dropped, list(recorder.pending_batches)) == (
            0,
            0,
            [],
        )
    assert list(tmp_path.iterdir()) == []  # nor a file without rows


def test_parts_are_cut_where_they_are_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with recording(PredictionLogConfig(tmp_path)) as recorder:
        for number in range(0, 14, 2):
            recorder.add(batch(number, number + 1))
        recorder.add(batch(*range(14, 24)))  # a larger one is kept in one piece
        recorder.add(batch(24))
        monkeypatch.setattr(prediction_log, "MAX_ROWS_PER_FILE", 4)
    assert numbers_in(tmp_path) == [
        [0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, *range(14, 24)], [24],
    ]  # fmt: skip


def test_parts_are_named_by_day_time_process_and_number(tmp_path: Path) -> None:
    midnight = datetime(2026, 11, 29, 0, 0, 2, tzinfo=UTC)
    with recording(PredictionLogConfig(tmp_path), Clock(NOON, NOON, midnight)) as recorder:
        for number in range(3):
            recorder.add(batch(number))
            recorder.write_file(recorder.next_file_batches())
    paths = [path.relative_to(tmp_path) for path in list_parts(tmp_path)]
    assert [str(path) for path in paths] == [
        f"2026-11-28/120001-{recorder.writer_id}-0.parquet",
        f"2026-11-28/120001-{recorder.writer_id}-1.parquet",
        f"2026-11-29/000002-{recorder.writer_id}-2.parquet",
    ]
    assert [part_time(tmp_path / path) for path in paths] == [NOON, NOON, midnight]
    assert numbers_in(tmp_path) == [[0], [1], [2]]


def test_recorders_of_the_same_process_id_and_second_do_not_overwrite_each_other(
    tmp_path: Path,
) -> None:
    for number in range(5):
        with recording(PredictionLogConfig(tmp_path)) as recorder:
            recorder.add(batch(number))
    assert sorted(numbers_in(tmp_path)) == [[0], [1], [2], [3], [4]]


def test_a_disk_without_room_costs_the_rows_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(frame: pl.DataFrame, path: Path) -> None:
        path.write_bytes(b"PAR1 half")
        raise OSError("no space left on device")

    with recording(PredictionLogConfig(tmp_path)) as recorder:
        recorder.add(batch(1, 2, 3))
        with monkeypatch.context() as patch:
            patch.setattr(pl.DataFrame, "write_parquet", full)
            recorder.write_file(recorder.next_file_batches())
        assert (recorder.n_dropped, recorder.n_buffered) == (3, 0)
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
        recorder.add(batch(4))
    assert numbers_in(tmp_path) == [[4]]


def test_a_file_in_the_way_of_the_folder_is_survived(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.write_text("in the way", encoding="utf-8")
    recorder = PredictionLogWriter(PredictionLogConfig(folder), "model 1", TASK, {}, Clock(NOON))
    recorder.add(batch(1, 2))
    recorder.flush_due.set()
    until = time.monotonic() + TIMEOUT
    while recorder.n_buffered and time.monotonic() < until:
        time.sleep(0.001)
    assert (recorder.take_dropped(), recorder.n_buffered) == (2, 0)
    folder.unlink()
    recorder.add(batch(3))
    recorder.stop()
    assert numbers_in(folder) == [[3]]


def test_a_part_appears_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[Path]] = []
    write = pl.DataFrame.write_parquet

    def watched(frame: pl.DataFrame, path: Path) -> None:
        write(frame, path)
        seen.append(list(list_parts(tmp_path)))

    monkeypatch.setattr(pl.DataFrame, "write_parquet", watched)
    with recording(PredictionLogConfig(tmp_path)) as recorder:
        recorder.add(batch(1))
    assert seen == [[]]  # nobody sees what is being written
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


@pytest.mark.parametrize(("every", "part"), [(0.001, 1_000), (3_600.0, 2)])
def test_rows_are_written_after_a_while_or_when_they_are_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: float, part: int
) -> None:
    monkeypatch.setattr(prediction_log, "FLUSH_INTERVAL_SECONDS", every)
    monkeypatch.setattr(prediction_log, "MAX_ROWS_PER_FILE", part)
    written = threading.Event()
    with recording(PredictionLogConfig(tmp_path)) as recorder:
        write = recorder.write_file

        def wrote(batches: Sequence[PredictionBatch]) -> None:
            write(batches)
            written.set()

        monkeypatch.setattr(recorder, "write_file", wrote)
        recorder.add(batch(1, 2))
        assert written.wait(TIMEOUT)
    assert numbers_in(tmp_path) == [[1, 2]]


def test_few_rows_wait_for_their_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction_log, "MAX_ROWS_PER_FILE", 3)
    with recording(PredictionLogConfig(tmp_path)) as recorder:
        recorder.add(batch(1, 2))
        assert not recorder.flush_due.is_set()
        assert list(tmp_path.iterdir()) == []


def test_every_row_is_written_or_counted_while_writing_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"HELD": 40, "PART": 10, "EVERY": 0.0001, "PIECE": 3}.items():
        monkeypatch.setattr(prediction_log, name, value)
    draw = np.random.default_rng(3)
    dropped, given_rows = 0, 0
    with recording(PredictionLogConfig(tmp_path)) as recorder:
        for _ in range(300):
            size = int(draw.integers(1, 9))
            recorder.add(batch(*range(given_rows, given_rows + size)))
            given_rows += size
            assert recorder.n_buffered <= 40
            dropped += recorder.take_dropped()
    found = [number for part in numbers_in(tmp_path) for number in part]
    assert len(found) == len(set(found)) == given_rows - dropped - recorder.n_dropped
    assert recorder.n_buffered == 0


@given(st.lists(st.integers(1, 400), max_size=12))
@example([256, 1])
@example([100, 155, 1, 1])
def test_pieces_are_full_and_keep_the_order(sizes: list[int]) -> None:
    batches = [
        PredictionBatch(0.0, ["r"] * size, [0] * size, pl.DataFrame(), batch().predictions)
        for size in sizes
    ]
    pieces = [[len(one.request_ids) for one in piece] for piece in iter_chunks(batches)]
    assert [size for piece in pieces for size in piece] == sizes
    assert all(
        sum(piece) >= prediction_log.ROWS_PER_CONVERSION > sum(piece[:-1]) for piece in pieces[:-1]
    )
    assert all(piece and sum(piece[:-1]) < prediction_log.ROWS_PER_CONVERSION for piece in pieces)
