"""What a server has counted is told since the last look, and a dead server is told of."""

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
    """The figures of a server in a file."""
    counters = ServerMetrics()
    counters.model_info.labels("shop", version).set(1)
    counters.model_info.labels("old", "f" * 16).set(1)
    counters.requests.labels("old", "model_error").inc(7)
    for code, count in {"ok": good, "bad_rows": 6, "overloaded": 3, "gone": 1}.items():
        counters.requests.labels("shop", code).inc(count)
    for number in range(good + 10):
        counters.request_duration_seconds.labels("shop").observe(0.004 if number < good else 0.3)
    path.write_bytes(counters.to_text())
    return str(path)


def test_requests_errors_and_latency_of_a_version_are_told(tmp_path: Path) -> None:
    told = scrape_metrics(write_metrics(tmp_path / "metrics"), VERSION).summarize()
    assert told["requests"] == 100
    assert told["codes"] == {"bad_rows": 6, "overloaded": 3}
    assert (told["failed"], told["refused"]) == (0.03, 0.06)
    assert 0.002 < told["median"] < 0.005
    assert 0.2 < told["p99"] < 0.5
    assert describe_server(told) == (
        f"100 requests since the last look, 3.00% failed, 6.00% refused; "
        f"median {1000 * told['median']:.1f} ms, p99 {1000 * told['p99']:.1f} ms"
    )


def test_only_what_came_since_the_last_look_counts_unless_the_server_is_new(
    tmp_path: Path,
) -> None:
    before = scrape_metrics(write_metrics(tmp_path / "one", good=90), VERSION)
    now = scrape_metrics(write_metrics(tmp_path / "two", good=140), VERSION)
    since = now.since(ScrapedMetrics(**asdict(before))).summarize()
    assert (since["requests"], since["codes"]) == (50, {})
    assert since["p99"] < 0.005
    assert before.since(now).summarize()["requests"] == 100  # it was started anew
    assert now.since(now).summarize() | {"requests": 0} == now.since(now).summarize()
    assert now.since(now).summarize()["median"] is None
    assert describe_server(now.since(now).summarize()) == "0 requests since the last look"


def test_latencies_beyond_the_last_edge_are_at_least_so_long() -> None:
    assert quantile({"1.0": 0, "30.0": 5, "+Inf": 10}, 0.99) == 30
    assert quantile({}, 0.5) is None


def test_what_is_no_server_of_this_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not answer with this version"):
        scrape_metrics(write_metrics(tmp_path / "metrics"), "9" * 16)
    (tmp_path / "odd").write_text("{not figures", encoding="utf-8")
    with pytest.raises(DataError):
        scrape_metrics(str(tmp_path / "odd"), VERSION)
    for source in (str(tmp_path / "none"), "http://127.0.0.1:9", "http://["):
        with pytest.raises(DataError, match="cannot be had"):
            read_metrics_text(source)


def test_a_watch_tells_how_the_server_fares(finished_project_folder: Path, tmp_path: Path) -> None:
    bundle = ProjectFolder(finished_project_folder / "project").bundle_path
    table, out = tmp_path / "rows.csv", tmp_path / "out"
    mixed_table(300, seed=9).write_csv(table)
    version = str(files.read_json(bundle / "manifest.json")["model_id"])[:16]
    metrics = write_metrics(tmp_path / "metrics", version)
    tomorrow = datetime.now(UTC) + timedelta(days=1)

    def look(server: str | None) -> MonitorRequest:
        return MonitorRequest(
            bundle,
            str(table),
            out,
            alert_settings=MonitorSettings(metrics_url=server),
            clock=lambda: tomorrow,
        )

    assert monitor(look(metrics))["server"]["requests"] == 100
    assert "3.0 % of them failed" in (out / "report.html").read_text("utf-8").replace("%", " %")
    write_metrics(tmp_path / "metrics", version, good=95)
    assert monitor(look(metrics))["server"]["requests"] == 5
    dead = monitor(look("http://127.0.0.1:9"))["server"]
    assert "cannot be had" in dead["trouble"]
    assert describe_server(dead) == dead["trouble"]
    assert monitor(look(None))["server"] is None
    assert monitor(look(metrics))["server"]["requests"] == 0


def test_a_quantile_is_interpolated_within_its_bucket() -> None:
    buckets = {"+Inf": 100.0, "0.1": 20.0, "0.2": 60.0, "0.4": 100.0}  # in any order
    expected = {0.1: 0.05, 0.2: 0.1, 0.4: 0.15, 0.6: 0.2, 0.8: 0.3, 1.0: 0.4}
    assert {share: quantile(buckets, share) for share in expected} == expected
    assert quantile({"0.1": 0, "0.2": 1, "+Inf": 1}, 0.5) == 0.15
    assert quantile({"0.1": 0, "+Inf": 0}, 0.5) is None


def test_counters_that_fell_are_those_of_a_new_server() -> None:
    before = ScrapedMetrics({"ok": 5, "bad_rows": 2}, {"0.1": 7})
    grown = ScrapedMetrics({"ok": 6, "bad_rows": 2, "gone": 1}, {"0.1": 8})
    assert grown.since(before) == ScrapedMetrics({"ok": 1, "bad_rows": 0, "gone": 1}, {"0.1": 1})
    for anew in (
        ScrapedMetrics({"ok": 9, "bad_rows": 1}, {"0.1": 9}),
        ScrapedMetrics({"ok": 9}, {"0.1": 9}),
    ):
        assert anew.since(before) == anew


def test_versions_of_one_model_on_several_routes_are_added_up(tmp_path: Path) -> None:
    counters = ServerMetrics()
    for model, version in {"a": VERSION, "b": VERSION, "c": "f" * 16}.items():
        counters.model_info.labels(model, version).set(1)
        counters.requests.labels(model, "ok").inc(3)
        counters.request_duration_seconds.labels(model).observe(0.004)
    counters.model_info.labels("c", VERSION).set(0)  # no longer
    path = tmp_path / "metrics"
    path.write_bytes(counters.to_text())
    found = scrape_metrics(str(path), VERSION)
    assert found.code_counts == {"ok": 6}
    assert (
        found.latency_buckets["0.002"],
        found.latency_buckets["0.005"],
        found.latency_buckets["+Inf"],
    ) == (0, 2, 2)


@pytest.mark.parametrize("suffix", ["", "/", "/metrics", "/metrics/"])
def test_a_server_is_asked_at_its_address(monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    asked: list[tuple[str, float]] = []

    def opened(address: str, timeout: float) -> io.BytesIO:
        asked.append((address, timeout))
        return io.BytesIO(b"figures")

    monkeypatch.setattr("urllib.request.urlopen", opened)
    assert read_metrics_text("http://here:8000" + suffix) == "figures"
    assert asked == [("http://here:8000/metrics", 5.0)]
