"""The check that reports evaluation and test rows that are also training rows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fieldcraft.checks.train_test_overlap import CHECK, MISSING_GROUP_DIGEST
from fieldcraft.contracts import CheckContext
from fieldcraft.core.config_edit import ConfigEdit
from tests.checks.contexts import run_check, split_context


def view(shared: int, rows: int = 200) -> CheckContext:
    """Return a context in which some evaluation rows are also training rows."""
    cells = {"a": [str(i) for i in range(rows)], "y": ["u", "v"] * (rows // 2)}
    base = split_context(cells, "binary", a="number")
    assert base.row_digests is not None
    train = list(base.row_digests["train"])
    evaluation = [*train[:shared], *(f"other {i}".encode() for i in range(rows - shared))]
    return replace(base, row_digests={"train": train, "evaluation": evaluation, "test": []})


def test_parts_without_common_rows_are_not_reported() -> None:
    assert run_check(CHECK, view(0)) == []


@pytest.mark.parametrize(("shared", "severity"), [(1, "info"), (2, "warning"), (150, "warning")])
def test_shared_rows_are_counted(shared: int, severity: str) -> None:
    (finding,) = run_check(CHECK, view(shared))
    assert finding.severity == severity
    assert finding.evidence == {"part": "evaluation", "shared": shared, "rows": 200}


def test_duplicates_within_the_training_part_do_not_count() -> None:
    base = view(0)
    assert base.row_digests is not None
    train = list(base.row_digests["train"])
    assert run_check(CHECK, replace(base, row_digests={"train": train + train})) == []


def people(entity: str | None = None, time: str | None = None) -> CheckContext:
    """Return a context whose parts share three of four groups, and rows without a group."""
    entities = {
        "train": [b"a", b"b", b"c", MISSING_GROUP_DIGEST],
        "evaluation": [b"a", b"b", b"c", b"d", MISSING_GROUP_DIGEST],
    }
    return replace(view(0), group_digests=entities, group_column=entity, time_column=time)


def test_groups_in_both_parts_are_counted_once() -> None:
    (finding,) = run_check(CHECK, people(entity="person"))
    assert (finding.severity, finding.column) == ("warning", "person")
    assert "3 of 4 values of person in evaluation rows (75.0%)" in finding.title
    assert finding.fixes == (ConfigEdit(("split", "strategy"), "group"),)


def test_shared_groups_are_an_info_in_a_split_by_time() -> None:
    (finding,) = run_check(CHECK, people(entity="person", time="day"))
    assert (finding.severity, finding.fixes) == ("info", ())


def test_rows_without_a_group_and_unshared_groups_are_not_reported() -> None:
    apart = {"train": [b"a", MISSING_GROUP_DIGEST], "evaluation": [b"b", MISSING_GROUP_DIGEST]}
    assert run_check(CHECK, replace(people(entity="person"), group_digests=apart)) == []
    assert run_check(CHECK, people()) == []


def test_every_other_part_is_compared_with_training() -> None:
    base = view(0)
    assert base.row_digests is not None
    train = list(base.row_digests["train"])
    others = [f"other {i}".encode() for i in range(300)]
    parts = {
        "train": train,
        "evaluation": [*train[:3], *others[:97]],
        "test": [*train[:1], *others[:100]],
    }
    findings = run_check(CHECK, replace(base, row_digests=parts))
    assert [(f.severity, f.evidence) for f in findings] == [
        ("warning", {"part": "evaluation", "shared": 3, "rows": 100}),
        ("info", {"part": "test", "shared": 1, "rows": 101}),
    ]
    assert findings[0].title == "3 of 100 evaluation rows (3.0%) are also training rows"
    assert all(f.fixes == () for f in findings)


def test_more_than_one_percent_is_a_warning_and_duplicates_count() -> None:
    base = view(0)
    assert base.row_digests is not None
    (first, *_), others = base.row_digests["train"], [f"other {i}".encode() for i in range(200)]
    for rest, severity in ((198, "warning"), (199, "info")):
        evaluation = [first, first, *others[:rest]]
        (finding,) = run_check(
            CHECK, replace(base, row_digests={"train": [first], "evaluation": evaluation})
        )
        assert (finding.severity, finding.evidence["shared"]) == (severity, 2)


def test_the_part_with_the_largest_fraction_of_shared_groups_is_named() -> None:
    entities = {
        "train": [b"a", b"b", b"c"],
        "evaluation": [b"a", b"b", b"c", b"d", b"d", b"e", b"f"],
        "test": [b"a", MISSING_GROUP_DIGEST],
        "tune": [MISSING_GROUP_DIGEST],
    }
    (finding,) = run_check(CHECK, replace(people(entity="person"), group_digests=entities))
    assert "1 of 1 values of person in test rows (100.0%)" in finding.title
    assert finding.evidence == {
        "shared": {"evaluation": 3, "test": 1, "tune": 0},
        "groups": {"evaluation": 6, "test": 1, "tune": 0},
    }
