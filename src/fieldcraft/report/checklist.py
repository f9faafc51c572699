"""What whoever answers for a model should be able to say, filled from the records where it can be.

The questions follow the functions of the NIST AI Risk Management Framework (2023): what the model
is for, what it was made from, how it was measured, and how it is looked after.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fieldcraft.core.formatting import format_number, join_names, pluralize, truncated_list
from fieldcraft.report.report_data import ReportData, describe_test_set, list_significant_gaps


@dataclass(frozen=True)
class ChecklistItem:
    """A question, the answer, and whether the records gave it, the owner did, or nobody has yet."""

    topic: str
    question: str
    answer: str
    source: str

    @property
    def is_open(self) -> bool:
        """Whether somebody must still answer."""
        return self.source == "nobody"


def build_checklist(report_data: ReportData) -> list[ChecklistItem]:
    """The whole checklist of a project, topic by topic."""
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
        topic, question, f"Not answered: set card.{card_field} in the project file.", "nobody"
    )


def iter_purpose_items(report_data: ReportData) -> Iterator[ChecklistItem]:
    """What the model is for."""
    card, problem = report_data.settings.card, report_data.settings.problem
    yield answer_from_records("Purpose", "What does the model predict?", problem.description)
    yield answer_from_owner("Purpose", "Who answers for it?", card.owner, "owner")
    yield answer_from_owner(
        "Purpose", "For which decisions may it be used?", card.intended_use, "use"
    )
    yield answer_from_owner(
        "Purpose", "For what must it not be used?", card.out_of_scope_use, "misuse"
    )


def iter_data_items(report_data: ReportData) -> Iterator[ChecklistItem]:
    """What the model was made from."""
    card, sources = report_data.settings.card, report_data.settings.data.source_files()
    source_text = join_names(
        [name for name in (sources.train, sources.validation, sources.test) if name]
    )
    digest = report_data.split.get("digests", {}).get("develop", "")
    yield answer_from_records(
        "Data",
        "What was it made from?",
        f"{report_data.n_rows:,} rows of {source_text}, digest {digest[:16]}.",
    )
    yield answer_from_owner(
        "Data", "By what right may this data be used for it?", card.legal_basis, "rights"
    )
    serious_findings = [finding for finding in report_data.findings if finding.severity != "tip"]
    accepted = [
        finding.accept_key
        for finding in serious_findings
        if finding.accept_key in report_data.settings.audit.accept
    ]
    findings_text = (
        pluralize(len(serious_findings), "serious finding")
        + f" in {pluralize(len(report_data.findings), 'finding')}"
    )
    answer = f"{findings_text}; {pluralize(len(report_data.applied_fixes), 'mended', 'mended')}"
    yield answer_from_records(
        "Data",
        "What was wrong with the data?",
        answer + (f"; accepted: {truncated_list(accepted)}." if accepted else "."),
    )
    leaks = [finding.title for finding in report_data.open_findings() if finding.code in LEAK_CODES]
    yield answer_from_records(
        "Data",
        "May the target have leaked into the columns?",
        f"Look at: {truncated_list(leaks, 3)}." if leaks else "No check found a leak.",
    )


LEAK_CODES = ("leak", "hindsight", "delay", "overlap", "entity")


def iter_measurement_items(report_data: ReportData) -> Iterator[ChecklistItem]:
    """How good the model is, and how that is known."""
    evaluation = report_data.evaluation
    yield answer_from_records(
        "Measurement", "Is it better than simple rules?", evaluation["sentence"]
    )
    goal = evaluation["bar"]
    answer = (
        f"Wanted {goal['title']} {format_number(goal['wanted'])}: {goal['verdict']}."
        if goal
        else ""
    )
    question = "Is it good enough?"
    if goal:
        yield answer_from_records("Measurement", question, answer)
    else:
        text = "Not said: set problem.bar in the project file."
        yield ChecklistItem("Measurement", question, text, "nobody")
    yield answer_from_records(
        "Measurement", "Was the test set kept apart?", describe_test_set(report_data)
    )
    error = report_data.champion["measures"].get("calibration_error")
    if error:
        text = f"They are off by {format_number(error['value'])} on average on judge rows."
        yield answer_from_records("Measurement", "Are its probabilities honest?", text)
    top_columns = [item["column"] for item in report_data.importance[:5]]
    if top_columns:
        yield answer_from_records(
            "Measurement", "On what does it hang?", f"Most on {join_names(top_columns)}."
        )


def iter_impact_items(report_data: ReportData) -> Iterator[ChecklistItem]:
    """Whom the model touches."""
    card, groups = report_data.settings.card, report_data.evaluation["groups"]
    yield answer_from_owner(
        "People", "Who is touched by its decisions, and how?", card.affected_groups, "people"
    )
    question = "Does it serve all groups alike?"
    gaps = [
        f"{gap['title']} by {gap['column']}: gap {format_number(gap['value'])} (at least "
        f"{format_number(gap['low'])})"
        for gap in list_significant_gaps(report_data)
    ]
    if gaps:
        yield answer_from_records("People", question, "; ".join(gaps) + ".")
    elif groups:
        names = join_names([item["column"] for item in groups])
        yield answer_from_records("People", question, f"No gap between groups of {names} is sure.")
    else:
        text = "Not examined: name columns under problem.groups, if rows are about people."
        yield ChecklistItem("People", question, text, "nobody")
    yield answer_from_owner(
        "People", "Who can object, and to whom?", card.human_oversight, "oversight"
    )


def iter_maintenance_items(report_data: ReportData) -> Iterator[ChecklistItem]:
    """How the model is looked after."""
    card = report_data.settings.card
    yield answer_from_owner(
        "Care", "Who watches it, and what makes them stop it?", card.monitoring, "watch"
    )
    exceeded_limits = report_data.package.get("limits", {}).get("broken", [])
    text = "; ".join(exceeded_limits) if exceeded_limits else "Yes, or none are set under deploy."
    yield answer_from_records("Care", "Does it live within its limits of time and size?", text)
    yield answer_from_records(
        "Care",
        "Can it be made again?",
        f"Every step is in the ledger (last entry {report_data.ledger_head[:16]}); "
        "`fieldcraft reproduce` does all of it over again and compares.",
    )
