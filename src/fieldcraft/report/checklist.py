"""The responsible-AI checklist of a model, answered from the records where possible.

The questions follow the functions of the NIST AI Risk Management Framework (2023): purpose of the
model, data, measurement, impact on people, and maintenance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fieldcraft.core.formatting import format_number, join_names, pluralize, truncated_list
from fieldcraft.report.report_data import ReportData, describe_test_set, list_significant_gaps

# Checks whose findings suggest that the target leaks into the features, or training rows into
# evaluation rows.
LEAK_CODES = (
    "target_leakage",
    "post_outcome_name",
    "date_difference_leak",
    "train_test_overlap",
    "group_leakage",
)


@dataclass(frozen=True)
class ChecklistItem:
    """A question with its answer and the source of it: records, owner, or unanswered."""

    topic: str
    question: str
    answer: str
    source: str

    @property
    def is_open(self) -> bool:
        """Whether the question is still unanswered."""
        return self.source == "unanswered"


def build_checklist(report_data: ReportData) -> list[ChecklistItem]:
    """All items of the checklist, by topic."""
    return [
        *iter_purpose_items(report_data),
        *iter_data_items(report_data),
        *iter_measurement_items(report_data),
        *iter_impact_items(report_data),
        *iter_maintenance_items(report_data),
    ]


def answer_from_records(topic: str, question: str, answer: str) -> ChecklistItem:
    """A question that the records answer."""
    return ChecklistItem(topic, question, answer, "records")


def answer_from_owner(topic: str, question: str, answer: str, card_field: str) -> ChecklistItem:
    """A question that only the owner can answer, in the section ``card`` of the project file."""
    if answer.strip():
        return ChecklistItem(topic, question, answer.strip(), "owner")
    return ChecklistItem(
        topic, question, f"Not answered: set card.{card_field} in the project file.", "unanswered"
    )


def iter_purpose_items(report_data: ReportData) -> Iterator[ChecklistItem]:
    """Purpose of the model."""
    card, problem = report_data.settings.card, report_data.settings.problem
    yield answer_from_records("Purpose", "What does the model predict?", problem.description)
    yield answer_from_owner("Purpose", "Who is responsible for it?", card.owner, "owner")
    yield answer_from_owner(
        "Purpose", "For which decisions may it be used?", card.intended_use, "intended_use"
    )
    yield answer_from_owner(
        "Purpose", "For what must it not be used?", card.out_of_scope_use, "out_of_scope_use"
    )


def iter_data_items(report_data: ReportData) -> Iterator[ChecklistItem]:
    """Data that the model was trained on."""
    card, sources = report_data.settings.card, report_data.settings.data.source_files()
    source_text = join_names(
        [name for name in (sources.train, sources.validation, sources.test) if name]
    )
    digest = report_data.split.get("digests", {}).get("development", "")
    yield answer_from_records(
        "Data",
        "What data was it developed on?",
        f"{report_data.n_rows:,} rows of {source_text}, digest {digest[:16]}.",
    )
    yield answer_from_owner(
        "Data", "On what legal basis is this data used?", card.legal_basis, "legal_basis"
    )
    serious_findings = [finding for finding in report_data.findings if finding.severity != "info"]
    accepted = [
        finding.accept_key
        for finding in serious_findings
        if finding.accept_key in report_data.settings.audit.accept
    ]
    findings_text = (
        f"{pluralize(len(report_data.findings), 'finding')}, "
        f"{len(serious_findings)} of them errors or warnings"
    )
    answer = f"{findings_text}; {len(report_data.applied_fixes):,} fixed"
    yield answer_from_records(
        "Data",
        "What problems does the data have?",
        answer + (f"; accepted: {truncated_list(accepted)}." if accepted else "."),
    )
    leaks = [finding.title for finding in report_data.open_findings() if finding.code in LEAK_CODES]
    yield answer_from_records(
        "Data",
        "Could the target have leaked into the features?",
        f"Possible leaks: {truncated_list(leaks, 3)}." if leaks else "No check found a leak.",
    )


def iter_measurement_items(report_data: ReportData) -> Iterator[ChecklistItem]:
    """Performance of the model and how it was measured."""
    evaluation = report_data.evaluation
    yield answer_from_records(
        "Measurement", "Is it better than simple baselines?", evaluation["summary"]
    )
    goal = evaluation["goal"]
    answer = (
        f"Goal {goal['title']} {format_number(goal['target'])}: {goal['verdict']}." if goal else ""
    )
    question = "Is it good enough?"
    if goal:
        yield answer_from_records("Measurement", question, answer)
    else:
        text = "Not set: problem.goal in the project file."
        yield ChecklistItem("Measurement", question, text, "unanswered")
    yield answer_from_records(
        "Measurement", "Was the test set held out?", describe_test_set(report_data)
    )
    error = report_data.champion["metrics"].get("ece")
    if error:
        text = f"Expected calibration error {format_number(error['value'])} on the evaluation rows."
        yield answer_from_records("Measurement", "Are its probabilities calibrated?", text)
    top_columns = [item["column"] for item in report_data.importance[:5]]
    if top_columns:
        yield answer_from_records(
            "Measurement", "Which features matter most?", f"{join_names(top_columns)}."
        )


def iter_impact_items(report_data: ReportData) -> Iterator[ChecklistItem]:
    """Impact of the model on people."""
    card, groups = report_data.settings.card, report_data.evaluation["group_metrics"]
    yield answer_from_owner(
        "People",
        "Who is affected by its decisions, and how?",
        card.affected_groups,
        "affected_groups",
    )
    question = "Does it perform equally well for all groups?"
    gaps = [
        f"{gap['title']} by {gap['column']}: gap {format_number(gap['value'])} (at least "
        f"{format_number(gap['low'])})"
        for gap in list_significant_gaps(report_data)
    ]
    if gaps:
        yield answer_from_records("People", question, "; ".join(gaps) + ".")
    elif groups:
        names = join_names([item["column"] for item in groups])
        yield answer_from_records(
            "People", question, f"No significant gap between groups of {names}."
        )
    else:
        text = "Not examined: set problem.sensitive_features if the rows are about people."
        yield ChecklistItem("People", question, text, "unanswered")
    yield answer_from_owner(
        "People", "Who can contest a decision, and how?", card.human_oversight, "human_oversight"
    )


def iter_maintenance_items(report_data: ReportData) -> Iterator[ChecklistItem]:
    """Maintenance of the model."""
    card = report_data.settings.card
    yield answer_from_owner(
        "Maintenance",
        "Who monitors it, and when is it taken out of use?",
        card.monitoring,
        "monitoring",
    )
    exceeded_limits = report_data.package.get("limits", {}).get("exceeded", [])
    text = "; ".join(exceeded_limits) if exceeded_limits else "Yes, or none are set under deploy."
    yield answer_from_records(
        "Maintenance", "Is it within its limits of latency, size and memory?", text
    )
    yield answer_from_records(
        "Maintenance",
        "Can it be reproduced?",
        f"Every step is in the ledger (last entry {report_data.ledger_head[:16]}); "
        "`fieldcraft reproduce` repeats the run and compares.",
    )
