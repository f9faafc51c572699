"""The worst errors as the report shows them: cells, photos, and why the champion said it."""

from __future__ import annotations

from typing import Any

from fieldcraft.core.formatting import pluralize
from fieldcraft.core.types import Json
from fieldcraft.report.report_data import ReportData

MAX_ROWS_SHOWN = 8
MAX_CELLS_SHOWN = 8
MAX_TEXT_CHARS = 600  # of a text; of longer ones the parts that weigh most
MAX_SPAN_CHARS, MAX_CELL_CHARS = 120, 120
MIN_COLORED_WEIGHT = 0.15  # weight below which a part is not coloured
MIN_SCORE_CHANGE = 0.01  # of the unit: what moves a prediction by less is not worth a colour
ELLIPSIS = "…"


def build_largest_errors(report_data: ReportData) -> list[Json]:
    """The rows that the champion got most wrong, ready to be shown."""
    explanation_by_position = {item["position"]: item for item in report_data.explanations}
    rows = report_data.evaluation.get("worst", [])[:MAX_ROWS_SHOWN]
    return [
        build_example_row(row, explanation_by_position.get(row.get("position"), {}), report_data)
        for row in rows
    ]


def build_example_row(row: Json, explanation: Json, report_data: ReportData) -> Json:
    """A badly predicted row: what fits on a line, its photos and its texts."""
    targets = report_data.settings.problem.targets
    column_explanations = explanation.get("columns", {})
    texts = {
        name: build_text(item, explanation["unit"])
        for name, item in column_explanations.items()
        if "spans" in item
    }
    thumbnails = row.get("pictures", {})
    cells = {
        column: cell
        for column, cell in row["cells"].items()
        if column not in targets and column not in texts
    }
    for name in thumbnails:  # the name of the file is enough beside the photo
        cells[name] = str(cells[name]).rpartition("/")[2]
    shown_cells = {
        name: truncate(value, MAX_CELL_CHARS)
        for name, value in list(cells.items())[:MAX_CELLS_SHOWN]
    }
    return {
        "line": row["line"],
        "prediction": row["prediction"],
        "score": explanation.get("score"),
        "of": explanation.get("of"),
        "true": ", ".join(str(row["cells"].get(target)) for target in targets),
        "photos": [
            build_photo(name, source, column_explanations.get(name), explanation)
            for name, source in thumbnails.items()
        ],
        "texts": texts,
        "traces": [method for item in texts.values() for method in item["network"]],
        "shown": shown_cells,
        "more": len(cells) - len(shown_cells),
    }


def build_photo(name: str, source: str, column_explanation: Json | None, explanation: Json) -> Json:
    """A photo, and beside it its map if some place of it matters."""
    max_effect = (
        column_explanation["most"]
        if column_explanation and "picture" in column_explanation
        else None
    )
    return {
        "name": name,
        "source": source,
        "map": column_explanation["picture"]
        if column_explanation
        and max_effect
        and max_effect >= MIN_SCORE_CHANGE * explanation["unit"]
        else None,
        "moved": max_effect,
        "network": {
            method: network_map["picture"]
            for method, network_map in (column_explanation or {}).get("network", {}).items()
        },
    }


def build_text(column_explanation: Json, unit: float) -> Json:
    """A text in parts, each with a side, for or against, and a strength from 0 to 1.

    Args:
        column_explanation: its ``spans``, by how much the heaviest moves the prediction, and spans by name that
            the network traced, each coloured by itself.
        unit: what counts as a large difference.
    """
    is_relevant = column_explanation["most"] >= MIN_SCORE_CHANGE * unit
    spans_shown: list[Json] = []
    n_hidden_chars = n_skipped = 0
    shown_numbers = select_heaviest_spans(column_explanation["spans"])
    for number, (span, weight) in enumerate(column_explanation["spans"]):
        if number not in shown_numbers:
            n_hidden_chars += len(span)
            n_skipped += 1
            continue
        if n_skipped:
            has_ellipsis = spans_shown and spans_shown[-1]["core"].endswith(ELLIPSIS)
            spans_shown.append(build_span(" " if has_ellipsis else f" {ELLIPSIS} ", 0.0))
            n_skipped = 0
        n_hidden_chars += max(len(span) - MAX_SPAN_CHARS, 0)
        spans_shown.append(build_span(span, weight if is_relevant else 0.0))
    if n_skipped and not spans_shown[-1]["core"].endswith(ELLIPSIS):
        spans_shown.append(build_span(f" {ELLIPSIS}", 0.0))
    return {
        "parts": spans_shown,
        "cut": pluralize(n_hidden_chars, "sign") if n_hidden_chars else "",
        "most": column_explanation["most"],
        "matters": is_relevant,
        "network": {
            method: build_text({**network_spans, "most": unit}, unit)
            for method, network_spans in column_explanation.get("network", {}).items()
        },
    }


def select_heaviest_spans(spans: list[Any]) -> set[int]:
    """The numbers of the spans that are shown: all of them, or of a long text the heaviest."""
    order = sorted(range(len(spans)), key=lambda i: (-abs(spans[i][1]), i))
    selected: set[int] = set()
    chars_left = MAX_TEXT_CHARS
    for number in order:
        chars_left -= min(len(spans[number][0]), MAX_SPAN_CHARS)
        if chars_left < 0 and selected:
            break
        selected.add(number)
    return selected


def build_span(text: str, weight: float) -> Json:
    """A part of a text: its core is coloured, the blanks around it are not."""
    core = text.strip()
    before, _, after = text.partition(core) if core else (text, "", "")
    side = "" if abs(weight) < MIN_COLORED_WEIGHT else "for" if weight > 0 else "against"
    return {
        "before": before, "core": truncate(core, MAX_SPAN_CHARS), "after": after,
        "side": side, "strength": abs(weight),
    }  # fmt: skip


def truncate(value: str | None, max_chars: int) -> str | None:
    """A text that is not too long, with a mark where it was cut."""
    if value is None or len(value) <= max_chars:
        return value
    words = value[: max_chars + 1].rpartition(" ")[0].rstrip()  # words
    return (words if len(words) > max_chars / 2 else value[:max_chars]) + ELLIPSIS
