"""The dataset follows the project file: joins, derived columns, filters, weights, clusters."""

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
    load_dataset,
    mask_incomplete_rows,
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


def feature_names(project: ProjectFolder) -> list[str]:
    return [column.name for column in feature_schema(project.load_settings()).columns]


def load_split_dataset(project: ProjectFolder) -> ModelingDataset:
    outcome = _pipeline.run_steps(project, _workflows.NullCallbacks(), until="split")
    return load_dataset(outcome.folders["split"], project.load_settings())


@pytest.fixture
def joined(project: ProjectFolder) -> ProjectFolder:
    """A project whose rows are joined with a second table."""
    CITIES.write_csv(project.root / "places.csv")
    return set_settings(project, {"data.join": JOIN_SETTINGS, **JOINED_KINDS})


def test_targets_identifiers_and_constants_are_no_features(project: ProjectFolder) -> None:
    assert feature_names(project) == ["age", "city", "member", "seen"]


@pytest.mark.parametrize("role", ["group", "sample_weight", "id_column", "split_column"])
def test_a_column_with_a_special_role_is_no_feature(project: ProjectFolder, role: str) -> None:
    assert "member" not in feature_names(set_settings(project, {f"data.{role}": "member"}))


def test_a_dropped_column_is_no_feature(project: ProjectFolder) -> None:
    assert feature_names(set_settings(project, {"data.drop": ["age"]})) == [
        "city",
        "member",
        "seen",
    ]


def test_a_table_without_features_is_an_error(project: ProjectFolder) -> None:
    set_settings(project, {"data.drop": ["age", "city", "member", "seen"]})
    with pytest.raises(DataError, match="no feature column"):
        feature_schema(project.load_settings())


def test_the_schema_holds_the_cleaning_options(project: ProjectFolder) -> None:
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


def test_the_target_is_parsed_for_its_task(project: ProjectFolder) -> None:
    assert target_columns(project.load_settings())[0].kind == "category"
    problem = {"target": "age", "task": "regression", "metric": "rmse", "positive_class": None}
    set_settings(project, {f"problem.{name}": value for name, value in problem.items()})
    rows = pl.DataFrame({"age": [" 41.5 ", "", "x"]})
    assert parse_target(rows, project.load_settings()).to_list() == [41.5, None, None]


def test_several_targets_are_a_struct_that_is_null_if_one_is_missing(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"x": [i % 7 for i in range(40)], "a": [0, 1] * 20, "b": ["yes", "no", "no", "yes"] * 10}
    )
    frame.write_csv(tmp_path / "t.csv")
    project = create_project(tmp_path / "p", tmp_path / "t.csv", ("a", "b"))
    rows = pl.DataFrame({"a": ["1", "0", ""], "b": ["no", "", "yes"]})
    target = parse_target(rows, project.load_settings())
    assert target.to_list() == [{"a": "1", "b": "no"}, None, None]
    assert feature_names(project) == ["x"]


def test_joined_columns_are_null_where_no_key_matches(
    joined: ProjectFolder,
) -> None:
    frame = read_joined_rows(joined, joined.load_settings())
    assert frame.height == 240
    expected = {"Bern": "60", "Oslo": "90", "Rome": None}
    assert frame["snow"].to_list() == [expected[city] for city in frame["city"]]
    assert {"snow", "name"} <= set(feature_names(joined))


def test_only_the_listed_columns_are_joined(joined: ProjectFolder) -> None:
    join = [{**JOIN_SETTINGS[0], "columns": ["snow"]}]
    set_settings(joined, {"data.join": join, "data.columns": {
        name: {"kind": "number" if name in ("age", "snow") else "category"}
        for name in ("age", "city", "snow", "bought")
    }})  # fmt: skip
    assert "name" not in read_joined_rows(joined, joined.load_settings()).columns


def test_the_error_for_joined_columns_without_a_kind_shows_lines_to_add(
    project: ProjectFolder,
) -> None:
    CITIES.write_csv(project.root / "places.csv")
    set_settings(project, {"data.join": JOIN_SETTINGS})
    with pytest.raises(DataError, match="no kind yet") as caught:
        read_joined_rows(project, project.load_settings())
    assert caught.value.detail == "snow, name"
    assert "snow: {kind: number" in caught.value.hint


def test_a_column_missing_in_the_joined_table_is_named_with_a_similar_one(
    joined: ProjectFolder,
) -> None:
    set_settings(joined, {"data.join": [{**JOIN_SETTINGS[0], "columns": ["snwo"]}]})
    with pytest.raises(DataError, match=r"(?s)places.csv lacks columns.*did you mean 'snow'"):
        read_joined_rows(joined, joined.load_settings())


def test_a_joined_table_with_two_rows_for_a_key_is_an_error(joined: ProjectFolder) -> None:
    pl.concat([CITIES, CITIES.head(1)]).write_csv(joined.root / "places.csv")
    with pytest.raises(DataError, match=r"(?s)more than one row for a key.*city: Bern"):
        read_joined_rows(joined, joined.load_settings())


def test_a_column_that_no_table_has_is_an_error(project: ProjectFolder) -> None:
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


def test_derived_columns_have_the_kind_of_their_result(project: ProjectFolder) -> None:
    set_settings(project, {"data.derived_columns": {
        "half": "age / 2", "old": "age > 60", "later": "half * 2 + 1", "shout": "upper(city)",
    }})  # fmt: skip
    schema = feature_schema(project.load_settings())
    kinds = {
        column.name: column.kind for column in schema.columns if column.name in schema.derivations
    }
    assert kinds == {"half": "number", "old": "boolean", "later": "number", "shout": "category"}
    values = schema.apply(read_joined_rows(project, project.load_settings()))
    known_age = values.filter(pl.col("age").is_not_null())
    assert np.allclose(known_age["later"], known_age["age"] + 1)
    assert values["shout"].to_list() == values["city"].str.to_uppercase().to_list()


def test_columns_that_only_expressions_read_are_inputs_but_no_features(
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
def test_an_invalid_expression_is_an_error(project: ProjectFolder, sql: str, message: str) -> None:
    set_settings(project, {"data.derived_columns": {"odd": sql}})
    with pytest.raises(DataError, match=message):
        feature_schema(project.load_settings()).apply(
            read_joined_rows(project, project.load_settings())
        )


def test_an_unknown_column_name_is_an_error(project: ProjectFolder) -> None:
    with pytest.raises(DataError, match=r"(?s)does not exist.*did you mean 'age'"):
        schema_of_columns(project.load_settings(), ["agee"])


def test_rows_with_missing_values_are_dropped_from_training_only(project: ProjectFolder) -> None:
    dataset = load_split_dataset(project)
    gaps = dataset.features["age"].is_null().to_numpy()
    set_settings(project, {"clean.columns.age.missing": "drop"})
    rows = load_split_dataset(project)
    evaluated = np.concatenate([fold.evaluation for fold in rows.folds])
    assert gaps.any()
    assert all(not gaps[fold.train].any() for fold in rows.folds)
    assert sorted(evaluated) == list(range(len(rows.y)))


def test_settings_of_all_columns_apply_to_columns_with_other_settings(
    project: ProjectFolder,
) -> None:
    set_settings(project, {"clean.all.missing": "drop", "clean.columns.age.impute": "median"})
    values = pl.DataFrame({"age": [1.0, None], "city": ["a", "b"]})
    assert mask_incomplete_rows(values, project.load_settings()).tolist() == [False, True]
    set_settings(project, {"clean.columns.age.missing": "keep"})
    assert not mask_incomplete_rows(values, project.load_settings()).any()


def add_weight_column(project: ProjectFolder, cells: list[object]) -> ProjectFolder:
    source = source_table_path(project)
    frame = pl.read_csv(source).with_columns(pl.Series("w", (cells * 240)[:240], strict=False))
    frame.write_csv(source)
    return set_settings(project, {"data.columns.w": {"kind": "number"}, "data.sample_weight": "w"})


def test_sample_weights_are_read_row_by_row(project: ProjectFolder) -> None:
    rows = load_split_dataset(add_weight_column(project, [1, 2.5]))
    assert rows.weights is not None
    assert rows.weights.tolist() == [float(cell) for cell in rows.frame["w"]]
    assert "w" not in rows.features.columns


def test_retraining_weights_multiply_sample_weights(
    project: ProjectFolder,
) -> None:
    settings = add_weight_column(project, [1, 2.5]).load_settings()
    frame = pl.DataFrame({"w": ["2", "4"], RETRAIN_WEIGHT_COLUMN: [0.5, 1.0]})
    weights = read_weights(frame, settings)
    assert weights is not None
    assert weights.tolist() == [1.0, 4.0]
    set_settings(project, {"data.sample_weight": None})
    weights = read_weights(frame, project.load_settings())
    assert weights is not None
    assert weights.tolist() == [0.5, 1.0]
    assert read_weights(frame.drop(RETRAIN_WEIGHT_COLUMN), project.load_settings()) is None


@pytest.mark.parametrize("cell", [0, -1, None, "inf"])
def test_an_invalid_sample_weight_is_an_error(project: ProjectFolder, cell: object) -> None:
    add_weight_column(project, ["2", cell])
    with pytest.raises(DataError, match="no valid weight"):
        read_weights(read_joined_rows(project, project.load_settings()), project.load_settings())


def test_rows_of_a_group_share_a_cluster(project: ProjectFolder) -> None:
    assert (
        assign_clusters(read_joined_rows(project, project.load_settings()), project.load_settings())
        is None
    )
    settings = set_settings(
        project, {"data.group": "city", "split.strategy": "group"}
    ).load_settings()
    frame = read_joined_rows(project, settings)
    clusters = assign_clusters(frame, settings)
    pairs = set(zip(frame["city"], np.asarray(clusters).tolist(), strict=True))
    assert len(pairs) == 3


def test_rows_close_in_time_share_a_cluster(project: ProjectFolder) -> None:
    settings = set_settings(
        project, {"data.time_column": "seen", "split.strategy": "time"}
    ).load_settings()
    frame = read_joined_rows(project, settings)
    clusters = np.asarray(assign_clusters(frame, settings))
    order = np.argsort(frame["seen"].to_numpy(), kind="stable")
    assert (np.diff(clusters[order]) >= 0).all()
    sizes = np.bincount(clusters)
    assert sizes.max() <= 15  # about the square root of 240 rows in each cluster
    assert len(sizes) == 17


def test_development_rows_exclude_the_sealed_test_rows(finished_project: ProjectFolder) -> None:
    split = _workflows.load_latest_report_data(finished_project).folders["split"]
    rows = load_dataset(split, finished_project.load_settings())
    sealed = pl.read_parquet(split / "sealed" / "test.parquet")
    assert rows.frame.height == 204
    assert not set(rows.frame["key"]) & set(sealed["key"])
