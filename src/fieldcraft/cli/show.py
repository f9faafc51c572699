"""Print results for a person, or as JSON for a machine."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fieldcraft.bundle.manifest import read_manifest
from fieldcraft.cli.watch import TITLES
from fieldcraft.core.words import duration, figure, plural
from fieldcraft.evidence.ledger import Ledger
from fieldcraft.project.folder import Folder
from fieldcraft.report.story import (
    Story,
    fixes_of,
    headline,
    next_steps,
    seal_state,
)
from fieldcraft.stages import _flow
from fieldcraft.stages._flow import Planned

STYLES = {"stop": "bold red", "warn": "yellow", "tip": "cyan"}
DIGEST_SHOWN = 12
FULL_DIGEST = 64


def console() -> Console:
    """Standard output, without colouring of numbers."""
    return Console(highlight=False)


def short_path(path: Path) -> str:
    """A path as it is shortest to type from here."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def result(story: Story, as_json: bool) -> None:
    """The outcome of a run: about ten lines that a busy person reads."""
    if as_json:
        print(json.dumps(as_data(story), default=str))
        return
    out = console()
    counts = {
        name: sum(f.severity == name for f in story.open_findings())
        for name in ("stop", "warn", "tip")
    }
    parts = story.split.get("counts", {})
    out.print()
    out.print(f"[bold]{escape(headline(story))}[/]")
    if story.evaluation:
        out.print(learners_table(story))
    if story.final:
        out.print(final_line(story))
    rows = [
        ("data", f"{story.rows:,} rows; " + ", ".join(f"{n:,} {p}" for p, n in parts.items())),
        ("findings", findings_line(story, counts)),
        ("test set", seal_state(story)),
    ]
    rows += [("next", step) for step in next_steps(story)[:3]]
    rows.append(("report", short_path(story.project.report)))
    if story.package:
        rows.append(("bundle", short_path(story.project.bundle)))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for name, text in rows:
        grid.add_row(name, escape(text))
    out.print(grid)


def findings_line(story: Story, counts: dict[str, int]) -> str:
    """How many findings there are, and the first of them."""
    if not story.open_findings():
        return "none"
    said = ", ".join(f"{n} {name}" for name, n in counts.items() if n)
    worst = [f for f in story.open_findings() if f.severity != "tip"]
    return said + (f"; first: {worst[0].title}" if worst else "")


def learners_table(story: Story) -> Table:
    """The learners side by side, with the main metric and its interval."""
    metric = story.evaluation["metric"]
    title = story.champion["measures"][metric]["title"]
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("learner")
    table.add_column(title, justify="right")
    table.add_column("95 % interval", justify="right")
    table.add_column("trained in", justify="right", style="dim")
    for learner in story.evaluation["learners"]:
        found = learner["measures"][metric]
        mark = "bold" if learner["name"] == story.evaluation["champion"] else ""
        value, low, high = (figure(found[key]) for key in ("value", "low", "high"))
        table.add_row(
            learner["title"], value, f"{low} to {high}", f"{learner['seconds']:.1f} s", style=mark
        )
    return table


def final_line(story: Story) -> str:
    """The main figure on the test set."""
    wanted = story.evaluation["metric"]
    found = next(m for m in story.final["measures"] if m["metric"] == wanted)
    value, low, high = (figure(found[key]) for key in ("value", "low", "high"))
    return (
        f"[bold]Sealed test set: {found['title']} {value} ({low} to {high}) "
        f"on {found['rows']:,} rows[/]"
    )


def as_data(story: Story) -> dict[str, Any]:
    """The outcome of a run as JSON."""
    return {
        "project": str(story.project.root.resolve()),
        "report": str(story.project.report.resolve()),
        "bundle": str(story.project.bundle.resolve()) if story.package else None,
        "headline": headline(story),
        "champion": story.evaluation.get("champion"),
        "metric": story.evaluation.get("metric"),
        "learners": story.evaluation.get("learners", []),
        "comparisons": story.evaluation.get("comparisons", []),
        "findings": [finding.as_json() for finding in story.findings],
        "rows": story.split.get("counts", {}),
        "seal": seal_state(story),
        "final": story.final,
        "next": next_steps(story),
    }


def plan(planned: list[Planned], as_json: bool) -> None:
    """What a run would do, and about how long it would take."""
    if as_json:
        print(json.dumps([asdict(step) for step in planned]))
        return
    out = console()
    for step in planned:
        taken = "kept" if step.done else f"about {duration(step.seconds or 0)}"
        out.print(f"{TITLES.get(step.name, step.name):<22} [dim]{taken}[/]")
    total = sum(step.seconds or 0 for step in planned)
    out.print(f"[bold]{'all':<22}[/] about {duration(total)}" if total else "nothing to do")


def predicted(result: dict[str, Any], as_json: bool) -> None:
    """What came of predicting the rows of a table."""
    if as_json:
        print(json.dumps(result))
        return
    from fieldcraft.bundle.odd import in_words

    print(f"wrote {result['rows']:,} predictions to {result['out']}")
    if result["set_aside"]:
        print(f"set aside {plural(result['set_aside'], 'row')}: see {result['rejects']}")
    for line in in_words(result["odd"]):
        print(line)


def reproduced(found: list[dict[str, Any]], as_json: bool) -> None:
    """What came out the same when the run was done over again."""
    if as_json:
        print(json.dumps(found))
        return
    out = console()
    for item in found:
        gap = f", outputs differ by {figure(item['difference'])}" if item["difference"] else ""
        said = "[green]the same[/]" if item["same"] else f"[bold red]another[/]{gap}"
        out.print(f"{item['part']:<10} {said}")


def findings(story: Story, as_json: bool) -> None:
    """All findings with the way to mend them."""
    if as_json:
        print(json.dumps([finding.as_json() for finding in story.findings]))
        return
    out = console()
    for finding in story.findings:
        accepted = " (accepted)" if finding.name in story.settings.audit.accept else ""
        style = STYLES[finding.severity]
        out.print(f"[{style}]{finding.severity:>4}[/] {escape(finding.title)}{accepted}")
        advice = finding.advice + (f" [--fix: {fixes_of(finding)}]" if finding.fixes else "")
        out.print(f"     [dim]{escape(advice)}[/]")
    if not story.findings:
        out.print("nothing found")


def status(project: Folder, as_json: bool) -> None:
    """Where a project stands."""
    result(_flow.latest(project), as_json)


def log(project: Folder, as_json: bool) -> None:
    """The ledger, an entry a line."""
    entries = _flow.log(project)
    if as_json:
        print(json.dumps(entries))
        return
    out = console()
    for entry in entries:
        words = line_for(entry)
        stamp = entry["at"][:19].replace("T", " ")
        out.print(
            f"[dim]{entry['number']:>4} {stamp}[/] {entry['stage']:<11} {escape(words)}",
            soft_wrap=False,
        )


def line_for(entry: dict[str, Any]) -> str:
    """An entry in a few words."""
    body = entry["body"]
    if entry["kind"] == "measure":
        at = f"{figure(body['value'])} ({figure(body['low'])} to {figure(body['high'])})"
        return f"{body['model']}: {body['metric']} {at} on {body['rows']:,} {body['part']} rows"
    if entry["kind"] == "finding":
        return f"{body['severity']}: {body['title']}"
    if entry["kind"] == "opening":
        return f"opened the test set, time {body['number']}: {body['reason']}"
    if entry["kind"] == "done":
        return f"done in {body['seconds']:.1f} s"
    if entry["kind"] == "final":
        return f"figures of {body['rows']:,} test rows, model {body['model_id'][:DIGEST_SHOWN]}"
    rest = {key: value for key, value in body.items() if isinstance(value, (str, int, float))}
    return ", ".join(f"{key} {short(value)}" for key, value in rest.items())


def short(value: object) -> str:
    """A value for one line: digests cut, figures rounded."""
    if isinstance(value, float):
        return figure(value)
    text = str(value)
    return text[:DIGEST_SHOWN] if len(text) == FULL_DIGEST else text


def verify(project: Folder, as_json: bool) -> None:
    """Check the chain of evidence, the run folders it vouches for, and the bundle."""
    count = Ledger(project.ledger).verify()
    folders = _flow.verify_folders(project)
    packed = project.bundle.is_dir()
    model = read_manifest(project.bundle)["model_id"] if packed else None
    if as_json:
        print(json.dumps({"entries": count, "folders": folders, "model_id": model}))
        return
    print(f"ledger: {count:,} entries, chain unbroken")
    print(f"runs: {folders} folders as recorded")
    print(f"bundle: every file as packaged, model {model[:12]}" if model else "bundle: none yet")
