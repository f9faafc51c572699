"""Alerts reach each channel once, with retries now and in later runs."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from fieldcraft.monitoring import alerts
from fieldcraft.project.settings import MonitorSettings

SLOW_RESPONSE = -1  # sends nothing until after the timeout
ALERT = {"id": "drift|age|value", "text": "age: distance 0.2"}
WAITING = [{"alert": ALERT, "channels": ["webhook"]}]


class AlertServer(HTTPServer):
    """Responds with the given statuses, then with 200; records the accepted alerts."""

    def __init__(self, statuses: list[int]) -> None:
        super().__init__(("127.0.0.1", 0), AlertHandler)
        self.statuses, self.received = statuses, list[Any]()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/alerts"


class AlertHandler(BaseHTTPRequestHandler):
    server: AlertServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        if status == SLOW_RESPONSE:
            time.sleep(0.3)
            status = 0
        if status == 200:
            self.server.received.append(json.loads(body))
        if status:
            self.send_response(status)
            if status == 302:
                self.send_header("location", self.server.address)
            self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[AlertServer]:
    with AlertServer([]) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_flapping_receiver_gets_each_alert_once_after_longer_pauses(
    receiver: AlertServer,
) -> None:
    receiver.statuses = [503, 0, 500]
    pauses: list[float] = []
    left, failed = alerts.deliver_alerts(
        WAITING, MonitorSettings(alert_webhook=receiver.address), pauses.append
    )
    assert (left, failed) == ([], {})
    assert pauses == [1, 2, 4]
    assert receiver.received == [ALERT]


def test_a_slow_receiver_times_out_and_is_retried(
    receiver: AlertServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "ATTEMPT_TIMEOUT_SECONDS", 0.1)
    receiver.statuses = [SLOW_RESPONSE]
    monitor_settings = MonitorSettings(alert_webhook=receiver.address)
    assert alerts.deliver_alerts(WAITING, monitor_settings, lambda seconds: time.sleep(0.3)) == (
        [],
        {},
    )
    assert receiver.received == [ALERT]


def test_a_redirect_is_a_failure_and_not_followed(receiver: AlertServer) -> None:
    receiver.statuses = [302] * alerts.MAX_ATTEMPTS
    left, failed = alerts.deliver_alerts(
        WAITING, MonitorSettings(alert_webhook=receiver.address), lambda seconds: None
    )
    assert left == WAITING
    assert "302" in failed["webhook"]
    assert (receiver.statuses, receiver.received) == ([], [])


def test_undelivered_alerts_are_sent_later(receiver: AlertServer) -> None:
    receiver.statuses = [500] * alerts.MAX_ATTEMPTS
    monitor_settings = MonitorSettings(alert_webhook=receiver.address)
    left, failed = alerts.deliver_alerts(
        [*WAITING, *WAITING], monitor_settings, lambda seconds: None
    )
    assert len(left) == 2
    assert receiver.statuses == []  # after the first failed, the second was not tried
    assert "500" in failed["webhook"]
    assert alerts.deliver_alerts(left, monitor_settings, lambda seconds: None) == ([], {})
    assert len(receiver.received) == 2


def test_a_dead_channel_does_not_delay_the_others(tmp_path: Path) -> None:
    monitor_settings = MonitorSettings(
        alert_webhook="http://127.0.0.1:9/",
        alert_file=str(tmp_path / "deep" / "alerts.jsonl"),
    )
    item = {"alert": ALERT, "channels": list(alerts.build_channels(monitor_settings))}
    left, failed = alerts.deliver_alerts([item], monitor_settings, lambda seconds: None)
    assert [item["channels"] for item in left] == [["webhook"]]
    assert set(failed) == {"webhook"}
    line = (tmp_path / "deep" / "alerts.jsonl").read_text(encoding="utf-8")
    assert json.loads(line) == ALERT


def test_a_command_gets_the_alert_on_its_standard_input(tmp_path: Path) -> None:
    path = str(tmp_path / "got")
    code = f"import sys; open({path!r}, 'wb').write(sys.stdin.buffer.read())"
    item = {"alert": ALERT, "channels": ["command"]}
    monitor_settings = MonitorSettings(alert_command=[sys.executable, "-c", code])
    assert alerts.deliver_alerts([item], monitor_settings, lambda seconds: None) == ([], {})
    assert json.loads((tmp_path / "got").read_bytes()) == ALERT
    bad = MonitorSettings(alert_command=[sys.executable, "-c", "raise SystemExit(3)"])
    left, failed = alerts.deliver_alerts([item], bad, lambda seconds: None)
    assert len(left) == 1
    assert "exit code 3" in failed["command"]


def test_pending_alerts_are_bounded_and_removed_channels_forgotten() -> None:
    many = [
        {"alert": {"id": str(i)}, "channels": ["webhook"]}
        for i in range(alerts.MAX_PENDING_ALERTS + 5)
    ]
    left, _ = alerts.deliver_alerts(
        many, MonitorSettings(alert_webhook="http://127.0.0.1:9/"), lambda seconds: None
    )
    assert len(left) == alerts.MAX_PENDING_ALERTS
    assert left[-1]["alert"]["id"] == str(alerts.MAX_PENDING_ALERTS + 4)
    assert alerts.deliver_alerts(many, MonitorSettings(), lambda seconds: None) == ([], {})


def test_alerts_are_sent_in_order_to_the_channels_that_lack_them(tmp_path: Path) -> None:
    monitor_settings = MonitorSettings(
        alert_file=str(tmp_path / "alerts"), alert_webhook="http://127.0.0.1:9/"
    )
    items = [
        {"alert": {"id": "1"}, "channels": ["file"]},
        {"alert": {"id": "2"}, "channels": ["webhook"]},
        {"alert": {"id": "3"}, "channels": ["file", "webhook", "gone"]},
    ]
    pauses: list[float] = []
    left, failed = alerts.deliver_alerts(items, monitor_settings, pauses.append)
    assert [(item["alert"]["id"], item["channels"]) for item in left] == [
        ("2", ["webhook"]), ("3", ["webhook"]),
    ]  # fmt: skip
    assert set(failed) == {"webhook"}
    assert pauses == [1, 2, 4]  # a failed channel is not retried in the same run
    lines = (tmp_path / "alerts").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["1", "3"]


def test_a_channel_that_succeeds_on_retry_has_not_failed() -> None:
    outcomes = [OSError("busy"), None, None]
    bodies: list[bytes] = []

    def send(body: bytes) -> None:
        bodies.append(body)
        if (error := outcomes.pop(0)) is not None:
            raise error

    failed: dict[str, str] = {}
    assert alerts.send_with_retries("channel", send, b"one", failed, lambda seconds: None)
    assert alerts.send_with_retries("channel", send, b"two", failed, lambda seconds: None)
    assert failed == {}
    assert bodies == [b"one", b"one", b"two"]


def test_webhooks_get_json_by_post(receiver: AlertServer) -> None:
    requests: list[tuple[str, str]] = []
    do_post = AlertHandler.do_POST

    class RecordingHandler(AlertHandler):
        def do_POST(self) -> None:
            requests.append((self.command, self.headers["content-type"]))
            do_post(self)

    receiver.RequestHandlerClass = RecordingHandler
    alerts.deliver_alerts(
        WAITING, MonitorSettings(alert_webhook=receiver.address), lambda seconds: None
    )
    assert requests == [("POST", "application/json")]
