"""The arguments of `fieldcraft run` create a project and edit its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fieldcraft.cli.project_setup import (
    RunOptions,
    parse_duration_option,
    parse_goal_option,
    prepare_project,
)
from fieldcraft.core.errors import ProjectError


def make_run_options(table: Path | None, target: str = "bought", **options: Any) -> RunOptions:
    defaults: dict[str, Any] = dict.fromkeys(
        ("validation", "test", "task", "folder", "budget", "seed")
    )
    defaults["column_names"] = ()
    return RunOptions(
        table=str(table) if table else None, targets=(target,), **(defaults | options)
    )


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90), ("90s", 90), ("1.5m", 90), ("1h", 3600)]
)
def test_durations_are_parsed(text: str, expected: float) -> None:
    assert parse_duration_option(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "0", "-5m", "5 weeks"])
def test_an_invalid_duration_is_an_error(text: str) -> None:
    with pytest.raises(ProjectError, match="not a duration"):
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


def test_repeating_the_command_leaves_the_project_file_unchanged(
    csv_path: Path, tmp_path: Path
) -> None:
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


def test_a_file_without_a_header_takes_column_names(csv_path: Path, tmp_path: Path) -> None:
    table = pl.read_csv(csv_path)
    table.write_csv(tmp_path / "bare.csv", include_header=False)
    names = tuple(table.columns)
    project = prepare_project(
        make_run_options(tmp_path / "bare.csv", column_names=names, folder=tmp_path / "p")
    )
    assert tuple(project.load_settings().data.columns) == names


def test_goal_and_limits_are_written_into_the_file(csv_path: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "goal": "roc_auc >= 0.93",
        "max_latency_ms": 20.0,
        "max_size_mb": 50.0,
    }
    project = prepare_project(make_run_options(csv_path, folder=tmp_path / "p", **options))
    settings = project.load_settings()
    assert (settings.problem.metric, settings.problem.goal) == ("roc_auc", 0.93)
    assert (settings.deploy.max_latency_ms, settings.deploy.max_size_mb) == (20, 50)
    before = project.file_path.read_bytes()
    prepare_project(make_run_options(csv_path, folder=tmp_path / "p", **options))
    assert project.file_path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.93", "not a metric with a value"),
        ("roc_auc > 0.9", "not a metric with a value"),
        ("roc_auk >= 0.9", "did you mean 'roc_auc'"),
        ("roc_auc <= 0.9", "higher roc_auc is better"),
        ("log_loss >= 0.2", "lower log_loss is better"),
    ],
)
def test_an_invalid_goal_is_an_error(text: str, message: str) -> None:
    with pytest.raises(ProjectError, match=message):
        parse_goal_option(text, "binary")
