"""Numeric targets that two or three columns determine: as sum, difference, product or ratio."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl

from fieldcraft.checks._base import SECONDS_PER_DAY
from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.formatting import join_names
from fieldcraft.core.types import Array
from fieldcraft.ledger.records import Finding
from fieldcraft.statistics.association import sample_rows, spearman_correlation, to_floats

MAX_SAMPLED_ROWS = 2_000
MIN_ROWS = 40  # with a value in every column of a formula
MAX_COLUMNS = 200
# Up to 34,220 triples are screened; with more terms, only the best pairs are extended.
MAX_TERMS_IN_TRIPLES = 60
MAX_FITTED_COMBINATIONS = 20  # the best of the screening are fitted
MAX_MISSING_FRACTION = 0.2  # columns with more missing values are left out
MAX_SINGLE_CORRELATION = 0.995  # from here on `target_leakage` reports the column
# Of a candidate in screening, far below 1: missing values are imputed by the mean and noise is left
# in, which lowers R squared of a true formula too.
MIN_R_SQUARED = 0.5
TOLERANCE_IN_STD = 0.01  # within which a row fits a formula
MIN_FITTING_FRACTION = 0.98  # of the rows
MIN_TERM_STD_FRACTION = 0.02  # of that of the target, which each term must contribute
MAX_ROUNDING_STD_FRACTION = 0.1  # of the target; coarser steps are not tolerated as rounding
MAX_LOG_VALUE = 300.0  # exp(709) is the largest 64-bit float
MAX_FORMULAS = 5
UNIT_WEIGHT_TOLERANCE = 0.01  # of weights from 1 or -1, for a formula to be written out


@dataclass(frozen=True)
class Term:
    """A column, or 1 minus or plus a fraction, as a term of a formula."""

    column: str
    expression: str
    values: Array


@dataclass(frozen=True)
class Formula:
    """Terms that determine the target, their weights or exponents, and the fraction that fits."""

    terms: tuple[Term, ...]
    weights: tuple[float, ...]
    is_product: bool
    fitting_fraction: float

    @property
    def columns(self) -> list[str]:
        """The columns of the terms."""
        return list(dict.fromkeys(term.column for term in self.terms))

    def describe(self) -> str:
        """The formula written out if its weights are 1 or -1, else its columns."""
        if any(abs(abs(weight) - 1) > UNIT_WEIGHT_TOLERANCE for weight in self.weights):
            name = "product" if self.is_product else "sum"
            return f"a weighted {name} of {join_names(self.columns)}"
        positive_sign, negative_sign = (" × ", " / ") if self.is_product else (" + ", " - ")
        ordered_terms = sorted(
            zip(self.weights, self.terms, strict=True), key=lambda pair: pair[0] < 0
        )
        text = "".join(
            (positive_sign if weight > 0 else negative_sign) + term.expression
            for weight, term in ordered_terms
        )
        return (
            text[3:] if text.startswith(positive_sign) else ("1" if self.is_product else "0") + text
        )


class TargetFormula:
    """Reports columns from which the target can be computed."""

    code = "target_formula"
    scope: CheckScope = "split"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Search for sums and products of two or three columns that equal the training target."""
        if context.task is None or context.y is None or context.task.output != "value":
            return
        rows = sample_rows(len(context.y), MAX_SAMPLED_ROWS)
        y = context.y[rows].astype(np.float64)
        if len(y) < MIN_ROWS or np.ptp(y) == 0:
            return
        for formula in iter_formulas(context.values[rows.tolist()], y):
            names = formula.columns
            yield Finding(
                self.code,
                "error",
                f"{context.targets[0]} is {formula.describe()} in {formula.fitting_fraction:.0%} "
                "of the rows",
                names[0],
                {
                    "columns": names,
                    "weights": list(formula.weights),
                    "fitting_fraction": formula.fitting_fraction,
                },
                "if all terms are known at prediction, no model is needed; drop those that are not",
                tuple(ConfigEdit(("data", "drop"), column, append=True) for column in names),
            )


def iter_formulas(values: pl.DataFrame, y: Array) -> Iterator[Formula]:
    """Formulas that share no column, sums first."""
    usable_columns = ((column.name, formula_numbers(column, y)) for column in values)
    columns = {name: numbers for name, numbers in usable_columns if numbers is not None}
    for is_product in (False, True):
        if is_product:  # a product of days since 1970 has no meaning
            columns = {
                name: numbers
                for name, numbers in columns.items()
                if values[name].dtype.is_numeric()
            }
        for _ in range(MAX_FORMULAS):
            formula = find_formula(columns, y, is_product)
            if formula is None:
                break
            yield formula
            columns = {
                name: numbers for name, numbers in columns.items() if name not in formula.columns
            }


def formula_numbers(column: pl.Series, y: Array) -> Array | None:
    """A column as a term, with times in days; None if it cannot be one."""
    numbers = to_floats(column) if column.dtype != pl.Boolean else None
    if numbers is None or np.isnan(numbers).mean() > MAX_MISSING_FRACTION:
        return None
    is_present = ~np.isnan(numbers)
    if abs(spearman_correlation(numbers[is_present], y[is_present])) >= MAX_SINGLE_CORRELATION:
        return None
    return numbers / SECONDS_PER_DAY if column.dtype.is_temporal() else numbers


def find_formula(columns: dict[str, Array], y: Array, is_product: bool) -> Formula | None:
    """A formula of two terms that fits, else one of three, else None.

    A product is a sum of logarithms, so both are found by linear regression.
    """
    is_usable_row = y != 0 if is_product else np.ones(len(y), dtype=bool)
    nonzero_target = y[is_usable_row]
    transformed_target = log_abs(nonzero_target) if is_product else nonzero_target
    if len(transformed_target) < MIN_ROWS or np.ptp(transformed_target) == 0:
        return None
    terms = build_terms(columns, is_usable_row, is_product)
    for combination in iter_candidate_terms(terms, transformed_target):
        weights, fitting_fraction = fit_weights(
            [term.values for term in combination], nonzero_target, is_product
        )
        if fitting_fraction >= MIN_FITTING_FRACTION:
            return Formula(combination, weights, is_product, fitting_fraction)
    return None


def build_terms(columns: dict[str, Array], rows: Array, is_product: bool) -> list[Term]:
    """The usable terms of columns, with their values in some of the rows."""
    terms: list[Term] = []
    for name, values in columns.items():
        column_terms = product_terms(name, values) if is_product else [Term(name, name, values)]
        row_terms = (Term(part.column, part.expression, part.values[rows]) for part in column_terms)
        terms.extend(term for term in row_terms if is_usable(term.values))
    return terms


def log_abs(values: Array) -> Array:
    """Logarithms of absolute values, NaN at 0."""
    magnitudes = np.abs(values)
    return np.log(magnitudes, out=np.full(len(values), np.nan), where=magnitudes > 0)


def product_terms(name: str, values: Array) -> list[Term]:
    """A column as a factor, and 1 minus and 1 plus it if it is a fraction (discounts, taxes)."""
    terms = [Term(name, name, log_abs(values))]
    if np.nanmin(values) >= 0 and 0 < np.nanmax(values) <= 1:
        terms.append(Term(name, f"(1 - {name})", log_abs(1 - values)))
        terms.append(Term(name, f"(1 + {name})", log_abs(1 + values)))
    return terms


def is_usable(values: Array) -> bool:
    """Whether a term has enough values, and is not constant."""
    present = values[~np.isnan(values)]
    return len(present) >= (1 - MAX_MISSING_FRACTION) * len(values) > 0 and np.ptp(present) > 0


def iter_candidate_terms(terms: list[Term], y: Array) -> Iterator[tuple[Term, ...]]:
    """The pairs, then the triples of terms that explain the target best, best first."""
    if len(terms) < 2:
        return
    table = np.array([winsorize_and_standardize(term.values) for term in terms])
    standardized_target = winsorize_and_standardize(y)
    target_correlations = table @ standardized_target / len(standardized_target)
    if len(terms) > MAX_COLUMNS:
        best_terms = np.sort(np.argsort(-np.abs(target_correlations))[:MAX_COLUMNS])
        terms, table, target_correlations = (
            [terms[i] for i in best_terms],
            table[best_terms],
            target_correlations[best_terms],
        )
    # R squared of each small regression follows from correlations, without a pass over the rows.
    term_correlations = table @ table.T / len(standardized_target)
    pairs = rank_groups(
        list(combinations(range(len(terms)), 2)), target_correlations, term_correlations
    )
    yield from select_promising_terms(
        terms, pairs[:MAX_FITTED_COMBINATIONS], target_correlations, term_correlations
    )
    if len(terms) <= MAX_TERMS_IN_TRIPLES:
        triples = list(combinations(range(len(terms)), 3))
    else:
        extended_pairs = {
            tuple(sorted({*pair, i}))
            for pair in pairs[: 2 * MAX_FITTED_COMBINATIONS]
            for i in range(len(terms))
        }
        triples = [triple for triple in extended_pairs if len(triple) == 3]
    yield from select_promising_terms(
        terms,
        rank_groups(triples, target_correlations, term_correlations)[:MAX_FITTED_COMBINATIONS],
        target_correlations,
        term_correlations,
    )


def select_promising_terms(
    terms: list[Term],
    groups: list[tuple[int, ...]],
    target_correlations: Array,
    term_correlations: Array,
) -> Iterator[tuple[Term, ...]]:
    """The terms of groups with a sufficient R squared and no column twice."""
    for group, fit in zip(
        groups, r_squared(groups, target_correlations, term_correlations), strict=True
    ):
        group_terms = tuple(terms[i] for i in group)
        if fit >= MIN_R_SQUARED and len({term.column for term in group_terms}) == len(group_terms):
            yield group_terms


def rank_groups(
    groups: Sequence[tuple[int, ...]], target_correlations: Array, term_correlations: Array
) -> list[tuple[int, ...]]:
    """Groups of terms, highest R squared first."""
    if not groups:
        return []
    return [
        groups[i]
        for i in np.argsort(
            -r_squared(groups, target_correlations, term_correlations), kind="stable"
        )
    ]


def r_squared(
    groups: Sequence[tuple[int, ...]], target_correlations: Array, term_correlations: Array
) -> Array:
    """R squared of the regression of the target on each group of terms.

    For standardized variables it is r' inv(R) r, with the correlations r of the terms with the
    target and R among the terms. The ridge of 1e-9 keeps R invertible if two terms are equal.
    """
    if not groups:
        return np.zeros(0)
    index = np.array(groups)
    matrix = term_correlations[index[:, :, None], index[:, None, :]] + 1e-9 * np.eye(index.shape[1])
    weights = np.linalg.solve(matrix, target_correlations[index][:, :, None])[:, :, 0]
    return np.asarray((weights * target_correlations[index]).sum(axis=1))


def winsorize_and_standardize(values: Array) -> Array:
    """Values with mean 0 and variance 1, missing ones at 0, winsorized at 1 % and 99 %.

    Otherwise a few wrong rows would dominate the correlations.
    """
    low, high = np.nanquantile(values, [0.01, 0.99])
    values = np.clip(values, low, high) if high > low else values
    filled = np.where(np.isnan(values), np.nanmean(values), values)
    return np.asarray((filled - filled.mean()) / (filled.std() or 1.0))


def fit_weights(
    columns: list[Array], y: Array, is_product: bool
) -> tuple[tuple[float, ...], float]:
    """Weights of a formula, and the fraction of rows that it fits.

    A row fits if its error is within 1 % of the target's standard deviation, plus rounding. The fit
    is repeated without the 5 % of rows with the largest errors. No row counts as fitting if a term
    contributes too little. Of a product, `columns` are logarithms and `y` is not.
    """
    is_complete = ~np.isnan(np.array(columns)).any(axis=0)
    table = np.column_stack(
        [*(column[is_complete] for column in columns), np.ones(is_complete.sum())]
    )
    target_values = np.abs(y[is_complete]) if is_product else y[is_complete]
    if len(target_values) < MIN_ROWS or target_values.std() == 0:
        return (), 0.0
    regression_target = np.log(target_values) if is_product else target_values
    # A rounding error of e changes the logarithm of a product by e / y: small values are the least
    # exact, so rows are weighted by their values.
    row_weights = target_values if is_product else np.ones(len(target_values))
    is_inlier = np.ones(len(target_values), dtype=bool)
    for _ in range(2):
        weighted_table = table[is_inlier] * row_weights[is_inlier, None]
        weights = np.linalg.lstsq(
            weighted_table, regression_target[is_inlier] * row_weights[is_inlier], rcond=None
        )[0]
        fitted_values = table @ weights
        absolute_errors = np.abs(
            (np.exp(np.minimum(fitted_values, MAX_LOG_VALUE)) if is_product else fitted_values)
            - target_values
        )
        is_inlier = absolute_errors <= np.quantile(absolute_errors, 0.95)
    is_term_relevant = (
        np.abs(weights[:-1]) * table[:, :-1].std(axis=0)
        >= MIN_TERM_STD_FRACTION * regression_target.std()
    )
    tolerance = TOLERANCE_IN_STD * target_values[is_inlier].std() + rounding_error(target_values)
    fitting_fraction = (
        float((absolute_errors <= tolerance).mean()) if is_term_relevant.all() else 0.0
    )
    return tuple(float(weight) for weight in weights[:-1]), fitting_fraction


def rounding_error(values: Array) -> float:
    """Half of the step that all values are rounded to, or 0 if there is none or it is coarse."""
    steps = [10.0**exponent for exponent in range(3, -4, -1)]
    step = next((s for s in steps if np.allclose(values / s, np.round(values / s), atol=1e-6)), 0.0)
    return step / 2 if step <= MAX_ROUNDING_STD_FRACTION * values.std() else 0.0


CHECK = TargetFormula()
