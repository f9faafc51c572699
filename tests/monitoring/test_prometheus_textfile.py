"""Prometheus can parse the metrics, whatever the names of columns."""

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


def test_prometheus_parses_the_metrics(bundle: Bundle, tmp_path: Path) -> None:
    monitor = DriftMonitor(bundle, MonitorSettings())
    rows = mixed_table(300, seed=5).with_columns(city=pl.lit("Atlantis")).cast(pl.String)
    monitor.process_window(predict_window(rows, bundle))
    odd_name = 'a "column"\nof\\two'
    key = next(key for key in monitor.statistics if key.startswith("age"))
    monitor.statistics[key] = replace(monitor.statistics[key], column=odd_name)
    prometheus_textfile.write_metrics(tmp_path / "metrics.prom", monitor)
    text = (tmp_path / "metrics.prom").read_text(encoding="utf-8")
    samples = {family.name: family.samples for family in text_string_to_metric_families(text)}
    assert set(samples) == {
        f"fieldcraft_monitor_{name}"
        for name in (
            "log_evidence",
            "alarm_threshold",
            "drift_distance",
            "active_alerts",
            "windows",
        )
    }
    assert odd_name in {
        sample.labels["statistic"] for sample in samples["fieldcraft_monitor_log_evidence"]
    }
    active_alerts = {
        sample.labels["type"]: sample.value
        for sample in samples["fieldcraft_monitor_active_alerts"]
    }
    assert active_alerts["data_quality"] >= 1
    assert samples["fieldcraft_monitor_windows"][0].value == 1


def test_each_sample_has_a_line(bundle: Bundle, tmp_path: Path) -> None:
    monitor = DriftMonitor(bundle, MonitorSettings())
    monitor.n_windows = 3
    monitor.history = [
        {"levels": {"age|value": [1.5, 0.25], "city|value": [0.5, 0.125]}},
        {"levels": {"age|value": [2.5, 0.5]}},
    ]
    monitor.active_alerts = {
        "1": {"type": "drift"},
        "2": {"type": "drift"},
        "3": {"type": "data_quality"},
    }
    model = f'model="{bundle.model_id[:16]}"'
    limit = monitor.statistics["age|value"].detector.limits.log_level
    prometheus_textfile.write_metrics(tmp_path / "metrics.prom", monitor)
    lines = (tmp_path / "metrics.prom").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("# TYPE")][-1] == (
        "# TYPE fieldcraft_monitor_windows_total counter"
    )
    assert [line for line in lines if not line.startswith("#")] == [
        f'fieldcraft_monitor_log_evidence{{{model},statistic="age"}} 2.5',
        f'fieldcraft_monitor_log_evidence{{{model},statistic="city"}} 0.5',
        f"fieldcraft_monitor_alarm_threshold{{{model}}} {limit!r}",
        f'fieldcraft_monitor_drift_distance{{{model},statistic="age"}} 0.5',
        f'fieldcraft_monitor_drift_distance{{{model},statistic="city"}} 0.125',
        f'fieldcraft_monitor_active_alerts{{{model},type="data_quality"}} 1.0',
        f'fieldcraft_monitor_active_alerts{{{model},type="drift"}} 2.0',
        f"fieldcraft_monitor_windows_total{{{model}}} 3.0",
    ]
