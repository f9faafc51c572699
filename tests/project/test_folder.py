"""Paths in the folder of a project."""

from __future__ import annotations

from pathlib import Path

import pytest

from fieldcraft.core.errors import ProjectError
from fieldcraft.project import project_file
from fieldcraft.project.folder import ProjectFolder


@pytest.fixture
def project_folder(tmp_path: Path) -> ProjectFolder:
    """A folder with an empty project file."""
    (tmp_path / "churn").mkdir()
    (tmp_path / "churn" / project_file.PROJECT_FILE_NAME).touch()
    return ProjectFolder(tmp_path / "churn")


@pytest.mark.parametrize("below", [".", "runs", "runs/split/0123"])
def test_a_project_is_found_from_any_folder_inside_it(
    below: str, project_folder: ProjectFolder
) -> None:
    start = project_folder.root / below
    start.mkdir(parents=True, exist_ok=True)
    assert ProjectFolder.find(start).root == project_folder.root.resolve()


def test_a_project_is_found_from_the_current_folder(
    project_folder: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project_folder.root)
    assert ProjectFolder.find(Path()).file_path.samefile(project_folder.file_path)


def test_the_error_outside_a_project_shows_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="there is no project here") as caught:
        ProjectFolder.find(tmp_path)
    assert str(tmp_path) in caught.value.detail
    assert "fieldcraft run DATA --target COLUMN" in caught.value.hint


def test_names_of_files_in_the_folder(project_folder: ProjectFolder) -> None:
    paths = [
        project_folder.file_path,
        project_folder.report_path,
        project_folder.bundle_path,
        project_folder.ledger_path,
    ]
    names = ["fieldcraft.yaml", "report.html", "bundle", "ledger.sqlite"]
    assert paths == [project_folder.root / name for name in names]


def test_a_step_has_a_run_folder_and_a_partial_folder_for_each_key(
    project_folder: ProjectFolder,
) -> None:
    key = "0123456789abcdef" * 4
    assert (
        project_folder.run_folder("split", key)
        == project_folder.root / "runs/split/0123456789abcdef"
    )
    assert (
        project_folder.partial_folder("split", key)
        == project_folder.root / "runs/split/0123456789abcdef.partial"
    )


def test_settings_are_loaded_from_the_project_file(project: ProjectFolder) -> None:
    assert project.load_settings() == project_file.load_settings(project.file_path)
    assert project.load_settings().problem.target == "bought"
