"""The audit first checks all rows without the target, then the training rows with it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from fieldcraft.core import files
from fieldcraft.core.errors import BlockedByFindingsError
from fieldcraft.modeling.check_runner import checks_for_scope
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages import _pipeline, _workflows
from fieldcraft.stages.init import InitRequest, init
from tests.conftest import create_project, mixed_table


def audit_finding_names(project: ProjectFolder) -> set[str]:
    outcome = _pipeline.run_steps(project, _workflows.NullCallbacks(), until="audit")
    return {finding.accept_key for finding in outcome.findings}


def test_the_audit_has_the_standard_checks() -> None:
    codes = {check.code for scope in ("data", "split") for check in checks_for_scope(scope)}
    assert codes >= {
        "missing_values", "sentinel_values", "constant", "identifier", "duplicate_rows",
        "conflicting_labels", "class_imbalance", "outliers", "target_leakage", "train_test_overlap",
    }  # fmt: skip


def test_a_clean_table_gives_info_only(project: ProjectFolder) -> None:
    outcome = _pipeline.run_steps(project, _workflows.NullCallbacks(), until="audit")
    assert {f.severity for f in outcome.findings} == {"info"}


def test_planted_faults_are_found(tmp_path: Path) -> None:
    frame = mixed_table(400)
    age = [-999.0 if i % 20 == 0 else v for i, v in enumerate(frame["age"].fill_null(40))]
    faulty_table = frame.with_columns(
        age=pl.Series(age),
        length=pl.Series([1e6 if i == 7 else float(i % 50) for i in range(400)]),
        alive=(pl.col("bought") == "yes").cast(pl.Int64) * 3 + 4,
        note=pl.Series(["unknown" if i % 9 == 0 else f"n{i % 5}" for i in range(400)]),
    )
    pl.concat([faulty_table, faulty_table.head(40)]).write_csv(tmp_path / "faulty.csv")
    project = create_project(tmp_path / "p", tmp_path / "faulty.csv")
    with pytest.raises(BlockedByFindingsError, match="target_leakage:alive"):
        _pipeline.run_steps(project, _workflows.NullCallbacks(), until="audit")
    names_by_code = {
        value["name"]
        for path in project.root.glob("runs/audit*/*/findings.json")
        for value in files.read_json(path)
    }
    assert {
        "sentinel_values:age", "outliers:length", "target_leakage:alive", "sentinel_values:note",
        "duplicate_rows",
        "identifier:key", "constant:same",
    } <= names_by_code  # fmt: skip


def test_training_rows_in_a_given_test_file_are_found(tmp_path: Path) -> None:
    frame = mixed_table(300)
    frame.write_csv(tmp_path / "train.csv")
    frame.head(50).write_csv(tmp_path / "test.csv")
    train, test = (str(tmp_path / f"{name}.csv") for name in ("train", "test"))
    init(InitRequest(tmp_path / "p", train, ("bought",), test=test))
    assert "train_test_overlap" in audit_finding_names(ProjectFolder(tmp_path / "p"))


def test_label_checks_do_not_see_evaluation_or_test_rows(tmp_path: Path) -> None:
    """A column that leaks the target only in the validation and test files is not reported."""
    frame = mixed_table(300)
    frame.head(200).with_columns(code=pl.int_range(200) % 2).write_csv(tmp_path / "train.csv")
    leaky_frame = frame.with_columns(code=(pl.col("bought") == "yes").cast(pl.Int64))
    leaky_frame.slice(200, 50).write_csv(tmp_path / "val.csv")
    leaky_frame.tail(50).write_csv(tmp_path / "test.csv")
    train, val, test = (str(tmp_path / f"{name}.csv") for name in ("train", "val", "test"))
    init(InitRequest(tmp_path / "p", train, ("bought",), val, test))
    assert not any(
        name.startswith("target_leakage")
        for name in audit_finding_names(ProjectFolder(tmp_path / "p"))
    )


def test_personal_data_is_hidden_in_the_profile(tmp_path: Path) -> None:
    table = mixed_table().with_columns(
        pl.when(pl.int_range(pl.len()) % 3 > 0)
        .then(pl.lit("jane@example.org"))
        .otherwise(pl.lit("none"))
        .alias("contact")
    )
    table.write_csv(tmp_path / "t.csv")
    project = create_project(tmp_path / "p", tmp_path / "t.csv")
    outcome = _pipeline.run_steps(project, _workflows.NullCallbacks(), until="audit")
    text = (outcome.folders["audit"] / "profile.json").read_text("utf-8")
    assert "jane@example" not in text
    assert "****@*******.***" in text
