"""`init` profiles the data and writes a project file with the reasons."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.errors import DataError, ProjectError
from fieldcraft.modeling.dataset import feature_schema
from fieldcraft.project import project_file
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages import _pipeline, _workflows
from fieldcraft.stages.init import InitRequest, init
from tests.conftest import mixed_table, source_table_path

ADULT_COLUMN_NAMES = (
    "age,workclass,fnlwgt,education,education_num,marital_status,occupation,relationship,race,"
    "sex,capital_gain,capital_loss,hours_per_week,native_country,income"
)


def read_kinds(folder: Path) -> dict[str, str]:
    return {name: c.kind for name, c in ProjectFolder(folder).load_settings().data.columns.items()}


def test_kinds_are_inferred_with_their_reasons(csv_path: Path, tmp_path: Path) -> None:
    init(InitRequest(tmp_path / "p", str(csv_path), ("bought",)))
    assert read_kinds(tmp_path / "p") == {
        "key": "identifier", "age": "number", "city": "category", "member": "boolean",
        "seen": "datetime", "same": "constant", "bought": "boolean",
    }  # fmt: skip
    text = (tmp_path / "p" / "fieldcraft.yaml").read_text(encoding="utf-8")
    assert "# numbers from" in text
    assert "# 240 distinct values in 240 rows, text" in text
    assert "# always x" in text


def test_the_positive_class_means_yes_or_is_the_rarer_class(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"x": range(60), "y": ["no"] * 20 + ["yes"] * 40, "z": ["a"] * 50 + ["b"] * 10}
    )
    frame.write_csv(tmp_path / "t.csv")
    for target, positive in (("y", "yes"), ("z", "b")):
        init(InitRequest(tmp_path / target, str(tmp_path / "t.csv"), (target,)))
        assert ProjectFolder(tmp_path / target).load_settings().problem.positive_class == positive


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["a", "b"] * 50, "binary"),
        (["0", "1"] * 50, "binary"),
        (["a", "b", "c", "d"] * 25, "multiclass"),
        ([str(i % 5) for i in range(100)], "multiclass"),
        ([str(i / 7) for i in range(100)], "regression"),
        ([str(i % 40) for i in range(100)], "regression"),
    ],
)
def test_the_task_is_inferred_from_the_target(tmp_path: Path, values: list[str], task: str) -> None:
    pl.DataFrame({"x": range(100), "y": values}).write_csv(tmp_path / "t.csv")
    assert init(InitRequest(tmp_path / "p", str(tmp_path / "t.csv"), ("y",)))["task"] == task


def test_a_given_task_takes_precedence(tmp_path: Path) -> None:
    frame = pl.DataFrame({"x": range(100), "y": [str(i % 5) for i in range(100)]})
    frame.write_csv(tmp_path / "t.csv")
    request = InitRequest(tmp_path / "p", str(tmp_path / "t.csv"), ("y",), task="regression")
    assert init(request)["task"] == "regression"


def test_a_target_without_a_matching_task_is_an_error(tmp_path: Path) -> None:
    frame = pl.DataFrame({"x": range(100), "y": [f"name {i}" for i in range(100)]})
    frame.write_csv(tmp_path / "t.csv")
    with pytest.raises(DataError, match="no task fits the target"):
        init(InitRequest(tmp_path / "p", str(tmp_path / "t.csv"), ("y",)))


def test_an_existing_project_is_not_overwritten(project: ProjectFolder, csv_path: Path) -> None:
    before = project.file_path.read_bytes()
    with pytest.raises(ProjectError, match="already a project here"):
        init(InitRequest(project.root, str(csv_path), ("bought",)))
    assert project.file_path.read_bytes() == before


def test_the_project_can_be_moved_with_its_data(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    mixed_table(50).write_csv(tmp_path / "a" / "t.csv")
    init(InitRequest(tmp_path / "a" / "p", str(tmp_path / "a" / "t.csv"), ("bought",)))
    (tmp_path / "a").rename(tmp_path / "b")
    project = ProjectFolder(tmp_path / "b" / "p")
    assert source_table_path(project).exists()


def test_column_names_that_are_special_in_yaml_survive(
    write_file: Callable[[str, str | bytes], Path], tmp_path: Path
) -> None:
    odd = ["yes", "null", "1", "a: b", "#c", "tab\there", 'quo"te', "naïve"]
    rows = "\n".join(",".join(str((i * j) % 7) for j in range(1, 10)) for i in range(40))
    header = ",".join('"' + name.replace('"', '""') + '"' for name in [*odd, "y"])
    init(InitRequest(tmp_path / "p", str(write_file("odd.csv", f"{header}\n{rows}\n")), ("y",)))
    assert list(read_kinds(tmp_path / "p")) == [*odd, "y"]


def test_the_raw_adult_file_is_read(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "tabular" / "adult" / "adult_train_raw.csv.gz"
    init(
        InitRequest(
            tmp_path / "p",
            str(source),
            ("income",),
            column_names=tuple(ADULT_COLUMN_NAMES.split(",")),
        )
    )
    settings = ProjectFolder(tmp_path / "p").load_settings()
    assert settings.problem.positive_class == ">50K"
    assert settings.data.na_values == ["?"]
    assert read_kinds(tmp_path / "p")["capital_gain"] == "number"
    assert read_kinds(tmp_path / "p")["workclass"] == "category"


def test_blank_charges_in_the_telco_file_are_numbers(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "tabular" / "telco_churn_raw.csv.gz"
    init(InitRequest(tmp_path / "p", str(source), ("Churn",)))
    kinds_by_column = read_kinds(tmp_path / "p")
    assert (kinds_by_column["TotalCharges"], kinds_by_column["customerID"]) == (
        "number",
        "identifier",
    )
    assert ProjectFolder(tmp_path / "p").load_settings().problem.positive_class == "Yes"


def test_decimal_commas_in_the_dry_bean_file_are_inferred(
    shared_data: Path, tmp_path: Path
) -> None:
    source = shared_data / "tabular" / "dry_bean" / "dry_bean_raw_european.csv.gz"
    init(InitRequest(tmp_path / "p", str(source), ("Class",)))
    columns = ProjectFolder(tmp_path / "p").load_settings().data.columns
    decimals = {c.options().get("decimal") for c in columns.values() if c.kind == "number"}
    assert "," in decimals
    assert sum(c.kind == "number" for c in columns.values()) >= 16


@pytest.mark.parametrize(
    ("values", "positive"),
    [([True, False], "true"), ([0.0, 1.0], "1"), ([0, 1], "1"), (["No", "Yes"], "Yes")],
)
def test_the_positive_class_of_a_typed_target_is_one_of_its_classes(
    tmp_path: Path, values: list[object], positive: str
) -> None:
    draw = np.random.default_rng(0)
    frame = pl.DataFrame({"x": draw.normal(size=60), "y": values * 30})
    frame.write_parquet(tmp_path / "t.parquet")
    init(InitRequest(tmp_path / "p", str(tmp_path / "t.parquet"), ("y",)))
    project = ProjectFolder(tmp_path / "p")
    assert project.load_settings().problem.positive_class == positive
    _pipeline.run_steps(project, _workflows.NullCallbacks(), until="split")


def test_columns_of_lists_are_an_error_that_names_them(tmp_path: Path) -> None:
    frame = pl.DataFrame({"x": [[1], [2]], "y": ["a", "b"]})
    frame.write_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"x \(List"):
        init(InitRequest(tmp_path / "p", str(tmp_path / "t.parquet"), ("y",)))


def test_missing_markers_apply_to_typed_columns(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"x": [float(i) if i % 5 else -999.0 for i in range(60)], "y": [0, 1] * 30}
    )
    frame.write_parquet(tmp_path / "t.parquet")
    init(InitRequest(tmp_path / "p", str(tmp_path / "t.parquet"), ("y",)))
    project = ProjectFolder(tmp_path / "p")
    project_file.apply_edits(
        project.file_path, [ConfigEdit(("data", "na_values"), "-999", append=True)]
    )
    assert feature_schema(project.load_settings()).apply(frame)["x"].null_count() == 12
