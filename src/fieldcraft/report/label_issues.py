"""Labels that may be wrong as the report shows them: how many by class, and rows to look at."""

from __future__ import annotations

from fieldcraft.core.types import Json
from fieldcraft.report.example_rows import build_example_row
from fieldcraft.report.report_data import ReportData

LABEL_NOISE_CODE = "label_noise"
MAX_LABEL_CLASSES_SHOWN = 10


def build_label_issues(report_data: ReportData) -> Json:
    """The finding about labels with its rows, ready to be shown; nothing if there is none."""
    finding = next(
        (
            candidate
            for candidate in report_data.open_findings()
            if candidate.code == LABEL_NOISE_CODE
        ),
        None,
    )
    if finding is None:
        return {}
    rows = [
        {
            **build_example_row(row, {}, report_data),
            **{key: row[key] for key in ("given", "suggested", "confidence")},
        }
        for row in report_data.evaluation.get("doubts", [])
    ]
    return {
        "title": finding.title,
        "sure": finding.severity == "warn",
        "classes": finding.evidence["classes"][:MAX_LABEL_CLASSES_SHOWN],
        "doubted": finding.evidence["doubted"],
        "judged": finding.evidence["judged"],
        "rows": rows,
    }
