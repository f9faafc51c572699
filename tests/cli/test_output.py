"""Entries and figures in the few words that fit a line of the terminal."""

from __future__ import annotations

import pytest

from fieldcraft.cli.output import format_entry, format_value

METRIC_RECORD = {"value": 0.81234, "low": 0.7, "high": 0.9, "model": "linear", "metric": "roc_auc"}


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        (
            "measure",
            {**METRIC_RECORD, "rows": 2000, "part": "judge"},
            "linear: roc_auc 0.8123 (0.7000 to 0.9000) on 2,000 judge rows",
        ),
        ("finding", {"severity": "warn", "title": "x is odd"}, "warn: x is odd"),
        ("opening", {"number": 2, "reason": "why"}, "opened the test set, time 2: why"),
        ("done", {"seconds": 1.25}, "done in 1.2 s"),
        ("final", {"rows": 99, "model_id": "a" * 64}, "figures of 99 test rows, model " + "a" * 12),
        ("decision", {"decision": "split", "test": "b" * 64}, "decision split, test " + "b" * 12),
    ],
)
def test_an_entry_in_a_few_words(kind: str, body: dict[str, object], words: str) -> None:
    assert format_entry({"kind": kind, "body": body}) == words


def test_only_digests_are_cut() -> None:
    assert format_value("a long reason " * 5) == "a long reason " * 5
    assert format_value(0.123456) == "0.1235"
