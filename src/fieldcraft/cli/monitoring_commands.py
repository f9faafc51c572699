"""Commands for models in production: monitoring, feedback, retraining, versions."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from fieldcraft.cli.errors import print_error
from fieldcraft.cli.monitoring import (
    print_feedback,
    print_monitoring,
    print_retraining,
    print_rollback,
    print_versions,
    resolve_alert_settings,
)
from fieldcraft.cli.options import (
    JsonOption,
    ProjectDirOption,
    find_project,
    progress_callbacks,
)
from fieldcraft.cli.project_setup import parse_duration_option
from fieldcraft.core.errors import FieldcraftError
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages._workflows import list_versions, retrain_project, rollback_project
from fieldcraft.stages.feedback import FeedbackRequest
from fieldcraft.stages.feedback import feedback as process_labels
from fieldcraft.stages.monitor import MonitorRequest
from fieldcraft.stages.monitor import monitor as run_monitor

app = typer.Typer(rich_markup_mode=None)  # plain help, as of the whole program
MAX_REASON_CHARS = 500  # the reason of an automatic retraining goes into the ledger
MONITORING_FOLDER = "monitoring"


@app.command()
def monitor(
    bundle: Annotated[str, typer.Argument(help="Bundle; or, inside a project, the source.")],
    source: Annotated[str | None, typer.Argument(help="Prediction log folder, or a table.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for state and report.")
    ] = None,
    window_rows: Annotated[int | None, typer.Option(min=1, help="Rows per window.")] = None,
    window: Annotated[str | None, typer.Option(help="Length of a window instead, e.g. 1h.")] = None,
    seasonality: Annotated[
        str | None, typer.Option(help="day or week: compare with the same time of day or week.")
    ] = None,
    alert_file: Annotated[Path | None, typer.Option(help="Append alerts to this file.")] = None,
    alert_command: Annotated[str | None, typer.Option(help="Pipe each alert to a command.")] = None,
    alert_webhook: Annotated[
        str | None, typer.Option(envvar="FIELDCRAFT_ALERT_WEBHOOK", help="POST alerts to this URL.")
    ] = None,
    metrics_url: Annotated[
        str | None, typer.Option(help="Server URL: report its latency and errors too.")
    ] = None,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Train a challenger on new alerts.")
    ] = False,
    project_dir: ProjectDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Report data-quality and drift alerts; exit code 1 if any is active."""
    # A single argument is the source: the bundle is then that of the project.
    project = find_project(project_dir) if source is None else None
    bundle_path, source_path = (
        (project.bundle_path, bundle) if project else (Path(bundle), str(source))
    )
    out_folder = out or monitoring_folder(project)
    window_seconds = None if window is None else parse_duration_option(window, "--window")
    alert_settings = resolve_alert_settings(
        project, alert_file, alert_command, alert_webhook, metrics_url
    )
    result = run_monitor(
        MonitorRequest(
            bundle_path,
            source_path,
            out_folder,
            window_rows,
            window_seconds,
            seasonality,
            alert_settings,
        )
    )
    print_monitoring(result, as_json)
    # Only new alerts trigger a retraining: one that stays active would train at each run.
    if retrain and result["new_alerts"]:
        retrain_on_alerts(find_project(project_dir), source_path, result["new_alerts"], as_json)
    if result["active_alerts"]:
        raise typer.Exit(1)


@app.command()
def feedback(
    table: Annotated[str, typer.Argument(help="Table of labels: request_id, row, target.")],
    log: Annotated[str, typer.Option(help="Prediction log folder.")],
    bundle: Annotated[Path | None, typer.Option(help="Bundle; by default the project's.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder that monitor writes to.")
    ] = None,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Train a challenger if performance degraded.")
    ] = False,
    project_dir: ProjectDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure performance once labels arrive; exit code 1 if it degraded."""
    project = None if bundle else find_project(project_dir)
    bundle_path = bundle or find_project(project_dir).bundle_path
    out_folder = out or monitoring_folder(project)
    result = process_labels(
        FeedbackRequest(bundle_path, table, log, out_folder, resolve_alert_settings(project))
    )
    print_feedback(result, as_json)
    if retrain and result["is_new_alert"]:
        alerts = [{"message": "performance degraded"}]
        retrain_on_alerts(find_project(project_dir), log, alerts, as_json)
    if result["is_degraded"] or any(group["is_degraded"] for group in result["groups"]):
        raise typer.Exit(1)


def monitoring_folder(project: ProjectFolder | None) -> Path:
    """Where state and report of the monitoring are kept."""
    return project.root / MONITORING_FOLDER if project else Path(MONITORING_FOLDER)


def retrain_on_alerts(
    project: ProjectFolder, log: str, new_alerts: Sequence[Any], as_json: bool
) -> None:
    """Train a challenger because of alerts; the outcome goes to standard error.

    Standard output already holds the JSON of the command that raised the alerts.
    """
    reason = "; ".join(alert["message"] for alert in new_alerts)[:MAX_REASON_CHARS]
    with progress_callbacks(as_json) as callbacks:
        result = retrain_project(project, callbacks, {"log": log, "reason": reason})
    print_retraining(result, as_json, sys.stderr)


@app.command()
def retrain(
    log: Annotated[
        str | None, typer.Option(help="Prediction log folder; by default the monitored one.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Table of labeled rows, instead of log and feedback.")
    ] = None,
    interval: Annotated[
        str | None, typer.Option(help="Repeat after this time, e.g. 12h, 1d.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Reason, kept in the ledger.")] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Train despite data-quality alerts or few new rows.")
    ] = False,
    project_dir: ProjectDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a challenger; promote it only if it is better (else exit code 1)."""
    project = find_project(project_dir)
    options = {"log": log, "data": data, "reason": reason, "force": force}

    def run_once() -> str:
        with progress_callbacks(as_json) as callbacks:
            result = retrain_project(project, callbacks, options)
        print_retraining(result, as_json)
        return str(result["outcome"])

    if interval is not None:
        repeat_forever(run_once, parse_duration_option(interval, "--interval"))
    if run_once() in ("not_promoted", "blocked"):
        raise typer.Exit(1)


def repeat_forever(action: Callable[[], object], pause_seconds: float) -> NoReturn:
    """Repeat an action with pauses; expected errors are printed and do not end the loop."""
    while True:
        try:
            action()
        except FieldcraftError as error:  # such as a log that is missing for a while
            print_error(error.what, error.detail, error.hint)
        time.sleep(pause_seconds)


@app.command()
def rollback(
    to: Annotated[str | None, typer.Option(help="Prefix of the model id to return to.")] = None,
    reason: Annotated[str, typer.Option(help="Reason, kept in the ledger.")] = "",
    list_only: Annotated[
        bool, typer.Option("--list", help="List the versions, change nothing.")
    ] = False,
    project_dir: ProjectDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the previous bundle the current one again."""
    project = find_project(project_dir)
    if list_only:
        print_versions(list_versions(project), as_json)
    else:
        print_rollback(rollback_project(project, to, reason), as_json)
