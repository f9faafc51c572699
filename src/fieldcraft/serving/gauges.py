"""What a watch has found as gauges of Prometheus, in a file that its textfile collector reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fieldcraft.core import files
from fieldcraft.serving.watcher import Watcher

HELP = {
    "level": "Evidence of drift that has added up, a logarithm.",
    "limit": "Evidence from which on an alarm is told, a logarithm.",
    "effect": "Jensen-Shannon distance from the reference, 0 to 1.",
    "alerts": "Alerts that stand, by kind.",
    "windows": "Windows that were looked at so far.",
}


def write(path: Path, watcher: Watcher) -> None:
    """Write the gauges, whole or not at all."""
    files.write_text(path, "\n".join(lines(watcher)) + "\n")


def lines(watcher: Watcher) -> Iterator[str]:
    """The gauges in the text format of Prometheus; one for each measure of the last window."""
    last = watcher.latest()
    model = f'model="{watcher.bundle.model_id[:16]}"'
    kinds = [alert["kind"] for alert in watcher.alerts.values()]
    limit = next((one.stream.limits.level for one in watcher.measures.values()), 0.0)
    found: dict[str, list[tuple[str, float]]] = {
        "level": [(named(watcher, key), level) for key, (level, _) in last.items()],
        "limit": [("", limit)],
        "effect": [(named(watcher, key), effect) for key, (_, effect) in last.items()],
        "alerts": [(f'kind="{kind}"', kinds.count(kind)) for kind in ("broken", "drift")],
        "windows": [("", watcher.windows)],
    }
    for name, values in found.items():
        yield f"# HELP fieldcraft_watch_{name} {HELP[name]}"
        yield f"# TYPE fieldcraft_watch_{name} gauge"
        for labels, value in values:
            joined = ",".join(part for part in (model, labels) if part)
            yield f"fieldcraft_watch_{name}{{{joined}}} {value:g}"


def named(watcher: Watcher, key: str) -> str:
    """The label of a measure, with what would end it escaped."""
    title = watcher.measures[key].title if key in watcher.measures else key
    safe = title.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'measure="{safe}"'
