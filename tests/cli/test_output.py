"""Ledger entries and values are formatted to fit a line of the terminal."""

from __future__ import annotations

import pytest

from fieldcraft.cli.output import format_entry, format_value

METRIC_RECORD = {"value": 0.81234, "low": 0.7, "high": 0.9, "model": "linear", "metric": "roc_auc"}


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        (
            "metric",
            {**METRIC_RECORD, "n_rows": 2000, "part": "evaluation"},
            "linear: roc_auc 0.8123 (0.7000 to 0.9000) on 2,000 evaluation rows",
        ),
        ("finding", {"severity": "warning", "title": "x is odd"}, "warning: x is odd"),
        (
            "test_set_opened",
            {"opening_number": 2, "reason": "why"},
            "opened the test set, opening 2: why",
        ),
        ("step_completed", {"seconds": 1.25}, "completed in 1.2 s"),
        ("step_cancelled", {"seconds": 2.0}, "cancelled after 2.0 s"),
        (
            "final_evaluation",
            {"rows": 99, "model_id": "a" * 64},
            "metrics on 99 test rows, model " + "a" * 12,
        ),
        (
            "decision",
            {"decision": "split", "test_digest": "b" * 64},
            "decision split, test_digest " + "b" * 12,
        ),
    ],
)
def test_entries_are_summarized(kind: str, body: dict[str, object], text: str) -> None:
    assert format_entry({"kind": kind, "body": body}) == text


def test_only_digests_are_shortened() -> None:
    assert format_value("a long reason " * 5) == "a long reason " * 5
    assert format_value(0.123456) == "0.1235"
