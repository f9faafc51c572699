"""The metrics of a server are summarized since the last run; a dead server is reported."""

from __future__ import annotations

import io
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fieldcraft.cli.monitoring import describe_server
from fieldcraft.core import files
from fieldcraft.core.errors import DataError
from fieldcraft.monitoring.server_metrics import (
    ScrapedMetrics,
    quantile,
    read_metrics_text,
    scrape_metrics,
)
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.project.settings import MonitorSettings
from fieldcraft.serving.metrics import ServerMetrics
from fieldcraft.stages.monitor import MonitorRequest, monitor
from tests.conftest import mixed_table

VERSION = "0123456789abcdef"


def write_metrics(path: Path, version: str = VERSION, good: int = 90) -> str:
    """Write the metrics of a server to a file."""
    metrics = ServerMetrics()
    metrics.model_info.labels("shop", version).set(1)
    metrics.model_info.labels("old", "f" * 16).set(1)
    metrics.requests.labels("old", "model_error", "500").inc(7)
    for code, status, count in (
        ("ok", "200", good), ("invalid_input", "400", 6), ("overloaded", "503", 3),
        ("client_disconnected", "499", 1),
    ):  # fmt: skip
        metrics.requests.labels("shop", code, status).inc(count)
    for number in range(good + 10):
        metrics.request_duration_seconds.labels("shop").observe(0.004 if number < good else 0.3)
    path.write_bytes(metrics.to_text())
    return str(path)


def test_a_single_request_that_failed_is_all_of_them(tmp_path: Path) -> None:
    metrics = ServerMetrics()
    metrics.model_info.labels("shop", VERSION).set(1)
    metrics.requests.labels("shop", "overloaded", "503").inc()
    (tmp_path / "metrics").write_bytes(metrics.to_text())
    summary = scrape_metrics(str(tmp_path / "metrics"), VERSION).summarize()
    assert (summary["requests"], summary["server_error_fraction"]) == (1, 1.0)


def test_requests_errors_and_latency_of_a_version_are_summarized(tmp_path: Path) -> None:
    summary = scrape_metrics(write_metrics(tmp_path / "metrics"), VERSION).summarize()
    assert summary["requests"] == 100
    assert summary["error_codes"] == {"invalid_input": 6, "overloaded": 3}
    assert (summary["server_error_fraction"], summary["client_error_fraction"]) == (0.03, 0.06)
    assert 0.002 < summary["median_latency_seconds"] < 0.005
    assert 0.2 < summary["p99_latency_seconds"] < 0.5
    median, p99 = (1000 * summary[f"{name}_latency_seconds"] for name in ("median", "p99"))
    assert describe_server(summary) == (
        f"100 requests since the last run, 3.00% failed, 6.00% refused; "
        f"median {median:.1f} ms, p99 {p99:.1f} ms"
    )


def test_only_requests_since_the_last_run_count_unless_the_server_restarted(
    tmp_path: Path,
) -> None:
    before = scrape_metrics(write_metrics(tmp_path / "one", good=90), VERSION)
    now = scrape_metrics(write_metrics(tmp_path / "two", good=140), VERSION)
    since = now.since(ScrapedMetrics(**asdict(before))).summarize()
    assert (since["requests"], since["error_codes"]) == (50, {})
    assert since["p99_latency_seconds"] < 0.005
    assert before.since(now).summarize()["requests"] == 100  # the server was restarted
    assert now.since(now).summarize() | {"requests": 0} == now.since(now).summarize()
    assert now.since(now).summarize()["median_latency_seconds"] is None
    assert describe_server(now.since(now).summarize()) == "0 requests since the last run"


def test_latencies_beyond_the_last_edge_are_reported_as_the_edge() -> None:
    assert quantile({"1.0": 0, "30.0": 5, "+Inf": 10}, 0.99) == 30
    assert quantile({}, 0.5) is None


def test_other_servers_and_unreadable_metrics_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not serve this version"):
        scrape_metrics(write_metrics(tmp_path / "metrics"), "9" * 16)
    (tmp_path / "odd").write_text("{not figures", encoding="utf-8")
    with pytest.raises(DataError):
        scrape_metrics(str(tmp_path / "odd"), VERSION)
    for source in (str(tmp_path / "none"), "http://127.0.0.1:9", "http://["):
        with pytest.raises(DataError, match="cannot be fetched"):
            read_metrics_text(source)


def test_monitoring_includes_the_server(finished_project_folder: Path, tmp_path: Path) -> None:
    bundle = ProjectFolder(finished_project_folder / "project").bundle_path
    table, out = tmp_path / "rows.csv", tmp_path / "out"
    mixed_table(300, seed=9).write_csv(table)
    version = str(files.read_json(bundle / "manifest.json")["model_id"])[:16]
    metrics = write_metrics(tmp_path / "metrics", version)
    tomorrow = datetime.now(UTC) + timedelta(days=1)

    def make_request(server: str | None) -> MonitorRequest:
        return MonitorRequest(
            bundle,
            str(table),
            out,
            alert_settings=MonitorSettings(metrics_url=server),
            clock=lambda: tomorrow,
        )

    assert monitor(make_request(metrics))["server"]["requests"] == 100
    assert "3.0 % failed" in (out / "report.html").read_text("utf-8").replace("%", " %")
    write_metrics(tmp_path / "metrics", version, good=95)
    assert monitor(make_request(metrics))["server"]["requests"] == 5
    dead = monitor(make_request("http://127.0.0.1:9"))["server"]
    assert "cannot be fetched" in dead["error"]
    assert describe_server(dead) == dead["error"]
    assert monitor(make_request(None))["server"] is None
    assert monitor(make_request(metrics))["server"]["requests"] == 0


def test_a_quantile_is_interpolated_within_its_bucket() -> None:
    buckets = {"+Inf": 100.0, "0.1": 20.0, "0.2": 60.0, "0.4": 100.0}  # in any order
    expected = {0.1: 0.05, 0.2: 0.1, 0.4: 0.15, 0.6: 0.2, 0.8: 0.3, 1.0: 0.4}
    assert {share: quantile(buckets, share) for share in expected} == expected
    assert quantile({"0.1": 0, "0.2": 1, "+Inf": 1}, 0.5) == 0.15
    assert quantile({"0.1": 0, "+Inf": 0}, 0.5) is None


def test_counters_that_fell_belong_to_a_restarted_server() -> None:
    before = ScrapedMetrics({"ok": 5, "invalid_input": 2}, {"0.1": 7})
    grown = ScrapedMetrics({"ok": 6, "invalid_input": 2, "client_disconnected": 1}, {"0.1": 8})
    assert grown.since(before) == ScrapedMetrics(
        {"ok": 1, "invalid_input": 0, "client_disconnected": 1}, {"0.1": 1}
    )
    for restarted in (
        ScrapedMetrics({"ok": 9, "invalid_input": 1}, {"0.1": 9}),
        ScrapedMetrics({"ok": 9}, {"0.1": 9}),
    ):
        assert restarted.since(before) == restarted


def test_models_with_the_same_version_are_added_up(tmp_path: Path) -> None:
    metrics = ServerMetrics()
    for model, version in {"a": VERSION, "b": VERSION, "c": "f" * 16}.items():
        metrics.model_info.labels(model, version).set(1)
        metrics.requests.labels(model, "ok", "200").inc(3)
        metrics.request_duration_seconds.labels(model).observe(0.004)
    metrics.model_info.labels("c", VERSION).set(0)  # no longer served
    path = tmp_path / "metrics"
    path.write_bytes(metrics.to_text())
    scraped = scrape_metrics(str(path), VERSION)
    assert scraped.code_counts == {"ok": 6}
    assert (
        scraped.latency_buckets["0.002"],
        scraped.latency_buckets["0.005"],
        scraped.latency_buckets["+Inf"],
    ) == (0, 2, 2)


@pytest.mark.parametrize("suffix", ["", "/", "/metrics", "/metrics/"])
def test_metrics_are_fetched_from_the_url_of_the_server(
    monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    requests: list[tuple[str, float]] = []

    def urlopen(address: str, timeout: float) -> io.BytesIO:
        requests.append((address, timeout))
        return io.BytesIO(b"figures")

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    assert read_metrics_text("http://here:8000" + suffix) == "figures"
    assert requests == [("http://here:8000/metrics", 5.0)]
