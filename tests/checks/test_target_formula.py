"""The check that computes a number target from other columns."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LinearRegression

from fieldcraft.checks.target_formula import (
    CHECK,
    Formula,
    Term,
    fit_weights,
    formula_numbers,
    product_terms,
    r_squared,
    rank_groups,
    rounding_error,
    select_promising_terms,
    winsorize_and_standardize,
)
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.ledger.records import Finding
from tests.checks.contexts import run_check, split_context

DRAW = np.random.default_rng(0)
ROWS = 500
A, B, C = DRAW.gamma(2, 10, ROWS), DRAW.gamma(3, 5, ROWS), DRAW.normal(50, 10, ROWS)
OFF = DRAW.random(ROWS)
NOISE = {f"n{i}": DRAW.normal(size=ROWS) for i in range(8)}


def look(y: Any, **columns: Any) -> list[Finding]:
    cells = {**NOISE, **columns, "y": y}
    kinds = {name: "number" for name in cells if name != "y"}
    return run_check(CHECK, split_context(cells, "regression", **kinds))


@pytest.mark.parametrize(
    ("y", "words", "names"),
    [
        (A + B, "a + b", "ab"),
        (B - A, "b - a", "ab"),
        (-A - B, "0 - a - b", "ab"),
        (A + B - C, "a + b - c", "abc"),
        (np.round(10 * (A + B)), "a weighted sum of a and b", "ab"),
        (A * B, "a × b", "ab"),
        (A / B, "a / b", "ab"),
        (0.2 * A * B / C, "a × b / c", "abc"),
        (np.round(A * B * 100 * (1 - OFF)), "a × b × (1 - off)", ("a", "b", "off")),
        (1 / (A * B), "1 / a / b", "ab"),
    ],
)
def test_a_formula_is_found_and_described(y: Any, words: str, names: Any) -> None:
    (finding,) = look(y, a=A, b=B, c=C, off=OFF)
    assert finding.severity == "error"
    assert f"y is {words} in " in finding.title
    assert (finding.column, finding.evidence["columns"]) == (names[0], list(names))
    assert finding.fixes == tuple(ConfigEdit(("data", "drop"), name, append=True) for name in names)


def test_a_duration_is_the_difference_of_two_dates() -> None:
    start = np.datetime64("2021-01-01") + DRAW.integers(0, 600, ROWS)
    days = DRAW.integers(1, 60, ROWS)
    cells = {"start": start.astype(str), "end": (start + days).astype(str), "y": days * 1.0}
    view = split_context(cells, "regression", start="datetime", end="datetime")
    (finding,) = run_check(CHECK, view)
    assert "y is end - start in 100% of the rows" in finding.title


def test_missing_values_and_a_few_errors_do_not_hide_a_formula() -> None:
    holed = np.where(DRAW.random(ROWS) < 0.1, np.nan, A)
    wrong = A + B
    wrong[:4] += 500
    (finding,) = look(wrong, a=holed, b=B)
    assert "a + b in 99% of the rows" in finding.title


@pytest.mark.parametrize(
    "y",
    [
        A + B + DRAW.normal(0, 3, ROWS),
        A * B * np.exp(DRAW.normal(0, 0.1, ROWS)),
        np.round((A + B) / 30),  # a few steps fit anything
        A,  # left to the target leakage check
        DRAW.normal(size=ROWS),
    ],
    ids=["noisy sum", "noisy product", "steps", "copy", "noise"],
)
def test_noisy_relations_are_not_reported(y: Any) -> None:
    assert look(y, a=A, b=B) == []


def test_two_formulas_are_both_found() -> None:
    parts = {"a": A, "rest": A + B - A, "c": C, "left": A + B - C}
    assert {tuple(f.evidence["columns"]) for f in look(A + B, **parts)} == {
        ("a", "rest"), ("c", "left"),
    }  # fmt: skip


def test_a_formula_of_three_is_found_among_many_columns() -> None:
    many = {f"m{i}": DRAW.normal(size=ROWS) for i in range(90)}
    (finding,) = look(A + B - C, a=A, b=B, c=C, **many)
    assert finding.evidence["columns"] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("values", "step"),
    [([10.0, 250.0], 5), ([1.0, 300.0], 0.5), ([1.0, 2.0], 0), ([0.12, 9.0], 0.005)],
)
def test_the_rounding_error_is_half_a_step(values: list[float], step: float) -> None:
    assert rounding_error(np.array(values)) == pytest.approx(step)


def test_classification_targets_are_not_checked() -> None:
    cells = {"a": A, "b": B, "y": np.where(A > B, "u", "v")}
    assert run_check(CHECK, split_context(cells, "binary", a="number", b="number")) == []


def formula(product: bool, *parts: tuple[str, float]) -> Formula:
    terms = tuple(Term(name, name, np.zeros(0)) for name, _ in parts)
    return Formula(terms, tuple(weight for _, weight in parts), product, 1.0)


@pytest.mark.parametrize(
    ("weights", "total", "product"),
    [
        ((1.009, 1.0), "a + b", "a × b"),
        ((0.991, -1.0), "a - b", "a / b"),
        ((-1.0, 1.0), "b - a", "b / a"),
        ((-1.0, -1.0), "0 - a - b", "1 / a / b"),
        ((1.011, 1.0), "a weighted sum of a and b", "a weighted product of a and b"),
        ((1.0, -0.989), "a weighted sum of a and b", "a weighted product of a and b"),
    ],
)
def test_formulas_with_unit_weights_are_written_out(
    weights: tuple[float, float], total: str, product: str
) -> None:
    parts = list(zip("ab", weights, strict=True))
    assert formula(False, *parts).describe() == total
    assert formula(True, *parts).describe() == product


@pytest.mark.parametrize(("wrong", "fitting"), [(10, 0.98), (11, None)])
def test_a_formula_must_fit_98_percent_of_the_rows(wrong: int, fitting: float | None) -> None:
    y = A + B
    y[10 : 10 + wrong] += 50
    assert [f.evidence["fitting_fraction"] for f in look(y, a=A, b=B)] == (
        [fitting] if fitting else []
    )


@pytest.mark.parametrize(("off", "fits"), [(0.009, True), (0.011, False)])
def test_a_row_fits_within_a_hundredth_of_a_standard_deviation(off: float, fits: bool) -> None:
    odd = np.arange(ROWS) % 50 == 0
    goal = A + B
    deviation = goal[~odd].std()
    _, fitting = fit_weights([A, B], goal + off * deviation * odd, is_product=False)
    assert fitting == (1.0 if fits else 0.98)


def test_weights_are_trimmed_least_squares() -> None:
    y = 3 * A - 2 * B + 7
    y[:20] += 1_000
    weights, fitting = fit_weights([A, B], y, is_product=False)
    np.testing.assert_allclose(weights, [3, -2], rtol=1e-9)
    assert fitting == 1 - 20 / ROWS
    powers, _ = fit_weights([np.log(A), np.log(B)], 5 * A**2 / B, is_product=True)
    np.testing.assert_allclose(powers, [2, -1], rtol=1e-6)


@pytest.mark.parametrize(("weight", "fitting"), [(0.025, 1.0), (0.015, 0.0)])
def test_a_term_must_contribute_a_fiftieth_of_a_standard_deviation(
    weight: float, fitting: float
) -> None:
    a, b = winsorize_and_standardize(A), winsorize_and_standardize(C)
    assert fit_weights([a, b], a + weight * b, is_product=False)[1] == fitting


@pytest.mark.parametrize(("rows", "fits"), [(40, True), (39, False)])
def test_forty_rows_are_needed(rows: int, fits: bool) -> None:
    assert (fit_weights([A[:rows], B[:rows]], (A + B)[:rows], is_product=False)[1] == 1) is fits
    cells = {"a": A[:rows], "b": B[:rows], "y": (A + B)[:rows]}
    assert (
        bool(run_check(CHECK, split_context(cells, "regression", a="number", b="number"))) is fits
    )


def test_explained_variance_is_r_squared() -> None:
    y = winsorize_and_standardize(2 * A - B + DRAW.normal(0, 20, ROWS))
    table = np.array([winsorize_and_standardize(values) for values in (A, B, C)])
    r, among = table @ y / ROWS, table @ table.T / ROWS
    groups: list[tuple[int, ...]] = [(0, 1), (0, 2), (1, 2)]
    expected = [
        LinearRegression().fit(table[list(group)].T, y).score(table[list(group)].T, y)
        for group in groups
    ]
    np.testing.assert_allclose(r_squared(groups, r, among), expected, atol=1e-6)
    (three,) = r_squared([(0, 1, 2)], r, among)
    assert three == pytest.approx(LinearRegression().fit(table.T, y).score(table.T, y), abs=1e-6)


def test_standardized_values_are_imputed_and_winsorized() -> None:
    values = np.append(np.arange(1_000.0), [np.nan, 1e9])
    low, high = np.nanquantile(values, [0.01, 0.99])
    clipped = np.clip(values[:-2], low, high)
    filled = np.append(clipped, [np.append(clipped, high).mean(), high])
    np.testing.assert_allclose(
        winsorize_and_standardize(values), (filled - filled.mean()) / filled.std()
    )


@pytest.mark.parametrize(("gaps", "held"), [(40, True), (41, False)])
def test_columns_with_over_twenty_percent_missing_values_are_left_out(
    gaps: int, held: bool
) -> None:
    column = pl.Series([None] * gaps + [float(i * 7 % 97) for i in range(200 - gaps)])
    assert (formula_numbers(column, np.arange(200.0)) is not None) is held


def test_boolean_and_fully_explaining_columns_are_left_out() -> None:
    assert formula_numbers(pl.Series([True, False] * 50), np.arange(100.0)) is None
    assert formula_numbers(pl.Series(np.arange(100.0) ** 3), np.arange(100.0)) is None
    assert formula_numbers(pl.Series(-np.arange(100.0)), np.arange(100.0)) is None
    days = pl.Series([dt.date(1970, 1, 1 + i * 7 % 29) for i in range(100)])
    numbers = formula_numbers(days, np.arange(100.0))
    assert numbers is not None
    assert numbers.tolist() == [i * 7 % 29 for i in range(100)]


def test_only_fractions_are_used_as_one_plus_or_minus() -> None:
    share = np.array([0.0, 0.25, 1.0])
    words = {term.expression: term.values for term in product_terms("s", share)}
    assert list(words) == ["s", "(1 - s)", "(1 + s)"]
    np.testing.assert_allclose(words["s"], [np.nan, np.log(0.25), 0])
    np.testing.assert_allclose(words["(1 - s)"], [0, np.log(0.75), np.nan])
    np.testing.assert_allclose(words["(1 + s)"], np.log(1 + share))
    for other in (np.array([-0.1, 0.5]), np.array([0.0, 1.1]), np.zeros(2)):
        assert [term.expression for term in product_terms("s", other)] == ["s"]


def test_a_column_occurs_once_in_a_formula() -> None:
    assert look(OFF * (1 - OFF), off=OFF) == []


@pytest.mark.parametrize(("second", "promises"), [(0.39, True), (0.36, False)])
def test_promising_terms_explain_half_of_the_variance(second: float, promises: bool) -> None:
    terms = [Term(name, name, np.zeros(0)) for name in "ab"]
    r, among = np.array([0.6, second]), np.eye(2)  # unrelated: the squares add up
    groups = list(select_promising_terms(terms, [(0, 1)], r, among))
    assert groups == [tuple(terms)] * promises
    same = [terms[0], Term("a", "(1 - a)", np.zeros(0))]
    assert list(select_promising_terms(same, [(0, 1)], r, among)) == []


def test_groups_are_ranked_by_explained_variance() -> None:
    r, among = np.array([0.1, 0.6, 0.5, 0.3]), np.eye(4)
    assert rank_groups([(0, 1), (1, 2), (2, 3)], r, among) == [(1, 2), (0, 1), (2, 3)]
    assert rank_groups([], r, among) == []
