"""Gather what the records of a project say, for the report, the model card and the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fieldcraft.core import files
from fieldcraft.core.formatting import format_number, to_sentence
from fieldcraft.core.types import Json
from fieldcraft.ledger.records import SEVERITIES, Finding
from fieldcraft.ledger.store import Ledger, LedgerEntry
from fieldcraft.modeling.check_runner import load_findings
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.project.settings import ProjectSettings

MAX_RELATIVE_INTERVAL_WIDTH = 0.2  # of an interval, as a share of its figure
MAX_CALIBRATION_ERROR = 0.05  # of probabilities, on average
MIN_RECALL = 0.5  # of the positives found


@dataclass(frozen=True)
class ReportData:
    """A project as its records tell it; parts that have not happened yet are empty."""

    project: ProjectFolder
    settings: ProjectSettings
    folders: Mapping[str, Path]
    findings: list[Finding] = field(default_factory=list)
    profile: Json = field(default_factory=dict)
    split: Json = field(default_factory=dict)
    evaluation: Json = field(default_factory=dict)
    importance: list[Json] = field(default_factory=list)
    kind_importance: list[Json] = field(default_factory=list)
    explanations: list[Json] = field(default_factory=list)
    learning_curves: list[Json] = field(default_factory=list)
    augmentation_examples: list[Json] = field(default_factory=list)
    package: Json = field(default_factory=dict)
    openings: list[Json] = field(default_factory=list)
    final_evaluation: Json = field(default_factory=dict)
    applied_fixes: list[Json] = field(default_factory=list)
    ledger_head: str = ""

    @property
    def name(self) -> str:
        """The name of the project: that of its folder."""
        return self.project.root.resolve().name

    @property
    def champion(self) -> Json:
        """The champion as the evaluation describes it."""
        models = self.evaluation.get("learners", [])
        return next((model for model in models if model["name"] == self.evaluation["champion"]), {})

    @property
    def n_rows(self) -> int:
        """How many rows were read."""
        return int(self.profile.get("rows", 0))

    def open_findings(self) -> list[Finding]:
        """Findings that were not accepted by name, the worst first."""
        return [
            finding
            for finding in self.findings
            if finding.accept_key not in self.settings.audit.accept
        ]


def load_report_data(project: ProjectFolder, folders: Mapping[str, Path]) -> ReportData:
    """Read the records of the steps whose folders are given."""
    entries = Ledger(project.ledger_path).entries()
    split = read_json_object(folders, "split", "about.json")
    test_digest = split.get("digests", {}).get("test")
    final_evaluations = [
        entry.body
        for entry in entries
        if entry.kind == "final" and entry.body["test"] == test_digest
    ]
    return ReportData(
        project=project,
        settings=project.load_settings(),
        folders=folders,
        findings=collect_findings(folders),
        profile=read_json_object(folders, "audit", "profile.json"),
        split=split,
        evaluation=read_json_object(folders, "evaluate", "evaluation.json"),
        importance=read_json_list(folders, "explain", "importance.json"),
        kind_importance=read_json_list(folders, "explain", "kinds.json"),
        explanations=read_json_list(folders, "explain", "explained.json"),
        learning_curves=load_learning_curves(folders),
        augmentation_examples=read_json_list(folders, "train", "augmented.json"),
        package=read_json_object(folders, "package", "outcome.json").get("summary", {}),
        openings=list_test_openings(entries, test_digest),
        final_evaluation=dict(final_evaluations[-1]) if final_evaluations else {},
        applied_fixes=[
            dict(entry.body) for entry in entries if entry.body.get("decision") == "fixed"
        ],
        ledger_head=entries[-1].hash if entries else "",
    )


def read_json_list(folders: Mapping[str, Path], step: str, name: str) -> list[Json]:
    """A list in a JSON file of a step, such as what shuffling each column costs."""
    path = folders[step] / name if step in folders else None
    return list(files.read_json(path)) if path and path.exists() else []


def collect_findings(folders: Mapping[str, Path]) -> list[Finding]:
    """What the audits and the checks of the champion found, as far as they ran, worst first."""
    steps = [folders[name] for name in ("audit", "audit-split", "evaluate") if name in folders]
    findings = [finding for folder in steps for finding in load_findings(folder)]
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def list_test_openings(entries: Sequence[LedgerEntry], test_digest: str | None) -> list[Json]:
    """The openings of a test set, oldest first."""
    opening_entries = [
        entry for entry in entries if entry.kind == "opening" and entry.body["test"] == test_digest
    ]
    return [{"at": entry.created_at, **entry.body} for entry in opening_entries]


def read_json_object(folders: Mapping[str, Path], step: str, name: str) -> Json:
    """A JSON file of a step, or nothing if the step has not run."""
    path = folders[step] / name if step in folders else None
    content: Any = files.read_json(path) if path and path.exists() else {}
    return dict(content)


def load_learning_curves(folders: Mapping[str, Path]) -> list[Json]:
    """Losses of each epoch, of every member of the trained model that has them."""
    if "train" not in folders:
        return []
    states = sorted(folders["train"].glob("*/*/model.json"))
    curves = [files.read_json(path).get("curves") for path in states]
    return [curve for curve in curves if curve]


def format_fixes(finding: Finding) -> str:
    """The edits that mend a finding, in one line."""
    return "; ".join(edit.describe() for edit in finding.fixes)


def summarize_run(report_data: ReportData) -> str:
    """The first thing to know: is there a model, is it better than guessing and good enough."""
    if not report_data.evaluation:
        return "Nothing has been evaluated yet."
    sentences = [report_data.evaluation["sentence"]]
    goal = report_data.evaluation["bar"]
    if goal:
        sentences.append(f"The bar of {format_number(goal['wanted'])} is {goal['verdict']}.")
    return " ".join(sentences)


def describe_test_set(report_data: ReportData) -> str:
    """Whether the test set is still sealed, in one sentence."""
    rows = report_data.split.get("counts", {}).get("test", 0)
    if not rows:
        return "There is no test set."
    if not report_data.openings:
        return f"Sealed: {rows:,} test rows have never been looked at."
    count = len(report_data.openings)
    times = "once" if count == 1 else f"{count} times"
    warning = "" if count == 1 else "; figures on it are no longer those of unseen data"
    return (
        f"Opened {times}, last on {report_data.openings[-1]['at'][:10]} ({rows:,} rows){warning}."
    )


def suggest_next_steps(report_data: ReportData) -> list[str]:
    """What to do next, the most useful first."""
    suggestions = []
    serious_findings = [
        finding for finding in report_data.open_findings() if finding.severity in ("stop", "warn")
    ]
    if serious_findings:
        first = (
            to_sentence(serious_findings[0].title) + " " + to_sentence(serious_findings[0].advice)
        )
        suggestions.append(f"Look at the findings, first: {first}")
    if report_data.evaluation:
        suggestions += suggest_model_changes(report_data)
    if (
        report_data.package
        and not report_data.openings
        and report_data.split.get("counts", {}).get("test")
    ):
        suggestions.append(
            "When no more choices are to be made, open the seal: fieldcraft evaluate --final"
        )
    if report_data.package:
        suggestions.append("Use the model: fieldcraft predict NEW.csv -o OUT.csv")
    return suggestions


def suggest_model_changes(report_data: ReportData) -> list[str]:
    """What the evaluation and the curves suggest."""
    suggestions = []
    champion, models = report_data.champion, report_data.evaluation["learners"]
    if champion["complexity"] == min(model["complexity"] for model in models):
        suggestions.append(
            "No model beats guessing: look for columns that tell more about the target."
        )
    width = relative_interval_width(report_data)
    if width is not None and width > MAX_RELATIVE_INTERVAL_WIDTH:
        suggestions.append(
            f"The interval is wide (±{width / 2:.0%} of the figure): more rows would tell more."
        )
    diagnosis = report_data.evaluation["fitness"]
    if diagnosis and diagnosis["verdict"] != "good":
        suggestions.append(
            f"The network is {diagnosis['verdict']}: {diagnosis['reason']}; {diagnosis['step']}."
        )
    suggestions += suggest_before_deployment(report_data)
    return suggestions


def suggest_before_deployment(report_data: ReportData) -> list[str]:
    """What to mind before the champion is put to work."""
    suggestions = []
    metrics = report_data.champion["measures"]
    error = metrics.get("calibration_error", {}).get("value") or 0
    if error > MAX_CALIBRATION_ERROR:
        suggestions.append(f"Probabilities are off by {error:.1%} on average: use them with care.")
    recall = metrics.get("recall", {}).get("value")
    if recall is not None and recall < MIN_RECALL and not report_data.settings.problem.threshold:
        suggestions.append(
            f"Only {recall:.0%} of the positives are called positive: set problem.threshold "
            "(f1, or a probability) or problem.costs if missing them costs more."
        )
    suggestions += [
        f"{gap['title']} differs between {gap['column']} {gap['highest']} and {gap['lowest']} by "
        f"{format_number(gap['value'])} (at least {format_number(gap['low'])}): find out why before people are "
        "judged by it."
        for gap in list_significant_gaps(report_data)
    ]
    suggestions += [
        f"Over its limit: {text}."
        for text in report_data.package.get("limits", {}).get("broken", [])
    ]
    return suggestions


def list_significant_gaps(report_data: ReportData) -> list[Json]:
    """The gap in the main metric between groups of each column, where it is surely there."""
    metric, gaps = report_data.evaluation["metric"], []
    for column_groups in report_data.evaluation["groups"]:
        gap = column_groups["gaps"].get(metric)
        if gap and gap["low"] is not None and gap["low"] > 0:
            title = column_groups["metrics"][metric]
            gaps.append({"column": column_groups["column"], "title": title, **gap})
    return gaps


def relative_interval_width(report_data: ReportData) -> float | None:
    """Width of the champion's interval as a share of its figure."""
    metric_record = report_data.champion["measures"][report_data.evaluation["metric"]]
    if metric_record["value"] is None or metric_record["low"] is None or not metric_record["value"]:
        return None
    return float((metric_record["high"] - metric_record["low"]) / abs(metric_record["value"]))
