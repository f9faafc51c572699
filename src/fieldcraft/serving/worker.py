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
from fieldcraft.data import media
from fieldcraft.serving import v2
from fieldcraft.serving.frames import packed, receive
from fieldcraft.serving.model import Manners, Model, Told, load_model
from fieldcraft.serving.protocols import PROTOCOLS
from fieldcraft.serving.record import Batch, Log, Recorder
from fieldcraft.serving.trouble import Trouble

SWITCH = 0.0005  # seconds after which the thread that writes the log lets others run
Item = tuple[str, str, bytes]  # protocol, id of the request, body
Reply = tuple[str, bytes]  # code of what is wrong, empty if nothing is; body


@dataclass(frozen=True)
class Done:
    """What some requests came to.

    Attributes:
        replies: to each.
        told: what the model made of those that could be read.
        requests: their ids.
    """

    replies: list[Reply]
    told: Told
    requests: list[str]


def work(model: Model, items: list[Item]) -> list[Done]:
    """What some requests come to, computed together; if that fails, each by itself."""
    try:
        return [together(model, items)]
    except Exception as error:  # noqa: BLE001  whatever a request nobody foresaw makes a library raise
        if len(items) > 1:
            return [done for item in items for done in work(model, [item])]
        trouble = Trouble("model_error", f"the request could not be read: {type(error).__name__}")
        return [Done([refused(trouble, model, items[0])], Told([]), [])]


def together(model: Model, items: list[Item]) -> Done:
    """The replies to some requests, computed together."""
    replies: list[Reply | None] = [None] * len(items)
    places, asked, kept = [], [], []
    for place, (protocol, _, body) in enumerate(items):
        try:
            rows, keep = PROTOCOLS[protocol].read(body, model)
        except Trouble as trouble:
            replies[place] = refused(trouble, model, items[place])
            continue
        places.append(place)
        asked.append(rows)
        kept.append(keep)
    told = model.answer(asked)
    for place, found, keep in zip(places, told.answers, kept, strict=True):
        protocol, request, _ = items[place]
        if isinstance(found, Trouble):
            replies[place] = refused(found, model, items[place])
        else:
            replies[place] = ("", PROTOCOLS[protocol].write(found, keep, model, request))
    requests = [items[place][1] for place in places]
    return Done([reply for reply in replies if reply is not None], told, requests)


def record(recorder: Recorder, done: Done) -> None:
    """Have the log record what was predicted."""
    told = done.told
    starts = np.searchsorted(told.owner, np.arange(len(done.requests)))
    for places, said in told.recorded:
        owner = told.owner[places]
        values = told.values
        recorder.add(
            Batch(
                time.time(), [done.requests[number] for number in owner],
                (places - starts[owner]).tolist(),
                values if len(places) == values.height else values[places.tolist()], said,
            )
        )  # fmt: skip


def refused(trouble: Trouble, model: Model, item: Item) -> Reply:
    """What is wrong, as a reply."""
    protocol, request, _ = item
    return trouble.code, PROTOCOLS[protocol].refuse(trouble, model.manners.private, request)


def flat(tally: Counter[tuple[str, ...]]) -> dict[str, int]:
    """Counts by names that are joined by a line feed, as messages carry them."""
    return {"\n".join(name): count for name, count in tally.items() if count}


def main() -> None:
    """Work for the server that started this process, until it closes the stream."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server decides when it is over
    sys.setswitchinterval(SWITCH)
    number, *words = sys.argv[1:]
    run_worker(socket.socket(fileno=int(number)), *words)


def run_worker(stream: socket.socket, folder: str, name: str, manners: str, log: str) -> None:
    """Load a bundle, say so, and answer batches until the other side closes the stream.

    Args:
        stream: to the server.
        folder: of the bundle.
        name: of the model.
        manners: of the model, as JSON.
        log: of predictions, as JSON: null if they are not recorded.
    """
    try:
        model = load_model(Path(folder), Manners(**json.loads(manners)), name)
        if not model.manners.files:
            media.stay_inside()
        recorder = recorder_for(model, json.loads(log))
        model.answer([[dict.fromkeys(model.columns)]])  # so that the first caller need not wait
    except FieldcraftError as error:
        stream.sendall(packed({"error": str(error)}))
        return
    stream.sendall(packed({"error": "", **described(model)}))
    while (items := receive(stream)) is not None:
        found = work(model, items)
        tally = sum((done.told.tally for done in found), Counter[tuple[str, ...]]())
        if recorder is not None:  # what it had to leave out since the last time
            tally["log_dropped",] = recorder.take_dropped()
        stream.sendall(packed(([reply for done in found for reply in done.replies], flat(tally))))
        if recorder is not None:  # once nobody waits for it
            for done in found:
                record(recorder, done)
    if recorder is not None:
        recorder.stop()


def recorder_for(model: Model, log: dict[str, Any] | None) -> Recorder | None:
    """The recorder of a model's predictions, if they are to be recorded."""
    if log is None:
        return None
    wanted = Log(Path(log["folder"]), log["share"], tuple(log["without"]))
    return Recorder(wanted, model.bundle.model_id, model.bundle.task, model.bundle.about)


def described(model: Model) -> dict[str, Any]:
    """What the server must know of a model."""
    return {
        "version": model.version,
        "model_id": model.bundle.model_id,
        "metadata": json.dumps(v2.metadata(model)),
        "columns": model.types,
        "pid": os.getpid(),
    }


if __name__ == "__main__":
    main()
