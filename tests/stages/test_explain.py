"""What the champion hangs on is worked out once it is known, and told in the report and bundle."""

from __future__ import annotations

from fieldcraft.bundle.manifest import read_manifest
from fieldcraft.core import files
from fieldcraft.evidence.ledger import Ledger
from fieldcraft.project.folder import Folder
from fieldcraft.stages import _flow, _plan
from tests.conftest import change


def test_each_feature_has_an_importance_with_its_interval(finished: Folder) -> None:
    folder = _flow.latest(finished).folders["explain"]
    found = files.read_json(folder / "importance.json")
    assert sorted(item["column"] for item in found) == ["age", "city", "member", "seen"]
    for item in found:
        assert item["low"] <= item["high"]
    assert {found[0]["column"], found[1]["column"]} == {"age", "city"}
    assert read_manifest(finished.bundle)["importance"] == found


def test_importances_are_on_record_with_their_metric(finished: Folder) -> None:
    bodies = [e.body for e in Ledger(finished.ledger).entries(kind="importance")]
    assert len(bodies) == 4
    assert {body["metric"] for body in bodies} == {"roc_auc"}


def test_they_are_told_in_the_metric_that_is_asked_for(finished: Folder) -> None:
    change(finished, {"problem.metric": "log_loss"})
    outcome = _plan.run(finished, _flow.Unwatched(), until="explain")
    entries = Ledger(finished.ledger).entries(kind="importance")
    assert {entry.body["metric"] for entry in entries[-4:]} == {"log_loss"}
    assert outcome.summaries["explain"]["most"][0] == "age"
