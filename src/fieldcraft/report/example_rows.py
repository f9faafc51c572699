"""Example rows in the report: largest errors with explanations, and possible label errors."""

from __future__ import annotations

from typing import Any

from fieldcraft.core.formatting import pluralize
from fieldcraft.core.types import Json
from fieldcraft.report.report_data import ReportData

MAX_ROWS_SHOWN = 8
MAX_CELLS_SHOWN = 8
MAX_TEXT_CHARS = 600  # of a longer text, only the spans with the largest weights are shown
MAX_SPAN_CHARS, MAX_CELL_CHARS = 120, 120
MIN_COLORED_WEIGHT = 0.15  # spans with less weight are not colored
# As a fraction of the score scale. Weights are relative to the largest weight in a cell, so without
# this limit a cell that hardly changes the prediction would be colored like any other.
MIN_SCORE_CHANGE = 0.01
ELLIPSIS = "…"
LABEL_NOISE_CODE = "label_noise"
MAX_LABEL_CLASSES_SHOWN = 10
NETWORK_MAP_TITLES = {
    "grad_cam": "Grad-CAM",
    "integrated_gradients": "integrated gradients",
    "attention_rollout": "attention rollout",
}


def build_largest_errors(report_data: ReportData) -> list[Json]:
    """The evaluation rows with the largest errors of the champion, for the template."""
    explanation_by_position = {item["position"]: item for item in report_data.explanations}
    rows = report_data.evaluation.get("largest_errors", [])[:MAX_ROWS_SHOWN]
    return [
        build_example_row(row, explanation_by_position.get(row.get("position"), {}), report_data)
        for row in rows
    ]


def build_label_issues(report_data: ReportData) -> Json:
    """The label-noise finding with its rows, for the template; empty if there is none."""
    finding = next(
        (finding for finding in report_data.open_findings() if finding.code == LABEL_NOISE_CODE),
        None,
    )
    if finding is None:
        return {}
    rows = [
        {
            **build_example_row(row, {}, report_data),
            "given_label": row["given"],
            "suggested_label": row["suggested"],
            "confidence": row["confidence"],
        }
        for row in report_data.evaluation.get("label_issues", [])
    ]
    return {
        "title": finding.title,
        "is_significant": finding.severity == "warning",
        "classes": finding.evidence["classes"][:MAX_LABEL_CLASSES_SHOWN],
        "n_suspect": finding.evidence["n_suspect"],
        "n_rows": finding.evidence["n_rows"],
        "rows": rows,
    }


def build_example_row(row: Json, explanation: Json, report_data: ReportData) -> Json:
    """A row with its cells, photos and texts, and their explanation where there is one."""
    targets = report_data.settings.problem.targets
    column_explanations = explanation.get("columns", {})
    texts = {
        name: build_text(item, explanation["score_scale"])
        for name, item in column_explanations.items()
        if "spans" in item
    }
    thumbnails = row.get("thumbnails", {})
    cells = {
        column: cell
        for column, cell in row["cells"].items()
        if column not in targets and column not in texts
    }
    for name in thumbnails:  # the photo itself is shown, so its file name without folders is enough
        cells[name] = str(cells[name]).rpartition("/")[2]
    shown_cells = {
        name: truncate(value, MAX_CELL_CHARS)
        for name, value in list(cells.items())[:MAX_CELLS_SHOWN]
    }
    return {
        "line": row["line"],
        "prediction": row["prediction"],
        "score": explanation.get("score"),
        "class_or_label": explanation.get("class_or_label"),
        "actual": ", ".join(str(row["cells"].get(target)) for target in targets),
        "photos": [
            build_photo(name, source, column_explanations.get(name), explanation)
            for name, source in thumbnails.items()
        ],
        "texts": texts,
        "network_map_names": [name for item in texts.values() for name in item["network_maps"]],
        "cells": shown_cells,
        "n_more_cells": len(cells) - len(shown_cells),
    }


def build_photo(name: str, source: str, column_explanation: Json | None, explanation: Json) -> Json:
    """A photo, and its occlusion heatmap if some region changes the prediction noticeably."""
    column_explanation = column_explanation or {}
    max_effect = column_explanation["max_effect"] if "heatmap" in column_explanation else None
    is_relevant = bool(max_effect) and max_effect >= MIN_SCORE_CHANGE * explanation["score_scale"]
    return {
        "name": name,
        "source": source,
        "heatmap": column_explanation["heatmap"] if is_relevant else None,
        "max_effect": max_effect,
        "network_maps": {
            NETWORK_MAP_TITLES.get(map_name, map_name): network_map["heatmap"]
            for map_name, network_map in column_explanation.get("network_maps", {}).items()
        },
    }


def build_text(column_explanation: Json, score_scale: float) -> Json:
    """A text in parts, each with a side ("for", "against" or "") and a strength from 0 to 1.

    Args:
        column_explanation: ``spans`` with weights, the ``max_effect`` of a span on the score, and
            ``network_maps`` with spans by name.
        score_scale: what counts as a large change of the score.
    """
    is_relevant = column_explanation["max_effect"] >= MIN_SCORE_CHANGE * score_scale
    parts: list[Json] = []
    n_hidden_chars = n_skipped = 0
    shown_numbers = select_heaviest_spans(column_explanation["spans"])
    for number, (span, weight) in enumerate(column_explanation["spans"]):
        if number not in shown_numbers:
            n_hidden_chars += len(span)
            n_skipped += 1
            continue
        if n_skipped:
            # The span before may end with an ellipsis itself; avoid two in a row.
            has_ellipsis = parts and parts[-1]["core"].endswith(ELLIPSIS)
            parts.append(build_span(" " if has_ellipsis else f" {ELLIPSIS} ", 0.0))
            n_skipped = 0
        n_hidden_chars += max(len(span) - MAX_SPAN_CHARS, 0)
        parts.append(build_span(span, weight if is_relevant else 0.0))
    if n_skipped and not parts[-1]["core"].endswith(ELLIPSIS):
        parts.append(build_span(f" {ELLIPSIS}", 0.0))
    return {
        "parts": parts,
        "hidden": pluralize(n_hidden_chars, "character") if n_hidden_chars else "",
        "max_effect": column_explanation["max_effect"],
        "is_relevant": is_relevant,
        # Attributions of a network measure no effect on the score: they always count as relevant.
        "network_maps": {
            NETWORK_MAP_TITLES.get(map_name, map_name): build_text(
                {**network_map, "max_effect": score_scale}, score_scale
            )
            for map_name, network_map in column_explanation.get("network_maps", {}).items()
        },
    }


def select_heaviest_spans(spans: list[Any]) -> set[int]:
    """Numbers of the spans to show: all of a short text, the largest weights of a long one."""
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
    """A part of a text: its core is colored, the whitespace around it is not."""
    core = text.strip()
    before, _, after = text.partition(core) if core else (text, "", "")
    side = "" if abs(weight) < MIN_COLORED_WEIGHT else "for" if weight > 0 else "against"
    return {
        "before": before, "core": truncate(core, MAX_SPAN_CHARS), "after": after,
        "side": side, "strength": abs(weight),
    }  # fmt: skip


def truncate(value: str | None, max_chars: int) -> str | None:
    """A text of limited length, cut at a word boundary where possible, with an ellipsis."""
    if value is None or len(value) <= max_chars:
        return value
    words = value[: max_chars + 1].rpartition(" ")[0].rstrip()
    return (words if len(words) > max_chars / 2 else value[:max_chars]) + ELLIPSIS
