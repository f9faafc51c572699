"""Print what a watch has found, for 80 columns."""

from __future__ import annotations

import json
import shlex
import textwrap
from pathlib import Path

from fieldcraft.core.errors import ProjectError
from fieldcraft.core.formatting import format_number, pluralize, truncated_list
from fieldcraft.core.types import Json
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.project.settings import MonitorSettings

LINE_WIDTH = 80


def resolve_alert_settings(
    project: ProjectFolder | None, alert_file: Path | None = None, alert_command: str | None = None,
    alert_webhook: str | None = None, metrics_url: str | None = None,
) -> MonitorSettings:  # fmt: skip
    """Whom alerts are told, and who is asked: as the project file says, unless it is said here.

    Raises:
        ProjectError: the webhook is no address.
    """
    if alert_webhook is not None and not alert_webhook.startswith(("http://", "https://")):
        raise ProjectError(
            "a webhook is an address that starts with https:// or http://",
            detail=f"--webhook {alert_webhook[:8]}...",  # what follows may be a secret
            hint="pass the whole address, or leave the option out",
        )
    project_settings = project.load_settings().deploy.monitor if project else MonitorSettings()
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
    """What stands, the predictions first, and what one should know of how it was looked at."""
    if as_json:
        print(json.dumps(result))
        return
    new_ids = {alert["id"] for alert in result["new"]}
    print(summarize_windows(result))
    for alert in sorted(result["stand"], key=alert_sort_key):
        status = "new" if alert["id"] in new_ids else "still"
        label = "BROKEN" if alert["kind"] == "broken" else "drift"
        line = f"{label}, {status}: {alert['text']}"
        print(textwrap.fill(line, LINE_WIDTH, initial_indent="  ", subsequent_indent="    "))
    for channel, error in result["failed"].items():
        print(f"the {channel} could not be told, tried again next time: {error}"[:LINE_WIDTH])
    for line in list_notes(result):
        print(textwrap.fill(line, LINE_WIDTH, subsequent_indent="  "))


def print_feedback(result: Json, as_json: bool) -> None:
    """What labels there are, and what they say."""
    if as_json:
        print(json.dumps(result))
        return
    print(f"{pluralize(result['new_labels'], 'new label')}, {result['rows']:,} in all: "
          f"{result['coverage']:.1%} of the predictions in the log")  # fmt: skip
    labels_by_key = {
        "known": "known before", "twice": "given twice", "contradictory": "contradictory, left out",
        "unknown": "of no prediction in the log", "unread": "that cannot be read",
    }  # fmt: skip
    for name, description in labels_by_key.items():
        if result[name]:
            print(f"  {result[name]:,} {description}")
    if not result["enough"]:
        print("not enough labels to say how good the predictions were")
        return
    accuracy_text = (
        "" if result["right"] is None else f", {result['right']:.1%} of the decisions right"
    )
    print(f"loss {format_number(result['loss'])} ({format_number(result['low'])} to {format_number(result['high'])}), "
          f"{format_number(result['reference'])} when judged{accuracy_text}")  # fmt: skip
    degraded_groups = [group for group in result["groups"] if group["alarmed"]]
    if result["alarmed"]:
        print("WORSE: it is higher than can be by chance")
    elif not degraded_groups:
        print("no sign of harm")
    for group in degraded_groups:
        text = (
            f"WORSE for {group['column']}: {group['group']}: loss {format_number(group['loss'])}, "
        )
        text += f"{format_number(group['reference'])} when judged ({group['rows']:,} labels)"
        print(textwrap.fill(text, LINE_WIDTH, subsequent_indent="  "))


def summarize_windows(result: Json) -> str:
    """How it stands, in a sentence."""
    windows_text = pluralize(result["windows"], "new window")
    if not result["windows"]:
        return f"{windows_text}: nothing to look at yet"
    if result["few"] == result["windows"]:
        return f"{windows_text}: not enough rows (a window needs {result['least']:,})"
    if not result["stand"]:
        return f"{windows_text}: quiet"
    return f"{windows_text}: {pluralize(len(result['stand']), 'alert')}"


def list_notes(result: Json) -> list[str]:
    """Further lines."""
    lines = []
    if 0 < result["few"] < result["windows"]:
        lines.append(f"{pluralize(result['few'], 'window')} with not enough rows")
    if result["server"]:
        lines.append(f"server: {describe_server(result['server'])}")
    if result["not_watched"]:
        lines.append(f"not watched: {truncated_list(result['not_watched'])}")
    if "report" in result:
        lines.append(f"report: {result['report']}")
    return lines


def describe_server(server: Json) -> str:
    """How the server fares, in a line."""
    if "trouble" in server:
        return str(server["trouble"])
    text = f"{pluralize(server['requests'], 'request')} since the last look"
    if not server["requests"]:
        return text
    text += f", {server['failed']:.2%} failed, {server['refused']:.2%} refused"
    if server["median"] is None:
        return text
    return f"{text}; median {1000 * server['median']:.1f} ms, p99 {1000 * server['p99']:.1f} ms"


def alert_sort_key(alert: Json) -> tuple[bool, bool, float]:
    """What is broken first, then predictions, then by how far they have drifted."""
    return alert["kind"] != "broken", bool(alert["column"]), -alert.get("effect", 0.0)
