"""The champion is explained after the evaluation, for the report and the bundle."""

from __future__ import annotations

from pathlib import Path

from fieldcraft.bundle.manifest import read_manifest
from fieldcraft.core import files
from fieldcraft.ledger.store import Ledger
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages import _pipeline, _workflows
from tests.conftest import set_settings
from tests.offers import create_offers_project


def test_each_feature_has_an_importance_with_its_interval(finished_project: ProjectFolder) -> None:
    folder = _workflows.load_latest_report_data(finished_project).folders["explain"]
    importances = files.read_json(folder / "feature_importance.json")
    assert sorted(item["column"] for item in importances) == ["age", "city", "member", "seen"]
    for item in importances:
        assert item["low"] <= item["high"]
    assert {importances[0]["column"], importances[1]["column"]} == {"age", "city"}
    assert read_manifest(finished_project.bundle_path)["feature_importance"] == importances


def test_importances_are_in_the_ledger_with_their_metric(finished_project: ProjectFolder) -> None:
    bodies = [
        e.body for e in Ledger(finished_project.ledger_path).entries(kind="feature_importance")
    ]
    assert len(bodies) == 4
    assert {body["metric"] for body in bodies} == {"roc_auc"}


def test_importances_use_the_configured_metric(finished_project: ProjectFolder) -> None:
    set_settings(finished_project, {"problem.metric": "log_loss"})
    outcome = _pipeline.run_steps(finished_project, _workflows.NullCallbacks(), until="explain")
    entries = Ledger(finished_project.ledger_path).entries(kind="feature_importance")
    assert {entry.body["metric"] for entry in entries[-4:]} == {"log_loss"}
    assert outcome.summaries["explain"]["top_columns"][0] == "age"


def test_all_largest_errors_are_explained_with_their_score(finished_project: ProjectFolder) -> None:
    folders = _workflows.load_latest_report_data(finished_project).folders
    explanations = files.read_json(folders["explain"] / "explanations.json")
    worst = files.read_json(folders["evaluate"] / "evaluation.json")["largest_errors"]
    assert [item["position"] for item in explanations] == [row["position"] for row in worst]
    for item, row in zip(explanations, worst, strict=True):
        assert item["class_or_label"] == row["prediction"]
        assert 0.5 <= item["score"] <= 1
        assert item["columns"] == {}  # numbers, dates and categories have no parts


def test_each_kind_of_column_has_an_importance(finished_project: ProjectFolder) -> None:
    folder = _workflows.load_latest_report_data(finished_project).folders["explain"]
    kinds = {item["kind"]: item for item in files.read_json(folder / "kind_importance.json")}
    assert set(kinds) == {"number", "category", "boolean", "datetime"}
    alone = {item["column"]: item for item in files.read_json(folder / "feature_importance.json")}
    assert kinds["number"]["value"] == alone["age"]["value"]
    bodies = [e.body for e in Ledger(finished_project.ledger_path).entries(kind="kind_importance")]
    assert {body["kind"] for body in bodies} == set(kinds)
    assert {body["metric"] for body in bodies} == {"roc_auc"}


def test_texts_and_images_are_explained_and_broken_ones_left_out(tmp_path: Path) -> None:
    project = create_offers_project(tmp_path)
    folders = _pipeline.run_steps(project, _workflows.NullCallbacks(), until="explain").folders
    explanations = files.read_json(folders["explain"] / "explanations.json")
    worst = files.read_json(folders["evaluate"] / "evaluation.json")["largest_errors"]
    for item, row in zip(explanations, worst, strict=True):
        columns = item["columns"]
        assert ("words" in columns) == bool(row["cells"]["words"])
        assert ("photo" in columns) == bool(row["thumbnails"])
        if "words" in columns:
            text = "".join(piece for piece, _ in columns["words"]["spans"])
            assert text.strip().startswith(row["cells"]["words"].strip())  # cells are truncated
    assert any("words" in item["columns"] for item in explanations)
    assert any("photo" in item["columns"] for item in explanations)
