"""The rows as the project file wants them: joined, computed, filtered, weighed, told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.modeling.dataset import (
    RETRAIN_WEIGHT_COLUMN,
    ModelingDataset,
    assign_clusters,
    feature_schema,
    has_required_gaps,
    load_dataset,
    parse_target,
    read_joined_rows,
    read_weights,
    schema_of_columns,
    target_columns,
)
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages import _pipeline, _workflows
from tests.conftest import create_project, set_settings, source_table_path

CITIES = pl.DataFrame({"city": ["Bern", "Oslo"], "snow": ["60", "90"], "name": ["b", "o"]})
JOIN_SETTINGS = [{"source": "places.csv", "on": "city"}]
JOINED_KINDS = {"data.columns.snow": {"kind": "number"}, "data.columns.name": {"kind": "category"}}


def names(project: ProjectFolder) -> list[str]:
    return [column.name for column in feature_schema(project.load_settings()).columns]


def load_split_dataset(project: ProjectFolder) -> ModelingDataset:
    outcome = _pipeline.run_steps(project, _workflows.NullCallbacks(), until="split")
    return load_dataset(outcome.folders["split"], project.load_settings())


@pytest.fixture
def joined(project: ProjectFolder) -> ProjectFolder:
    """A project with a second table beside its rows."""
    CITIES.write_csv(project.root / "places.csv")
    return set_settings(project, {"data.join": JOIN_SETTINGS, **JOINED_KINDS})


def test_target_names_and_constants_are_no_features(project: ProjectFolder) -> None:
    assert names(project) == ["age", "city", "member", "seen"]


@pytest.mark.parametrize("role", ["group", "sample_weight", "id_column", "split_column"])
def test_a_column_with_a_part_of_its_own_is_no_feature(project: ProjectFolder, role: str) -> None:
    assert "member" not in names(set_settings(project, {f"data.{role}": "member"}))


def test_a_dropped_column_is_gone(project: ProjectFolder) -> None:
    assert names(set_settings(project, {"data.drop": ["age"]})) == ["city", "member", "seen"]


def test_a_table_without_a_usable_column_is_told(project: ProjectFolder) -> None:
    set_settings(project, {"data.drop": ["age", "city", "member", "seen"]})
    with pytest.raises(DataError, match="no feature column"):
        feature_schema(project.load_settings())


def test_how_a_column_is_cleaned_travels_with_the_schema(project: ProjectFolder) -> None:
    set_settings(
        project,
        {
            "clean.all": {"clip": "auto"},
            "clean.columns.age.clip": [20, 60],
            "clean.columns.city.missing": "drop",
        },
    )
    schema = feature_schema(project.load_settings())
    age, city, *_ = schema.columns
    assert dict(age.options) == {"clip": [20, 60]}
    assert "clip" not in city.options  # a category has no such option
    rows = pl.DataFrame(
        {"age": ["5", "99"], "city": ["x"] * 2, "member": ["no"] * 2, "seen": [""] * 2}
    )
    assert schema.apply(rows)["age"].to_list() == [20.0, 60.0]


def test_the_target_is_read_as_its_task_wants_it(project: ProjectFolder) -> None:
    assert target_columns(project.load_settings())[0].kind == "category"
    wanted = {"target": "age", "task": "regression", "metric": "rmse", "positive_class": None}
    set_settings(project, {f"problem.{name}": value for name, value in wanted.items()})
    rows = pl.DataFrame({"age": [" 41.5 ", "", "x"]})
    assert parse_target(rows, project.load_settings()).to_list() == [41.5, None, None]


def test_several_targets_are_one_struct_that_is_whole_or_not_there(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"x": [i % 7 for i in range(40)], "a": [0, 1] * 20, "b": ["yes", "no", "no", "yes"] * 10}
    )
    frame.write_csv(tmp_path / "t.csv")
    project = create_project(tmp_path / "p", tmp_path / "t.csv", ("a", "b"))
    rows = pl.DataFrame({"a": ["1", "0", ""], "b": ["no", "", "yes"]})
    found = parse_target(rows, project.load_settings())
    assert found.to_list() == [{"a": "1", "b": "no"}, None, None]
    assert names(project) == ["x"]


def test_joined_columns_stand_beside_the_rows_empty_where_no_key_fits(
    joined: ProjectFolder,
) -> None:
    frame = read_joined_rows(joined, joined.load_settings())
    assert frame.height == 240
    expected = {"Bern": "60", "Oslo": "90", "Rome": None}
    assert frame["snow"].to_list() == [expected[city] for city in frame["city"]]
    assert {"snow", "name"} <= set(names(joined))


def test_only_the_wanted_columns_are_joined(joined: ProjectFolder) -> None:
    join = [{**JOIN_SETTINGS[0], "columns": ["snow"]}]
    set_settings(joined, {"data.join": join, "data.columns": {
        name: {"kind": "number" if name in ("age", "snow") else "category"}
        for name in ("age", "city", "snow", "bought")
    }})  # fmt: skip
    assert "name" not in read_joined_rows(joined, joined.load_settings()).columns


def test_joined_columns_without_a_kind_are_told_with_the_lines_to_add(
    project: ProjectFolder,
) -> None:
    CITIES.write_csv(project.root / "places.csv")
    set_settings(project, {"data.join": JOIN_SETTINGS})
    with pytest.raises(DataError, match="no kind yet") as caught:
        read_joined_rows(project, project.load_settings())
    assert caught.value.detail == "snow, name"
    assert "snow: {kind: number" in caught.value.hint


def test_a_column_that_the_joined_table_lacks_is_named_with_a_near_one(
    joined: ProjectFolder,
) -> None:
    set_settings(joined, {"data.join": [{**JOIN_SETTINGS[0], "columns": ["snwo"]}]})
    with pytest.raises(DataError, match=r"(?s)places.csv lacks columns.*did you mean 'snow'"):
        read_joined_rows(joined, joined.load_settings())


def test_a_joined_table_with_two_rows_for_a_key_is_refused(joined: ProjectFolder) -> None:
    pl.concat([CITIES, CITIES.head(1)]).write_csv(joined.root / "places.csv")
    with pytest.raises(DataError, match=r"(?s)more than one row for a key.*city: Bern"):
        read_joined_rows(joined, joined.load_settings())


def test_a_column_of_the_file_that_no_table_has_is_told(project: ProjectFolder) -> None:
    set_settings(project, {"data.columns.agee": {"kind": "number"}})
    with pytest.raises(DataError, match=r"(?s)does not have.*agee.*did you mean 'age'"):
        read_joined_rows(project, project.load_settings())


def test_files_of_a_ready_made_split_need_the_same_columns(project: ProjectFolder) -> None:
    pl.read_csv(source_table_path(project)).drop("city").write_csv(project.root / "test.csv")
    set_settings(
        project, {"data.source": {"train": str(source_table_path(project)), "test": "test.csv"}}
    )
    with pytest.raises(DataError, match=r"(?s)test.csv lacks columns.*city"):
        read_joined_rows(project, project.load_settings())


def test_computed_columns_are_features_of_the_kind_of_their_result(project: ProjectFolder) -> None:
    set_settings(project, {"data.derived_columns": {
        "half": "age / 2", "old": "age > 60", "later": "half * 2 + 1", "shout": "upper(city)",
    }})  # fmt: skip
    schema = feature_schema(project.load_settings())
    kinds = {
        column.name: column.kind for column in schema.columns if column.name in schema.derivations
    }
    assert kinds == {"half": "number", "old": "boolean", "later": "number", "shout": "category"}
    values = schema.apply(read_joined_rows(project, project.load_settings()))
    there = values.filter(pl.col("age").is_not_null())
    assert np.allclose(there["later"], there["age"] + 1)
    assert values["shout"].to_list() == values["city"].str.to_uppercase().to_list()


def test_what_only_an_expression_reads_is_asked_for_and_hidden_from_the_model(
    project: ProjectFolder,
) -> None:
    set_settings(project, {"data.derived_columns": {"half": "age / 2"}, "data.drop": ["age"]})
    schema = feature_schema(project.load_settings())
    assert "age" in {column.name for column in schema.input_columns}
    assert "age" not in schema.apply(read_joined_rows(project, project.load_settings())).columns


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("agee / 2", "uses a column that does not exist"),
        ("age +", "not a valid SQL expression"),
        ("upper(age)", "cannot be computed"),
        ("age - avg(age)", "more than one row"),
    ],
)
def test_an_expression_that_cannot_be_computed_is_never_left_out_silently(
    project: ProjectFolder, sql: str, message: str
) -> None:
    set_settings(project, {"data.derived_columns": {"odd": sql}})
    with pytest.raises(DataError, match=message):
        feature_schema(project.load_settings()).apply(
            read_joined_rows(project, project.load_settings())
        )


def test_a_column_asked_for_by_an_unknown_name_is_told(project: ProjectFolder) -> None:
    with pytest.raises(DataError, match=r"(?s)does not exist.*did you mean 'age'"):
        schema_of_columns(project.load_settings(), ["agee"])


def test_rows_with_gaps_leave_training_and_stay_to_be_judged(project: ProjectFolder) -> None:
    plain = load_split_dataset(project)
    gaps = plain.features["age"].is_null().to_numpy()
    set_settings(project, {"clean.columns.age.missing": "drop"})
    rows = load_split_dataset(project)
    judged = np.concatenate([fold.evaluation for fold in rows.folds])
    assert gaps.any()
    assert all(not gaps[fold.train].any() for fold in rows.folds)
    assert sorted(judged) == list(range(len(rows.y)))


def test_what_is_said_of_all_columns_holds_for_those_with_other_wishes_too(
    project: ProjectFolder,
) -> None:
    set_settings(project, {"clean.all.missing": "drop", "clean.columns.age.impute": "median"})
    values = pl.DataFrame({"age": [1.0, None], "city": ["a", "b"]})
    assert has_required_gaps(values, project.load_settings()).tolist() == [False, True]
    set_settings(project, {"clean.columns.age.missing": "keep"})
    assert not has_required_gaps(values, project.load_settings()).any()


def add_weight_column(project: ProjectFolder, cells: list[object]) -> ProjectFolder:
    source = source_table_path(project)
    frame = pl.read_csv(source).with_columns(pl.Series("w", (cells * 240)[:240], strict=False))
    frame.write_csv(source)
    return set_settings(project, {"data.columns.w": {"kind": "number"}, "data.sample_weight": "w"})


def test_weights_are_read_row_by_row(project: ProjectFolder) -> None:
    rows = load_split_dataset(add_weight_column(project, [1, 2.5]))
    assert rows.weights is not None
    assert rows.weights.tolist() == [float(cell) for cell in rows.frame["w"]]
    assert "w" not in rows.features.columns


def test_rows_that_a_retraining_counts_less_do_so_on_top_of_their_weights(
    project: ProjectFolder,
) -> None:
    settings = add_weight_column(project, [1, 2.5]).load_settings()
    frame = pl.DataFrame({"w": ["2", "4"], RETRAIN_WEIGHT_COLUMN: [0.5, 1.0]})
    found = read_weights(frame, settings)
    assert found is not None
    assert found.tolist() == [1.0, 4.0]
    set_settings(project, {"data.sample_weight": None})
    found = read_weights(frame, project.load_settings())
    assert found is not None
    assert found.tolist() == [0.5, 1.0]
    assert read_weights(frame.drop(RETRAIN_WEIGHT_COLUMN), project.load_settings()) is None


@pytest.mark.parametrize("cell", [0, -1, None, "inf"])
def test_a_row_without_a_weight_that_counts_is_told(project: ProjectFolder, cell: object) -> None:
    add_weight_column(project, ["2", cell])
    with pytest.raises(DataError, match="no valid weight"):
        read_weights(read_joined_rows(project, project.load_settings()), project.load_settings())


def test_rows_of_an_entity_are_drawn_together(project: ProjectFolder) -> None:
    assert (
        assign_clusters(read_joined_rows(project, project.load_settings()), project.load_settings())
        is None
    )
    settings = set_settings(
        project, {"data.group": "city", "split.strategy": "group"}
    ).load_settings()
    frame = read_joined_rows(project, settings)
    units = assign_clusters(frame, settings)
    pairs = set(zip(frame["city"], np.asarray(units).tolist(), strict=True))
    assert len(pairs) == 3


def test_rows_close_in_time_are_drawn_together(project: ProjectFolder) -> None:
    settings = set_settings(
        project, {"data.time_column": "seen", "split.strategy": "time"}
    ).load_settings()
    frame = read_joined_rows(project, settings)
    units = np.asarray(assign_clusters(frame, settings))
    order = np.argsort(frame["seen"].to_numpy(), kind="stable")
    assert (np.diff(units[order]) >= 0).all()
    sizes = np.bincount(units)
    assert sizes.max() <= 15  # about the root of 240 rows in each stretch
    assert len(sizes) == 17


def test_development_rows_do_not_hold_the_sealed_ones(finished_project: ProjectFolder) -> None:
    split = _workflows.load_latest_report_data(finished_project).folders["split"]
    rows = load_dataset(split, finished_project.load_settings())
    sealed = pl.read_parquet(split / "sealed" / "test.parquet")
    assert rows.frame.height == 204
    assert not set(rows.frame["key"]) & set(sealed["key"])
