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
from fieldcraft.cli.progress import STEP_TITLES
from fieldcraft.core.formatting import format_duration, format_number, pluralize
from fieldcraft.ledger.store import Ledger
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.report.report_data import (
    ReportData,
    describe_test_set,
    format_fixes,
    suggest_next_steps,
    summarize_run,
)
from fieldcraft.stages import _workflows
from fieldcraft.stages._pipeline import PlannedStep

SEVERITY_STYLES = {"stop": "bold red", "warn": "yellow", "tip": "cyan"}
DIGEST_PREFIX_CHARS = 12
DIGEST_CHARS = 64


def create_console() -> Console:
    """Standard output, without colouring of numbers."""
    return Console(highlight=False)


def shorten_path(path: Path) -> str:
    """A path as it is shortest to type from here."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def print_result(report_data: ReportData, as_json: bool) -> None:
    """The outcome of a run: about ten lines that a busy person reads."""
    if as_json:
        print(json.dumps(build_json(report_data), default=str))
        return
    output = create_console()
    counts = {
        name: sum(finding.severity == name for finding in report_data.open_findings())
        for name in ("stop", "warn", "tip")
    }
    parts = report_data.split.get("counts", {})
    output.print()
    output.print(f"[bold]{escape(summarize_run(report_data))}[/]")
    if report_data.evaluation:
        output.print(build_models_table(report_data))
    if report_data.final_evaluation:
        output.print(format_final_metric(report_data))
    rows = [
        (
            "data",
            f"{report_data.n_rows:,} rows; "
            + ", ".join(f"{count:,} {part}" for part, count in parts.items()),
        ),
        ("findings", summarize_findings(report_data, counts)),
        ("test set", describe_test_set(report_data)),
    ]
    rows += [("next", step) for step in suggest_next_steps(report_data)[:3]]
    rows.append(("report", shorten_path(report_data.project.report_path)))
    if report_data.package:
        rows.append(("bundle", shorten_path(report_data.project.bundle_path)))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for name, text in rows:
        grid.add_row(name, escape(text))
    output.print(grid)


def summarize_findings(report_data: ReportData, counts: dict[str, int]) -> str:
    """How many findings there are, and the first of them."""
    if not report_data.open_findings():
        return "none"
    counts_text = ", ".join(f"{n} {name}" for name, n in counts.items() if n)
    serious_findings = [
        finding for finding in report_data.open_findings() if finding.severity != "tip"
    ]
    return counts_text + (f"; first: {serious_findings[0].title}" if serious_findings else "")


def build_models_table(report_data: ReportData) -> Table:
    """The learners side by side, with the main metric and its interval."""
    metric = report_data.evaluation["metric"]
    title = report_data.champion["measures"][metric]["title"]
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("learner")
    table.add_column(title, justify="right")
    table.add_column("95 % interval", justify="right")
    table.add_column("trained in", justify="right", style="dim")
    for model in report_data.evaluation["learners"]:
        metric_record = model["measures"][metric]
        style = "bold" if model["name"] == report_data.evaluation["champion"] else ""
        value, low, high = (format_number(metric_record[key]) for key in ("value", "low", "high"))
        table.add_row(
            model["title"], value, f"{low} to {high}", f"{model['seconds']:.1f} s", style=style
        )
    return table


def format_final_metric(report_data: ReportData) -> str:
    """The main figure on the test set."""
    metric_name = report_data.evaluation["metric"]
    metric_record = next(
        record
        for record in report_data.final_evaluation["measures"]
        if record["metric"] == metric_name
    )
    value, low, high = (format_number(metric_record[key]) for key in ("value", "low", "high"))
    return (
        f"[bold]Sealed test set: {metric_record['title']} {value} ({low} to {high}) "
        f"on {metric_record['rows']:,} rows[/]"
    )


def build_json(report_data: ReportData) -> dict[str, Any]:
    """The outcome of a run as JSON."""
    return {
        "project": str(report_data.project.root.resolve()),
        "report": str(report_data.project.report_path.resolve()),
        "bundle": str(report_data.project.bundle_path.resolve()) if report_data.package else None,
        "headline": summarize_run(report_data),
        "champion": report_data.evaluation.get("champion"),
        "metric": report_data.evaluation.get("metric"),
        "learners": report_data.evaluation.get("learners", []),
        "comparisons": report_data.evaluation.get("comparisons", []),
        "findings": [finding.to_json() for finding in report_data.findings],
        "rows": report_data.split.get("counts", {}),
        "seal": describe_test_set(report_data),
        "final": report_data.final_evaluation,
        "next": suggest_next_steps(report_data),
    }


def print_plan(planned: list[PlannedStep], as_json: bool) -> None:
    """What a run would do, and about how long it would take."""
    if as_json:
        print(json.dumps([asdict(step) for step in planned]))
        return
    output = create_console()
    for step in planned:
        duration_text = "kept" if step.done else f"about {format_duration(step.seconds or 0)}"
        output.print(f"{STEP_TITLES.get(step.name, step.name):<22} [dim]{duration_text}[/]")
    total = sum(step.seconds or 0 for step in planned)
    output.print(
        f"[bold]{'all':<22}[/] about {format_duration(total)}" if total else "nothing to do"
    )


def print_predictions(result: dict[str, Any], as_json: bool) -> None:
    """What came of predicting the rows of a table."""
    if as_json:
        print(json.dumps(result))
        return
    from fieldcraft.bundle.input_anomalies import describe_anomalies

    print(f"wrote {result['rows']:,} predictions to {result['out']}")
    if result["set_aside"]:
        print(f"set aside {pluralize(result['set_aside'], 'row')}: see {result['rejects']}")
    for line in describe_anomalies(result["odd"]):
        print(line)


def print_reproduction(comparisons: list[dict[str, Any]], as_json: bool) -> None:
    """What came out the same when the run was done over again."""
    if as_json:
        print(json.dumps(comparisons))
        return
    output = create_console()
    for item in comparisons:
        difference_text = (
            f", outputs differ by {format_number(item['difference'])}" if item["difference"] else ""
        )
        verdict = "[green]the same[/]" if item["same"] else f"[bold red]another[/]{difference_text}"
        output.print(f"{item['part']:<10} {verdict}")


def print_findings(report_data: ReportData, as_json: bool) -> None:
    """All findings with the way to mend them."""
    if as_json:
        print(json.dumps([finding.to_json() for finding in report_data.findings]))
        return
    output = create_console()
    for finding in report_data.findings:
        accepted_text = (
            " (accepted)" if finding.accept_key in report_data.settings.audit.accept else ""
        )
        style = SEVERITY_STYLES[finding.severity]
        output.print(f"[{style}]{finding.severity:>4}[/] {escape(finding.title)}{accepted_text}")
        advice = finding.advice + (f" [--fix: {format_fixes(finding)}]" if finding.fixes else "")
        output.print(f"     [dim]{escape(advice)}[/]")
    if not report_data.findings:
        output.print("nothing found")


def print_status(project: ProjectFolder, as_json: bool) -> None:
    """Where a project stands."""
    print_result(_workflows.load_latest_report_data(project), as_json)


def print_log(project: ProjectFolder, as_json: bool) -> None:
    """The ledger, an entry a line."""
    entries = _workflows.list_ledger_entries(project)
    if as_json:
        print(json.dumps(entries))
        return
    output = create_console()
    for entry in entries:
        text = format_entry(entry)
        timestamp = entry["at"][:19].replace("T", " ")
        output.print(
            f"[dim]{entry['number']:>4} {timestamp}[/] {entry['stage']:<11} {escape(text)}",
            soft_wrap=False,
        )


def format_entry(entry: dict[str, Any]) -> str:
    """An entry in a few words."""
    body = entry["body"]
    if entry["kind"] == "measure":
        estimate = f"{format_number(body['value'])} ({format_number(body['low'])} to {format_number(body['high'])})"
        return (
            f"{body['model']}: {body['metric']} {estimate} on {body['rows']:,} {body['part']} rows"
        )
    if entry["kind"] == "finding":
        return f"{body['severity']}: {body['title']}"
    if entry["kind"] == "opening":
        return f"opened the test set, time {body['number']}: {body['reason']}"
    if entry["kind"] == "done":
        return f"done in {body['seconds']:.1f} s"
    if entry["kind"] == "final":
        return (
            f"figures of {body['rows']:,} test rows, model {body['model_id'][:DIGEST_PREFIX_CHARS]}"
        )
    simple_values = {
        key: value for key, value in body.items() if isinstance(value, (str, int, float))
    }
    return ", ".join(f"{key} {format_value(value)}" for key, value in simple_values.items())


def format_value(value: object) -> str:
    """A value for one line: digests cut, figures rounded."""
    if isinstance(value, float):
        return format_number(value)
    text = str(value)
    return text[:DIGEST_PREFIX_CHARS] if len(text) == DIGEST_CHARS else text


def print_verification(project: ProjectFolder, as_json: bool) -> None:
    """Check the chain of evidence, the run folders it vouches for, and the bundle."""
    n_entries = Ledger(project.ledger_path).verify()
    n_folders = _workflows.verify_run_folders(project)
    has_bundle = project.bundle_path.is_dir()
    model_id = read_manifest(project.bundle_path)["model_id"] if has_bundle else None
    if as_json:
        print(json.dumps({"entries": n_entries, "folders": n_folders, "model_id": model_id}))
        return
    print(f"ledger: {n_entries:,} entries, chain unbroken")
    print(f"runs: {n_folders} folders as recorded")
    print(
        f"bundle: every file as packaged, model {model_id[:12]}" if model_id else "bundle: none yet"
    )
