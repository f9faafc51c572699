"""Findings and metric records survive a round trip through JSON."""

from __future__ import annotations

import json

import pytest

from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.ledger.records import SEVERITIES, Finding, MetricRecord

FULL_FINDING = Finding(
    "leak",
    "error",
    "`key` predicts the target in 99 % of the rows",
    column="key",
    evidence={"fraction": 0.99, "rows": [1, 2]},
    advice="drop it",
    fixes=(
        ConfigEdit(("data", "drop"), "key", append=True),
        ConfigEdit(("clean", "clip", "age"), [0, 99]),
    ),
)
MINIMAL_FINDING = Finding("imbalance", "info", "classes are uneven")


@pytest.mark.parametrize("finding", [FULL_FINDING, MINIMAL_FINDING])
def test_a_finding_survives_a_round_trip_through_json(finding: Finding) -> None:
    assert Finding.from_json(json.loads(json.dumps(finding.to_json()))) == finding
    assert finding.to_json()["name"] == finding.accept_key


def test_a_finding_is_accepted_by_its_code_and_column() -> None:
    assert (FULL_FINDING.accept_key, MINIMAL_FINDING.accept_key) == ("leak:key", "imbalance")


def test_severities_come_worst_first() -> None:
    assert SEVERITIES == ("error", "warning", "info")


def test_a_metric_record_has_its_provenance() -> None:
    record = MetricRecord(
        "roc_auc", "evaluation", "network", 0.9, None, None, 0.95, 500, "d" * 64, "m" * 64
    )
    assert json.loads(json.dumps(record.to_json())) == {
        "metric": "roc_auc",
        "part": "evaluation",
        "model": "network",
        "value": 0.9,
        "low": None,
        "high": None,
        "confidence_level": 0.95,
        "n_rows": 500,
        "data_digest": "d" * 64,
        "model_digest": "m" * 64,
    }
