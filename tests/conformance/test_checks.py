"""Every check that is plugged in keeps the promises of a check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import polars as pl
import pytest

from fieldcraft.contracts import Check, CheckContext, CheckScope
from fieldcraft.core import catalog
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.ledger.records import SEVERITIES, Finding
from fieldcraft.project import project_file
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages.init import InitRequest, init
from tests.checks.contexts import (
    data_context,
    empty_context,
    load_all_checks,
    run_check,
    split_context,
)
from tests.checks.test_planted import PLANTS, TARGETS, sound

CHECKS = [pytest.param(check, id=check.code) for check in load_all_checks()]
SPLIT_CHECKS = [
    pytest.param(check, id=check.code) for check in load_all_checks() if check.scope == "split"
]
FEATURE_KINDS = {
    name: name
    for name in catalog.list_plugins("kinds")
    if catalog.load_plugin("kinds", name).is_feature
}
ALL_KINDS = {name: name for name in catalog.list_plugins("kinds")}
ROWS = 400


def make_faulty_cells(rows: int = ROWS) -> dict[str, list[str]]:
    """Cells of a table in which nearly everything is wrong."""
    draw = np.random.default_rng(0)
    amount = draw.normal(50, 10, rows).round(2)
    amount[:3], amount[3] = -999, 1e6
    label = np.where(draw.random(rows) < 0.03, "rare", "common")
    cells: dict[str, Any] = {
        "amount": amount.astype(str),
        "word": np.where(np.arange(rows) % 9, draw.choice([*"ab"], rows), "unknown"),
        "mark": np.where(np.arange(rows) % 50, draw.integers(0, 9, rows).astype(str), "?"),
        "hollow": np.where(np.arange(rows) % 40, "", "3"),
        "key": [f"k{i}" for i in range(rows)],
        "same": np.full(rows, "x"),
        "leak": label,
        "y": label,
    }
    texts = {name: [str(cell) for cell in values] for name, values in cells.items()}
    return {name: [*values, *values[-20:]] for name, values in texts.items()}


KINDS = {
    "amount": "number",
    "word": "category",
    "mark": "number",
    "hollow": "number",
    "key": "category",
    "same": "category",
    "leak": "category",
}


def make_faulty_context(looks_at: CheckScope) -> CheckContext:
    """The faulty table as a check meets it."""
    cells = make_faulty_cells()
    if looks_at != "split":
        return data_context(cells, **KINDS)
    rare = cells["y"].index("rare")
    cells = {name: [*values, values[rare]] for name, values in cells.items()}
    cells["y"][-1] = "common"  # a twin with another target
    return split_context(cells, "binary", amount="number", word="category", leak="category")


@pytest.mark.parametrize("name", catalog.list_plugins("checks"))
def test_a_check_has_the_code_that_its_file_is_named_by(name: str) -> None:
    assert catalog.load_plugin("checks", name).code == name


def test_no_two_checks_share_a_code() -> None:
    codes = [check.code for check in load_all_checks()]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_says_what_it_looks_at(check: Check) -> None:
    assert check.scope in get_args(CheckScope)
    assert (type(check).__doc__ or "").strip()


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("rows", [0, 1, 120])
@pytest.mark.parametrize(
    "kinds", [{}, FEATURE_KINDS, ALL_KINDS], ids=["no columns", "used", "all kinds"]
)
def test_a_check_takes_rows_without_values_and_tables_without_rows(
    check: Check, rows: int, kinds: dict[str, str]
) -> None:
    for task in ("binary", "regression", "labels") if check.scope == "split" else ("binary",):
        for finding in run_check(check, empty_context(check.scope, rows, task, **kinds)):
            assert finding.severity in SEVERITIES


@pytest.mark.parametrize("check", SPLIT_CHECKS)
@pytest.mark.parametrize("task", TARGETS)
def test_a_check_takes_every_task(check: Check, task: str) -> None:
    cells = {name: list(map(str, column)) for name, column in sound(task, 60).items()}
    targets = TARGETS[task]
    kinds = dict.fromkeys(["income", "amount"], "number") | {"purpose": "category"}
    cells = {name: column for name, column in cells.items() if name in {*kinds, *targets}}
    for finding in run_check(check, split_context(cells, task, targets, **kinds)):
        json.dumps(finding.to_json(), allow_nan=False)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("rows", [3, 120])
def test_a_check_takes_odd_columns(check: Check, rows: int) -> None:
    """All cells different, all the same but one, infinite or huge, blank or very long."""
    draw = np.random.default_rng(0)
    cells = {
        "different": list(map(str, draw.permutation(rows))),
        "same": ["x"] * (rows - 1) + ["y"],
        "huge": ["1e308", "-1e308", "inf"] * (rows // 3) + ["0"] * (rows % 3),
        "blank": ["", " ", "\0"] * (rows // 3) + ["a" * 5_000] * (rows % 3),
        "y": ["u", "v"] * (rows // 2) + ["u"] * (rows % 2),
    }
    kinds = {"different": "number", "same": "category", "huge": "number", "blank": "category"}
    view = data_context(cells, **kinds)
    if check.scope == "split":
        view = split_context(cells, "binary", **kinds)
    for finding in run_check(check, view):
        json.dumps(finding.to_json(), allow_nan=False)


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_is_silent_about_what_is_not_there_yet(check: Check) -> None:
    view = data_context({"a": ["1", "2", "3"] * 20, "y": ["u", "v"] * 30}, a="number")
    if check.scope != "data":
        assert run_check(check, view) == []


@pytest.mark.parametrize("check", CHECKS)
def test_findings_are_complete_and_survive_json(check: Check) -> None:
    for finding in run_check(check, make_faulty_context(check.scope)):
        assert finding.code == check.code
        assert finding.title
        assert finding.advice
        assert finding.evidence
        text = json.dumps(finding.to_json(), allow_nan=False)
        assert Finding.from_json(json.loads(text)) == finding


def test_an_error_finding_brings_its_fix() -> None:
    findings = [
        f for check in load_all_checks() for f in run_check(check, make_faulty_context(check.scope))
    ]
    stops = [finding for finding in findings if finding.severity == "error"]
    assert stops
    assert all(finding.fixes for finding in stops)


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_changes_nothing_that_it_looks_at(check: Check) -> None:
    view = make_faulty_context(check.scope)
    values, y = view.values.clone(), None if view.y is None else view.y.copy()
    run_check(check, view)
    assert view.values.equals(values, null_equal=True)
    np.testing.assert_array_equal(view.y, y)


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_says_the_same_twice(check: Check) -> None:
    view = make_faulty_context(check.scope)
    assert run_check(check, view) == run_check(check, view)


@pytest.fixture(scope="module")
def faulty_project_text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The project file of the faulty table, with nothing mended yet."""
    place = tmp_path_factory.mktemp("faulty")
    pl.DataFrame(make_faulty_cells()).write_csv(place / "t.csv")
    project = ProjectFolder(place / "p")
    init(InitRequest(project.root, str(place / "t.csv"), ("y",)))
    kinds = [ConfigEdit(("data", "columns", name, "kind"), kind) for name, kind in KINDS.items()]
    project_file.apply_edits(project.file_path, [ConfigEdit(("data", "na_values"), []), *kinds])
    return project.file_path.read_text(encoding="utf-8")


@pytest.mark.parametrize("check", CHECKS)
def test_fixes_can_be_written_into_the_project_file(
    check: Check, faulty_project_text: str, tmp_path: Path
) -> None:
    project = ProjectFolder(tmp_path)
    project.file_path.write_text(faulty_project_text, encoding="utf-8")
    for finding in run_check(check, make_faulty_context(check.scope)):
        before = project.load_settings()
        project_file.apply_edits(project.file_path, finding.fixes)
        assert (project.load_settings() != before) == bool(finding.fixes), finding.title


def test_every_check_has_a_fault_that_sets_it_off() -> None:
    """Add one to tests/checks/test_planted.py for a new check."""
    planted = {plant[0] for plant in PLANTS}
    of_files = {
        check.code
        for kind in catalog.load_plugins("kinds")
        if kind.storage == "files"  # they look at files, not at tables: see the kind's own tests
        for check in kind.checks()
    }
    assert {check.code for check in load_all_checks()} - planted - of_files == {
        "train_test_overlap",  # takes rows of two parts: see its own tests
        "label_noise",  # takes a champion: see its own tests
    }
