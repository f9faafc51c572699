"""The worker process of a server: it receives batches of requests and sends replies.

The model runs in a separate process, so that a crash in a library does not close the connections of
clients. Messages between server and worker are plain Python values, preceded by their length.
"""

from __future__ import annotations

import json
import marshal
import os
import signal
import socket
import struct
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fieldcraft.core.errors import FieldcraftError
from fieldcraft.data import file_cells
from fieldcraft.serving.errors import RequestError
from fieldcraft.serving.model import BatchResult, RequestPolicy, ServedModel, load_served_model
from fieldcraft.serving.prediction_log import (
    PredictionBatch,
    PredictionLogConfig,
    PredictionLogWriter,
)
from fieldcraft.serving.protocols import PROTOCOLS, open_inference

LENGTH_HEADER = struct.Struct("!I")
# With Python's default of 5 ms a batch could wait that long for the thread that writes the log.
THREAD_SWITCH_SECONDS = 0.0005
WorkerRequest = tuple[str, str, bytes]  # protocol, request id, body
WorkerReply = tuple[str, bytes]  # error code, empty for success, and body


def pack_message(message: Any) -> bytes:
    """Serialize a message of plain values: lists, dicts, numbers, strings and bytes."""
    # marshal is several times faster than JSON or pickle. It is unsafe for untrusted data, and its
    # format differs between Python versions, but both ends are our own processes of one Python.
    body = marshal.dumps(message)
    return LENGTH_HEADER.pack(len(body)) + body


def receive_message(stream: socket.socket) -> Any:
    """Return the next message; None if the other end is closed."""
    header = receive_exactly(stream, LENGTH_HEADER.size)
    if header is None:
        return None
    body = receive_exactly(stream, LENGTH_HEADER.unpack(header)[0])
    return None if body is None else marshal.loads(body)


def receive_exactly(stream: socket.socket, n_bytes: int) -> bytearray | None:
    """Return exactly `n_bytes` bytes; None if the stream ends earlier."""
    buffer = bytearray(n_bytes)
    view, n_received = memoryview(buffer), 0
    while n_received < n_bytes:
        n_new = stream.recv_into(view[n_received:])
        if not n_new:
            return None
        n_received += n_new
    return buffer


@dataclass(frozen=True)
class ProcessedRequests:
    """Requests that were computed together.

    Attributes:
        replies: reply to each request.
        result: result of the model for the requests that could be parsed.
        request_ids: ids of those requests.
    """

    replies: list[WorkerReply]
    result: BatchResult
    request_ids: list[str]


def process_batch(model: ServedModel, items: list[WorkerRequest]) -> list[ProcessedRequests]:
    """Compute requests together; if that fails, compute them one by one."""
    try:
        return [process_requests(model, items)]
    except Exception as error:  # noqa: BLE001  a malformed request may make a library raise anything
        if len(items) > 1:
            return [processed for item in items for processed in process_batch(model, [item])]
        request_error = RequestError(
            "model_error", f"the request could not be read: {type(error).__name__}"
        )
        reply = format_error_reply(request_error, model, items[0])
        return [ProcessedRequests([reply], BatchResult([]), [])]


def process_requests(model: ServedModel, items: list[WorkerRequest]) -> ProcessedRequests:
    """Parse requests, compute them together, and format the replies."""
    replies: list[WorkerReply | None] = [None] * len(items)
    positions, rows_by_request, contexts = [], [], []
    for position, (protocol, _, body) in enumerate(items):
        try:
            rows, context = PROTOCOLS[protocol].parse_request(body, model)
        except RequestError as error:
            replies[position] = format_error_reply(error, model, items[position])
            continue
        positions.append(position)
        rows_by_request.append(rows)
        contexts.append(context)
    result = model.predict_requests(rows_by_request)
    for position, answers, context in zip(positions, result.answers, contexts, strict=True):
        protocol, request_id, _ = items[position]
        if isinstance(answers, RequestError):
            replies[position] = format_error_reply(answers, model, items[position])
        else:
            body = PROTOCOLS[protocol].format_response(answers, context, model, request_id)
            replies[position] = ("", body)
    request_ids = [items[position][1] for position in positions]
    return ProcessedRequests([reply for reply in replies if reply is not None], result, request_ids)


def log_predictions(writer: PredictionLogWriter, processed: ProcessedRequests) -> None:
    """Add the predictions of requests to the log."""
    result = processed.result
    # Rows are in the order of their requests: the first row of each request has number 0.
    first_rows = np.searchsorted(result.request_of_row, np.arange(len(processed.request_ids)))
    for positions, predictions in result.predictions:
        request_of_row = result.request_of_row[positions]
        values = result.rows
        writer.add(
            PredictionBatch(
                time.time(),
                [processed.request_ids[number] for number in request_of_row],
                (positions - first_rows[request_of_row]).tolist(),
                values if len(positions) == values.height else values[positions.tolist()],
                predictions,
            )
        )


def format_error_reply(error: RequestError, model: ServedModel, item: WorkerRequest) -> WorkerReply:
    """Return an error as the reply to a request."""
    protocol, request_id, _ = item
    body = PROTOCOLS[protocol].format_error(error, model.policy.redact_errors, request_id)
    return error.code, body


def flatten_tally(tally: Counter[tuple[str, ...]]) -> dict[str, int]:
    """Return the counts by string keys: the parts of a key joined by a line feed."""
    return {"\n".join(key): count for key, count in tally.items() if count}


def main() -> None:
    """Serve the process that started this one, until it closes the stream."""
    # Ctrl-C reaches the whole process group, but the server decides when its workers stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.setswitchinterval(THREAD_SWITCH_SECONDS)
    file_descriptor, *arguments = sys.argv[1:]
    run_worker(socket.socket(fileno=int(file_descriptor)), *arguments)


def run_worker(
    stream: socket.socket, folder: str, name: str, policy_json: str, log_json: str
) -> None:
    """Load a bundle, report its metadata, and answer batches until the server closes the stream.

    Args:
        stream: socket to the server.
        folder: folder of the bundle.
        name: name of the model.
        policy_json: `RequestPolicy` as JSON.
        log_json: `PredictionLogConfig` as JSON, or ``null``.
    """
    try:
        model = load_served_model(Path(folder), RequestPolicy(**json.loads(policy_json)), name)
        if not model.policy.allow_file_paths:
            file_cells.allow_data_urls_only()
        log_writer = create_log_writer(model, json.loads(log_json))
        # Warm up: in the first call ONNX Runtime allocates its buffers, which is slow.
        model.predict_requests([[dict.fromkeys(model.columns)]])
    except FieldcraftError as error:
        stream.sendall(pack_message({"error": str(error)}))
        return
    stream.sendall(pack_message({"error": "", **describe_model(model)}))
    while (items := receive_message(stream)) is not None:
        processed = process_batch(model, items)
        tally = sum((group.result.tally for group in processed), Counter[tuple[str, ...]]())
        if log_writer is not None:
            tally["log_dropped",] = log_writer.take_dropped()  # since the last batch
        stream.sendall(
            pack_message(
                ([reply for group in processed for reply in group.replies], flatten_tally(tally))
            )
        )
        if log_writer is not None:  # after the reply, so that no client waits for it
            for group in processed:
                log_predictions(log_writer, group)
    if log_writer is not None:
        log_writer.stop()


def create_log_writer(
    model: ServedModel, log_json: dict[str, Any] | None
) -> PredictionLogWriter | None:
    """Return the writer of a model's prediction log; None for no log."""
    if log_json is None:
        return None
    log_config = PredictionLogConfig(
        Path(log_json["folder"]), log_json["fraction"], tuple(log_json["exclude"])
    )
    return PredictionLogWriter(
        log_config, model.bundle.model_id, model.bundle.task, model.bundle.target_spec
    )


def describe_model(model: ServedModel) -> dict[str, Any]:
    """Return what the server needs to know about a model."""
    return {
        "version": model.version,
        "model_id": model.bundle.model_id,
        "metadata": json.dumps(open_inference.get_model_metadata(model)),
        "columns": model.json_types,
        "pid": os.getpid(),
    }


if __name__ == "__main__":
    main()
