"""Export the state of a monitor for the textfile collector of Prometheus's node exporter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, write_to_textfile
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from fieldcraft.monitoring.monitor import DriftMonitor

METRIC_PREFIX = "fieldcraft_monitor_"


def write_metrics(path: Path, monitor: DriftMonitor) -> None:
    """Write the metrics atomically: the collector may read the file at any time."""
    registry = CollectorRegistry()
    registry.register(MonitorCollector(monitor))
    write_to_textfile(str(path), registry)


@dataclass(eq=False)  # a registry keeps its collectors as keys
class MonitorCollector(Collector):
    """The metrics of a monitor, with one sample per statistic of its last window."""

    monitor: DriftMonitor

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        monitor = self.monitor
        model = monitor.bundle.model_id[:16]
        evidence = gauge("log_evidence", "Log evidence of drift.", "statistic")
        distance = gauge(
            "drift_distance", "Jensen-Shannon distance from the reference, 0 to 1.", "statistic"
        )
        for key, (log_level, js_distance) in monitor.latest_levels().items():
            title = monitor.statistics[key].title if key in monitor.statistics else key
            evidence.add_metric([model, title], log_level)
            distance.add_metric([model, title], js_distance)
        threshold = gauge("alarm_threshold", "Log evidence from which on drift is an alert.")
        limits = [statistic.detector.limits for statistic in monitor.statistics.values()]
        threshold.add_metric([model], limits[0].log_level if limits else 0.0)
        active_alerts = gauge("active_alerts", "Active alerts by type.", "type")
        alert_types = [alert["type"] for alert in monitor.active_alerts.values()]
        for alert_type in ("data_quality", "drift"):
            active_alerts.add_metric([model, alert_type], alert_types.count(alert_type))
        windows = CounterMetricFamily(
            f"{METRIC_PREFIX}windows", "Windows processed.", labels=["model"]
        )
        windows.add_metric([model], monitor.n_windows)
        yield from (evidence, threshold, distance, active_alerts, windows)


def gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    """A gauge with the label of the model and others."""
    return GaugeMetricFamily(METRIC_PREFIX + name, text, labels=["model", *labels])
