"""The project file: all mistakes at once with their lines, and edits that keep the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fieldcraft.core.edit import Edit
from fieldcraft.core.errors import ProjectError
from fieldcraft.project import file

Write = Callable[[str, str | bytes], Path]

GOOD = """\
# Who will leave us?
problem:
  target: churn  # yes or no
  task: binary
  positive: no

data:
  source: customers.csv
  missing: ["?", 'NA', -999]
  columns:
    churn: {kind: boolean}
    age: {kind: number}

    # where they live
    street: {kind: category}
    2024: {kind: number}
"""
END = "    2024: {kind: number}\n"


@pytest.fixture
def good(write: Write) -> Path:
    """A project file without a mistake."""
    return write(file.NAME, GOOD)


def mistakes(path: Path) -> list[str]:
    """The lines in which loading a file reports its mistakes."""
    with pytest.raises(ProjectError, match=r"has \d+ mistake") as caught:
        file.load(path)
    lines = [line.strip() for line in caught.value.seen.splitlines()]
    count = f"{len(lines)} mistake{'s' * (len(lines) > 1)}"
    assert caught.value.what == f"{file.NAME} has {count}"
    return lines


def changed(*changes: tuple[str, str]) -> str:
    """The good file with some of its text replaced."""
    text = GOOD
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


def test_a_good_file_says_what_it_says(good: Path) -> None:
    found = file.load(good)
    assert found.problem.target == "churn"
    assert list(found.data.columns) == ["churn", "age", "street", "2024"]
    assert found.data.missing == ["?", "NA", "-999"]


@pytest.mark.parametrize("word", ["no", "yes", "on", "off", "y", "n"])
def test_words_of_yes_and_no_stay_words(word: str, write: Write) -> None:
    path = write(file.NAME, changed(("positive: no", f"positive: {word}")))
    assert file.load(path).problem.positive == word


@pytest.mark.parametrize("cell", ["1", "0.5", "true", '"1"'])
def test_a_class_may_look_like_a_number_or_a_truth(cell: str, write: Write) -> None:
    path = write(file.NAME, changed(("positive: no", f"positive: {cell}")))
    assert file.load(path).problem.positive == cell.strip('"')


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        # Words that are not known, and words that must be there.
        ("positive", "postive", "5: problem.postive is not known here; did you mean 'positive'?"),
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
            "[churn]  #",
            "3: problem.target: input should be a valid string (seen: ['churn'])",
        ),
        ("customers.csv", "5", "8: data.source: input should be a valid string (seen: 5)"),
        # Names of plugs.
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
            "  missing",
            "  time: yaer\n  missing",
            "9: data.time: no column 'yaer'; choose one of: 2024, age, churn, street",
        ),
        (
            "  missing",
            "  drop:\n    - age\n    - steret\n  missing",
            "11: data.drop: no column 'steret'; did you mean 'street'?",
        ),
    ],
)
def test_a_mistake_is_reported_with_its_line_and_the_near_name(
    old: str, new: str, mistake: str, write: Write
) -> None:
    assert mistakes(write(file.NAME, changed((old, new)))) == [f"line {mistake}"]


@pytest.mark.parametrize(
    ("section", "mistake"),
    [
        ("modle: {}", "17: modle is not known here; did you mean 'model'?"),
        (
            "clean:",
            "17: clean: input should be a valid dictionary or instance of Clean (seen: None)",
        ),
        ("clean:\n  clip: {aeg: [0, 9]}", "18: clean.clip: no column 'aeg'; did you mean 'age'?"),
        (
            "clean:\n  clip:\n    age: [1]",
            "19: clean.clip.age: list should have at least 2 items after validation, "
            "not 1 (seen: [1])",
        ),
        ("split:\n  tset: 0.2", "18: split.tset is not known here; did you mean 'test'?"),
        (
            "split:\n  rule: random",
            "18: split.rule: input should be 'stratified', 'group' or 'time' (seen: 'random')",
        ),
        ("split:\n  rule: group", "18: split.rule is group, but data.group names no column"),
        ("split:\n  rule: time", "18: split.rule is time, but data.time names no column"),
        ("split: {test: 1.5}", "17: split.test: input should be less than 1 (seen: 1.5)"),
        (
            "split: {tune: 0.5, judge: 0.3}",
            "17: split: tune, judge and test take 95% of the rows; "
            "set them so that at least 10 % are left for training",
        ),
        ("model:\n  dropout: 2", "18: model.dropout: input should be less than 1 (seen: 2)"),
        (
            "model:\n  learner: netwrk",
            "18: model.learner: no learner 'netwrk'; did you mean 'network'?",
        ),
        (
            "model:\n  learner: [linear]",
            "18: model.learner: input should be a valid string (seen: ['linear'])",
        ),
        (
            "model:\n  learner: lightgbm\n  leafs: 7",
            "19: model.leafs is not a setting of lightgbm; did you mean 'leaves'?",
        ),
    ],
)
def test_a_mistake_in_a_further_section_is_reported_the_same_way(
    section: str, mistake: str, write: Write
) -> None:
    assert mistakes(write(file.NAME, f"{GOOD}{section}\n")) == [f"line {mistake}"]


def test_all_mistakes_of_a_file_are_reported_at_once_in_the_order_of_lines(write: Write) -> None:
    text = changed(
        ("churn  #", "chrun  #"),
        ("task: binary", "task: binry"),
        ("age: {kind: number}", "age: {kind: numbr}"),
        ("  missing", "  dorp: []\n  group: citty\n  missing"),
        (END, END + "modle: {}\nsplit:\n  test: 2\nmodel:\n  droput: 0.1\n"),
    )
    found = mistakes(write(file.NAME, text))
    assert [line.partition(" is ")[0].partition(": no")[0] for line in found] == [
        "line 3: problem.target",
        "line 4: problem.task",
        "line 9: data.dorp",
        "line 10: data.group",
        "line 14: data.columns.age.kind",
        "line 19: modle",
        "line 21: split.test: input should be less than 1 (seen: 2)",
        "line 23: model.droput",
    ]


def test_every_missing_section_is_named(write: Write) -> None:
    found = mistakes(write(file.NAME, "model: {learner: linear}\n"))
    assert found == ["line 1: data is missing", "line 1: problem is missing"]


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
def test_what_is_not_yaml_is_named_with_its_place(
    text: str | bytes, seen: str, write: Write
) -> None:
    with pytest.raises(ProjectError, match="is not valid YAML") as caught:
        file.load(write(file.NAME, text))
    assert seen in caught.value.seen


@pytest.mark.parametrize("text", ["", "# only a comment\n", "- a\n- b\n", "just words\n"])
def test_a_file_without_sections_is_an_error(text: str, write: Write) -> None:
    with pytest.raises(ProjectError, match="holds no sections"):
        file.load(write(file.NAME, text))


def test_without_a_file_the_way_to_start_is_shown(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="there is no project here") as caught:
        file.load(tmp_path / file.NAME)
    assert str(tmp_path) in caught.value.seen


def test_an_edit_changes_its_place_and_not_a_letter_more(good: Path) -> None:
    file.edit(
        good,
        [
            Edit(("problem", "positive"), "yes"),
            Edit(("data", "drop"), "age", add=True),
            Edit(("data", "columns", "2024", "kind"), "category"),
            Edit(("clean", "clip", "age"), [0, 99]),
        ],
    )
    expected = changed(
        ("positive: no", "positive: yes"),
        (END, "    2024: {kind: category}\n  drop:\n    - age\n"),
    )
    clean = "clean:\n  clip:\n    age:\n      - 0\n      - 99\n"
    assert good.read_text(encoding="utf-8") == expected + clean


def test_a_value_is_added_to_a_list_once(good: Path) -> None:
    for name in ("leak:age", "leak:street", "leak:age"):
        file.edit(good, [Edit(("audit", "accept"), name, add=True)])
    assert file.load(good).audit.accept == ["leak:age", "leak:street"]


def test_no_edit_leaves_the_file_as_it_is(good: Path) -> None:
    file.edit(good, [])
    assert good.read_text(encoding="utf-8") == GOOD


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (Edit(("split", "tset"), 0.2), "did you mean 'test'"),
        (Edit(("split", "test"), 2), "less than 1"),
        (Edit(("data", "drop"), "aeg", add=True), "no column 'aeg'"),
        (Edit(("problem", "target", "name"), "x"), "does not fit"),
        (Edit(("problem", "target"), "age", add=True), "does not fit"),
        (Edit(("problem", "target"), "c", add=True), "does not fit"),
    ],
)
def test_an_edit_that_would_spoil_the_file_is_taken_back(
    edit: Edit, message: str, good: Path
) -> None:
    with pytest.raises(ProjectError, match=message):
        file.edit(good, [Edit(("problem", "positive"), "yes"), edit])
    assert good.read_text(encoding="utf-8") == GOOD
    assert list(good.parent.iterdir()) == [good]
