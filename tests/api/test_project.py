"""The Python API does what the commands do."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import fieldcraft as fc
from fieldcraft.core.errors import FieldcraftError, ProjectError
from fieldcraft.project import project_file
from fieldcraft.project.folder import ProjectFolder
from tests.conftest import SMALL_MODEL, mixed_table


def test_a_frame_becomes_a_project_that_trains_and_predicts(tmp_path: Path) -> None:
    project = fc.Project.create(tmp_path / "p", mixed_table(120), target="bought")
    project_file.apply_edits(project.folder.file_path, SMALL_MODEL)
    report_data = project.run()
    assert report_data.evaluation["champion"]
    assert project.predict(mixed_table(10, seed=4)).height == 10
    assert project.verify() == len(project.log())


def test_a_pandas_frame_is_accepted(tmp_path: Path) -> None:
    project = fc.Project.create(tmp_path / "p", mixed_table(60).to_pandas(), target="bought")
    assert project.folder.load_settings().data.columns["age"].kind == "number"


def test_findings_of_a_finished_project_can_be_read(finished_project: ProjectFolder) -> None:
    findings = fc.Project(finished_project.root).findings()
    assert {"identifier", "constant", "missing_values"} <= {finding.code for finding in findings}


def test_the_final_evaluation_opens_the_seal_once(finished_project: ProjectFolder) -> None:
    project = fc.Project(finished_project.root)
    assert project.evaluate_final().final_evaluation["rows"] == 36
    with pytest.raises(FieldcraftError, match="opened before"):
        project.evaluate_final()


def test_a_folder_without_a_project_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="no project here"):
        fc.Project(tmp_path)


def test_a_project_is_not_created_twice(tmp_path: Path) -> None:
    frame = pl.DataFrame({"x": range(50), "y": ["a", "b"] * 25})
    fc.Project.create(tmp_path / "p", frame, target="y")
    with pytest.raises(ProjectError, match="already a project here"):
        fc.Project.create(tmp_path / "p", frame, target="y")


def test_retrain_and_rollback(finished_project: ProjectFolder) -> None:
    project = fc.Project(finished_project.root)
    result = project.retrain(mixed_table(20, seed=9), reason="a try")
    assert (result["outcome"], result["new_rows"]) == ("too_few_rows", 20)
    with pytest.raises(ProjectError, match="no earlier version"):
        project.rollback()
