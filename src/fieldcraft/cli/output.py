"""Print results as text, or as JSON with ``--json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fieldcraft.bundle.input_anomalies import describe_anomalies
from fieldcraft.bundle.manifest import read_manifest
from fieldcraft.cli.progress import STEP_TITLES
from fieldcraft.core.formatting import format_duration, format_number, pluralize
from fieldcraft.ledger.records import SEVERITIES, Severity
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

SEVERITY_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}
DIGEST_PREFIX_CHARS = 12
DIGEST_CHARS = 64  # SHA-256 in hexadecimal
MAX_NEXT_STEPS = 3


def create_console() -> Console:
    """Standard output, without automatic coloring of numbers."""
    return Console(highlight=False)


def shorten_path(path: Path) -> str:
    """A path relative to the working directory where it lies below it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def print_result(report_data: ReportData, as_json: bool) -> None:
    """Print the outcome of a run in about ten lines."""
    if as_json:
        print(json.dumps(build_json(report_data), default=str))
        return
    output = create_console()
    counts = {
        name: sum(finding.severity == name for finding in report_data.open_findings())
        for name in SEVERITIES
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
    rows += [("next", step) for step in suggest_next_steps(report_data)[:MAX_NEXT_STEPS]]
    rows.append(("report", shorten_path(report_data.project.report_path)))
    if report_data.package:
        rows.append(("bundle", shorten_path(report_data.project.bundle_path)))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for name, text in rows:
        grid.add_row(name, escape(text))
    output.print(grid)


def summarize_findings(report_data: ReportData, counts: Mapping[Severity, int]) -> str:
    """The number of findings by severity, and the title of the first."""
    if not report_data.open_findings():
        return "none"
    counts_text = ", ".join(
        pluralize(n, name, "info" if name == "info" else None) for name, n in counts.items() if n
    )
    # An info is never named first: it would hide what has to be done.
    serious_findings = [
        finding for finding in report_data.open_findings() if finding.severity != "info"
    ]
    return counts_text + (f"; first: {serious_findings[0].title}" if serious_findings else "")


def build_models_table(report_data: ReportData) -> Table:
    """The models with the main metric, its interval and the fit time."""
    metric = report_data.evaluation["metric"]
    title = report_data.champion["metrics"][metric]["title"]
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("model")
    table.add_column(title, justify="right")
    table.add_column("95 % interval", justify="right")
    table.add_column("fit time", justify="right", style="dim")
    for model in report_data.evaluation["models"]:
        metric_record = model["metrics"][metric]
        style = "bold" if model["name"] == report_data.evaluation["champion"] else ""
        value, low, high = (format_number(metric_record[key]) for key in ("value", "low", "high"))
        table.add_row(
            model["title"], value, f"{low} to {high}", f"{model['fit_seconds']:.1f} s", style=style
        )
    return table


def format_final_metric(report_data: ReportData) -> str:
    """The main metric on the test set."""
    metric_name = report_data.evaluation["metric"]
    metric_record = next(
        record
        for record in report_data.final_evaluation["metrics"]
        if record["metric"] == metric_name
    )
    return (
        f"[bold]Sealed test set: {metric_record['title']} {format_estimate(metric_record)} "
        f"on {metric_record['n_rows']:,} rows[/]"
    )


def format_estimate(metric_record: Mapping[str, Any]) -> str:
    """A value with its interval."""
    value, low, high = (format_number(metric_record[key]) for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def build_json(report_data: ReportData) -> dict[str, Any]:
    """The outcome of a run as a JSON object."""
    return {
        "project": str(report_data.project.root.resolve()),
        "report": str(report_data.project.report_path.resolve()),
        "bundle": str(report_data.project.bundle_path.resolve()) if report_data.package else None,
        "headline": summarize_run(report_data),
        "champion": report_data.evaluation.get("champion"),
        "metric": report_data.evaluation.get("metric"),
        "models": report_data.evaluation.get("models", []),
        "comparisons": report_data.evaluation.get("comparisons", []),
        "findings": [finding.to_json() for finding in report_data.findings],
        "row_counts": report_data.split.get("counts", {}),
        "test_set": describe_test_set(report_data),
        "final_evaluation": report_data.final_evaluation,
        "next_steps": suggest_next_steps(report_data),
    }


def print_plan(planned: list[PlannedStep], as_json: bool) -> None:
    """Print the steps of a run with a time estimate for each."""
    if as_json:
        print(json.dumps([asdict(step) for step in planned]))
        return
    output = create_console()
    for step in planned:
        duration_text = "up to date" if step.done else f"about {format_duration(step.seconds or 0)}"
        output.print(f"{STEP_TITLES.get(step.name, step.name):<22} [dim]{duration_text}[/]")
    total = sum(step.seconds or 0 for step in planned)
    output.print(
        f"[bold]{'total':<22}[/] about {format_duration(total)}" if total else "nothing to do"
    )


def print_predictions(result: dict[str, Any], as_json: bool) -> None:
    """Print how many rows were predicted, rejected or unusual."""
    if as_json:
        print(json.dumps(result))
        return
    print(f"wrote {result['rows']:,} predictions to {result['output']}")
    if result["rejected_rows"]:
        n_rejected = pluralize(result["rejected_rows"], "row")
        print(f"rejected {n_rejected}: see {result['rejects_file']}")
    for line in describe_anomalies(result["input_anomalies"]):
        print(line)


def print_reproduction(comparisons: list[dict[str, Any]], as_json: bool) -> None:
    """Print which parts of a repeated run are identical."""
    if as_json:
        print(json.dumps(comparisons))
        return
    output = create_console()
    for item in comparisons:
        difference_text = (
            f", outputs differ by {format_number(item['max_output_difference'])}"
            if item["max_output_difference"]
            else ""
        )
        verdict = (
            "[green]identical[/]"
            if item["identical"]
            else f"[bold red]different[/]{difference_text}"
        )
        output.print(f"{item['part']:<10} {verdict}")


def print_findings(report_data: ReportData, as_json: bool) -> None:
    """Print all findings with advice."""
    if as_json:
        print(json.dumps([finding.to_json() for finding in report_data.findings]))
        return
    output = create_console()
    for finding in report_data.findings:
        accepted_text = (
            " (accepted)" if finding.accept_key in report_data.settings.audit.accept else ""
        )
        style = SEVERITY_STYLES[finding.severity]
        output.print(f"[{style}]{finding.severity:>7}[/] {escape(finding.title)}{accepted_text}")
        advice = finding.advice + (f" [--fix: {format_fixes(finding)}]" if finding.fixes else "")
        output.print(f"        [dim]{escape(advice)}[/]")
    if not report_data.findings:
        output.print("no findings")


def print_status(project: ProjectFolder, as_json: bool) -> None:
    """Print the latest results of a project."""
    print_result(_workflows.load_latest_report_data(project), as_json)


def print_log(project: ProjectFolder, as_json: bool) -> None:
    """Print the ledger, one entry per line."""
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
    """A ledger entry in a few words."""
    body = entry["body"]
    if entry["kind"] == "metric":
        metric = f"{body['model']}: {body['metric']} {format_estimate(body)}"
        return f"{metric} on {body['n_rows']:,} {body['part']} rows"
    if entry["kind"] == "finding":
        return f"{body['severity']}: {body['title']}"
    if entry["kind"] == "test_set_opened":
        return f"opened the test set, opening {body['opening_number']}: {body['reason']}"
    if entry["kind"] == "step_completed":
        return f"completed in {body['seconds']:.1f} s"
    if entry["kind"] == "step_cancelled":
        return f"cancelled after {body['seconds']:.1f} s"
    if entry["kind"] == "final_evaluation":
        model_id = body["model_id"][:DIGEST_PREFIX_CHARS]
        return f"metrics on {body['rows']:,} test rows, model {model_id}"
    simple_values = {
        key: value for key, value in body.items() if isinstance(value, (str, int, float))
    }
    return ", ".join(f"{key} {format_value(value)}" for key, value in simple_values.items())


def format_value(value: object) -> str:
    """A value for one line: digests shortened, numbers rounded."""
    if isinstance(value, float):
        return format_number(value)
    text = str(value)
    # Names and reasons that users wrote are shown in full; a digest is recognized by its length.
    return text[:DIGEST_PREFIX_CHARS] if len(text) == DIGEST_CHARS else text


def print_verification(project: ProjectFolder, as_json: bool) -> None:
    """Check the ledger, the run folders it recorded and the bundle, and print the result."""
    n_entries = Ledger(project.ledger_path).verify()
    n_folders = _workflows.verify_run_folders(project)
    has_bundle = project.bundle_path.is_dir()
    model_id = read_manifest(project.bundle_path)["model_id"] if has_bundle else None
    if as_json:
        print(json.dumps({"entries": n_entries, "run_folders": n_folders, "model_id": model_id}))
        return
    print(f"ledger: {n_entries:,} entries, hash chain intact")
    print(f"runs: {n_folders} folders match the ledger")
    print(
        f"bundle: all checksums match, model {model_id[:DIGEST_PREFIX_CHARS]}"
        if model_id
        else "bundle: none yet"
    )
