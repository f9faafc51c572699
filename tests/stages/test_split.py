"""Rows are divided once and for all: stored per row, nothing shared between parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcraft.core.edit import Edit
from fieldcraft.core.errors import DataError
from fieldcraft.data.split import SMALL
from fieldcraft.project import file
from fieldcraft.project.folder import Folder
from fieldcraft.stages import _flow, _plan
from fieldcraft.stages.init import Request, init
from tests.conftest import mixed_table, source_of, start


def parts_of(project: Folder) -> pl.DataFrame:
    outcome = _plan.run(project, _flow.Unwatched(), until="split")
    return pl.read_parquet(outcome.folders["split"] / "split.parquet")


def test_a_small_table_is_judged_out_of_fold_and_a_seventh_is_sealed(project: Folder) -> None:
    parts = parts_of(project)
    counts = dict(parts["part"].value_counts().iter_rows())
    assert counts == {"cross": 204, "test": 36}
    assert sorted(parts.filter(pl.col("part") == "cross")["fold"].unique()) == list(range(10))


def test_a_large_table_has_four_parts_with_the_stated_shares(tmp_path: Path) -> None:
    rows = SMALL + 1000
    draw = np.random.default_rng(0)
    frame = pl.DataFrame({"x": draw.normal(size=rows), "y": draw.choice(["a", "b"], rows)})
    frame.write_csv(tmp_path / "large.csv")
    parts = parts_of(start(tmp_path / "large", tmp_path / "large.csv", "y"))
    shares = {part: n / rows for part, n in parts["part"].value_counts().iter_rows()}
    expected = {"train": 0.7, "tune": 0.075, "judge": 0.075, "test": 0.15}
    assert shares == pytest.approx(expected, abs=0.002)


def test_equal_rows_stay_on_one_side_even_if_their_names_differ(tmp_path: Path) -> None:
    frame = mixed_table(200)
    twins = frame.with_columns(key=pl.col("key").str.replace("k", "t"))
    pl.concat([frame, twins]).write_csv(tmp_path / "twins.csv")
    parts = parts_of(start(tmp_path / "twins", tmp_path / "twins.csv"))
    first, second = parts["part"].head(200), parts["part"].tail(200)
    assert (first == second).all()
    assert (parts["fold"].head(200) == parts["fold"].tail(200)).all()


def test_old_rows_keep_their_part_when_rows_are_added(project: Folder) -> None:
    before = parts_of(project)
    source = source_of(project)
    added = mixed_table(60, seed=9).with_columns(key=pl.col("key").str.replace("k", "n"))
    pl.concat([added, pl.read_csv(source, infer_schema=False).cast(added.schema)]).write_csv(source)
    after = parts_of(project).tail(before.height)
    assert after["part"].to_list() == before["part"].to_list()
    assert after["fold"].to_list() == before["fold"].to_list()


def test_another_kind_for_a_column_does_not_reshuffle_the_test_set(project: Folder) -> None:
    before = parts_of(project)
    file.edit(project.file, [Edit(("data", "columns", "city", "kind"), "identifier")])
    assert parts_of(project)["part"].to_list() == before["part"].to_list()


def test_another_seed_deals_the_rows_out_anew(project: Folder) -> None:
    before = parts_of(project)
    file.edit(project.file, [Edit(("split", "seed"), 1)])
    assert parts_of(project)["part"].to_list() != before["part"].to_list()


def test_the_rows_of_a_group_stay_together(tmp_path: Path) -> None:
    frame = mixed_table(300).with_columns(person=pl.Series([f"p{i % 40}" for i in range(300)]))
    frame.write_csv(tmp_path / "groups.csv")
    project = start(tmp_path / "groups", tmp_path / "groups.csv")
    file.edit(project.file, [Edit(("data", "entity"), "person"), Edit(("split", "rule"), "entity")])
    parts = parts_of(project).with_columns(person=frame["person"])
    assert parts.group_by("person").agg(pl.col("part").n_unique())["part"].max() == 1
    assert parts.group_by("person").agg(pl.col("fold").n_unique())["fold"].max() == 1


def test_split_by_time_seals_the_newest_rows(tmp_path: Path) -> None:
    frame = mixed_table(300)
    frame.write_csv(tmp_path / "time.csv")
    project = start(tmp_path / "time", tmp_path / "time.csv")
    file.edit(project.file, [Edit(("data", "time"), "seen"), Edit(("split", "rule"), "time")])
    parts = parts_of(project).with_columns(seen=frame["seen"])
    spans = {
        str(part): (str(rows["seen"].min()), str(rows["seen"].max()))
        for (part,), rows in parts.group_by("part")
    }
    assert spans["train"][1] < spans["tune"][0]
    assert spans["tune"][1] < spans["judge"][0]
    assert spans["judge"][1] < spans["test"][0]


def given(folder: Path, test_labels: list[str] | None = None) -> Folder:
    frame = mixed_table(300)
    held = frame.tail(60)
    if test_labels:
        held = held.with_columns(bought=pl.Series(test_labels * 60).head(60))
    for name, rows in (
        ("train", frame.head(180)),
        ("val", frame.slice(180, 60)),
        ("test", held),
    ):
        rows.write_csv(folder / f"{name}.csv")
    train, val, test = (str(folder / f"{name}.csv") for name in ("train", "val", "test"))
    init(Request(folder / "given", train, ("bought",), val, test))
    return Folder(folder / "given")


def test_a_ready_made_split_is_honoured(tmp_path: Path) -> None:
    parts = parts_of(given(tmp_path))
    assert parts["part"].head(180).unique().to_list() == ["train"]
    assert sorted(parts["part"].slice(180, 60).unique()) == ["judge", "tune"]
    assert parts["part"].tail(60).unique().to_list() == ["test"]


def test_labels_that_only_the_test_file_has_are_told_before_training(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="label that the model does not know"):
        parts_of(given(tmp_path, ["yes.", "no."]))


def test_rows_without_a_target_are_used_nowhere(tmp_path: Path) -> None:
    frame = mixed_table(200).with_columns(
        bought=pl.when(pl.int_range(200) < 20).then(None).otherwise(pl.col("bought"))
    )
    frame.write_csv(tmp_path / "gaps.csv")
    parts = parts_of(start(tmp_path / "gaps", tmp_path / "gaps.csv"))
    assert parts["part"].head(20).unique().to_list() == ["unused"]
    assert "unused" not in parts["part"].tail(180)


def test_conflicting_rows_are_dropped_on_request(tmp_path: Path) -> None:
    frame = mixed_table(200).drop("key")
    torn = frame.head(4).with_columns(bought=pl.col("bought").replace({"yes": "no", "no": "yes"}))
    pl.concat([frame, torn]).write_csv(tmp_path / "torn.csv")
    project = start(tmp_path / "torn", tmp_path / "torn.csv")
    file.edit(project.file, [Edit(("clean", "conflicting"), "drop")])
    parts = parts_of(project)["part"]
    assert (parts.head(4) == "unused").all()
    assert (parts.tail(4) == "unused").all()
    assert (parts.slice(4, 196) != "unused").all()


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pl.DataFrame({"x": range(100), "y": ["a"] * 99 + [None]}), "cannot be predicted"),
        (pl.DataFrame({"x": [1, 2], "y": ["a", "b"]}), "too few rows"),
        (pl.DataFrame({"y": ["a", "b"] * 50}), "no column left"),
        (pl.DataFrame({"x": range(100), "y": [None] * 100}), "cannot be predicted"),
    ],
)
def test_tables_that_cannot_be_learned_from_are_told_plainly(
    tmp_path: Path, frame: pl.DataFrame, message: str
) -> None:
    frame.write_csv(tmp_path / "odd.csv")
    with pytest.raises(DataError, match=message):
        parts_of(start(tmp_path / "odd", tmp_path / "odd.csv", "y"))
