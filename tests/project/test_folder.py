"""Everything of a project lies where its folder says."""

from __future__ import annotations

from pathlib import Path

import pytest

from fieldcraft.core.errors import ProjectError
from fieldcraft.project import file
from fieldcraft.project.folder import Folder


@pytest.fixture
def place(tmp_path: Path) -> Folder:
    """A folder with a project file that says nothing."""
    (tmp_path / "churn").mkdir()
    (tmp_path / "churn" / file.NAME).touch()
    return Folder(tmp_path / "churn")


@pytest.mark.parametrize("below", [".", "runs", "runs/split/0123"])
def test_a_project_is_found_from_any_folder_inside_it(below: str, place: Folder) -> None:
    start = place.root / below
    start.mkdir(parents=True, exist_ok=True)
    assert Folder.find(start).root == place.root.resolve()


def test_a_project_is_found_from_where_the_command_runs(
    place: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.root)
    assert Folder.find(Path()).file.samefile(place.file)


def test_outside_a_project_the_way_in_is_shown(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="there is no project here") as caught:
        Folder.find(tmp_path)
    assert str(tmp_path) in caught.value.seen
    assert "fieldcraft run DATA --target COLUMN" in caught.value.way_out


def test_names_of_what_lies_in_the_folder(place: Folder) -> None:
    found = [place.file, place.report, place.bundle, place.ledger]
    names = ["fieldcraft.yaml", "report.html", "bundle", "ledger.sqlite"]
    assert found == [place.root / name for name in names]


def test_a_step_has_a_place_for_each_key_and_one_beside_it_while_it_runs(place: Folder) -> None:
    key = "0123456789abcdef" * 4
    assert place.run("split", key) == place.root / "runs/split/0123456789abcdef"
    assert place.partial("split", key) == place.root / "runs/split/0123456789abcdef.partial"


def test_the_settings_are_what_the_file_says(project: Folder) -> None:
    assert project.settings() == file.load(project.file)
    assert project.settings().problem.target == "bought"
