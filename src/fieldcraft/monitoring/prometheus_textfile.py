"""What a watch has found as gauges of Prometheus, in a file that its textfile collector reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fieldcraft.core import files
from fieldcraft.monitoring.monitor import DriftMonitor

GAUGE_HELP = {
    "level": "Evidence of drift that has added up, a logarithm.",
    "limit": "Evidence from which on an alarm is told, a logarithm.",
    "effect": "Jensen-Shannon distance from the reference, 0 to 1.",
    "alerts": "Alerts that stand, by kind.",
    "windows": "Windows that were looked at so far.",
}


def write_gauges(path: Path, monitor: DriftMonitor) -> None:
    """Write the gauges, whole or not at all."""
    files.atomic_write_text(path, "\n".join(format_gauges(monitor)) + "\n")


def format_gauges(monitor: DriftMonitor) -> Iterator[str]:
    """The gauges in the text format of Prometheus; one for each measure of the last window."""
    latest_levels = monitor.latest_levels()
    model = f'model="{monitor.bundle.model_id[:16]}"'
    alert_types = [alert["kind"] for alert in monitor.active_alerts.values()]
    limit = next(
        (statistic.detector.limits.log_level for statistic in monitor.statistics.values()), 0.0
    )
    gauges: dict[str, list[tuple[str, float]]] = {
        "level": [
            (statistic_label(monitor, key), level) for key, (level, _) in latest_levels.items()
        ],
        "limit": [("", limit)],
        "effect": [
            (statistic_label(monitor, key), effect) for key, (_, effect) in latest_levels.items()
        ],
        "alerts": [
            (f'kind="{alert_type}"', alert_types.count(alert_type))
            for alert_type in ("broken", "drift")
        ],
        "windows": [("", monitor.n_windows)],
    }
    for name, values in gauges.items():
        yield f"# HELP fieldcraft_watch_{name} {GAUGE_HELP[name]}"
        yield f"# TYPE fieldcraft_watch_{name} gauge"
        for labels, value in values:
            joined = ",".join(part for part in (model, labels) if part)
            yield f"fieldcraft_watch_{name}{{{joined}}} {value:g}"


def statistic_label(monitor: DriftMonitor, key: str) -> str:
    """The label of a measure, with what would end it escaped."""
    title = monitor.statistics[key].title if key in monitor.statistics else key
    escaped = title.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'measure="{escaped}"'
