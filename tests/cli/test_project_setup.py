"""What the arguments of `fieldcraft run` make of a project."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from fieldcraft.cli.project_setup import RunOptions, parse_duration_option, prepare_project
from fieldcraft.core.errors import ProjectError


def make_run_options(table: Path | None, target: str = "bought", **others: object) -> RunOptions:
    blank: dict[str, object] = dict.fromkeys(
        ("validation", "test", "task", "folder", "budget", "seed")
    )
    given = {**blank, "names": (), **others}
    return RunOptions(table=str(table) if table else None, targets=(target,), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90), ("90s", 90), ("1.5m", 90), ("1h", 3600)]
)
def test_lengths_of_time(text: str, expected: float) -> None:
    assert parse_duration_option(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "0", "-5m", "5 weeks"])
def test_what_is_no_length_of_time_is_told(text: str) -> None:
    with pytest.raises(ProjectError, match="not a length of time"):
        parse_duration_option(text)


def test_the_folder_is_named_after_the_target(
    csv_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert prepare_project(make_run_options(csv_path)).root == Path("bought")


def test_a_target_by_number_names_the_folder_after_the_table(
    csv_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    project = prepare_project(make_run_options(csv_path, "7"))
    assert project.root == Path("table")
    assert project.load_settings().problem.target == "bought"


def test_the_same_command_again_finds_its_project(csv_path: Path, tmp_path: Path) -> None:
    first = prepare_project(make_run_options(csv_path, folder=tmp_path / "p"))
    before = first.file_path.read_bytes()
    assert (
        prepare_project(make_run_options(csv_path, folder=tmp_path / "p")).file_path.read_bytes()
        == before
    )


def test_budget_and_seed_are_written_into_the_file(csv_path: Path, tmp_path: Path) -> None:
    settings = prepare_project(
        make_run_options(csv_path, folder=tmp_path / "p", budget="5m", seed=3)
    ).load_settings()
    assert settings.train.time_budget == 300
    assert (settings.train.seed, settings.split.seed) == (3, 3)


def test_a_headerless_file_takes_names(csv_path: Path, tmp_path: Path) -> None:
    table = pl.read_csv(csv_path)
    table.write_csv(tmp_path / "bare.csv", include_header=False)
    names = tuple(table.columns)
    project = prepare_project(
        make_run_options(tmp_path / "bare.csv", names=names, folder=tmp_path / "p")
    )
    assert tuple(project.load_settings().data.columns) == names
