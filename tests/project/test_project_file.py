"""The project file: all issues are reported with their lines, and edits keep the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fieldcraft.core import catalog
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.errors import ProjectError
from fieldcraft.project import project_file
from fieldcraft.project.settings import ColumnCleaning, ProjectSettings
from fieldcraft.stages.init import InitRequest, init

WriteFile = Callable[[str, str | bytes], Path]

VALID_FILE = """\
# Who will leave us?
problem:
  target: churn  # yes or no
  task: binary
  positive_class: no

data:
  source: customers.csv
  na_values: ["?", 'NA', -999]
  columns:
    churn: {kind: boolean}
    age: {kind: number}

    # where they live
    street: {kind: category}
    2024: {kind: number}
"""
EXTRA_COLUMN_LINE = "    2024: {kind: number}\n"


@pytest.fixture
def valid_file_path(write_file: WriteFile) -> Path:
    """A valid project file."""
    return write_file(project_file.PROJECT_FILE_NAME, VALID_FILE)


def load_issues(path: Path) -> list[str]:
    """Return the issues that loading a file reports."""
    with pytest.raises(ProjectError, match=r"has \d+ mistake") as caught:
        project_file.load_settings(path)
    lines = [line.strip() for line in caught.value.detail.splitlines()]
    count = f"{len(lines)} mistake{'s' * (len(lines) > 1)}"
    assert caught.value.what == f"{project_file.PROJECT_FILE_NAME} has {count}"
    return lines


def replace_in_valid_file(*changes: tuple[str, str]) -> str:
    """Return the valid file with some of its text replaced."""
    text = VALID_FILE
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


def test_a_valid_file_is_loaded(valid_file_path: Path) -> None:
    settings = project_file.load_settings(valid_file_path)
    assert settings.problem.target == "churn"
    assert list(settings.data.columns) == ["churn", "age", "street", "2024"]
    assert settings.data.na_values == ["?", "NA", "-999"]


@pytest.mark.parametrize("word", ["no", "yes", "on", "off", "y", "n"])
def test_yaml_booleans_are_read_as_text(word: str, write_file: WriteFile) -> None:
    path = write_file(
        project_file.PROJECT_FILE_NAME,
        replace_in_valid_file(("positive_class: no", f"positive_class: {word}")),
    )
    assert project_file.load_settings(path).problem.positive_class == word


@pytest.mark.parametrize("cell", ["1", "0.5", "true", '"1"'])
def test_a_class_may_look_like_a_number_or_boolean(cell: str, write_file: WriteFile) -> None:
    path = write_file(
        project_file.PROJECT_FILE_NAME,
        replace_in_valid_file(("positive_class: no", f"positive_class: {cell}")),
    )
    assert project_file.load_settings(path).problem.positive_class == cell.strip('"')


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        # Unknown and missing entries.
        (
            "positive_class",
            "postive_class",
            "5: problem.postive_class is not known here; did you mean 'positive_class'?",
        ),
        (
            "customers.csv",
            "{train: a.csv, tets: b.csv}",
            "8: data.source.tets is not known here; did you mean 'test'?",
        ),
        ("customers.csv", "{test: b.csv}", "8: data.source.train is missing"),
        ("  target: churn  # yes or no\n", "", "2: problem.target is missing"),
        ("{kind: category}", "{}", "15: data.columns.street.kind is missing"),
        # Values of the wrong type.
        (
            "churn  #",
            "{churn: age}  #",
            "3: problem.target must be the name of a column, "
            "or a list of one or more names of columns",
        ),
        (
            "customers.csv",
            "5",
            "8: data.source must be the path of a table, "
            "or a section with train, validation and test (got: 5)",
        ),
        ("customers.csv", "", "8: data.source is missing"),
        (
            "{kind: category}",
            "category",
            "15: data.columns.street must be a section with kind (got: 'category')",
        ),
        ("    street: {kind: category}", "    street:", "15: data.columns.street.kind is missing"),
        # Names of plugins.
        ("binary", "binry", "4: problem.task: no task 'binry'; did you mean 'binary'?"),
        (
            "binary",
            "binary\n  metric: rocauc",
            "5: problem.metric: no metric 'rocauc' for binary; did you mean 'roc_auc'?",
        ),
        (
            "age: {kind: number}",
            "age: {kind: numbr}",
            "12: data.columns.age.kind: no kind 'numbr'; did you mean 'number'?",
        ),
        (
            "2024: {kind: number}",
            "2024: {kind: numbr}",
            "16: data.columns.2024.kind: no kind 'numbr'; did you mean 'number'?",
        ),
        (
            "age: {kind: number}",
            "age: {kind: number, decimle: ','}",
            "12: data.columns.age.decimle is not known here; did you mean 'decimal'?",
        ),
        # Names of columns.
        ("churn  #", "chrun  #", "3: problem.target: no column 'chrun'; did you mean 'churn'?"),
        (
            "  na_values",
            "  time_column: yaer\n  na_values",
            "9: data.time_column: no column 'yaer'; choose one of: 2024, age, churn, street",
        ),
        (
            "  na_values",
            "  drop:\n    - age\n    - steret\n  na_values",
            "11: data.drop: no column 'steret'; did you mean 'street'?",
        ),
        (
            "  na_values",
            "  join:\n    - {source: a.csv, on: street}\n    - {source: b.csv}\n  na_values",
            "11: data.join, entry 2: on is missing",
        ),
    ],
)
def test_an_issue_has_its_line_and_a_suggestion(
    old: str, new: str, mistake: str, write_file: WriteFile
) -> None:
    assert load_issues(
        write_file(project_file.PROJECT_FILE_NAME, replace_in_valid_file((old, new)))
    ) == [f"line {mistake}"]


@pytest.mark.parametrize(
    ("section", "mistake"),
    [
        ("modle: {}", "17: modle is not known here; did you mean 'model'?"),
        (
            "clean: 5",
            "17: clean must be a section with all, columns and conflicting_rows (got: 5)",
        ),
        (
            "clean:\n  columns: {aeg: {clip: auto}}",
            "18: clean.columns: no column 'aeg'; did you mean 'age'?",
        ),
        (
            "clean:\n  columns:\n    age:\n      clip: [1]",
            "20: clean.columns.age.clip must be a list of 2 numbers, or auto (got: [1])",
        ),
        (
            "clean:\n  all: {clip: [9, 1]}",
            "18: clean.all: clip goes from 9 to 1; give the lowest value first, then the highest",
        ),
        (
            "clean:\n  all:\n    scal: none",
            "19: clean.all.scal is not known here; did you mean 'scale'?",
        ),
        ("split:\n  tset: 0.2", "18: split.tset is not known here; did you mean 'test'?"),
        (
            "split:\n  strategy: random",
            "18: split.strategy must be stratified, group or time (got: 'random')",
        ),
        ("split:\n  strategy: group", "18: split.strategy is group, but data.group is not set"),
        ("split:\n  strategy: time", "18: split.strategy is time, but data.time_column is not set"),
        (
            "split: {test: 1.5}",
            "17: split.test must be a number of 0 or more and below 1 (got: 1.5)",
        ),
        (
            "split:\n  gap: 7d",
            "18: split.gap needs the strategy time; otherwise rows have no order",
        ),
        (
            "split: {validation: 0.5, evaluation: 0.3}",
            "17: split: validation, evaluation and test take 95% of the rows; "
            "set them so that at least 10 % are left for training",
        ),
        (
            "model:\n  dropout: 2",
            "18: model.dropout must be a number of 0 or more and below 1 (got: 2)",
        ),
        (
            "model:\n  learner: netwrk",
            "18: model.learner: no learner 'netwrk'; did you mean 'network'?",
        ),
        (
            "model:\n  learner: [linear]",
            "18: model.learner must be a text (got: ['linear'])",
        ),
        (
            "model:\n  learner: lightgbm\n  num_leafs: 7",
            "19: model.num_leafs is not a setting of lightgbm; did you mean 'num_leaves'?",
        ),
        (
            "train:\n  seed: 1\n  device: gpu",
            "19: train.device must be auto, cpu, cuda or mps (got: 'gpu')",
        ),
        (
            "deploy:\n  max_latency_ms: fast",
            "18: deploy.max_latency_ms must be a number above 0 (got: 'fast')",
        ),
        (
            "audit:\n  accept:\n    - target_leakage:age\n    - 5",
            "20: audit.accept, entry 2 must be a text (got: 5)",
        ),
    ],
)
def test_issues_in_optional_sections(section: str, mistake: str, write_file: WriteFile) -> None:
    assert load_issues(write_file(project_file.PROJECT_FILE_NAME, f"{VALID_FILE}{section}\n")) == [
        f"line {mistake}"
    ]


def test_all_issues_are_reported_in_line_order(
    write_file: WriteFile,
) -> None:
    text = replace_in_valid_file(
        ("churn  #", "chrun  #"),
        ("task: binary", "task: binry"),
        ("age: {kind: number}", "age: {kind: numbr}"),
        ("  na_values", "  dorp: []\n  group: citty\n  na_values"),
        (
            EXTRA_COLUMN_LINE,
            EXTRA_COLUMN_LINE + "modle: {}\nsplit:\n  test: 2\nmodel:\n  droput: 0.1\n",
        ),
    )
    lines = load_issues(write_file(project_file.PROJECT_FILE_NAME, text))
    assert [
        line.partition(" is ")[0].partition(": no")[0].partition(" must")[0] for line in lines
    ] == [
        "line 3: problem.target",
        "line 4: problem.task",
        "line 9: data.dorp",
        "line 10: data.group",
        "line 14: data.columns.age.kind",
        "line 19: modle",
        "line 21: split.test",
        "line 23: model.droput",
    ]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("problem.positive", "did you mean 'positive_class'?"),
        ("problem.reject", "reject_fraction"),
        ("problem.bar", "choose one of: class_order, costs, coverage, description, goal,"),
        ("data.names", "column_names"),
        ("data.derive", "derived_columns"),
        ("data.time", "choose one of: column_names,"),
        ("data.weight", "did you mean 'sample_weight'?"),
        ("clean.conflicting", "did you mean 'conflicting_rows'?"),
        ("split.rule", "choose one of: evaluation, gap, near_duplicates, seed, strategy,"),
        ("split.near", "near_duplicates"),
        ("train.budget", "did you mean 'time_budget'?"),
        ("deploy.latency", "did you mean 'max_latency_ms'?"),
        ("deploy.watch", "choose one of: max_latency_ms,"),
        ("model.blend", "choose one of: "),
        ("card.use", "choose one of: affected_groups,"),
    ],
)
def test_keys_of_earlier_versions_are_rejected(
    entry: str, message: str, write_file: WriteFile
) -> None:
    section, key = entry.split(".")
    text = f"{VALID_FILE}{section}:\n  {key}: 1\n"
    if f"{section}:\n" in VALID_FILE:
        text = VALID_FILE.replace(f"{section}:\n", f"{section}:\n  {key}: 1\n")
    (issue,) = load_issues(write_file(project_file.PROJECT_FILE_NAME, text))
    assert f"{entry} is not " in issue
    assert message in issue


def test_missing_sections_are_named(write_file: WriteFile) -> None:
    lines = load_issues(write_file(project_file.PROJECT_FILE_NAME, "model: {learner: linear}\n"))
    assert lines == ["line 1: data is missing", "line 1: problem is missing"]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("problem: [1\ndata: 2\n", "line 2, column 5"),
        ("problem:\n  target: a\n task: b\n", "line 3, column 2"),
        ("problem: {}\nproblem: {}\n", 'line 2, column 1: found duplicate key "problem"'),
        (b"problem: \xff\n", "can't decode byte 0xff"),
        (b"problem: \x07\n", "special characters are not allowed"),
    ],
)
def test_invalid_yaml_is_reported_with_its_location(
    text: str | bytes, seen: str, write_file: WriteFile
) -> None:
    with pytest.raises(ProjectError, match="is not valid YAML") as caught:
        project_file.load_settings(write_file(project_file.PROJECT_FILE_NAME, text))
    assert seen in caught.value.detail


@pytest.mark.parametrize("text", ["", "# only a comment\n", "- a\n- b\n", "just words\n"])
def test_a_file_without_sections_is_an_error(text: str, write_file: WriteFile) -> None:
    with pytest.raises(ProjectError, match="has no sections"):
        project_file.load_settings(write_file(project_file.PROJECT_FILE_NAME, text))


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="there is no project here") as caught:
        project_file.load_settings(tmp_path / project_file.PROJECT_FILE_NAME)
    assert str(tmp_path) in caught.value.detail


def test_an_edit_changes_nothing_else(valid_file_path: Path) -> None:
    project_file.apply_edits(
        valid_file_path,
        [
            ConfigEdit(("problem", "positive_class"), "yes"),
            ConfigEdit(("data", "drop"), "age", append=True),
            ConfigEdit(("data", "columns", "2024", "kind"), "category"),
            ConfigEdit(("clean", "columns", "age", "clip"), [0, 99]),
        ],
    )
    expected = replace_in_valid_file(
        ("positive_class: no", "positive_class: yes"),
        (EXTRA_COLUMN_LINE, "    2024: {kind: category}\n  drop:\n    - age\n"),
    )
    clean = "clean:\n  columns:\n    age:\n      clip:\n        - 0\n        - 99\n"
    assert valid_file_path.read_text(encoding="utf-8") == expected + clean


def test_a_value_is_appended_to_a_list_once(valid_file_path: Path) -> None:
    for name in ("target_leakage:age", "target_leakage:street", "target_leakage:age"):
        project_file.apply_edits(
            valid_file_path, [ConfigEdit(("audit", "accept"), name, append=True)]
        )
    assert project_file.load_settings(valid_file_path).audit.accept == [
        "target_leakage:age",
        "target_leakage:street",
    ]


def test_no_edits_leave_the_file_unchanged(valid_file_path: Path) -> None:
    project_file.apply_edits(valid_file_path, [])
    assert valid_file_path.read_text(encoding="utf-8") == VALID_FILE


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (ConfigEdit(("split", "tset"), 0.2), "did you mean 'test'"),
        (ConfigEdit(("split", "test"), 2), "below 1"),
        (ConfigEdit(("data", "drop"), "aeg", append=True), "no column 'aeg'"),
        (ConfigEdit(("problem", "target", "name"), "x"), "does not fit"),
        (ConfigEdit(("problem", "target"), "age", append=True), "does not fit"),
        (ConfigEdit(("problem", "target"), "c", append=True), "does not fit"),
    ],
)
def test_an_invalid_edit_is_rolled_back(
    edit: ConfigEdit, message: str, valid_file_path: Path
) -> None:
    with pytest.raises(ProjectError, match=message):
        project_file.apply_edits(
            valid_file_path, [ConfigEdit(("problem", "positive_class"), "yes"), edit]
        )
    assert valid_file_path.read_text(encoding="utf-8") == VALID_FILE
    assert list(valid_file_path.parent.iterdir()) == [valid_file_path]


EMPTY_SECTIONS = "clean:\naudit:\nsplit:\nmodel:\ntrain:\ndeploy:\ncard:\n"
EMPTY_ENTRIES = """\
clean:
  all:
  columns:
    age:
audit: {accept: }
split:
  gap:
  strategy:
model:
  learner:
  dropout:
train: {time_budget: }
"""


@pytest.mark.parametrize("text", [EMPTY_SECTIONS, EMPTY_ENTRIES])
def test_empty_entries_are_ignored(text: str, write_file: WriteFile) -> None:
    settings = project_file.load_settings(
        write_file("empty.yaml", replace_in_valid_file(("no\n\n", "no\n  goal:\n\n")) + text)
    )
    plain = project_file.load_settings(write_file("plain.yaml", VALID_FILE)).model_dump()
    cleaned = settings.clean.columns
    assert settings.model_dump() | {"clean": plain["clean"]} == plain
    assert cleaned in ({}, {"age": ColumnCleaning()})


def test_unknown_empty_entries_are_reported(write_file: WriteFile) -> None:
    text = VALID_FILE + "model:\n  droput:\nsplit:\n  tset:\n"
    assert [
        line.partition(";")[0]
        for line in load_issues(write_file(project_file.PROJECT_FILE_NAME, text))
    ] == [
        "line 18: model.droput is not a setting of network",
        "line 20: split.tset is not known here",
    ]


def test_an_edit_fills_an_empty_section(write_file: WriteFile) -> None:
    path = write_file(project_file.PROJECT_FILE_NAME, VALID_FILE + "audit:\nclean:\n  columns:\n")
    project_file.apply_edits(
        path,
        [
            ConfigEdit(("audit", "accept"), "target_leakage:age", append=True),
            ConfigEdit(("clean", "columns", "age", "missing"), "drop"),
        ],
    )
    settings = project_file.load_settings(path)
    assert settings.audit.accept == ["target_leakage:age"]
    assert settings.clean.columns["age"].missing == "drop"


def test_column_names_may_be_yaml_numbers_or_booleans(write_file: WriteFile) -> None:
    text = """\
problem:
  target: 2024
  task: binary
  positive_class: true
  costs: {true: {false: 5}}
  sensitive_features: [true, 2025]
data:
  source: t.csv
  drop: [2025]
  columns:
    2024: {kind: boolean}
    2025: {kind: number}
    true: {kind: boolean}
clean:
  columns:
    2025: {clip: auto}
"""
    settings = project_file.load_settings(write_file(project_file.PROJECT_FILE_NAME, text))
    assert (settings.problem.target, settings.problem.positive_class) == ("2024", "true")
    assert settings.problem.sensitive_features == ["true", "2025"]
    assert settings.problem.costs == {"true": {"false": 5.0}}
    assert (settings.data.drop, list(settings.clean.columns)) == (["2025"], ["2025"])
    path = write_file(project_file.PROJECT_FILE_NAME, text.replace("clip: auto", "clip: 5"))
    assert load_issues(path)[0].startswith("line 16: clean.columns.2025.clip must be")


@pytest.fixture(scope="module")
def validate_with_schema() -> Callable[[Any], list[str]]:
    """Return the paths of the errors of values, by a JSON schema validator."""
    checker = pytest.importorskip("jsonschema", reason="checks a file as an editor does")
    schema = json.loads(json.dumps(project_file.build_editor_schema(), allow_nan=False))
    checker.Draft202012Validator.check_schema(schema)
    validator = checker.Draft202012Validator(schema)
    return lambda values: [error.json_path for error in validator.iter_errors(values)]


def test_the_schema_accepts_the_files_that_init_writes(
    tmp_path: Path, table: pl.DataFrame, validate_with_schema: Callable[[Any], list[str]]
) -> None:
    table = table.with_columns(odd=pl.int_range(table.height) % 2, amount=pl.col("age") * 1.5)
    table.write_csv(tmp_path / "t.csv")
    for targets in (("bought",), ("city",), ("amount",), ("odd", "member")):
        folder = tmp_path / targets[0]
        init(InitRequest(folder, str(tmp_path / "t.csv"), targets))
        assert (
            validate_with_schema(
                project_file.to_plain_values(
                    project_file.load_document(folder / project_file.PROJECT_FILE_NAME)
                )
            )
            == []
        )


COMPLETE_FILE = """\
problem:
  target: churn
  task: binary
  metric: f1
  goal: 0.8
  positive_class: 1
  costs: {"1": {"0": 5}}
  threshold: mcc
  coverage: 0.95
  sensitive_features: [street, 2024]
data:
  source: {train: a.csv, test: b.csv}
  na_values: ["?", -999]
  join:
    - {source: prices.csv, on: street, columns: [price]}
    - {source: more.csv, on: [street, 2024]}
  derived_columns: {rate: price / 12}
  filter: age >= 18
  drop: []
  time_column: seen
  sample_weight: age
  columns:
    churn: {kind: boolean}
    age: {kind: number, decimal: ","}
    seen: {kind: datetime}
    street: {kind: category}
    price: {kind: number}
    2024: {kind: number}
clean:
  all: {impute: median, scale: robust, clip: auto}
  columns:
    age: {impute: 0, clip: [0, 99], missing: drop}
    street: {impute: unknown}
    price:
  conflicting_rows: drop
audit: {accept: [target_leakage:age]}
split: {strategy: time, gap: 7d, test: 0.2}
model: {learner: network, trunk: mlp, layers: [16], dropout: 0.2, class_weights: balanced}
train: {seed: 3, time_budget: 5m, device: cpu}
deploy:
  max_latency_ms: 5
  max_size_mb: 100
  max_memory_mb:
card: {owner: the shop, intended_use: whom to call}
"""


def test_the_schema_accepts_valid_settings(
    write_file: WriteFile, validate_with_schema: Callable[[Any], list[str]]
) -> None:
    for text in (VALID_FILE, VALID_FILE + EMPTY_SECTIONS, COMPLETE_FILE):
        path = write_file(project_file.PROJECT_FILE_NAME, text)
        project_file.load_settings(path)
        assert (
            validate_with_schema(project_file.to_plain_values(project_file.load_document(path)))
            == []
        )


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("metric: f1", "metric: rmse", "$.problem.metric"),
        ("task: binary", "task: binry", "$.problem.task"),
        ("target: churn", "target: [churn]", "$.problem.target"),
        ("task: binary", "task: multilabel", "$.problem.target"),
        ("threshold: mcc", "threshold: 2", "$.problem.threshold"),
        ("  coverage: 0.95", "  covrage: 0.95", "$.problem"),
        ("{kind: category}", "{kind: category, decimal: x}", "$.data.columns.street"),
        ("{kind: boolean}", "{kind: bool}", "$.data.columns.churn.kind"),
        ("on: street,", "no: street,", "$.data.join[0]"),
        ("clip: auto", "clip: 5", "$.clean.all.clip"),
        ("gap: 7d", "gap: week", "$.split.gap"),
        ("dropout: 0.2", "dropout: 2", "$.model.dropout"),
        ("dropout: 0.2", "droput: 0.2", "$.model"),
        ("learner: network", "learner: linear", "$.model"),
        ("learner: network, ", "num_leaves: 3, ", "$.model"),
        ("learner: network, ", "learner: , num_leaves: 3, ", "$.model"),
        ("budget: 5m", "budget: soon", "$.train.time_budget"),
        ("latency_ms: 5", "latency_ms: -5", "$.deploy.max_latency_ms"),
        ("  source: {train: a.csv, test: b.csv}", "", "$.data"),
    ],
)
def test_the_schema_rejects_invalid_settings(
    old: str,
    new: str,
    where: str,
    write_file: WriteFile,
    validate_with_schema: Callable[[Any], list[str]],
) -> None:
    assert COMPLETE_FILE.count(old) == 1
    path = write_file(project_file.PROJECT_FILE_NAME, COMPLETE_FILE.replace(old, new))
    assert load_issues(path)
    assert where in validate_with_schema(
        project_file.to_plain_values(project_file.load_document(path))
    )


def test_the_schema_describes_every_entry_and_names_every_plugin() -> None:
    tree = project_file.build_editor_schema()
    for name, definition in tree["$defs"].items():
        for field, node in definition["properties"].items():
            assert node["description"], f"{name}.{field}"
    goal = tree["$defs"]["ProblemSettings"]["properties"]["goal"]
    assert goal["description"] == "Value that the metric must reach."
    plugin_fields = {"tasks": ("ProblemSettings", "task"), "kinds": ("ColumnSettings", "kind")}
    plugin_fields |= {"learners": ("ModelSettings", "learner")}
    for group, (section, field) in plugin_fields.items():
        named = json.dumps(tree["$defs"][section]["properties"][field])
        assert all(json.dumps(plugin_name) in named for plugin_name in catalog.list_plugins(group))
    assert set(tree["properties"]) == set(ProjectSettings.model_fields)
    assert project_file.build_editor_schema() == tree


def test_a_misspelled_imputation_is_reported_with_its_line(write_file: WriteFile) -> None:
    lines = load_issues(
        write_file(project_file.PROJECT_FILE_NAME, VALID_FILE + "clean:\n  all: {impute: medain}\n")
    )
    line = len(VALID_FILE.splitlines()) + 2
    assert lines == [
        f"line {line}: clean.all.impute: 'medain' fills categories only; did you mean 'median'?"
    ]
