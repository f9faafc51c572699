"""Print what a watch has found, for 80 columns."""

from __future__ import annotations

import json
import shlex
import textwrap
from pathlib import Path
from typing import Any

from fieldcraft.core.errors import ProjectError
from fieldcraft.core.words import figure, listed, plural
from fieldcraft.project.folder import Folder
from fieldcraft.project.settings import Watch

WIDTH = 80
Json = dict[str, Any]


def told(
    project: Folder | None, alerts: Path | None = None, command: str | None = None,
    webhook: str | None = None, server: str | None = None,
) -> Watch:  # fmt: skip
    """Whom alerts are told, and who is asked: as the project file says, unless it is said here.

    Raises:
        ProjectError: the webhook is no address.
    """
    if webhook is not None and not webhook.startswith(("http://", "https://")):
        raise ProjectError(
            "a webhook is an address that starts with https:// or http://",
            seen=f"--webhook {webhook[:8]}...",  # what follows may be a secret
            way_out="pass the whole address, or leave the option out",
        )
    wishes = project.settings().deploy.watch if project else Watch()
    file = wishes.file
    if project and file is not None:
        file = str(project.root / file)
    return Watch(
        server=server or wishes.server,
        file=str(alerts) if alerts else file,
        command=shlex.split(command) if command else wishes.command,
        webhook=webhook or wishes.webhook,
    )


def watched(result: Json, as_json: bool) -> None:
    """What stands, the predictions first, and what one should know of how it was looked at."""
    if as_json:
        print(json.dumps(result))
        return
    new = {alert["id"] for alert in result["new"]}
    print(headline(result))
    for alert in sorted(result["stand"], key=rank):
        mark = "new" if alert["id"] in new else "still"
        word = "BROKEN" if alert["kind"] == "broken" else "drift"
        line = f"{word}, {mark}: {alert['text']}"
        print(textwrap.fill(line, WIDTH, initial_indent="  ", subsequent_indent="    "))
    for way, why in result["failed"].items():
        print(f"the {way} could not be told, tried again next time: {why}"[:WIDTH])
    for line in notes(result):
        print(textwrap.fill(line, WIDTH, subsequent_indent="  "))


def labelled(result: Json, as_json: bool) -> None:
    """What labels there are, and what they say."""
    if as_json:
        print(json.dumps(result))
        return
    print(f"{plural(result['new_labels'], 'new label')}, {result['rows']:,} in all: "
          f"{result['coverage']:.1%} of the predictions in the log")  # fmt: skip
    said = {
        "known": "known before", "twice": "given twice", "contradictory": "contradictory, left out",
        "unknown": "of no prediction in the log", "unread": "that cannot be read",
    }  # fmt: skip
    for name, words in said.items():
        if result[name]:
            print(f"  {result[name]:,} {words}")
    if not result["enough"]:
        print("not enough labels to say how good the predictions were")
        return
    right = "" if result["right"] is None else f", {result['right']:.1%} of the decisions right"
    print(f"loss {figure(result['loss'])} ({figure(result['low'])} to {figure(result['high'])}), "
          f"{figure(result['reference'])} when judged{right}")  # fmt: skip
    worse = [one for one in result["groups"] if one["alarmed"]]
    if result["alarmed"]:
        print("WORSE: it is higher than can be by chance")
    elif not worse:
        print("no sign of harm")
    for one in worse:
        text = f"WORSE for {one['column']}: {one['group']}: loss {figure(one['loss'])}, "
        text += f"{figure(one['reference'])} when judged ({one['rows']:,} labels)"
        print(textwrap.fill(text, WIDTH, subsequent_indent="  "))


def headline(result: Json) -> str:
    """How it stands, in a sentence."""
    looked = plural(result["windows"], "new window")
    if not result["windows"]:
        return f"{looked}: nothing to look at yet"
    if result["few"] == result["windows"]:
        return f"{looked}: not enough rows (a window needs {result['least']:,})"
    if not result["stand"]:
        return f"{looked}: quiet"
    return f"{looked}: {plural(len(result['stand']), 'alert')}"


def notes(result: Json) -> list[str]:
    """Further lines."""
    found = []
    if 0 < result["few"] < result["windows"]:
        found.append(f"{plural(result['few'], 'window')} with not enough rows")
    if result["server"]:
        found.append(f"server: {in_words(result['server'])}")
    if result["not_watched"]:
        found.append(f"not watched: {listed(result['not_watched'])}")
    if "report" in result:
        found.append(f"report: {result['report']}")
    return found


def in_words(server: Json) -> str:
    """How the server fares, in a line."""
    if "trouble" in server:
        return str(server["trouble"])
    told = f"{plural(server['requests'], 'request')} since the last look"
    if not server["requests"]:
        return told
    told += f", {server['failed']:.2%} failed, {server['refused']:.2%} refused"
    if server["median"] is None:
        return told
    return f"{told}; median {1000 * server['median']:.1f} ms, p99 {1000 * server['p99']:.1f} ms"


def rank(alert: Json) -> tuple[bool, bool, float]:
    """What is broken first, then predictions, then by how far they have drifted."""
    return alert["kind"] != "broken", bool(alert["column"]), -alert.get("effect", 0.0)
