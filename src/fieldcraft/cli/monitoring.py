"""Print results of monitor, feedback, retrain and rollback, wrapped at 80 columns."""

from __future__ import annotations

import json
import shlex
import sys
import textwrap
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TextIO

from fieldcraft.core.errors import ProjectError
from fieldcraft.core.formatting import format_number, pluralize, truncated_list
from fieldcraft.core.types import Json
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.project.settings import MonitorSettings

LINE_WIDTH = 80
MODEL_ID_CHARS = 12  # a prefix is enough to tell versions apart, and to pass to --to
OUTCOME_HEADLINES = {
    "promoted": "promoted: the challenger is the champion now",
    "not_promoted": "not promoted: the champion stays",
    "blocked": "blocked: nothing was trained",
    "too_few_rows": "nothing to do yet",
    "already_running": "nothing done",
}
REJECTED_LABEL_DESCRIPTIONS = {
    "already_known": "already known",
    "duplicates": "duplicates",
    "contradictory": "contradictory, ignored",
    "unmatched": "without a prediction in the log",
    "unparseable": "unparseable",
}


def resolve_alert_settings(
    project: ProjectFolder | None, alert_file: Path | None = None, alert_command: str | None = None,
    alert_webhook: str | None = None, metrics_url: str | None = None,
) -> MonitorSettings:  # fmt: skip
    """Alert channels and metrics URL: from the options, else from the project file.

    Raises:
        ProjectError: the webhook is not a URL.
    """
    if alert_webhook is not None and not alert_webhook.startswith(("http://", "https://")):
        raise ProjectError(
            "a webhook is a URL that starts with https:// or http://",
            # The rest may hold a secret token, which must not end up in a log.
            detail=f"--alert-webhook {alert_webhook[:8]}...",
            hint="pass the whole URL, or leave the option out",
        )
    project_settings = project.load_settings().deploy.monitor if project else MonitorSettings()
    # Paths in the project file are relative to it, those of options to the working directory.
    file_path = project_settings.alert_file
    if project and file_path is not None:
        file_path = str(project.root / file_path)
    return MonitorSettings(
        metrics_url=metrics_url or project_settings.metrics_url,
        alert_file=str(alert_file) if alert_file else file_path,
        alert_command=shlex.split(alert_command)
        if alert_command
        else project_settings.alert_command,
        alert_webhook=alert_webhook or project_settings.alert_webhook,
    )


def print_monitoring(result: Json, as_json: bool) -> None:
    """Print the active alerts, then notes on how the windows were checked."""
    if as_json:
        print(json.dumps(result))
        return
    new_ids = {alert["id"] for alert in result["new_alerts"]}
    print(summarize_windows(result))
    for alert in sorted(result["active_alerts"], key=alert_sort_key):
        status = "new" if alert["id"] in new_ids else "still"
        label = "DATA QUALITY" if alert["type"] == "data_quality" else "drift"
        print_wrapped(f"{label}, {status}: {alert['message']}", subsequent_indent="    ")
    for channel, error in result["failed_channels"].items():
        print(f"alert channel {channel} failed, will retry: {error}"[:LINE_WIDTH])
    for line in list_notes(result):
        print(textwrap.fill(line, LINE_WIDTH, subsequent_indent="  "))


def print_feedback(result: Json, as_json: bool) -> None:
    """Print how many labels were joined, and the performance that they show."""
    if as_json:
        print(json.dumps(result))
        return
    print(f"{pluralize(result['new_labels'], 'new label')}, {result['rows']:,} in all: "
          f"{result['labeled_fraction']:.1%} of the predictions in the log")  # fmt: skip
    for name, description in REJECTED_LABEL_DESCRIPTIONS.items():
        if result[name]:
            print(f"  {result[name]:,} {description}")
    if not result["has_enough_labels"]:
        print("not enough labels to measure performance")
        return
    accuracy_text = "" if result["accuracy"] is None else f", accuracy {result['accuracy']:.1%}"
    loss, low, high, reference_loss = (
        format_number(result[key]) for key in ("loss", "low", "high", "reference_loss")
    )
    print(f"loss {loss} ({low} to {high}), reference {reference_loss}{accuracy_text}")
    print_degradation(result)


def print_degradation(result: Json) -> None:
    """Print whether the performance degraded, over all rows and in each group."""
    degraded_groups = [group for group in result["groups"] if group["is_degraded"]]
    if result["is_degraded"]:
        print("DEGRADED: the loss is significantly higher")
    elif not degraded_groups:
        print("no degradation detected")
    for group in degraded_groups:
        text = f"DEGRADED for {group['column']}: {group['group']}: "
        text += f"loss {format_number(group['loss'])}, "
        text += f"reference {format_number(group['reference_loss'])} ({group['rows']:,} labels)"
        print(textwrap.fill(text, LINE_WIDTH, subsequent_indent="  "))


def summarize_windows(result: Json) -> str:
    """The state of the monitoring in one line."""
    windows_text = pluralize(result["windows"], "new window")
    if not result["windows"]:
        return f"{windows_text}: nothing to check yet"
    if result["windows_with_too_few_rows"] == result["windows"]:
        return f"{windows_text}: not enough rows (a window needs {result['min_rows']:,})"
    if not result["active_alerts"]:
        return f"{windows_text}: quiet"
    return f"{windows_text}: {pluralize(len(result['active_alerts']), 'alert')}"


def list_notes(result: Json) -> list[str]:
    """Notes on small windows, the server, columns that are not monitored, and the report."""
    lines = []
    n_small_windows = result["windows_with_too_few_rows"]
    if 0 < n_small_windows < result["windows"]:
        lines.append(f"{pluralize(n_small_windows, 'window')} with not enough rows")
    if result["server"]:
        lines.append(f"server: {describe_server(result['server'])}")
    if result["unmonitored_columns"]:
        lines.append(f"not monitored: {truncated_list(result['unmonitored_columns'])}")
    if "report" in result:
        lines.append(f"report: {result['report']}")
    return lines


def describe_server(server: Json) -> str:
    """Requests, errors and latency of the server in one line."""
    if "error" in server:
        return str(server["error"])
    text = f"{pluralize(server['requests'], 'request')} since the last run"
    if not server["requests"]:
        return text
    text += f", {server['server_error_fraction']:.2%} failed"
    text += f", {server['client_error_fraction']:.2%} refused"
    median, p99 = server["median_latency_seconds"], server["p99_latency_seconds"]
    if median is None:
        return text
    return f"{text}; median {1000 * median:.1f} ms, p99 {1000 * p99:.1f} ms"


def alert_sort_key(alert: Json) -> tuple[bool, bool, float]:
    """Data quality first, then drift of the predictions, then columns by effect size."""
    is_drift = alert["type"] != "data_quality"
    return is_drift, bool(alert["column"]), -alert.get("effect_size", 0.0)


def print_retraining(result: Json, as_json: bool, stream: TextIO | None = None) -> None:
    """Print the outcome of a retraining, gate by gate."""
    # Redirected to standard error where standard output already holds another command's JSON.
    with redirect_stdout(stream or sys.stdout):
        print(json.dumps(result)) if as_json else print_gates(result)


def print_gates(result: Json) -> None:
    """Print each gate with the reason why it passed or failed."""
    print(OUTCOME_HEADLINES[result["outcome"]])
    for gate in result["gates"]:
        print_wrapped(f"{'ok ' if gate['passed'] else 'NOT'} {gate['gate']}: {gate['message']}")
    if not result["gates"]:
        for reason in result["reasons"]:
            print_wrapped(reason)
    if "evaluation_rows" in result:
        use_ordinal = format_ordinal(result["evaluation_rows"]["n_uses"])
        print_wrapped(f"{result['new_rows']:,} new rows, {result['total_rows']:,} in all; "
                      f"evaluation rows used for the {use_ordinal} time")  # fmt: skip
    if result["outcome"] == "promoted":
        print_wrapped("to undo: fieldcraft rollback")


def print_rollback(result: Json, as_json: bool) -> None:
    """Print which version is the current one again."""
    if as_json:
        print(json.dumps(result))
        return
    model_id, previous_model_id = (
        result[key][:MODEL_ID_CHARS] for key in ("model_id", "previous_model_id")
    )
    print(f"{model_id} is the current bundle again, in place of {previous_model_id} "
          f"({1e3 * result['seconds']:.0f} ms)")  # fmt: skip


def print_versions(versions: Sequence[Json], as_json: bool) -> None:
    """Print which bundle became the current one, when, and by whom."""
    if as_json:
        print(json.dumps(versions))
        return
    if not versions:
        print("no versions yet: fieldcraft run makes the first one")
    for version in versions:
        origin = f"by {version['command']}, {version['user']}" + (
            f", {version['reason']}" if version["reason"] else ""
        )
        print_wrapped(f"{version['at'][:16]}  {version['model_id'][:MODEL_ID_CHARS]}  {origin}")


def print_wrapped(text: str, subsequent_indent: str = "      ") -> None:
    """Print an indented line, wrapped."""
    print(textwrap.fill(text, LINE_WIDTH, initial_indent="  ", subsequent_indent=subsequent_indent))


def format_ordinal(number: int) -> str:
    """A number as an ordinal.

    >>> format_ordinal(1), format_ordinal(2), format_ordinal(12), format_ordinal(23)
    ('1st', '2nd', '12th', '23rd')
    """
    is_teen = number % 100 in (11, 12, 13)
    return f"{number}{'th' if is_teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"
