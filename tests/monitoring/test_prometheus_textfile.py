"""The gauges are what Prometheus reads, whatever columns are called."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.monitoring import prometheus_textfile
from fieldcraft.monitoring.monitor import DriftMonitor
from fieldcraft.monitoring.windows import predict_window
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.project.settings import MonitorSettings
from tests.conftest import mixed_table


@pytest.fixture(scope="module")
def bundle(finished_project_folder: Path) -> Bundle:
    return load_bundle(ProjectFolder(finished_project_folder / "project").bundle_path)


def test_prometheus_reads_them(bundle: Bundle, tmp_path: Path) -> None:
    watcher = DriftMonitor(bundle, MonitorSettings())
    rows = mixed_table(300, seed=5).with_columns(city=pl.lit("Atlantis")).cast(pl.String)
    watcher.process_window(predict_window(rows, bundle))
    odd = 'a "column"\nof\\two'
    key = next(key for key in watcher.statistics if key.startswith("age"))
    watcher.statistics[key] = replace(watcher.statistics[key], column=odd)
    prometheus_textfile.write_gauges(tmp_path / "metrics.prom", watcher)
    text = (tmp_path / "metrics.prom").read_text(encoding="utf-8")
    found = {family.name: family.samples for family in text_string_to_metric_families(text)}
    assert set(found) == {f"fieldcraft_watch_{name}" for name in prometheus_textfile.GAUGE_HELP}
    assert odd in {sample.labels["measure"] for sample in found["fieldcraft_watch_level"]}
    broken = {sample.labels["kind"]: sample.value for sample in found["fieldcraft_watch_alerts"]}
    assert broken["broken"] >= 1
    assert found["fieldcraft_watch_windows"][0].value == 1


def test_each_gauge_has_its_line(bundle: Bundle) -> None:
    watcher = DriftMonitor(bundle, MonitorSettings())
    watcher.n_windows = 3
    watcher.history = [
        {"levels": {"age|value": [1.5, 0.25], "city|value": [0.5, 0.125]}},
        {"levels": {"age|value": [2.5, 0.5]}},
    ]
    watcher.active_alerts = {
        "1": {"kind": "drift"},
        "2": {"kind": "drift"},
        "3": {"kind": "broken"},
    }
    model = f'model="{bundle.model_id[:16]}"'
    limit = watcher.statistics["age|value"].detector.limits.log_level
    figures = [
        line for line in prometheus_textfile.format_gauges(watcher) if not line.startswith("#")
    ]
    assert figures == [
        f'fieldcraft_watch_level{{{model},measure="age"}} 2.5',
        f'fieldcraft_watch_level{{{model},measure="city"}} 0.5',
        f"fieldcraft_watch_limit{{{model}}} {limit:g}",
        f'fieldcraft_watch_effect{{{model},measure="age"}} 0.5',
        f'fieldcraft_watch_effect{{{model},measure="city"}} 0.125',
        f'fieldcraft_watch_alerts{{{model},kind="broken"}} 1',
        f'fieldcraft_watch_alerts{{{model},kind="drift"}} 2',
        f"fieldcraft_watch_windows{{{model}}} 3",
    ]
