"""Watch a model at work: what is broken, what has drifted, and who is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.contracts import Stage
from fieldcraft.core import files
from fieldcraft.core.errors import DataError, ProjectError
from fieldcraft.core.types import Json
from fieldcraft.monitoring import alerts, prometheus_textfile
from fieldcraft.monitoring.monitor import DriftMonitor
from fieldcraft.monitoring.server_metrics import ScrapedMetrics, scrape_metrics
from fieldcraft.monitoring.windows import WindowSpec, iter_windows, lock_monitoring_folder
from fieldcraft.project.settings import MonitorSettings
from fieldcraft.serving.model import VERSION_LENGTH

STATE_FORMAT = 2  # of the state


@dataclass(frozen=True)
class MonitorRequest:
    """What is watched, and how.

    Attributes:
        bundle: whose rows they are.
        source: folder of the prediction log, or rows: see `read_table`.
        out: folder for the state, ``state.json``, the report, ``report.html``, and gauges for
            Prometheus, ``metrics.prom``.
        rows, every: of a window, instead of what the project file said.
        seasonality: with which windows are compared: see `Watch`.
        alert_settings: whom alerts are told and which server is asked, as the project file says it; a
            bundle cannot say so.
        with_report: whether to write the report.
        clock: the time.
    """

    bundle: Path
    source: str
    out: Path
    window_rows: int | None = None
    window: float | None = None
    seasonality: str | None = None
    alert_settings: MonitorSettings = field(default_factory=MonitorSettings)
    with_report: bool = True
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))


def monitor(request: MonitorRequest) -> Json:
    """Look at the windows that came since the last time, and tell new alerts.

    Returns:
        ``new`` alerts and those that ``stand``, the ``windows`` that were looked at now, and what
        could not be told.

    Raises:
        BundleError: the bundle cannot be trusted.
        DataError: the rows cannot be read, the state is damaged, or another watch is at work.
        ProjectError: rows cannot be cut into the windows that are asked for.
    """
    bundle = load_bundle(request.bundle)
    monitor_settings = merge_monitor_settings(bundle, request)
    with lock_monitoring_folder(request.out):
        return process_windows(request, bundle, monitor_settings)


def process_windows(
    request: MonitorRequest, bundle: Bundle, monitor_settings: MonitorSettings
) -> Json:
    """Look at new windows, keep the state, tell alerts, write the report."""
    state_path = request.out / "state.json"
    state = load_state(state_path, bundle, request.source)
    drift_monitor = DriftMonitor(bundle, monitor_settings)
    if "watcher" in state:
        drift_monitor.load_state(state["watcher"])
    pending_alerts, new_alerts, n_windows, n_small_windows = (
        list(state.get("waiting", [])),
        list[Json](),
        0,
        0,
    )
    channels = list(alerts.build_channels(request.alert_settings))
    window_spec = WindowSpec(monitor_settings.window_rows, monitor_settings.window)
    for window, position in iter_windows(
        request.source, bundle, window_spec, state["mark"], request.clock()
    ):
        alerts_of_window = drift_monitor.process_window(window)
        new_alerts, state["mark"], n_windows = (
            [*new_alerts, *alerts_of_window],
            position,
            n_windows + 1,
        )
        n_small_windows += window.n_rows < monitor_settings.min_rows
    pending_alerts += [{"alert": alert, "ways": channels} for alert in new_alerts if channels]
    server_summary, server_state = server_metrics_since(
        request.alert_settings.metrics_url, bundle, state.get("server", {})
    )
    state |= {
        "watcher": drift_monitor.get_state(),
        "waiting": pending_alerts,
        "server": server_state,
    }
    files.atomic_write_json(
        state_path, state
    )  # before they are sent: a crash tells them twice, never not at all
    state["waiting"], failed = alerts.deliver_alerts(pending_alerts, request.alert_settings)
    files.atomic_write_json(state_path, state)
    result = {
        "model_id": bundle.model_id, "windows": n_windows, "few": n_small_windows, "least": monitor_settings.min_rows,
        "new": new_alerts, "stand": list(drift_monitor.active_alerts.values()), "failed": failed,
        "reference": bundle.profile["rows"], "expected": drift_monitor.expected_accuracy(),
        "not_watched": list_unmonitored_columns(drift_monitor, bundle), "server": server_summary,
    }  # fmt: skip
    prometheus_textfile.write_gauges(request.out / "metrics.prom", drift_monitor)
    if request.with_report:
        write_report_page(request, drift_monitor, result)
    return result


def server_metrics_since(
    source: str | None, bundle: Bundle, earlier_state: Json
) -> tuple[Json | None, Json]:
    """How the server fares since the last look, and what it has counted; a dead one is told of."""
    if source is None:
        return None, earlier_state
    try:
        current = scrape_metrics(source, bundle.model_id[:VERSION_LENGTH])
    except DataError as error:
        return {"trouble": f"{error.what} ({error.detail})"}, earlier_state
    earlier = ScrapedMetrics(**earlier_state) if earlier_state else ScrapedMetrics()
    return current.since(earlier).summarize(), asdict(current)


def write_report_page(request: MonitorRequest, drift_monitor: DriftMonitor, result: Json) -> None:
    """Write the page, where the libraries that draw are installed."""
    try:
        from fieldcraft.report.monitoring_report import write_monitoring_report
    except ImportError:
        return  # an image that only serves
    performance_path = request.out / "performance.json"  # of labels that came: see stages/labels.py
    performance = files.read_json(performance_path) if performance_path.exists() else {}
    shown_performance = (
        performance
        if performance.get("rows") and performance["model_id"] == result["model_id"]
        else None
    )
    write_monitoring_report(
        request.out / "report.html", drift_monitor, {**result, "performance": shown_performance}
    )
    result["report"] = str(request.out / "report.html")


def merge_monitor_settings(bundle: Bundle, request: MonitorRequest) -> MonitorSettings:
    """How the project wanted its model watched, and what is asked now.

    Raises:
        ProjectError: the two do not go together.
    """
    bundle_settings = MonitorSettings.model_validate(bundle.manifest.get("watch", {}))
    overrides = {
        name: value
        for name in ("rows", "every", "season")
        if (value := getattr(request, name)) is not None
    }
    if request.window_rows is not None and request.window is None:
        overrides |= {"every": None, "season": None}
    try:
        return MonitorSettings.model_validate(bundle_settings.model_dump() | overrides)
    except ValidationError as error:
        detail = error.errors()[0]
        raise ProjectError(
            "rows cannot be cut into such windows",
            detail=", ".join(f"{name} {value}" for name, value in overrides.items()),
            hint=detail["msg"].removeprefix("Value error, "),
        ) from error


def load_state(path: Path, bundle: Bundle, source: str) -> Json:
    """What was kept the last time; of another model or source there is nothing to go on from.

    Raises:
        DataError: the file is damaged.
    """
    source_location = str(Path(source).resolve()) if Path(source).exists() else source
    new_state: Json = {
        "format": STATE_FORMAT,
        "model": bundle.model_id,
        "source": source_location,
        "mark": {},
    }
    if not path.exists():
        return new_state
    try:
        state: Json = files.read_json(path)
        identity = {name: state[name] for name in ("format", "model", "source")}
        position = dict(state["mark"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            "what was kept of earlier windows cannot be read",
            detail=f"{path}: {error!r}"[:200],
            hint="delete the file to start anew, or pass another folder with --out",
        ) from error
    if identity == {name: new_state[name] for name in identity}:
        return state
    if identity["format"] == STATE_FORMAT and identity["source"] == source_location:
        return {**new_state, "mark": position, "waiting": state.get("waiting", [])}  # a new model
    return {
        **new_state,
        "waiting": state.get("waiting", []) if identity["format"] == STATE_FORMAT else [],
    }


def list_unmonitored_columns(drift_monitor: DriftMonitor, bundle: Bundle) -> list[str]:
    """Columns of the model of which no window had anything to look at."""
    measured_columns = {
        key.split("|")[0] for item in drift_monitor.history for key in item["levels"]
    }
    broken_columns = {name for item in drift_monitor.history for name in item["faults"]}
    monitored = {statistic.column for statistic in drift_monitor.statistics.values()} & (
        measured_columns | broken_columns
    )
    columns = [column.name for column in bundle.schema.columns]
    has_judged_windows = any(not item["note"] for item in drift_monitor.history)
    return [name for name in columns if name not in monitored] if has_judged_windows else []


STAGE = Stage("watch", "Tell what is broken and what drifts at work.", monitor)  # type: ignore[arg-type]
