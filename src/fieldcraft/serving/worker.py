"""A process that runs a model for the server: batches of requests in, their answers out.

It lives apart from the server, so that a library that crashes takes no caller's connection with it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
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
from fieldcraft.serving.ipc import pack_message, receive_message
from fieldcraft.serving.model import BatchResult, RequestPolicy, ServedModel, load_served_model
from fieldcraft.serving.prediction_log import (
    PredictionBatch,
    PredictionLogConfig,
    PredictionLogWriter,
)
from fieldcraft.serving.protocols import PROTOCOLS, open_inference

THREAD_SWITCH_SECONDS = 0.0005  # seconds after which the thread that writes the log lets others run
WorkerRequest = tuple[str, str, bytes]  # protocol, id of the request, body
WorkerReply = tuple[str, bytes]  # code of what is wrong, empty if nothing is; body


@dataclass(frozen=True)
class ProcessedRequests:
    """What some requests came to.

    Attributes:
        replies: to each.
        result: what the model made of those that could be read.
        request_ids: their ids.
    """

    replies: list[WorkerReply]
    result: BatchResult
    request_ids: list[str]


def process_batch(model: ServedModel, items: list[WorkerRequest]) -> list[ProcessedRequests]:
    """What some requests come to, computed together; if that fails, each by itself."""
    try:
        return [process_requests(model, items)]
    except Exception as error:  # noqa: BLE001  whatever a request nobody foresaw makes a library raise
        if len(items) > 1:
            return [processed for item in items for processed in process_batch(model, [item])]
        request_error = RequestError(
            "model_error", f"the request could not be read: {type(error).__name__}"
        )
        return [
            ProcessedRequests(
                [format_error_reply(request_error, model, items[0])], BatchResult([]), []
            )
        ]


def process_requests(model: ServedModel, items: list[WorkerRequest]) -> ProcessedRequests:
    """The replies to some requests, computed together."""
    replies: list[WorkerReply | None] = [None] * len(items)
    positions, rows_by_request, contexts = [], [], []
    for position, (protocol, _, body) in enumerate(items):
        try:
            rows, context = PROTOCOLS[protocol].read(body, model)
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
            replies[position] = ("", PROTOCOLS[protocol].write(answers, context, model, request_id))
    request_ids = [items[position][1] for position in positions]
    return ProcessedRequests([reply for reply in replies if reply is not None], result, request_ids)


def log_predictions(writer: PredictionLogWriter, processed: ProcessedRequests) -> None:
    """Have the log record what was predicted."""
    result = processed.result
    first_rows = np.searchsorted(result.request_of_row, np.arange(len(processed.request_ids)))
    for positions, predictions in result.predictions:
        owner = result.request_of_row[positions]
        values = result.rows
        writer.add(
            PredictionBatch(
                time.time(), [processed.request_ids[number] for number in owner],
                (positions - first_rows[owner]).tolist(),
                values if len(positions) == values.height else values[positions.tolist()], predictions,
            )
        )  # fmt: skip


def format_error_reply(error: RequestError, model: ServedModel, item: WorkerRequest) -> WorkerReply:
    """What is wrong, as a reply."""
    protocol, request_id, _ = item
    return error.code, PROTOCOLS[protocol].refuse(error, model.policy.redact_errors, request_id)


def flatten_tally(tally: Counter[tuple[str, ...]]) -> dict[str, int]:
    """Counts by names that are joined by a line feed, as messages carry them."""
    return {"\n".join(name): count for name, count in tally.items() if count}


def main() -> None:
    """Work for the server that started this process, until it closes the stream."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server decides when it is over
    sys.setswitchinterval(THREAD_SWITCH_SECONDS)
    file_descriptor, *arguments = sys.argv[1:]
    run_worker(socket.socket(fileno=int(file_descriptor)), *arguments)


def run_worker(
    stream: socket.socket, folder: str, name: str, policy_json: str, log_json: str
) -> None:
    """Load a bundle, say so, and answer batches until the other side closes the stream.

    Args:
        stream: to the server.
        folder: of the bundle.
        name: of the model.
        policy_json: of the model, as JSON.
        log_json: of predictions, as JSON: null if they are not recorded.
    """
    try:
        model = load_served_model(Path(folder), RequestPolicy(**json.loads(policy_json)), name)
        if not model.policy.allow_file_paths:
            file_cells.allow_data_urls_only()
        log_writer = create_log_writer(model, json.loads(log_json))
        model.predict_requests(
            [[dict.fromkeys(model.columns)]]
        )  # so that the first caller need not wait
    except FieldcraftError as error:
        stream.sendall(pack_message({"error": str(error)}))
        return
    stream.sendall(pack_message({"error": "", **describe_model(model)}))
    while (items := receive_message(stream)) is not None:
        processed = process_batch(model, items)
        tally = sum((group.result.tally for group in processed), Counter[tuple[str, ...]]())
        if log_writer is not None:  # what it had to leave out since the last time
            tally["log_dropped",] = log_writer.take_dropped()
        stream.sendall(
            pack_message(
                ([reply for group in processed for reply in group.replies], flatten_tally(tally))
            )
        )
        if log_writer is not None:  # once nobody waits for it
            for group in processed:
                log_predictions(log_writer, group)
    if log_writer is not None:
        log_writer.stop()


def create_log_writer(
    model: ServedModel, log_json: dict[str, Any] | None
) -> PredictionLogWriter | None:
    """The recorder of a model's predictions, if they are to be recorded."""
    if log_json is None:
        return None
    log_config = PredictionLogConfig(
        Path(log_json["folder"]), log_json["share"], tuple(log_json["without"])
    )
    return PredictionLogWriter(
        log_config, model.bundle.model_id, model.bundle.task, model.bundle.target_spec
    )


def describe_model(model: ServedModel) -> dict[str, Any]:
    """What the server must know of a model."""
    return {
        "version": model.version,
        "model_id": model.bundle.model_id,
        "metadata": json.dumps(open_inference.get_model_metadata(model)),
        "columns": model.json_types,
        "pid": os.getpid(),
    }


if __name__ == "__main__":
    main()
