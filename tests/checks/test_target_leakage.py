"""The check that reports columns that leak the target."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fieldcraft.checks.target_leakage import CHECK
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.ledger.records import Finding
from tests.checks.contexts import run_check, split_context

DRAW = np.random.default_rng(0)
ROWS = 1_200
SCORE = DRAW.normal(size=ROWS)
LABEL = np.where(SCORE + DRAW.normal(0, 0.5, ROWS) > 1, "yes", "no")
OTHER = np.where(LABEL == "yes", "no", "yes")
AMOUNT = np.exp(2 * SCORE)  # skewed, as prices and incomes are


def look(column: Any, target: Any, kind: str, rows: int = ROWS) -> list[Finding]:
    """Return the findings for one column and a column of noise."""
    task = "regression" if np.asarray(target).dtype.kind == "f" else "binary"
    noise = np.random.default_rng(1).normal(size=rows)
    cells = {"x": column[:rows], "noise": noise, "y": target[:rows]}
    return run_check(CHECK, split_context(cells, task, x=kind, noise="number"))


@pytest.mark.parametrize("rows", [100, 300, ROWS])
@pytest.mark.parametrize(
    ("column", "target", "kind"),
    [
        (LABEL, LABEL, "category"),
        (np.where(LABEL == "yes", "1", "0"), LABEL, "boolean"),
        (np.where(LABEL == "yes", 17.0, 3.0), LABEL, "number"),
        (np.where(LABEL == "yes", "2024-05-01", "2020-01-01"), LABEL, "datetime"),
        (AMOUNT, AMOUNT, "number"),
        (np.log(AMOUNT), AMOUNT, "number"),
        (1 / AMOUNT, AMOUNT, "number"),
    ],
    ids=["copy", "recoded", "numbered", "dated", "amount", "logarithm", "reciprocal"],
)
def test_a_copy_of_the_target_is_an_error(column: Any, target: Any, kind: str, rows: int) -> None:
    (finding,) = look(column, target, kind, rows)
    assert finding.severity == "error"
    assert finding.column == "x"
    assert finding.fixes == (ConfigEdit(("data", "drop"), "x", append=True),)


@pytest.mark.parametrize(
    ("column", "target", "kind"),
    [
        (np.where(DRAW.random(ROWS) < 0.02, OTHER, LABEL), LABEL, "category"),
        (AMOUNT * np.exp(DRAW.normal(0, 0.4, ROWS)), AMOUNT, "number"),
    ],
    ids=["class", "amount"],
)
def test_a_noisy_copy_is_a_warning_without_a_fix(column: Any, target: Any, kind: str) -> None:
    (finding,) = look(column, target, kind)
    assert finding.severity == "warning"
    assert finding.fixes == ()


def test_a_column_with_values_for_one_class_only_is_reported() -> None:
    filled = np.where(LABEL == "yes", DRAW.normal(size=ROWS).astype(str), "")
    (finding,) = look(filled, LABEL, "number")
    assert finding.column == "x"


@pytest.mark.parametrize("rows", [60, 300, ROWS])
@pytest.mark.parametrize(
    ("column", "target", "kind"),
    [
        (SCORE, LABEL, "number"),
        (AMOUNT * np.exp(DRAW.normal(0, 1, ROWS)), AMOUNT, "number"),
        (np.round(SCORE).astype(str), LABEL, "category"),
        ([f"k{i}" for i in range(ROWS)], LABEL, "category"),
    ],
    ids=["score", "amount", "grade", "identifiers"],
)
def test_legitimate_features_are_not_reported(
    column: Any, target: Any, kind: str, rows: int
) -> None:
    assert look(column, target, kind, rows) == []


@pytest.mark.parametrize("positives", [1, 4, 12])
def test_rare_classes_in_rare_levels_are_not_reported(positives: int) -> None:
    rare = np.where(DRAW.permutation(ROWS) < positives, "yes", "no")
    street = [f"street {v}" for v in DRAW.integers(0, ROWS // 8, ROWS)]
    assert look(street, rare, "category") == []


def test_a_few_rows_are_not_reported() -> None:
    few = np.where(np.arange(ROWS) < 9, "yes", "no")
    place = ["main street" if i >= 50 else f"lane {i}" for i in range(ROWS)]
    assert look(place, few, "category") == []


def test_the_evidence_has_association_strength_and_rows() -> None:
    (finding,) = look(LABEL, LABEL, "category")
    assert finding.evidence["rows"] == ROWS
    assert finding.evidence["association_strength"] == pytest.approx(1)
    assert "x alone explains 100% of the target y" in finding.title


def test_a_lagged_target_is_a_warning_without_a_fix() -> None:
    walk = np.cumsum(DRAW.normal(size=ROWS))
    (finding,) = look(np.roll(walk, 1)[1:], walk[1:], "number", ROWS - 1)
    assert (finding.severity, finding.fixes) == ("warning", ())


@pytest.mark.parametrize("step", [0.05, 0.4])
def test_a_rounded_copy_of_a_number_is_an_error(step: float) -> None:
    (finding,) = look(np.round(SCORE / step) * step, SCORE, "number")
    assert finding.severity == "error"


def test_a_partly_filled_copy_is_an_error() -> None:
    cells = np.where(DRAW.random(ROWS) < 0.2, SCORE.astype(str), "")
    (finding,) = look(cells, SCORE, "number")
    assert finding.severity == "error"
    assert "where it has a value (18% of the rows)" in finding.title


def test_a_leak_of_one_label_is_reported() -> None:
    labels = {f"l{i}": (SCORE + DRAW.normal(0, 1, ROWS) > 0).astype(int) for i in range(3)}
    cells = {"x": np.where(labels["l1"] == 1, "p", "q"), "noise": SCORE, **labels}
    view = split_context(cells, "labels", targets=("l0", "l1", "l2"), x="category", noise="number")
    (finding,) = run_check(CHECK, view)
    assert (finding.severity, finding.column) == ("error", "x")
    assert "the target l1" in finding.title


NOISY = np.where(DRAW.random(ROWS) < 0.03, OTHER, LABEL)


@pytest.mark.parametrize(
    ("name", "severity"),
    [
        ("final_outcome", "error"),
        ("y_flag", "warning"),
        ("last_outcome", "warning"),
        ("x", "warning"),
    ],
)
def test_a_post_outcome_name_makes_a_strong_association_an_error(name: str, severity: str) -> None:
    cells = {name: NOISY, "noise": SCORE, "y": LABEL}
    view = split_context(cells, "binary", **{name: "category", "noise": "number"})
    (finding,) = run_check(CHECK, view)
    assert finding.severity == severity
    assert ("its name" in finding.title) == (severity == "error")


def test_related_names_count_for_classification_only() -> None:
    view = split_context(
        {"was_churning": NOISY, "churned": LABEL}, "binary", ("churned",), was_churning="category"
    )
    assert [f.severity for f in run_check(CHECK, view)] == ["error"]
    price = AMOUNT * np.exp(DRAW.normal(0, 0.3, ROWS))
    view = split_context(
        {"list_price": price, "sale_price": AMOUNT}, "regression", ("sale_price",),
        list_price="number",
    )  # fmt: skip
    assert [f.severity for f in run_check(CHECK, view)] == ["warning"]


def test_companions_of_a_leaking_column_are_dropped() -> None:
    yes = LABEL == "yes"
    cells = {
        "ended": np.where(yes, "2024-01-01", ""),
        "reason": np.where(yes & (DRAW.random(ROWS) < 0.5), DRAW.choice(["a", "b"], ROWS), ""),
        "honest": np.where(DRAW.random(ROWS) < 0.5, "z", ""),
        "y": LABEL,
    }
    view = split_context(cells, "binary", ended="datetime", reason="category", honest="category")
    leak, companion = run_check(CHECK, view)
    assert (leak.severity, leak.column) == ("error", "ended")
    assert (companion.severity, companion.column) == ("warning", "reason")
    assert companion.fixes == (ConfigEdit(("data", "drop"), "reason", append=True),)


def with_wrong(count: int) -> list[Finding]:
    """Return the findings for a copy of a balanced target with errors in both classes."""
    y = np.arange(1_000) % 2
    x = np.where(np.arange(1_000) < 2 * count, 1 - y, y)
    cells = {"x": np.where(x, "a", "b"), "y": np.where(y, "yes", "no")}
    return run_check(CHECK, split_context(cells, "binary", x="category"))


@pytest.mark.parametrize(
    ("wrong", "severity"),
    # Lambda is 1 - 2 e of a share e of wrong rows: .992, .988, .904 and .9, less a little since
    # chance guesses more than half of the rows right.
    [(2, "error"), (3, "warning"), (24, "warning"), (25, None)],
)
def test_thresholds_of_error_and_warning(wrong: int, severity: str | None) -> None:
    findings = with_wrong(wrong)
    assert [f.severity for f in findings] == ([severity] if severity else [])
    for finding in findings:
        assert finding.evidence["association_strength"] == pytest.approx(
            1 - 2 * wrong / 500, abs=0.004
        )
        assert bool(finding.fixes) == (severity == "error")


def partly_filled(rows: int) -> list[Finding]:
    y = np.arange(1_000) % 2
    filled = np.arange(1_000) < rows
    cells = {"x": np.where(filled, np.where(y, "a", "b"), ""), "y": np.where(y, "yes", "no")}
    return run_check(CHECK, split_context(cells, "binary", x="category"))


def test_partly_filled_columns_need_fifty_values() -> None:
    assert partly_filled(49) == []
    (finding,) = partly_filled(50)
    assert finding.severity == "error"
    assert (
        "x alone explains 100% of the target y where it has a value (5% of the rows)"
        in finding.title
    )
    assert "where it has" not in partly_filled(1_000)[0].title


@pytest.mark.parametrize(
    ("filled", "within", "reported"),
    [(200, 199, True), (200, 198, False), (50, 50, True), (49, 49, False)],
    ids=["99.5 %", "99 %", "fifty rows", "a few rows"],
)
def test_thresholds_of_companions(filled: int, within: int, reported: bool) -> None:
    row = np.arange(1_200)
    yes = row < 600
    companion = (row < within) | ((row >= 600) & (row < 600 + filled - within))
    word = np.where(row % 2, "a", "b")
    cells = {
        "ended": np.where(yes, word, ""),
        "reason": np.where(companion, word, ""),
        "y": np.where(yes, "yes", "no"),
    }
    leak, *others = run_check(
        CHECK, split_context(cells, "binary", ended="category", reason="category")
    )
    assert (leak.severity, leak.column) == ("error", "ended")
    assert "whether ended has a value explains 100% of the target y" in leak.title
    assert [f.column for f in others] == ["reason"] * reported
    for finding in others:
        assert finding.title.startswith("reason is filled only where ended is,")
        assert finding.evidence == {
            "leaking_column_by_companion": {"reason": "ended"},
            "filled_rows": {"reason": filled},
        }


@pytest.mark.parametrize(("noise", "severity"), [(0.03, "error"), (0.3, "warning")])
def test_a_number_must_be_determined_exactly_for_an_error(noise: float, severity: str) -> None:
    amount = np.arange(1_000) / 100
    wave = noise * np.sin(np.arange(1_000) * 2.0)
    (finding,) = look(
        (amount + wave)[DRAW.permutation(1_000)][:0], amount[:0], "number", 0
    ) or look(amount + wave, amount, "number", 1_000)
    assert finding.severity == severity


def test_companions_share_a_finding() -> None:
    row = np.arange(1_200)
    cells: dict[str, Any] = {
        "ended": np.where(row < 600, "x", ""),
        "y": np.where(row < 600, "a", "b"),
    }
    cells |= {f"c{i}": np.where(row < 500, np.where(row % 2, "p", "q"), "") for i in range(2)}
    kinds = {name: "category" for name in cells if name != "y"}
    *_, finding = run_check(CHECK, split_context(cells, "binary", **kinds))
    assert finding.title.startswith("c0, c1 are filled only where ended is,")
    assert [edit.value for edit in finding.fixes] == ["c0", "c1"]


def test_companions_of_several_leaking_columns_are_not_attributed_to_the_first() -> None:
    row = np.arange(1_200)
    word = np.where(row % 2, "p", "q")
    cells: dict[str, Any] = {
        "ended": np.where(row < 600, "x", ""),
        "open": np.where(row < 600, "", "x"),
        "c0": np.where(row < 500, word, ""),
        "c1": np.where(row >= 700, word, ""),
        "y": np.where(row < 600, "a", "b"),
    }
    kinds = {name: "category" for name in cells if name != "y"}
    *_, finding = run_check(CHECK, split_context(cells, "binary", **kinds))
    assert finding.title.startswith("c0, c1 are filled only where ended or open is,")
    assert finding.evidence["leaking_column_by_companion"] == {"c0": "ended", "c1": "open"}
