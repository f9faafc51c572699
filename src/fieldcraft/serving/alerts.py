"""Tell alerts to a file, a command or a webhook: tried again, and later if nobody listens."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from fieldcraft.contracts import Json
from fieldcraft.project.settings import Watch

TRIES = 4
PAUSE = 1.0  # seconds before the second try; twice as long before each further one
PATIENCE = 10.0  # seconds that a try may take
HELD = 1_000  # alerts that wait at most; the oldest are dropped

Sender = Callable[[bytes], None]


def senders(wishes: Watch) -> dict[str, Sender]:
    """The ways on which alerts go, by name."""
    found: dict[str, Sender] = {}
    if wishes.file is not None:
        found["file"] = to_file(Path(wishes.file))
    if wishes.command:
        found["command"] = to_command(wishes.command)
    if wishes.webhook is not None:
        found["webhook"] = to_webhook(wishes.webhook)
    return found


def to_file(path: Path) -> Sender:
    """Add a line to a file."""

    def send(body: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as stream:
            stream.write(body + b"\n")

    return send


def to_command(words: Sequence[str]) -> Sender:
    """Run a command with the alert on its standard input; it must end with 0."""

    def send(body: bytes) -> None:
        done = subprocess.run(
            list(words), input=body, timeout=PATIENCE, capture_output=True, check=False
        )
        if done.returncode:
            raise OSError(f"exit code {done.returncode}")

    return send


def to_webhook(address: str) -> Sender:
    """Post JSON to an address; it must answer with a status below 300."""

    def send(body: bytes) -> None:
        request = urllib.request.Request(
            address, body, {"content-type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=PATIENCE):
            pass

    return send


def deliver(
    waiting: Sequence[Json], wishes: Watch, pause: Callable[[float], None] = time.sleep
) -> tuple[list[Json], dict[str, str]]:
    """Send what waits, in order; a way that fails `TRIES` times gets nothing more this time.

    Args:
        waiting: alerts, each with the ways it still has to go, as ``{"alert", "ways"}``.
        wishes: where alerts go.
        pause: waits so many seconds.

    Returns:
        What still waits, the oldest left out if it is too much, and why, by way.
    """
    ways, failed, left = senders(wishes), dict[str, str](), list[Json]()
    for item in waiting:
        body = json.dumps(item["alert"]).encode()
        open_ways = [name for name in item["ways"] if name in ways]
        still = [
            name
            for name in open_ways
            if name in failed or not sent(name, ways[name], body, failed, pause)
        ]
        if still:
            left.append({**item, "ways": still})
    return left[-HELD:], failed


def sent(
    name: str, send: Sender, body: bytes, failed: dict[str, str], pause: Callable[[float], None]
) -> bool:
    """Whether a message went out, tried again after longer and longer pauses."""
    for number in range(TRIES):
        if number:
            pause(PAUSE * 2 ** (number - 1))
        try:
            send(body)
        except (
            OSError,
            ValueError,
            http.client.HTTPException,
            subprocess.SubprocessError,
        ) as error:
            failed[name] = f"{type(error).__name__}: {error}"[:200]
        else:
            failed.pop(name, None)  # it was only slow
            return True
    return False
