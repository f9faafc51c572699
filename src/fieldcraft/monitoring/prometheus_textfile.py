"""Export the state of a monitor for the textfile collector of Prometheus's node exporter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fieldcraft.core import files
from fieldcraft.monitoring.monitor import DriftMonitor

METRIC_PREFIX = "fieldcraft_monitor_"
MODEL_LABEL_LENGTH = 16  # characters of the model id, as in the versions that the server reports
METRIC_TYPE_AND_HELP = {
    "log_evidence": ("gauge", "Log evidence of drift."),
    "alarm_threshold": ("gauge", "Log evidence at which drift raises an alert."),
    "drift_distance": ("gauge", "Jensen-Shannon distance from the reference, 0 to 1."),
    "active_alerts": ("gauge", "Active alerts by type."),
    "windows_total": ("counter", "Windows processed."),
}


def write_metrics(path: Path, monitor: DriftMonitor) -> None:
    """Write the metrics atomically, because the collector may read the file at any time."""
    files.atomic_write_text(path, "\n".join(format_metrics(monitor)) + "\n")


def format_metrics(monitor: DriftMonitor) -> Iterator[str]:
    """Yield the lines of the file; the samples of a statistic are those of its latest window."""
    latest_levels = monitor.latest_levels()
    model = f'model="{monitor.bundle.model_id[:MODEL_LABEL_LENGTH]}"'
    alert_types = [alert["type"] for alert in monitor.active_alerts.values()]
    # All detectors of a monitor have the same threshold.
    threshold = next(
        (statistic.detector.limits.log_level for statistic in monitor.statistics.values()), 0.0
    )
    samples: dict[str, list[tuple[str, float]]] = {
        "log_evidence": [
            (statistic_label(monitor, key), level) for key, (level, _) in latest_levels.items()
        ],
        "alarm_threshold": [("", threshold)],
        "drift_distance": [
            (statistic_label(monitor, key), distance)
            for key, (_, distance) in latest_levels.items()
        ],
        "active_alerts": [
            (f'type="{alert_type}"', alert_types.count(alert_type))
            for alert_type in ("data_quality", "drift")
        ],
        "windows_total": [("", monitor.n_windows)],
    }
    for name, values in samples.items():
        metric_type, help_text = METRIC_TYPE_AND_HELP[name]
        yield f"# HELP {METRIC_PREFIX}{name} {help_text}"
        yield f"# TYPE {METRIC_PREFIX}{name} {metric_type}"
        for label, value in values:
            labels = ",".join(part for part in (model, label) if part)
            yield f"{METRIC_PREFIX}{name}{{{labels}}} {value:g}"


def statistic_label(monitor: DriftMonitor, key: str) -> str:
    """Return the label of a statistic, escaped because column names may hold any characters."""
    title = monitor.statistics[key].title if key in monitor.statistics else key
    escaped = title.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'statistic="{escaped}"'
