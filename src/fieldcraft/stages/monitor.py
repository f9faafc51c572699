"""Monitor a deployed model: data-quality issues, drift, server metrics, and alerts."""

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

STATE_FORMAT = 3  # a state of another format is ignored: monitoring starts over
WINDOW_SETTINGS = ("window_rows", "window", "seasonality")  # that a request may override


@dataclass(frozen=True)
class MonitorRequest:
    """What to monitor, and how.

    Attributes:
        bundle: path of the bundle.
        source: folder of the prediction log, or a table: see `read_table`.
        out: folder for the state, ``state.json``, the report, ``report.html``, and metrics for
            Prometheus, ``metrics.prom``.
        window_rows, window, seasonality: override the settings in the bundle: see
            `MonitorSettings`.
        alert_settings: alert channels and URL of the server, from the project file. They are not
            taken from the bundle: it may come from elsewhere, and a channel can be a command.
        with_report: whether to write the report.
        clock: returns the present time.
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
    """Process the windows since the last run, and send new alerts.

    Returns:
        ``new_alerts``, ``active_alerts``, the number of ``windows`` processed, and
        ``failed_channels``, among others.

    Raises:
        BundleError: the bundle cannot be trusted.
        DataError: the rows cannot be read, the state is damaged, or the folder is in use.
        ProjectError: the window settings do not go together.
    """
    bundle = load_bundle(request.bundle)
    monitor_settings = merge_monitor_settings(bundle, request)
    with lock_monitoring_folder(request.out):
        return process_windows(request, bundle, monitor_settings)


def process_windows(
    request: MonitorRequest, bundle: Bundle, monitor_settings: MonitorSettings
) -> Json:
    """Process new windows, save the state, send alerts, write the report."""
    state_path = request.out / "state.json"
    state = load_state(state_path, bundle, request.source)
    drift_monitor = DriftMonitor(bundle, monitor_settings)
    if "monitor" in state:
        drift_monitor.load_state(state["monitor"])
    pending_alerts = list(state.get("pending_alerts", []))
    new_alerts: list[Json] = []
    n_windows = n_small_windows = 0
    window_spec = WindowSpec(monitor_settings.window_rows, monitor_settings.window)
    for window, position in iter_windows(
        request.source, bundle, window_spec, state["position"], request.clock()
    ):
        new_alerts += drift_monitor.process_window(window)
        state["position"] = position
        n_windows += 1
        n_small_windows += window.n_rows < monitor_settings.min_rows
    channels = list(alerts.build_channels(request.alert_settings))
    pending_alerts += [{"alert": alert, "channels": channels} for alert in new_alerts if channels]
    server_summary, server_state = server_metrics_since(
        request.alert_settings.metrics_url, bundle, state.get("server", {})
    )
    state |= {
        "monitor": drift_monitor.get_state(),
        "pending_alerts": pending_alerts,
        "server": server_state,
    }
    # Saved before alerts are sent: after a crash between the two they are sent twice, never lost.
    files.atomic_write_json(state_path, state)
    state["pending_alerts"], failed_channels = alerts.deliver_alerts(
        pending_alerts, request.alert_settings
    )
    files.atomic_write_json(state_path, state)
    result = {
        "model_id": bundle.model_id,
        "windows": n_windows,
        "windows_with_too_few_rows": n_small_windows,
        "min_rows": monitor_settings.min_rows,
        "new_alerts": new_alerts,
        "active_alerts": list(drift_monitor.active_alerts.values()),
        "failed_channels": failed_channels,
        "reference_rows": bundle.profile["n_reference_rows"],
        "expected_accuracy": drift_monitor.expected_accuracy(),
        "unmonitored_columns": list_unmonitored_columns(drift_monitor, bundle),
        "server": server_summary,
    }
    prometheus_textfile.write_metrics(request.out / "metrics.prom", drift_monitor)
    if request.with_report:
        write_report_page(request, drift_monitor, result)
    return result


def server_metrics_since(
    source: str | None, bundle: Bundle, earlier_state: Json
) -> tuple[Json | None, Json]:
    """Return a summary of the server metrics since the last run, and the present counters.

    A server that does not answer becomes part of the result instead of an error, so that drift is
    reported in any case.
    """
    if source is None:
        return None, earlier_state
    try:
        current = scrape_metrics(source, bundle.model_id[:VERSION_LENGTH])
    except DataError as error:
        return {"error": f"{error.what} ({error.detail})"}, earlier_state
    earlier = ScrapedMetrics(**earlier_state) if earlier_state else ScrapedMetrics()
    return current.since(earlier).summarize(), asdict(current)


def write_report_page(request: MonitorRequest, drift_monitor: DriftMonitor, result: Json) -> None:
    """Write the report, if the libraries that draw its charts are installed."""
    try:
        from fieldcraft.report.monitoring_report import write_monitoring_report
    except ImportError:
        return  # such as in a container that only serves
    performance_path = request.out / "performance.json"  # written by the stage `feedback`
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
    """Return the settings in the bundle, overridden by those of the request.

    Raises:
        ProjectError: the window settings do not go together.
    """
    bundle_settings = MonitorSettings.model_validate(bundle.manifest.get("monitor", {}))
    overrides = {
        name: value for name in WINDOW_SETTINGS if (value := getattr(request, name)) is not None
    }
    # Windows of a fixed number of rows have no duration, and so no seasonality either.
    if request.window_rows is not None and request.window is None:
        overrides |= {"window": None, "seasonality": None}
    try:
        return MonitorSettings.model_validate(bundle_settings.model_dump() | overrides)
    except ValidationError as error:
        first_error = error.errors()[0]
        raise ProjectError(
            "the window settings do not go together",
            detail=", ".join(f"{name} {value}" for name, value in overrides.items()),
            hint=first_error["msg"].removeprefix("Value error, "),
        ) from error


def load_state(path: Path, bundle: Bundle, source: str) -> Json:
    """Return the saved state, or as much of it as applies to the model and the source.

    Raises:
        DataError: the file is damaged.
    """
    source_location = str(Path(source).resolve()) if Path(source).exists() else source
    new_state: Json = {
        "format": STATE_FORMAT,
        "model_id": bundle.model_id,
        "source": source_location,
        "position": {},
    }
    if not path.exists():
        return new_state
    try:
        state: Json = files.read_json(path)
        if state["format"] != STATE_FORMAT:
            return new_state
        identity = {name: state[name] for name in ("model_id", "source")}
        position = dict(state["position"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            "the state of earlier runs cannot be read",
            detail=f"{path}: {error!r}"[:200],
            hint="delete the file to start over, or pass another folder with --out",
        ) from error
    if identity == {name: new_state[name] for name in identity}:
        return state
    # Undelivered alerts are sent in any case. A new model starts without evidence, but reading
    # continues where it stopped in the log.
    new_state["pending_alerts"] = state.get("pending_alerts", [])
    if identity["source"] == source_location:
        new_state["position"] = position
    return new_state


def list_unmonitored_columns(drift_monitor: DriftMonitor, bundle: Bundle) -> list[str]:
    """Return the columns of the model without values in any window; [] before the first window."""
    measured_columns = {
        key.split("|")[0] for item in drift_monitor.history for key in item["levels"]
    }
    broken_columns = {
        name for item in drift_monitor.history for name in item["data_quality_issues"]
    }
    monitored = {statistic.column for statistic in drift_monitor.statistics.values()} & (
        measured_columns | broken_columns
    )
    columns = [column.name for column in bundle.schema.columns]
    has_processed_windows = any(not item["note"] for item in drift_monitor.history)
    return [name for name in columns if name not in monitored] if has_processed_windows else []


STAGE = Stage("monitor", "Report data-quality and drift alerts on live traffic.", monitor)  # type: ignore[arg-type]
