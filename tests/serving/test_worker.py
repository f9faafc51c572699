"""A worker answers batches in order, logs predictions, and reports dropped rows."""

from __future__ import annotations

import asyncio
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
from fieldcraft.data.prediction_log import list_parts
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.serving import prediction_log
from fieldcraft.serving.model import RequestPolicy
from fieldcraft.serving.pool import WorkerConfig, read_message
from fieldcraft.serving.prediction_log import PredictionLogConfig
from fieldcraft.serving.queue import ServerLimits
from fieldcraft.serving.worker import pack_message, receive_message, run_worker
from tests.serving.in_process import WorkerThread

ROW = {"age": 38.5, "city": "Rome", "member": "yes", "seen": "2025-11-15"}


@pytest.fixture
def bundle(finished_project_folder: Path) -> Path:
    return ProjectFolder(finished_project_folder / "project").bundle_path


@contextmanager
def working(config: WorkerConfig) -> Iterator[tuple[socket.socket, dict[str, Any]]]:
    """Run a worker in a thread; yield the stream to it and its metadata; it must end by itself."""
    stream, worker_end = socket.socketpair()
    with pytest.MonkeyPatch.context() as patch, stream:
        patch.setitem(file_cells.FILE_ACCESS, "paths_and_urls", True)
        thread = WorkerThread(run_worker, worker_end, config.to_arguments())
        worker_end.close()
        yield stream, receive_message(stream)
        stream.shutdown(socket.SHUT_WR)
        assert receive_message(stream) is None
        thread.thread.join(30)
        assert thread.returncode == 0


def items(**bodies: Any) -> list[tuple[str, str, bytes]]:
    return [("json", name, json.dumps(body).encode()) for name, body in bodies.items()]


def test_a_worker_reports_its_model_answers_in_order_and_logs_each_row(
    bundle: Path, tmp_path: Path
) -> None:
    config = WorkerConfig(
        bundle,
        "shop",
        RequestPolicy(redact_errors=True, max_rows=3),
        ServerLimits(),
        PredictionLogConfig(tmp_path),
    )
    model_id = load_bundle(bundle).model_id
    with working(config) as (stream, metadata):
        assert (metadata["error"], metadata["version"], metadata["model_id"]) == (
            "",
            model_id[:16],
            model_id,
        )
        assert metadata["columns"] == {
            "age": "number", "city": "string", "member": "boolean", "seen": "date",
        }  # fmt: skip
        assert json.loads(metadata["metadata"])["name"] == "shop"
        assert (
            file_cells.FILE_ACCESS["paths_and_urls"] is False
        )  # cells must not refer to files of this machine
        batch = items(
            bad=[{**ROW, "age": "x"}], one=[{**ROW, "age": 20}, {**ROW, "age": 30}], none=[],
            four=[ROW] * 4, two={**ROW, "age": 40}, odd="no row",
        )  # fmt: skip
        stream.sendall(pack_message(batch))
        stream.sendall(pack_message(items(late=[{**ROW, "age": 1e6, "city": "Atlantis"}])))
        replies, tally = receive_message(stream)
        later, later_tally = receive_message(stream)
    assert [code for code, _ in replies] == [
        "invalid_input", "", "", "payload_too_large", "", "bad_request",
    ]  # fmt: skip
    bodies = [json.loads(body) for _, body in replies]
    assert bodies[0]["error"]["details"] == [{"row": 0, "message": "the value does not fit"}]
    assert [len(bodies[1]["predictions"]), bodies[2]["predictions"]] == [2, []]
    assert bodies[4]["request_id"] == "two"
    assert tally == {"rows": 3}
    assert later_tally == {"rows": 1, "ood": 1, "unseen_category\ncity": 1, "out_of_range\nage": 1}
    (path,) = list_parts(tmp_path)
    table = pl.read_parquet(path)
    assert table.select("request_id", "row", "input.age").rows() == [
        ("one", 0, 20.0), ("one", 1, 30.0), ("two", 0, 40.0), ("late", 0, 1e6),
    ]  # fmt: skip
    assert set(table["model_id"]) == {model_id}
    chances = [answer["probabilities"]["yes"] for answer in bodies[1]["predictions"]]
    chances += [bodies[4]["probabilities"]["yes"]]
    chances += [json.loads(later[0][1])["predictions"][0]["probabilities"]["yes"]]
    assert table["output.probability_yes"].to_list() == pytest.approx(chances)


def test_dropped_log_rows_are_reported_with_the_next_batch(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction_log, "MAX_BUFFERED_ROWS", 2)
    monkeypatch.setattr(prediction_log, "FLUSH_INTERVAL_SECONDS", 3_600.0)
    config = WorkerConfig(
        bundle, "shop", RequestPolicy(), ServerLimits(), PredictionLogConfig(tmp_path)
    )
    tallies = []
    with working(config) as (stream, _):
        for count in (2, 3, 1, 0):
            stream.sendall(pack_message(items(some=[ROW] * count)))
            tallies.append(receive_message(stream)[1])
    assert [tally.get("log_dropped", 0) for tally in tallies] == [0, 0, 3, 1]
    assert [pl.read_parquet(path).height for path in list_parts(tmp_path)] == [2]


def test_file_paths_are_read_only_if_allowed(bundle: Path) -> None:
    with working(
        WorkerConfig(bundle, "shop", RequestPolicy(allow_file_paths=True), ServerLimits())
    ) as (_, metadata):
        assert metadata["error"] == ""
        assert file_cells.FILE_ACCESS["paths_and_urls"] is True


def test_a_worker_reports_a_bundle_that_cannot_be_loaded_and_ends(tmp_path: Path) -> None:
    with working(WorkerConfig(tmp_path, "shop", RequestPolicy(), ServerLimits())) as (_, metadata):
        assert metadata.keys() == {"error"}
        assert "bundle" in metadata["error"]


def test_clients_cannot_read_files_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(file_cells.FILE_ACCESS, "paths_and_urls", False)
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    with pytest.raises(DataError):
        file_cells.read_content(str(tmp_path / "secret"))


MESSAGES: list[Any] = [
    {"error": ""}, [("json", "id", b"\x00" * 70_000)], ([("", b"{}")], {"rows": 1}), [], None,
]  # fmt: skip


def test_messages_come_whole_and_in_order_from_a_socket() -> None:
    sender, receiver = socket.socketpair()
    with sender, receiver:
        for message in MESSAGES[:-1]:
            sender.sendall(pack_message(message))
            assert receive_message(receiver) == message
        sender.sendall(pack_message("truncated")[:-1])
        sender.close()
        assert receive_message(receiver) is None
        assert receive_message(receiver) is None


def test_messages_may_arrive_byte_by_byte() -> None:
    async def read() -> list[Any]:
        reader = asyncio.StreamReader()
        for byte in b"".join(map(pack_message, MESSAGES)):
            reader.feed_data(bytes([byte]))
        reader.feed_data(b"\x00\x00")
        reader.feed_eof()
        messages = [await read_message(reader) for _ in MESSAGES]
        with pytest.raises(asyncio.IncompleteReadError):
            await read_message(reader)
        return messages

    assert asyncio.run(read()) == MESSAGES


def test_the_length_comes_first_in_network_order() -> None:
    message = pack_message(b"x" * 300)
    assert int.from_bytes(message[:4], "big") == len(message) - 4
