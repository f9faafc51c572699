"""Known rows keep their parts, sealed rows stay sealed, and old rows are dropped or weighted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.core import files
from fieldcraft.core.errors import DataError
from fieldcraft.modeling.dataset import RETRAIN_WEIGHT_COLUMN, read_weights
from fieldcraft.modeling.retraining_data import (
    ChampionDataset,
    conform_to_champion,
    drop_known_rows,
    join_tables,
    merge_rows,
    write_sources,
)
from fieldcraft.project import project_file
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.project.settings import (
    DataSettings,
    ProblemSettings,
    ProjectSettings,
    RetrainSettings,
)
from fieldcraft.stages import _pipeline, _workflows
from tests.conftest import create_project, mixed_table, rent_table, set_settings

N_NEW_ROWS = 200


def run_split(project: ProjectFolder) -> Path:
    """Run up to the split."""
    return _pipeline.run_steps(project, _workflows.NullCallbacks(), "split", fix=True).folders[
        "split"
    ]


def retrain_split(
    project: ProjectFolder,
    known: ChampionDataset,
    new: pl.DataFrame,
    retrain_settings: RetrainSettings,
) -> Path:
    """Split known and new rows in a trial of the project."""
    settings = project.load_settings()
    joined = join_tables(new, project, settings)
    fresh = drop_known_rows(conform_to_champion(joined, known, settings), known, settings)
    rows = merge_rows(fresh, known, settings, retrain_settings)
    folder = project.root / "retrain" / "trial"
    edits = write_sources(
        folder,
        folder.relative_to(project.root).as_posix(),
        rows,
        fresh.height,
        known,
        project,
        settings,
    )
    trial = replace(project, trial_file=folder / project_file.PROJECT_FILE_NAME)
    files.atomic_write_text(trial.file_path, project.file_path.read_text(encoding="utf-8"))
    project_file.apply_edits(trial.file_path, edits)
    return run_split(trial)


def parts_by_digest(folder: Path) -> dict[bytes, str]:
    """The part of each row of a split, by its digest."""
    table = pl.read_parquet(folder / "split.parquet")
    return {
        digest: f"{part} {fold}"
        for digest, part, fold in table.select("digest", "part", "fold").iter_rows()
    }


def sealed_digest(folder: Path) -> str:
    return str(files.read_json(folder / "metadata.json")["digests"]["test"])


def check_parts_stay(before: Path, after: Path) -> dict[bytes, str]:
    """Check that known rows and the seal are unchanged; return the parts of new rows."""
    old, now = parts_by_digest(before), parts_by_digest(after)
    kept = {digest: part for digest, part in old.items() if digest in now}
    assert {digest: now[digest] for digest in kept} == kept
    assert sealed_digest(before) == sealed_digest(after)
    fresh = {digest: part for digest, part in now.items() if digest not in old}
    assert not any(part.startswith("test") for part in fresh.values())
    return fresh


@pytest.mark.parametrize(
    ("rows", "expected_parts"), [(400, {"cv"}), (6_000, {"train", "validation", "evaluation"})]
)
def test_new_rows_are_split_and_known_rows_keep_their_parts(
    tmp_path: Path, rows: int, expected_parts: set[str]
) -> None:
    mixed_table(rows).write_csv(tmp_path / "table.csv")
    project = create_project(tmp_path / "project", tmp_path / "table.csv")
    before = run_split(project)
    after = retrain_split(
        project, ChampionDataset.load(before), mixed_table(N_NEW_ROWS, seed=9), RetrainSettings()
    )
    fresh = check_parts_stay(before, after)
    assert len(fresh) == N_NEW_ROWS
    assert {part.split()[0] for part in fresh.values()} == expected_parts


def test_rows_of_a_given_split_keep_their_parts(tmp_path: Path) -> None:
    for number, name in enumerate(("train", "held", "test")):
        mixed_table(400, seed=number).write_csv(tmp_path / f"{name}.csv")
    source = {"train": "../train.csv", "validation": "../held.csv", "test": "../test.csv"}
    project = create_project(tmp_path / "project", tmp_path / "train.csv")
    before = run_split(set_settings(project, {"data.source": source}))
    fresh = check_parts_stay(
        before,
        retrain_split(
            project,
            ChampionDataset.load(before),
            mixed_table(N_NEW_ROWS, seed=9),
            RetrainSettings(),
        ),
    )
    counts = pl.Series(list(fresh.values())).value_counts()
    assert dict(counts.iter_rows())["train -1"] == 170
    assert counts.height == 3


def test_a_split_column_assigns_new_rows(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    words = draw.choice(["train", "validation", "test"], 600)
    mixed_table(600).with_columns(pl.Series("for", words)).write_csv(tmp_path / "table.csv")
    project = create_project(tmp_path / "project", tmp_path / "table.csv")
    before = run_split(set_settings(project, {"data.split_column": "for"}))
    fresh = check_parts_stay(
        before,
        retrain_split(
            project,
            ChampionDataset.load(before),
            mixed_table(N_NEW_ROWS, seed=9),
            RetrainSettings(),
        ),
    )
    assert {part.split()[0] for part in fresh.values()} == {"train", "validation", "evaluation"}


def test_a_split_by_time_is_repeated_without_training_on_sealed_rows(tmp_path: Path) -> None:
    def dated(rows: int, first: str, seed: int) -> pl.DataFrame:
        days = np.datetime64(first) + np.arange(rows)
        return mixed_table(rows, seed).with_columns(pl.Series("seen", days.astype(str)))

    dated(400, "2024-01-01", 0).write_csv(tmp_path / "table.csv")
    project = create_project(tmp_path / "project", tmp_path / "table.csv")
    before = run_split(
        set_settings(project, {"data.time_column": "seen", "split.strategy": "time"})
    )
    after = retrain_split(
        project, ChampionDataset.load(before), dated(N_NEW_ROWS, "2026-01-01", 9), RetrainSettings()
    )
    hidden = {digest for digest, part in parts_by_digest(before).items() if part.startswith("test")}
    assert hidden
    assert not hidden & parts_by_digest(after).keys()
    newest = pl.read_parquet(after / "sealed" / "test.parquet")["seen"]
    assert newest.min() > "2026-01-01"  # type: ignore[operator]


def test_new_rows_of_a_sealed_group_are_unused(tmp_path: Path) -> None:
    def visits(rows: int, seed: int) -> pl.DataFrame:
        people = np.random.default_rng(seed).integers(0, 60, rows)
        return mixed_table(rows, seed).with_columns(pl.Series("who", [f"p{i}" for i in people]))

    visits(500, 0).write_csv(tmp_path / "table.csv")
    project = create_project(tmp_path / "project", tmp_path / "table.csv")
    before = run_split(set_settings(project, {"data.group": "who", "split.strategy": "group"}))
    after = retrain_split(
        project, ChampionDataset.load(before), visits(N_NEW_ROWS, 9), RetrainSettings()
    )
    fresh = check_parts_stay(before, after)
    assert {part.split()[0] for part in fresh.values()} == {"cv", "unused"}
    people = [
        set(pl.read_parquet(after / name)["who"])
        for name in ("development.parquet", "sealed/test.parquet")
    ]
    assert people[0] & people[1] == set()


def test_sealed_rows_are_not_new_rows(tmp_path: Path, project: ProjectFolder) -> None:
    known = ChampionDataset.load(run_split(project))
    table = mixed_table().cast(pl.String)
    assert drop_known_rows(
        conform_to_champion(table, known, project.load_settings()), known, project.load_settings()
    ).is_empty()


def test_old_rows_are_dropped_or_weighted(tmp_path: Path) -> None:
    mixed_table(6_000).write_csv(tmp_path / "table.csv")
    project = create_project(tmp_path / "project", tmp_path / "table.csv")
    before = run_split(project)
    known, settings = ChampionDataset.load(before), project.load_settings()
    learned = int((known.parts["part"] == "train").sum())
    after = retrain_split(
        project, known, mixed_table(N_NEW_ROWS, seed=9), RetrainSettings(policy="window")
    )
    count = files.read_json(after / "metadata.json")["counts"]["train"]
    assert (
        learned <= count + N_NEW_ROWS <= learned + N_NEW_ROWS
    )  # some of 200 new rows are evaluated
    after = retrain_split(
        project,
        known,
        mixed_table(N_NEW_ROWS, seed=9),
        RetrainSettings(policy="decay", decay=0.25),
    )
    check_parts_stay(before, after)
    frame = pl.read_parquet(after / "development.parquet")
    weights = read_weights(frame, settings)
    assert weights is not None
    assert ((weights == 0.25).sum(), (weights == 1).sum()) == (learned, frame.height - learned)
    next_time = merge_rows(
        conform_to_champion(
            mixed_table(N_NEW_ROWS, seed=10), ChampionDataset.load(after), settings
        ),
        ChampionDataset.load(after), settings,
        RetrainSettings(policy="decay", decay=0.25),
    )  # fmt: skip
    assert next_time[RETRAIN_WEIGHT_COLUMN].min() == 0.25**2


@pytest.mark.parametrize(
    ("time", "rows", "expected"),
    [
        (
            None,
            5,
            [0, 2, 3, 4, 5, 6, 7],
        ),  # one of four training rows is dropped, the first in the file
        ("day", 5, [0, 1, 2, 4, 5, 6, 7]),  # ... or the oldest; one without a day comes first
        (
            "day",
            None,
            [0, 1, 4, 5, 6, 7],
        ),  # the same number of rows: one old row is dropped for each new one
        ("day", 9, [0, 1, 2, 3, 4, 5, 6, 7]),
        ("day", 2, [0, 4, 6, 7]),
    ],
)
def test_a_window_drops_the_oldest_training_rows_and_no_others(
    time: str | None, rows: int | None, expected: list[int]
) -> None:
    days = ["2024-01-01", "2024-03-01", "2024-02-01", None, "2024-01-05", "2024-04-01"]
    old = pl.DataFrame({"x": range(6), "day": days})
    part = ["validation", "train", "train", "train", "evaluation", "train"]
    known = ChampionDataset(Path(), old, pl.DataFrame({"part": part}), frozenset())
    new = pl.DataFrame({"x": [6, 7], "day": ["2023-01-01", "2025-01-01"]})
    settings = ProjectSettings(
        problem=ProblemSettings(target="y", task="binary"),
        data=DataSettings.model_validate(
            {"source": "t.csv", "time_column": time, "columns": {"day": {"kind": "datetime"}}}
        ),
    )
    merged = merge_rows(new, known, settings, RetrainSettings(policy="window", window_rows=rows))
    assert merged["x"].to_list() == expected


def test_new_rows_are_joined_with_the_other_tables(ensemble_project: ProjectFolder) -> None:
    before = _workflows.load_latest_report_data(ensemble_project).folders["split"]
    new = rent_table(N_NEW_ROWS, seed=9)
    after = retrain_split(ensemble_project, ChampionDataset.load(before), new, RetrainSettings())
    check_parts_stay(before, after)
    trees = pl.read_parquet(after / "development.parquet")["trees"]
    assert trees.null_count() == 0


@pytest.mark.parametrize(
    ("change_of", "message"),
    [
        (lambda t: t.drop("city"), "lack columns that the model needs"),
        (lambda t: t.drop("bought"), "lack columns that the model needs"),
    ],
)
def test_missing_columns_are_an_error(project: ProjectFolder, change_of: Any, message: str) -> None:
    known = ChampionDataset.load(run_split(project))
    with pytest.raises(DataError, match=message):
        conform_to_champion(change_of(mixed_table(N_NEW_ROWS)), known, project.load_settings())


def test_cells_of_another_type_are_an_error(tmp_path: Path) -> None:
    mixed_table(400).write_parquet(tmp_path / "table.parquet")
    project = create_project(tmp_path / "project", tmp_path / "table.parquet")
    known = ChampionDataset.load(run_split(project))
    odd = mixed_table(N_NEW_ROWS).with_columns(age=pl.lit("many"))
    with pytest.raises(DataError, match="values of the new rows do not fit the column 'age'"):
        conform_to_champion(odd, known, project.load_settings())
