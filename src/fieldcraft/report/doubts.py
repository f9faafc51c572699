"""Labels that may be wrong as the report shows them: how many by class, and rows to look at."""

from __future__ import annotations

from fieldcraft.contracts import Json
from fieldcraft.report.story import Story
from fieldcraft.report.worst import shown

CODE = "label_noise"
CLASSES_SHOWN = 10


def doubtful(story: Story) -> Json:
    """The finding about labels with its rows, ready to be shown; nothing if there is none."""
    found = next((f for f in story.open_findings() if f.code == CODE), None)
    if found is None:
        return {}
    rows = [
        {**shown(row, {}, story), **{k: row[k] for k in ("given", "suggested", "confidence")}}
        for row in story.evaluation.get("doubts", [])
    ]
    return {
        "title": found.title,
        "sure": found.severity == "warn",
        "classes": found.evidence["classes"][:CLASSES_SHOWN],
        "doubted": found.evidence["doubted"],
        "judged": found.evidence["judged"],
        "rows": rows,
    }
