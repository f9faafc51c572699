"""Tell alerts to a file, a command or a webhook: tried again, and later if nobody listens."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from fieldcraft.core.types import Json
from fieldcraft.project.settings import MonitorSettings

MAX_ATTEMPTS = 4
FIRST_RETRY_DELAY_SECONDS = (
    1.0  # seconds before the second try; twice as long before each further one
)
ATTEMPT_TIMEOUT_SECONDS = 10.0  # seconds that a try may take
MAX_PENDING_ALERTS = 1_000  # alerts that wait at most; the oldest are dropped

SendAlert = Callable[[bytes], None]


def build_channels(alert_settings: MonitorSettings) -> dict[str, SendAlert]:
    """The ways on which alerts go, by name."""
    channels: dict[str, SendAlert] = {}
    if alert_settings.alert_file is not None:
        channels["file"] = file_channel(Path(alert_settings.alert_file))
    if alert_settings.alert_command:
        channels["command"] = command_channel(alert_settings.alert_command)
    if alert_settings.alert_webhook is not None:
        channels["webhook"] = webhook_channel(alert_settings.alert_webhook)
    return channels


def file_channel(path: Path) -> SendAlert:
    """Add a line to a file."""

    def send(body: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as stream:
            stream.write(body + b"\n")

    return send


def command_channel(command: Sequence[str]) -> SendAlert:
    """Run a command with the alert on its standard input; it must end with 0."""

    def send(body: bytes) -> None:
        completed = subprocess.run(
            list(command),
            input=body,
            timeout=ATTEMPT_TIMEOUT_SECONDS,
            capture_output=True,
            check=False,
        )
        if completed.returncode:
            raise OSError(f"exit code {completed.returncode}")

    return send


def webhook_channel(url: str) -> SendAlert:
    """Post JSON to an address; it must answer with a status below 300."""

    def send(body: bytes) -> None:
        request = urllib.request.Request(
            url, body, {"content-type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=ATTEMPT_TIMEOUT_SECONDS):
            pass

    return send


def deliver_alerts(
    pending: Sequence[Json],
    alert_settings: MonitorSettings,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[list[Json], dict[str, str]]:
    """Send what waits, in order; a way that fails `TRIES` times gets nothing more this time.

    Args:
        pending: alerts, each with the ways it still has to go, as ``{"alert", "ways"}``.
        alert_settings: where alerts go.
        sleep: waits so many seconds.

    Returns:
        What still waits, the oldest left out if it is too much, and why, by way.
    """
    channels, error_by_channel, undelivered = (
        build_channels(alert_settings),
        dict[str, str](),
        list[Json](),
    )
    for item in pending:
        body = json.dumps(item["alert"]).encode()
        channel_names = [name for name in item["ways"] if name in channels]
        failed_channels = [
            name
            for name in channel_names
            if name in error_by_channel
            or not send_with_retries(name, channels[name], body, error_by_channel, sleep)
        ]
        if failed_channels:
            undelivered.append({**item, "ways": failed_channels})
    return undelivered[-MAX_PENDING_ALERTS:], error_by_channel


def send_with_retries(
    channel: str,
    send: SendAlert,
    body: bytes,
    error_by_channel: dict[str, str],
    sleep: Callable[[float], None],
) -> bool:
    """Whether a message went out, tried again after longer and longer pauses."""
    for attempt in range(MAX_ATTEMPTS):
        if attempt:
            sleep(FIRST_RETRY_DELAY_SECONDS * 2 ** (attempt - 1))
        try:
            send(body)
        except (
            OSError,
            ValueError,
            http.client.HTTPException,
            subprocess.SubprocessError,
        ) as error:
            error_by_channel[channel] = f"{type(error).__name__}: {error}"[:200]
        else:
            error_by_channel.pop(channel, None)  # it was only slow
            return True
    return False
