"""Findings and measures survive being written to the ledger."""

from __future__ import annotations

import json

import pytest

from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.ledger.records import SEVERITIES, Finding, MetricRecord

WHOLE = Finding(
    "leak",
    "stop",
    "`key` tells the target in 99 % of the rows",
    column="key",
    evidence={"share": 0.99, "rows": [1, 2]},
    advice="drop it",
    fixes=(
        ConfigEdit(("data", "drop"), "key", append=True),
        ConfigEdit(("clean", "clip", "age"), [0, 99]),
    ),
)
BARE = Finding("imbalance", "tip", "classes are uneven")


@pytest.mark.parametrize("finding", [WHOLE, BARE])
def test_a_finding_reads_back_as_it_was_written(finding: Finding) -> None:
    assert Finding.from_json(json.loads(json.dumps(finding.to_json()))) == finding
    assert finding.to_json()["name"] == finding.accept_key


def test_a_finding_is_accepted_by_its_code_and_column() -> None:
    assert (WHOLE.accept_key, BARE.accept_key) == ("leak:key", "imbalance")


def test_severities_come_worst_first() -> None:
    assert SEVERITIES == ("stop", "warn", "tip")


def test_a_measure_says_all_that_it_takes_to_vouch_for_it() -> None:
    measure = MetricRecord(
        "roc_auc", "judge", "network", 0.9, None, None, 0.95, 500, "d" * 64, "m" * 64
    )
    assert json.loads(json.dumps(measure.to_json())) == {
        "metric": "roc_auc",
        "part": "judge",
        "model": "network",
        "value": 0.9,
        "low": None,
        "high": None,
        "level": 0.95,
        "rows": 500,
        "data": "d" * 64,
        "model_digest": "m" * 64,
    }
