"""What of the project file a model gets to see."""

from __future__ import annotations

import polars as pl
import pytest

from fieldcraft.develop.rows import feature_schema, load_development, parse_target, target_columns
from fieldcraft.core.edit import Edit
from fieldcraft.core.errors import DataError
from fieldcraft.project import file
from fieldcraft.project.folder import Folder
from fieldcraft.stages import _flow


def names(project: Folder) -> list[str]:
    return [column.name for column in feature_schema(project.settings()).columns]


def test_target_names_and_constants_are_no_features(project: Folder) -> None:
    assert names(project) == ["age", "city", "member", "seen"]


def test_a_dropped_column_is_gone(project: Folder) -> None:
    file.edit(project.file, [Edit(("data", "drop"), "age", add=True)])
    assert names(project) == ["city", "member", "seen"]


def test_clipping_travels_with_the_schema(project: Folder) -> None:
    file.edit(project.file, [Edit(("clean", "columns", "age", "clip"), [20, 60])])
    schema = feature_schema(project.settings())
    rows = pl.DataFrame(
        {"age": ["5", "99"], "city": ["x"] * 2, "member": ["no"] * 2, "seen": [""] * 2}
    )
    assert schema.apply(rows)["age"].to_list() == [20.0, 60.0]


def test_a_table_without_a_usable_column_is_told(project: Folder) -> None:
    for name in ("age", "city", "member", "seen"):
        file.edit(project.file, [Edit(("data", "drop"), name, add=True)])
    with pytest.raises(DataError, match="no column left"):
        feature_schema(project.settings())


def test_the_target_is_read_as_its_task_wants_it(project: Folder) -> None:
    settings = project.settings()
    assert target_columns(settings)[0].kind == "category"
    wanted = {"target": "age", "task": "regression", "metric": "rmse", "positive": None}
    file.edit(project.file, [Edit(("problem", name), value) for name, value in wanted.items()])
    rows = pl.DataFrame({"age": [" 41.5 ", "", "x"]})
    assert parse_target(rows, project.settings()).to_list() == [41.5, None, None]


def test_development_rows_do_not_hold_the_sealed_ones(finished: Folder) -> None:
    split = _flow.latest(finished).folders["split"]
    rows = load_development(split, finished.settings())
    sealed = pl.read_parquet(split / "sealed" / "test.parquet")
    assert rows.frame.height == 204
    assert not set(rows.frame["key"]) & set(sealed["key"])
