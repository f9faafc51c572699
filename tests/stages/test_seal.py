"""The test set is opened once and recorded in the ledger; again only with a reason."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

import fieldcraft
from fieldcraft.bundle.manifest import read_manifest
from fieldcraft.bundle.runtime import load_bundle
from fieldcraft.core import files
from fieldcraft.core.errors import SealError
from fieldcraft.ledger.store import Ledger
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.report.report_data import describe_test_set
from fieldcraft.stages import _seal, _workflows
from fieldcraft.statistics.bootstrap import percentile_interval

SOURCE = Path(fieldcraft.__file__).parent


def test_opening_returns_metrics_of_test_rows_with_intervals(
    finished_project: ProjectFolder,
) -> None:
    report_data = _workflows.run_final_evaluation(
        finished_project, _workflows.NullCallbacks(), None
    )
    metrics = report_data.final_evaluation["metrics"]
    assert {m["part"] for m in metrics} == {"test"}
    auc = next(m for m in metrics if m["metric"] == "roc_auc")
    assert auc["low"] <= auc["value"] <= auc["high"]
    assert auc["n_rows"] == report_data.split["counts"]["test"]
    assert auc["model_digest"] == read_manifest(finished_project.bundle_path)["model_id"]


def test_a_second_opening_needs_a_reason(finished_project: ProjectFolder) -> None:
    _workflows.run_final_evaluation(finished_project, _workflows.NullCallbacks(), None)
    for reason in (None, "", "  "):
        with pytest.raises(SealError, match="opened before"):
            _workflows.run_final_evaluation(finished_project, _workflows.NullCallbacks(), reason)
    report_data = _workflows.run_final_evaluation(
        finished_project, _workflows.NullCallbacks(), "the prices were wrong"
    )
    assert [o["reason"] for o in report_data.openings] == [
        "final evaluation",
        "the prices were wrong",
    ]
    assert "Opened 2 times" in describe_test_set(report_data)


def test_an_opening_is_recorded_before_a_row_is_read(
    finished_project: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError("the disk failed")

    monkeypatch.setattr("fieldcraft.stages._seal.pl.read_parquet", broken)
    with pytest.raises(OSError, match="disk"):
        _seal.open_seal(
            finished_project,
            _workflows.load_latest_report_data(finished_project).folders["split"],
            None,
        )
    assert len(Ledger(finished_project.ledger_path).entries(kind="test_set_opened")) == 1


def test_report_and_model_card_show_the_opening_of_the_same_model(
    finished_project: ProjectFolder,
) -> None:
    before = read_manifest(finished_project.bundle_path)["model_id"]
    assert "Opening 1" not in (finished_project.bundle_path / "card.md").read_text(encoding="utf-8")
    _workflows.run_final_evaluation(finished_project, _workflows.NullCallbacks(), None)
    assert read_manifest(finished_project.bundle_path)["model_id"] == before
    assert "Opening 1" in (finished_project.bundle_path / "card.md").read_text(encoding="utf-8")
    assert "Sealed test set" in finished_project.report_path.read_text(encoding="utf-8")


def test_the_next_run_keeps_the_opening_in_the_model_card(
    finished_project: ProjectFolder,
) -> None:
    _workflows.run_final_evaluation(finished_project, _workflows.NullCallbacks(), None)
    _workflows.run_project(finished_project, _workflows.NullCallbacks())
    assert "Opening 1" in (finished_project.bundle_path / "card.md").read_text(encoding="utf-8")


def test_no_other_module_reads_the_sealed_rows() -> None:
    readers = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if '"sealed" / "test.parquet"' in path.read_text(encoding="utf-8")
    }
    # The first writes them, the second reads them, the third copies them unread.
    assert readers == {"stages/split.py", "stages/_seal.py", "modeling/retraining_data.py"}


def test_without_test_rows_there_is_nothing_to_open(finished_project: ProjectFolder) -> None:
    split = _workflows.load_latest_report_data(finished_project).folders["split"]
    metadata = (split / "metadata.json").read_text(encoding="utf-8")
    (split / "metadata.json").write_text(
        metadata.replace('"test": 36', '"test": 0'), encoding="utf-8"
    )
    with pytest.raises(SealError, match="no test rows"):
        _seal.open_seal(finished_project, split, None)


def open_test_set(project: ProjectFolder, reason: str | None = None) -> dict[str, Any]:
    """Open the seal of a finished project and return the result."""
    return _seal.open_seal(
        project, _workflows.load_latest_report_data(project).folders["split"], reason
    )


def test_the_ledger_entry_has_test_set_model_and_reason(
    finished_project: ProjectFolder,
) -> None:
    test = files.read_json(
        _workflows.load_latest_report_data(finished_project).folders["split"] / "metadata.json"
    )["digests"]["test"]
    first, second = (
        open_test_set(finished_project),
        open_test_set(finished_project, "  the prices were wrong "),
    )
    entries = Ledger(finished_project.ledger_path).entries(key=test)
    measures = len(first["metrics"])
    kinds = ["test_set_opened", *["metric"] * measures, "final_evaluation"]
    assert [entry.kind for entry in entries] == kinds * 2
    assert {entry.stage for entry in entries} == {"evaluate"}
    model = read_manifest(finished_project.bundle_path)["model_id"]
    bodies = [entry.body for entry in entries if entry.kind == "test_set_opened"]
    assert bodies == [
        {"test_digest": test, "model_id": model, "reason": reason, "opening_number": number}
        for number, reason in ((1, "final evaluation"), (2, "the prices were wrong"))
    ]
    assert entries[-1].body == second
    untitled = [{k: v for k, v in m.items() if k != "title"} for m in first["metrics"]]
    assert [entry.body for entry in entries[1 : measures + 1]] == untitled
    data = hashlib.sha256(f'["{test}","test"]'.encode()).hexdigest()
    assert {m["data_digest"] for m in first["metrics"]} == {data}
    assert {m["confidence_level"] for m in first["metrics"]} == {0.95}


def test_the_first_opening_of_another_test_set_needs_no_reason(
    finished_project: ProjectFolder,
) -> None:
    body = {"test_digest": "other", "model_id": "m" * 64, "reason": "", "opening_number": 1}
    Ledger(finished_project.ledger_path).append([("test_set_opened", "evaluate", "other", body)])
    assert open_test_set(finished_project)["opening_number"] == 1
    assert len(_seal.list_openings(finished_project)) == 2
    with pytest.raises(SealError, match="opened before") as caught:
        open_test_set(finished_project)
    assert caught.value.detail.startswith("1 time, last ")
    assert read_manifest(finished_project.bundle_path)["model_id"][:12] in caught.value.detail


@pytest.mark.parametrize("has_weights", [False, True])
def test_metrics_use_the_sealed_rows_and_their_sample_weights(
    finished_project: ProjectFolder, has_weights: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = _workflows.load_latest_report_data(finished_project).folders["split"]
    rows = pl.read_parquet(split / "sealed" / "test.parquet")
    weights = np.linspace(1, 5, rows.height) if has_weights else None
    monkeypatch.setattr(_seal, "read_weights", lambda frame, _: weights)
    metrics = {
        measure["metric"]: measure["value"]
        for measure in open_test_set(finished_project)["metrics"]
    }
    truth = (rows["bought"] == "yes").to_numpy()
    probability = load_bundle(finished_project.bundle_path).predict_raw(rows).outputs[:, 1]
    expected = {
        "roc_auc": roc_auc_score(truth, probability, sample_weight=weights),
        "log_loss": log_loss(truth, probability, sample_weight=weights),
        "brier": brier_score_loss(truth, probability, sample_weight=weights),
    }
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, rel=1e-5)


def test_clusters_of_test_rows_are_resampled_together(
    finished_project: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four copies of each row in one cluster give the same interval as the rows alone."""
    split = _workflows.load_latest_report_data(finished_project).folders["split"]
    path = split / "sealed" / "test.parquet"
    rows = pl.read_parquet(path)
    single = next(
        m for m in open_test_set(finished_project)["metrics"] if m["metric"] == "log_loss"
    )
    pl.concat([rows] * 4).write_parquet(path)
    monkeypatch.setattr(
        _seal, "assign_clusters", lambda frame, _: np.tile(np.arange(rows.height), 4)
    )
    repeated = next(
        m for m in open_test_set(finished_project, "again")["metrics"] if m["metric"] == "log_loss"
    )
    assert repeated["n_rows"] == 4 * single["n_rows"]
    intervals = [[m[name] for name in ("low", "value", "high")] for m in (single, repeated)]
    assert intervals[0] == pytest.approx(intervals[1], rel=1e-4)


def test_only_the_interval_of_the_ece_is_bias_corrected(
    finished_project: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags: list[bool] = []

    def record(values: Any, *, bias_corrected: bool) -> Any:
        flags.append(bias_corrected)
        return percentile_interval(values, bias_corrected=bias_corrected)

    monkeypatch.setattr("fieldcraft.stages._seal.percentile_interval", record)
    names = [measure["metric"] for measure in open_test_set(finished_project)["metrics"]]
    corrected = [name for name, flag in zip(names, flags, strict=True) if flag]
    assert corrected == ["ece"]
