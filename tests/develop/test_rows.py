"""The rows as the project file wants them: joined, computed, filtered, weighed, told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.develop.rows import (
    AGED,
    Development,
    columns_of,
    feature_schema,
    load_development,
    parse_target,
    read_rows,
    rows_with_gaps,
    target_columns,
    units_of,
    weights_of,
)
from fieldcraft.project.folder import Folder
from fieldcraft.stages import _flow, _plan
from tests.conftest import change, source_of, start

PLACES = pl.DataFrame({"city": ["Bern", "Oslo"], "snow": ["60", "90"], "name": ["b", "o"]})
JOIN = [{"source": "places.csv", "on": "city"}]
KNOWN = {"data.columns.snow": {"kind": "number"}, "data.columns.name": {"kind": "category"}}


def names(project: Folder) -> list[str]:
    return [column.name for column in feature_schema(project.settings()).columns]


def developed(project: Folder) -> Development:
    outcome = _plan.run(project, _flow.Unwatched(), until="split")
    return load_development(outcome.folders["split"], project.settings())


@pytest.fixture
def joined(project: Folder) -> Folder:
    """A project with a second table beside its rows."""
    PLACES.write_csv(project.root / "places.csv")
    return change(project, {"data.join": JOIN, **KNOWN})


def test_target_names_and_constants_are_no_features(project: Folder) -> None:
    assert names(project) == ["age", "city", "member", "seen"]


@pytest.mark.parametrize("role", ["entity", "weight", "id", "split"])
def test_a_column_with_a_part_of_its_own_is_no_feature(project: Folder, role: str) -> None:
    assert "member" not in names(change(project, {f"data.{role}": "member"}))


def test_a_dropped_column_is_gone(project: Folder) -> None:
    assert names(change(project, {"data.drop": ["age"]})) == ["city", "member", "seen"]


def test_a_table_without_a_usable_column_is_told(project: Folder) -> None:
    change(project, {"data.drop": ["age", "city", "member", "seen"]})
    with pytest.raises(DataError, match="no column left"):
        feature_schema(project.settings())


def test_how_a_column_is_cleaned_travels_with_the_schema(project: Folder) -> None:
    change(
        project,
        {
            "clean.all": {"clip": "auto"},
            "clean.columns.age.clip": [20, 60],
            "clean.columns.city.missing": "drop",
        },
    )
    schema = feature_schema(project.settings())
    age, city, *_ = schema.columns
    assert dict(age.options) == {"clip": [20, 60]}
    assert "clip" not in city.options  # a category has no such option
    rows = pl.DataFrame(
        {"age": ["5", "99"], "city": ["x"] * 2, "member": ["no"] * 2, "seen": [""] * 2}
    )
    assert schema.apply(rows)["age"].to_list() == [20.0, 60.0]


def test_the_target_is_read_as_its_task_wants_it(project: Folder) -> None:
    assert target_columns(project.settings())[0].kind == "category"
    wanted = {"target": "age", "task": "regression", "metric": "rmse", "positive": None}
    change(project, {f"problem.{name}": value for name, value in wanted.items()})
    rows = pl.DataFrame({"age": [" 41.5 ", "", "x"]})
    assert parse_target(rows, project.settings()).to_list() == [41.5, None, None]


def test_several_targets_are_one_struct_that_is_whole_or_not_there(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"x": [i % 7 for i in range(40)], "a": [0, 1] * 20, "b": ["yes", "no", "no", "yes"] * 10}
    )
    frame.write_csv(tmp_path / "t.csv")
    project = start(tmp_path / "p", tmp_path / "t.csv", ("a", "b"))
    rows = pl.DataFrame({"a": ["1", "0", ""], "b": ["no", "", "yes"]})
    found = parse_target(rows, project.settings())
    assert found.to_list() == [{"a": "1", "b": "no"}, None, None]
    assert names(project) == ["x"]


def test_joined_columns_stand_beside_the_rows_empty_where_no_key_fits(joined: Folder) -> None:
    frame = read_rows(joined, joined.settings())
    assert frame.height == 240
    expected = {"Bern": "60", "Oslo": "90", "Rome": None}
    assert frame["snow"].to_list() == [expected[city] for city in frame["city"]]
    assert {"snow", "name"} <= set(names(joined))


def test_only_the_wanted_columns_are_joined(joined: Folder) -> None:
    change(joined, {"data.join": [{**JOIN[0], "columns": ["snow"]}], "data.columns": {
        name: {"kind": "number" if name in ("age", "snow") else "category"}
        for name in ("age", "city", "snow", "bought")
    }})  # fmt: skip
    assert "name" not in read_rows(joined, joined.settings()).columns


def test_joined_columns_without_a_kind_are_told_with_the_lines_to_add(project: Folder) -> None:
    PLACES.write_csv(project.root / "places.csv")
    change(project, {"data.join": JOIN})
    with pytest.raises(DataError, match="no kind yet") as caught:
        read_rows(project, project.settings())
    assert caught.value.seen == "snow, name"
    assert "snow: {kind: number" in caught.value.way_out


def test_a_column_that_the_joined_table_lacks_is_named_with_a_near_one(joined: Folder) -> None:
    change(joined, {"data.join": [{**JOIN[0], "columns": ["snwo"]}]})
    with pytest.raises(DataError, match=r"(?s)places.csv lacks columns.*did you mean 'snow'"):
        read_rows(joined, joined.settings())


def test_a_joined_table_with_two_rows_for_a_key_is_refused(joined: Folder) -> None:
    pl.concat([PLACES, PLACES.head(1)]).write_csv(joined.root / "places.csv")
    with pytest.raises(DataError, match=r"(?s)more than one row for a key.*city: Bern"):
        read_rows(joined, joined.settings())


def test_a_column_of_the_file_that_no_table_has_is_told(project: Folder) -> None:
    change(project, {"data.columns.agee": {"kind": "number"}})
    with pytest.raises(DataError, match=r"(?s)does not have.*agee.*did you mean 'age'"):
        read_rows(project, project.settings())


def test_files_of_a_ready_made_split_need_the_same_columns(project: Folder) -> None:
    pl.read_csv(source_of(project)).drop("city").write_csv(project.root / "test.csv")
    change(project, {"data.source": {"train": str(source_of(project)), "test": "test.csv"}})
    with pytest.raises(DataError, match=r"(?s)test.csv lacks columns.*city"):
        read_rows(project, project.settings())


def test_computed_columns_are_features_of_the_kind_of_their_result(project: Folder) -> None:
    change(project, {"data.derive": {
        "half": "age / 2", "old": "age > 60", "later": "half * 2 + 1", "shout": "upper(city)",
    }})  # fmt: skip
    schema = feature_schema(project.settings())
    kinds = {column.name: column.kind for column in schema.columns if column.name in schema.derived}
    assert kinds == {"half": "number", "old": "boolean", "later": "number", "shout": "category"}
    values = schema.apply(read_rows(project, project.settings()))
    there = values.filter(pl.col("age").is_not_null())
    assert np.allclose(there["later"], there["age"] + 1)
    assert values["shout"].to_list() == values["city"].str.to_uppercase().to_list()


def test_what_only_an_expression_reads_is_asked_for_and_hidden_from_the_model(
    project: Folder,
) -> None:
    change(project, {"data.derive": {"half": "age / 2"}, "data.drop": ["age"]})
    schema = feature_schema(project.settings())
    assert "age" in {column.name for column in schema.needed}
    assert "age" not in schema.apply(read_rows(project, project.settings())).columns


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("agee / 2", "reads a column that is not there"),
        ("age +", "not an SQL expression"),
        ("upper(age)", "cannot be computed"),
        ("age - avg(age)", "more than one row"),
    ],
)
def test_an_expression_that_cannot_be_computed_is_never_left_out_silently(
    project: Folder, sql: str, message: str
) -> None:
    change(project, {"data.derive": {"odd": sql}})
    with pytest.raises(DataError, match=message):
        feature_schema(project.settings()).apply(read_rows(project, project.settings()))


def test_a_column_asked_for_by_an_unknown_name_is_told(project: Folder) -> None:
    with pytest.raises(DataError, match=r"(?s)not there.*did you mean 'age'"):
        columns_of(project.settings(), ["agee"])


def test_rows_with_gaps_leave_training_and_stay_to_be_judged(project: Folder) -> None:
    plain = developed(project)
    gaps = plain.values["age"].is_null().to_numpy()
    change(project, {"clean.columns.age.missing": "drop"})
    rows = developed(project)
    judged = np.concatenate([fold.judge for fold in rows.folds])
    assert gaps.any()
    assert all(not gaps[fold.train].any() for fold in rows.folds)
    assert sorted(judged) == list(range(len(rows.y)))


def test_what_is_said_of_all_columns_holds_for_those_with_other_wishes_too(project: Folder) -> None:
    change(project, {"clean.all.missing": "drop", "clean.columns.age.impute": "median"})
    values = pl.DataFrame({"age": [1.0, None], "city": ["a", "b"]})
    assert rows_with_gaps(values, project.settings()).tolist() == [False, True]
    change(project, {"clean.columns.age.missing": "keep"})
    assert not rows_with_gaps(values, project.settings()).any()


def weighed(project: Folder, cells: list[object]) -> Folder:
    source = source_of(project)
    frame = pl.read_csv(source).with_columns(pl.Series("w", (cells * 240)[:240], strict=False))
    frame.write_csv(source)
    return change(project, {"data.columns.w": {"kind": "number"}, "data.weight": "w"})


def test_weights_are_read_row_by_row(project: Folder) -> None:
    rows = developed(weighed(project, [1, 2.5]))
    assert rows.weights is not None
    assert rows.weights.tolist() == [float(cell) for cell in rows.frame["w"]]
    assert "w" not in rows.values.columns


def test_rows_that_a_retraining_counts_less_do_so_on_top_of_their_weights(project: Folder) -> None:
    settings = weighed(project, [1, 2.5]).settings()
    frame = pl.DataFrame({"w": ["2", "4"], AGED: [0.5, 1.0]})
    found = weights_of(frame, settings)
    assert found is not None
    assert found.tolist() == [1.0, 4.0]
    change(project, {"data.weight": None})
    found = weights_of(frame, project.settings())
    assert found is not None
    assert found.tolist() == [0.5, 1.0]
    assert weights_of(frame.drop(AGED), project.settings()) is None


@pytest.mark.parametrize("cell", [0, -1, None, "inf"])
def test_a_row_without_a_weight_that_counts_is_told(project: Folder, cell: object) -> None:
    weighed(project, ["2", cell])
    with pytest.raises(DataError, match="no weight that counts"):
        weights_of(read_rows(project, project.settings()), project.settings())


def test_rows_of_an_entity_are_drawn_together(project: Folder) -> None:
    assert units_of(read_rows(project, project.settings()), project.settings()) is None
    settings = change(project, {"data.entity": "city", "split.rule": "entity"}).settings()
    frame = read_rows(project, settings)
    units = units_of(frame, settings)
    pairs = set(zip(frame["city"], np.asarray(units).tolist(), strict=True))
    assert len(pairs) == 3


def test_rows_close_in_time_are_drawn_together(project: Folder) -> None:
    settings = change(project, {"data.time": "seen", "split.rule": "time"}).settings()
    frame = read_rows(project, settings)
    units = np.asarray(units_of(frame, settings))
    order = np.argsort(frame["seen"].to_numpy(), kind="stable")
    assert (np.diff(units[order]) >= 0).all()
    sizes = np.bincount(units)
    assert sizes.max() <= 15  # about the root of 240 rows in each stretch
    assert len(sizes) == 17


def test_development_rows_do_not_hold_the_sealed_ones(finished: Folder) -> None:
    split = _flow.latest(finished).folders["split"]
    rows = load_development(split, finished.settings())
    sealed = pl.read_parquet(split / "sealed" / "test.parquet")
    assert rows.frame.height == 204
    assert not set(rows.frame["key"]) & set(sealed["key"])
