"""A worker answers batches in order, logs what it predicted, and tells what the log dropped."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fieldcraft.bundle.runtime import load_bundle
from fieldcraft.core.errors import DataError
from fieldcraft.data import file_cells
from fieldcraft.monitoring.windows import list_parts
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.serving import prediction_log
from fieldcraft.serving.ipc import pack_message, receive_message
from fieldcraft.serving.limits import ServerLimits
from fieldcraft.serving.model import RequestPolicy
from fieldcraft.serving.pool import WorkerConfig
from fieldcraft.serving.prediction_log import PredictionLogConfig
from fieldcraft.serving.worker import run_worker
from tests.serving.in_process import WorkerThread

ROW = {"age": 38.5, "city": "Rome", "member": "yes", "seen": "2025-11-15"}


@pytest.fixture
def bundle(finished_project_folder: Path) -> Path:
    return ProjectFolder(finished_project_folder / "project").bundle_path


@contextmanager
def working(post: WorkerConfig) -> Iterator[tuple[socket.socket, dict[str, Any]]]:
    """A worker in a thread: the stream to it, and what it says of itself; it must end by itself."""
    ours, theirs = socket.socketpair()
    with pytest.MonkeyPatch.context() as patch, ours:
        patch.setitem(file_cells.ACCESS, "outside", True)
        thread = WorkerThread(run_worker, theirs, post.to_arguments())
        theirs.close()
        yield ours, receive_message(ours)
        ours.shutdown(socket.SHUT_WR)
        assert receive_message(ours) is None
        thread.thread.join(30)
        assert thread.returncode == 0


def items(**bodies: Any) -> list[tuple[str, str, bytes]]:
    return [("plain", name, json.dumps(body).encode()) for name, body in bodies.items()]


def test_it_says_what_it_runs_then_answers_in_order_and_logs_each_row(
    bundle: Path, tmp_path: Path
) -> None:
    post = WorkerConfig(
        bundle,
        "shop",
        RequestPolicy(redact_errors=True, max_rows=3),
        ServerLimits(),
        PredictionLogConfig(tmp_path),
    )
    model_id = load_bundle(bundle).model_id
    with working(post) as (stream, about):
        assert (about["error"], about["version"], about["model_id"]) == (
            "",
            model_id[:16],
            model_id,
        )
        assert about["columns"] == {
            "age": "number", "city": "string", "member": "boolean", "seen": "date",
        }  # fmt: skip
        assert json.loads(about["metadata"])["name"] == "shop"
        assert file_cells.ACCESS["outside"] is False  # cells may not name files of this machine
        batch = items(
            bad=[{**ROW, "age": "x"}], one=[{**ROW, "age": 20}, {**ROW, "age": 30}], none=[],
            four=[ROW] * 4, two={**ROW, "age": 40}, odd="no row",
        )  # fmt: skip
        stream.sendall(pack_message(batch))
        stream.sendall(pack_message(items(late=[{**ROW, "age": 1e6, "city": "Atlantis"}])))
        replies, tally = receive_message(stream)
        later, later_tally = receive_message(stream)
    assert [code for code, _ in replies] == [
        "bad_rows", "", "", "too_large", "", "bad_request",
    ]  # fmt: skip
    bodies = [json.loads(body) for _, body in replies]
    assert bodies[0]["error"]["details"] == [{"row": 0, "message": "the value does not fit"}]
    assert [len(bodies[1]["predictions"]), bodies[2]["predictions"]] == [2, []]
    assert bodies[4]["request_id"] == "two"
    assert tally == {"rows": 3}
    assert later_tally == {"rows": 1, "ood": 1, "unseen\ncity": 1, "out_of_range\nage": 1}
    (path,) = list_parts(tmp_path)
    table = pl.read_parquet(path)
    assert table.select("request", "row", "age").rows() == [
        ("one", 0, 20.0), ("one", 1, 30.0), ("two", 0, 40.0), ("late", 0, 1e6),
    ]  # fmt: skip
    assert set(table["model"]) == {model_id}
    chances = [answer["probabilities"]["yes"] for answer in bodies[1]["predictions"]]
    chances += [bodies[4]["probabilities"]["yes"]]
    chances += [json.loads(later[0][1])["predictions"][0]["probabilities"]["yes"]]
    assert table["said.probability_yes"].to_list() == pytest.approx(chances)


def test_what_the_log_had_to_drop_is_told_with_the_next_batch(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction_log, "MAX_BUFFERED_ROWS", 2)
    monkeypatch.setattr(prediction_log, "FLUSH_INTERVAL_SECONDS", 3_600.0)
    post = WorkerConfig(
        bundle, "shop", RequestPolicy(), ServerLimits(), PredictionLogConfig(tmp_path)
    )
    tallies = []
    with working(post) as (stream, _):
        for count in (2, 3, 1, 0):
            stream.sendall(pack_message(items(some=[ROW] * count)))
            tallies.append(receive_message(stream)[1])
    assert [tally.get("log_dropped", 0) for tally in tallies] == [0, 0, 3, 1]
    assert [pl.read_parquet(path).height for path in list_parts(tmp_path)] == [2]


def test_only_a_model_that_may_reads_files(bundle: Path) -> None:
    with working(
        WorkerConfig(bundle, "shop", RequestPolicy(allow_file_paths=True), ServerLimits())
    ) as (_, about):
        assert about["error"] == ""
        assert file_cells.ACCESS["outside"] is True


def test_a_bundle_that_cannot_be_loaded_is_told_and_the_worker_ends(tmp_path: Path) -> None:
    with working(WorkerConfig(tmp_path, "shop", RequestPolicy(), ServerLimits())) as (_, about):
        assert about.keys() == {"error"}
        assert "bundle" in about["error"]


def test_files_of_this_machine_stay_closed_to_callers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(file_cells.ACCESS, "outside", False)
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    with pytest.raises(DataError):
        file_cells.read_content(str(tmp_path / "secret"))
