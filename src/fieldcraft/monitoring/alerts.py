"""Deliver alerts to a file, a command or a webhook, with retries in this run and later ones."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fieldcraft.core.types import Json
from fieldcraft.project.settings import MonitorSettings

MAX_ATTEMPTS = 4
FIRST_RETRY_DELAY_SECONDS = 1.0  # doubles with each further attempt
ATTEMPT_TIMEOUT_SECONDS = 10.0
MAX_PENDING_ALERTS = 1_000  # undelivered alerts that are kept; of more, the oldest are dropped

SendAlert = Callable[[bytes], None]


class RejectRedirects(urllib.request.HTTPRedirectHandler):
    """Makes a redirect an error: urllib would follow it by GET, and the alert would be lost."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Follow no redirect; urllib then raises `HTTPError`."""


def build_channels(alert_settings: MonitorSettings) -> dict[str, SendAlert]:
    """Return the configured channels by name."""
    channels: dict[str, SendAlert] = {}
    if alert_settings.alert_file is not None:
        channels["file"] = file_channel(Path(alert_settings.alert_file))
    if alert_settings.alert_command:
        channels["command"] = command_channel(alert_settings.alert_command)
    if alert_settings.alert_webhook is not None:
        channels["webhook"] = webhook_channel(alert_settings.alert_webhook)
    return channels


def file_channel(path: Path) -> SendAlert:
    """Return a channel that appends each alert as a line to a file."""

    def send(body: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # One write for the whole line, because several monitors may append to the same file.
        with path.open("ab") as stream:
            stream.write(body + b"\n")

    return send


def command_channel(command: Sequence[str]) -> SendAlert:
    """Return a channel that runs a command with the alert on stdin; it must exit with 0."""

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
    """Return a channel that posts JSON to a URL; the status must be 200 to 299."""
    opener = urllib.request.build_opener(RejectRedirects)

    def send(body: bytes) -> None:
        request = urllib.request.Request(
            url, body, {"content-type": "application/json"}, method="POST"
        )
        with opener.open(request, timeout=ATTEMPT_TIMEOUT_SECONDS):
            pass

    return send


def deliver_alerts(
    pending: Sequence[Json],
    alert_settings: MonitorSettings,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[list[Json], dict[str, str]]:
    """Send pending alerts in order.

    A channel that fails `MAX_ATTEMPTS` times is not tried again in this run, so that an unreachable
    receiver delays the others only once. An alert is dropped if its channels are no longer
    configured.

    Args:
        pending: alerts, each with the channels it was not delivered to yet, as
            ``{"alert", "channels"}``.
        alert_settings: settings of the channels.
        sleep: waits for a number of seconds.

    Returns:
        Undelivered alerts, and the last error of each failed channel.
    """
    channels, error_by_channel, undelivered = (
        build_channels(alert_settings),
        dict[str, str](),
        list[Json](),
    )
    for item in pending:
        body = json.dumps(item["alert"]).encode()
        channel_names = [name for name in item["channels"] if name in channels]
        failed_channels = [
            name
            for name in channel_names
            if name in error_by_channel
            or not send_with_retries(name, channels[name], body, error_by_channel, sleep)
        ]
        if failed_channels:
            undelivered.append({**item, "channels": failed_channels})
    return undelivered[-MAX_PENDING_ALERTS:], error_by_channel


def send_with_retries(
    channel: str,
    send: SendAlert,
    body: bytes,
    error_by_channel: dict[str, str],
    sleep: Callable[[float], None],
) -> bool:
    """Send a message, with exponential backoff; return whether it was delivered."""
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
            error_by_channel.pop(channel, None)  # the error of an earlier attempt
            return True
    return False
