"""Collect the records of a project for the report, the model card and the terminal."""

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

# Beyond these limits the next steps suggest more rows, care with probabilities, or another
# threshold. They are rules of thumb, not tests.
MAX_RELATIVE_INTERVAL_WIDTH = 0.2  # width of the interval as a fraction of the value
MAX_CALIBRATION_ERROR = 0.05
MIN_RECALL = 0.5


@dataclass(frozen=True)
class ReportData:
    """The records of a project; those of stages that have not run yet are empty."""

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
        """The name of the project, which is that of its folder."""
        return self.project.root.resolve().name

    @property
    def champion(self) -> Json:
        """The champion's entry in the evaluation."""
        models = self.evaluation.get("models", [])
        return next((model for model in models if model["name"] == self.evaluation["champion"]), {})

    @property
    def n_rows(self) -> int:
        """The number of rows read."""
        return int(self.profile.get("rows", 0))

    def open_findings(self) -> list[Finding]:
        """Findings that were not accepted, the most severe first."""
        return [
            finding
            for finding in self.findings
            if finding.accept_key not in self.settings.audit.accept
        ]


def load_report_data(project: ProjectFolder, folders: Mapping[str, Path]) -> ReportData:
    """Load the records of the steps whose folders are given."""
    entries = Ledger(project.ledger_path).entries()
    split = read_json_object(folders, "split", "metadata.json")
    test_digest = split.get("digests", {}).get("test")
    final_evaluations = [
        entry.body
        for entry in entries
        # The ledger also has evaluations on the test sets of earlier splits.
        if entry.kind == "final_evaluation" and entry.body["test_digest"] == test_digest
    ]
    return ReportData(
        project=project,
        settings=project.load_settings(),
        folders=folders,
        findings=collect_findings(folders),
        profile=read_json_object(folders, "audit", "profile.json"),
        split=split,
        evaluation=read_json_object(folders, "evaluate", "evaluation.json"),
        importance=read_json_list(folders, "explain", "feature_importance.json"),
        kind_importance=read_json_list(folders, "explain", "kind_importance.json"),
        explanations=read_json_list(folders, "explain", "explanations.json"),
        learning_curves=load_learning_curves(folders),
        augmentation_examples=read_json_list(folders, "train", "augmentation_examples.json"),
        package=read_json_object(folders, "package", "result.json").get("summary", {}),
        openings=list_test_openings(entries, test_digest),
        final_evaluation=dict(final_evaluations[-1]) if final_evaluations else {},
        applied_fixes=[
            dict(entry.body) for entry in entries if entry.body.get("decision") == "fixed"
        ],
        ledger_head=entries[-1].hash if entries else "",
    )


def read_json_list(folders: Mapping[str, Path], step: str, name: str) -> list[Json]:
    """A JSON file of a step that holds a list; empty if the step has not run."""
    path = folders[step] / name if step in folders else None
    return list(files.read_json(path)) if path and path.exists() else []


def collect_findings(folders: Mapping[str, Path]) -> list[Finding]:
    """Findings of the audits and of the checks of the champion, the most severe first."""
    steps = [folders[name] for name in ("audit", "audit-split", "evaluate") if name in folders]
    findings = [finding for folder in steps for finding in load_findings(folder)]
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def list_test_openings(entries: Sequence[LedgerEntry], test_digest: str | None) -> list[Json]:
    """The openings of a test set, oldest first."""
    opening_entries = [
        entry
        for entry in entries
        if entry.kind == "test_set_opened" and entry.body["test_digest"] == test_digest
    ]
    return [{"at": entry.created_at, **entry.body} for entry in opening_entries]


def read_json_object(folders: Mapping[str, Path], step: str, name: str) -> Json:
    """A JSON file of a step that holds an object; empty if the step has not run."""
    path = folders[step] / name if step in folders else None
    content: Any = files.read_json(path) if path and path.exists() else {}
    return dict(content)


def load_learning_curves(folders: Mapping[str, Path]) -> list[Json]:
    """Losses by epoch of every fold model of the trained model that has them."""
    if "train" not in folders:
        return []
    states = sorted(folders["train"].glob("*/*/model.json"))
    curves = [files.read_json(path).get("learning_curves") for path in states]
    return [curve for curve in curves if curve]


def format_fixes(finding: Finding) -> str:
    """The edits that fix a finding, in one line."""
    return "; ".join(edit.describe() for edit in finding.fixes)


def summarize_run(report_data: ReportData) -> str:
    """The headline: whether the champion beats the baselines and reaches the goal."""
    if not report_data.evaluation:
        return "No evaluation yet."
    sentences = [report_data.evaluation["summary"]]
    goal = report_data.evaluation["goal"]
    if goal:
        sentences.append(f"Goal {format_number(goal['target'])}: {goal['verdict']}.")
    return " ".join(sentences)


def describe_test_set(report_data: ReportData) -> str:
    """Whether the test set is still sealed, or when it was opened, in one sentence."""
    rows = report_data.split.get("counts", {}).get("test", 0)
    if not rows:
        return "There is no test set."
    if not report_data.openings:
        return f"Sealed: {rows:,} test rows have never been used."
    count = len(report_data.openings)
    times = "once" if count == 1 else f"{count} times"
    warning = "" if count == 1 else "; it is no longer unseen data"
    return (
        f"Opened {times}, last on {report_data.openings[-1]['at'][:10]} ({rows:,} rows){warning}."
    )


def suggest_next_steps(report_data: ReportData) -> list[str]:
    """Suggested next steps, the most useful first."""
    suggestions = []
    # Data first: with a leak, no metric means anything.
    serious_findings = [
        finding for finding in report_data.open_findings() if finding.severity != "info"
    ]
    if serious_findings:
        first = (
            to_sentence(serious_findings[0].title) + " " + to_sentence(serious_findings[0].advice)
        )
        suggestions.append(f"Review the findings, first: {first}")
    if report_data.evaluation:
        suggestions += suggest_model_changes(report_data)
    if (
        report_data.package
        and not report_data.openings
        and report_data.split.get("counts", {}).get("test")
    ):
        suggestions.append(
            "When the model is final, evaluate it once on the sealed test set: "
            "fieldcraft evaluate --final"
        )
    if report_data.package:
        suggestions.append("Use the model: fieldcraft predict NEW.csv -o OUT.csv")
    return suggestions


def suggest_model_changes(report_data: ReportData) -> list[str]:
    """Suggestions from the evaluation and the learning curves."""
    suggestions = []
    champion, models = report_data.champion, report_data.evaluation["models"]
    if champion["complexity"] == min(model["complexity"] for model in models):
        suggestions.append("No model beats the constant baseline: add more predictive columns.")
    width = relative_interval_width(report_data)
    if width is not None and width > MAX_RELATIVE_INTERVAL_WIDTH:
        suggestions.append(
            f"The confidence interval is wide (±{width / 2:.0%} of the value): add more rows."
        )
    diagnosis = report_data.evaluation["learning_curve_diagnosis"]
    if diagnosis and diagnosis["verdict"] != "good":
        verdict = diagnosis["verdict"].replace("_", " ")
        suggestions.append(
            f"The network is {verdict}: {diagnosis['reason']}; {diagnosis['recommendation']}."
        )
    suggestions += suggest_before_deployment(report_data)
    return suggestions


def suggest_before_deployment(report_data: ReportData) -> list[str]:
    """Suggestions to consider before the champion is deployed."""
    suggestions = []
    metrics = report_data.champion["metrics"]
    error = metrics.get("ece", {}).get("value") or 0
    if error > MAX_CALIBRATION_ERROR:
        suggestions.append(
            f"The expected calibration error is {error:.1%}: use probabilities with care."
        )
    recall = metrics.get("recall", {}).get("value")
    if recall is not None and recall < MIN_RECALL and not report_data.settings.problem.threshold:
        suggestions.append(
            f"Recall is only {recall:.0%}: set problem.threshold (f1, or a probability) or "
            "problem.costs if false negatives are expensive."
        )
    suggestions += [
        f"{gap['title']} differs between {gap['column']} {gap['highest_group']} and "
        f"{gap['lowest_group']} by {format_number(gap['value'])} "
        f"(at least {format_number(gap['low'])}): find the cause before deployment."
        for gap in list_significant_gaps(report_data)
    ]
    suggestions += [
        f"Limit exceeded: {text}."
        for text in report_data.package.get("limits", {}).get("exceeded", [])
    ]
    return suggestions


def list_significant_gaps(report_data: ReportData) -> list[Json]:
    """The gap in the main metric between groups of each column, where it is significant."""
    metric, gaps = report_data.evaluation["metric"], []
    for column_groups in report_data.evaluation["group_metrics"]:
        gap = column_groups["max_gaps"].get(metric)
        if gap and gap["low"] is not None and gap["low"] > 0:
            title = column_groups["metric_titles"][metric]
            gaps.append({"column": column_groups["column"], "title": title, **gap})
    return gaps


def relative_interval_width(report_data: ReportData) -> float | None:
    """Width of the interval of the champion's metric as a fraction of its value, or None."""
    metric_record = report_data.champion["metrics"][report_data.evaluation["metric"]]
    if metric_record["value"] is None or metric_record["low"] is None or not metric_record["value"]:
        return None
    return float((metric_record["high"] - metric_record["low"]) / abs(metric_record["value"]))
