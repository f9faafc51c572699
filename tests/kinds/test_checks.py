"""Checks of kinds: outliers, identifiers, constant columns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.stats import skew

from fieldcraft.contracts import Check
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.data.schema import Column
from fieldcraft.kinds.constant.checks import ConstantColumns, QuasiConstantColumns
from fieldcraft.kinds.identifier.checks import IdentifierColumns, is_named_key
from fieldcraft.kinds.number.checks import ImpossibleValues, Outliers, SkewedColumns
from tests.checks.contexts import data_context, run_check

DRAW = np.random.default_rng(0)
AMOUNTS = DRAW.normal(50, 10, 500).round(2).tolist()
SKEWED = DRAW.exponential(size=500).round(3).tolist()


def cells(values: list[float]) -> dict[str, list[str]]:
    return {"x": [str(value) for value in values]}


@pytest.mark.parametrize("far", [[1e6], [-400.0], [1e6, 2e6, -5e5]])
def test_outliers_are_reported_with_their_rows(far: list[float]) -> None:
    (finding,) = run_check(Outliers(), data_context(cells([*AMOUNTS, *far]), x="number"))
    assert finding.severity == "info"
    assert finding.evidence["values"] == {"x": far}
    assert finding.evidence["rows"] == {"x": list(range(501, 501 + len(far)))}
    assert f"({far[0]:,.0f}" in finding.title


def test_the_fix_clips_outliers_to_the_range_of_the_others() -> None:
    (finding,) = run_check(Outliers(), data_context(cells([*AMOUNTS, 1e6, -1e6]), x="number"))
    (edit,) = finding.fixes
    assert edit.path == ("clean", "columns", "x", "clip")
    low, high = edit.value
    assert min(AMOUNTS) <= low < 30 < 70 < high <= max(AMOUNTS)


@pytest.mark.parametrize(
    "values",
    [
        AMOUNTS,
        [*AMOUNTS, 110.0],  # far, but plausible
        SKEWED,
        [*AMOUNTS, *[1e6] * 9],  # a tail, not a set of mistakes
        [*[0.0] * 490, *AMOUNTS[:10]],  # mostly zero
        [1.0, 2.0, 1e9],  # too few rows
    ],
    ids=["normal", "edge", "skewed", "tail", "zeros", "few"],
)
def test_skewed_distributions_have_no_outliers(values: list[float]) -> None:
    assert run_check(Outliers(), data_context(cells(values), x="number")) == []


def test_missing_values_do_not_hide_outliers() -> None:
    view = data_context({"x": ["", *map(str, AMOUNTS), "", "1e6"]}, x="number")
    (finding,) = run_check(Outliers(), view)
    assert finding.evidence["rows"] == {"x": [503]}


def test_columns_with_outliers_share_a_finding() -> None:
    columns = {f"c{i}": [str(value) for value in [*AMOUNTS, 1e6]] for i in range(5)}
    (finding,) = run_check(Outliers(), data_context(columns, **dict.fromkeys(columns, "number")))
    assert finding.column is None
    assert "5 columns" in finding.title
    assert len(finding.fixes) == 5


@pytest.mark.parametrize(
    ("name", "value", "count"),
    [("age", "-4", 1), ("Age", "190", 2), ("unit_price", "-3", 1), ("height_cm", "-1", 1)],
)
def test_values_that_contradict_the_name_are_a_warning(name: str, value: str, count: int) -> None:
    column = [str(20 + i % 50) for i in range(300)] + [value] * count
    (finding,) = run_check(ImpossibleValues(), data_context({name: column}, **{name: "number"}))
    assert (finding.severity, finding.column) == ("warning", name)
    assert finding.evidence["rows"] == list(range(301, 301 + count))


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("profit", [str(i - 3) for i in range(300)]),  # may well be negative
        ("price_change", ["-1", "1"] * 200),  # half of them are negative
        ("age", [str(i) for i in range(300)]),  # not of persons
    ],
)
def test_possible_values_are_not_reported(name: str, column: list[str]) -> None:
    assert run_check(ImpossibleValues(), data_context({name: column}, **{name: "number"})) == []


def test_skewed_columns_share_a_finding_by_skewness() -> None:
    draw = np.random.default_rng(1)
    columns = {"a": np.exp(1.6 * draw.normal(size=900)), "b": draw.normal(size=900)}
    columns |= {"b": np.append(columns["b"][1:], 1e6), "c": columns["b"]}
    (finding,) = run_check(
        SkewedColumns(), data_context(columns, a="number", b="number", c="number")
    )
    assert (finding.severity, finding.column) == ("info", None)
    assert "2 number columns" in finding.title
    assert finding.title.index("b (") < finding.title.index("a (")


KEYS = [f"k{i}" for i in range(60)]
COUNTER = [str(i) for i in range(60)]
GROUPS = [f"g{i % 7}" for i in range(60)]


def findings_of_column(
    check: Check, column: list[str], kind: str
) -> list[tuple[str, tuple[ConfigEdit, ...]]]:
    findings = run_check(check, data_context({"x": column}, x=kind))
    assert all(finding.column == "x" for finding in findings)
    return [(finding.severity, finding.fixes) for finding in findings]


@pytest.mark.parametrize(
    ("column", "kind"), [(KEYS, "category"), (COUNTER, "number"), (COUNTER, "category")]
)
def test_an_identifier_used_as_a_feature_is_a_warning(column: list[str], kind: str) -> None:
    fix = ConfigEdit(("data", "drop"), "x", append=True)
    assert findings_of_column(IdentifierColumns(), column, kind) == [("warning", (fix,))]


def test_a_key_with_few_rows_per_value_is_an_identifier() -> None:
    keys = [str(7_000 + (i * 37) % 80) for i in range(120)]
    view = data_context({"order_id": keys, "amount": keys}, order_id="number", amount="number")
    (finding,) = run_check(IdentifierColumns(), view)
    assert (finding.severity, finding.column) == ("warning", "order_id")
    assert run_check(IdentifierColumns(), replace(view, group_column="order_id")) == []


def test_excluded_identifiers_share_a_finding() -> None:
    columns = {f"k{i}": KEYS for i in range(5)}
    (finding,) = run_check(
        IdentifierColumns(), data_context(columns, **dict.fromkeys(columns, "identifier"))
    )
    assert "5 identifiers are not used as features" in finding.title


def test_an_excluded_identifier_is_an_info() -> None:
    assert findings_of_column(IdentifierColumns(), KEYS, "identifier") == [("info", ())]


@pytest.mark.parametrize(
    ("column", "kind"), [(GROUPS, "category"), ([str(v) for v in AMOUNTS], "number")]
)
def test_features_are_no_identifiers(column: list[str], kind: str) -> None:
    assert findings_of_column(IdentifierColumns(), column, kind) == []


@pytest.mark.parametrize("column", [["x"] * 40, [""] * 40])
def test_constant_columns_have_a_drop_fix(column: list[str]) -> None:
    fix = ConfigEdit(("data", "drop"), "x", append=True)
    assert findings_of_column(ConstantColumns(), column, "category") == [("warning", (fix,))]
    assert findings_of_column(ConstantColumns(), column, "constant") == [("info", ())]


@pytest.mark.parametrize("column", [["x", "y"] * 20, ["x", ""] * 20])
def test_varying_columns_are_not_constant(column: list[str]) -> None:
    assert findings_of_column(ConstantColumns(), column, "category") == []


def test_excluded_constants_share_a_finding() -> None:
    columns = {f"c{i}": ["x"] * 40 for i in range(6)}
    (finding,) = run_check(
        ConstantColumns(), data_context(columns, **dict.fromkeys(columns, "constant"))
    )
    assert "6 constant columns are not used as features" in finding.title


@pytest.mark.parametrize(("others", "reported"), [(0, False), (1, True), (2, True), (9, False)])
def test_nearly_constant_columns_are_reported(others: int, reported: bool) -> None:
    column = [*["y"] * others, *["x"] * (600 - others)]
    findings = run_check(QuasiConstantColumns(), data_context({"x": column}, x="category"))
    assert [f.evidence for f in findings] == ([{"others": {"x": others}}] if reported else [])
    assert all(f.severity == "info" and not f.fixes for f in findings)


@pytest.mark.parametrize(("far", "reported"), [(8.49, False), (8.52, True)])
@pytest.mark.parametrize("sign", [1, -1])
def test_outliers_are_eight_interquartile_ranges_away(
    far: float, reported: bool, sign: int
) -> None:
    body = np.linspace(-1, 1, 2_001)  # quartiles at half
    view = data_context({"x": np.append(body, sign * far)}, x="number")
    findings = run_check(Outliers(), replace(view, row_numbers=range(3_001, 5_003)))
    assert [f.evidence["rows"] for f in findings] == [{"x": [5_002]}] * reported


@pytest.mark.parametrize(("far", "rows", "reported"), [(10, 1_000, True), (11, 1_000, False)])
def test_at_most_one_percent_of_values_are_outliers(far: int, rows: int, reported: bool) -> None:
    view = data_context({"x": np.append(np.linspace(0, 1, rows - far), [90.0] * far)}, x="number")
    assert bool(run_check(Outliers(), view)) is reported


@pytest.mark.parametrize(("rows", "reported"), [(20, True), (19, False)])
def test_outliers_need_twenty_values(rows: int, reported: bool) -> None:
    view = data_context({"x": [*map(float, range(rows - 1)), 1e9]}, x="number")
    assert bool(run_check(Outliers(), view)) is reported


def test_the_fix_clips_to_quantiles_of_the_others() -> None:
    body = np.arange(1_001.0)
    (finding,) = run_check(
        Outliers(), data_context({"x": np.append(body, [1e9, -1e9])}, x="number")
    )
    assert finding.fixes == (ConfigEdit(("clean", "columns", "x", "clip"), [1.0, 999.0]),)
    column = Column("x", "number", {"clip": finding.fixes[0].value})
    view = data_context({"x": np.append(body, [1e9, -1e9])}, x=column)
    assert (view.values["x"].min(), view.values["x"].max()) == (1.0, 999.0)
    assert run_check(Outliers(), view) == []


@pytest.mark.parametrize(("count", "reported"), [(3, True), (4, False)])
def test_at_most_one_percent_of_values_are_impossible(count: int, reported: bool) -> None:
    column = [*map(str, range(1, 301 - count)), *["-1"] * count]
    view = data_context({"width": column}, width="number")
    findings = run_check(ImpossibleValues(), replace(view, row_numbers=range(901, 1_201)))
    rows = list(range(1_201 - count, 1_201))
    assert [f.evidence["rows"] for f in findings] == [rows] * reported
    assert all(f.title.startswith(f"width: {count} values below zero (-1,") for f in findings)


@pytest.mark.parametrize(
    ("name", "value", "reported"),
    [("age", "120", False), ("age", "121", True), ("age_days", "121", False), ("age", "0", False)],
)
def test_ages_above_120_are_impossible(name: str, value: str, reported: bool) -> None:
    column = [str(20 + i % 50) for i in range(300)] + [value]
    findings = run_check(ImpossibleValues(), data_context({name: column}, **{name: "number"}))
    assert [f.severity for f in findings] == ["warning"] * reported
    assert all("1 value below zero or above 120 (121)" in f.title for f in findings)


@pytest.mark.parametrize(("ones", "reported"), [(35, True), (36, False)])
@pytest.mark.parametrize("sign", [1, -1])
def test_skewed_columns_have_a_skewness_of_five(ones: int, reported: bool, sign: int) -> None:
    values = sign * np.append(np.zeros(1_000 - ones), np.ones(ones))
    p = ones / 1_000  # the skewness of a Bernoulli variable
    expected = sign * (1 - 2 * p) / (p * (1 - p)) ** 0.5
    assert skew(values) == pytest.approx(expected)
    findings = run_check(SkewedColumns(), data_context({"x": values}, x="number"))
    assert bool(abs(expected) >= 5) is reported is bool(findings)
    assert all(f.evidence == {"skewness": {"x": pytest.approx(expected)}} for f in findings)


def test_a_single_skewed_column_is_reported_with_its_skewness() -> None:
    values = np.append(np.zeros(990), np.ones(10))
    (finding,) = run_check(SkewedColumns(), data_context({"x": values}, x="number"))
    assert finding.title == f"x has a long tail (skewness {skew(values):.0f})"
    assert (finding.column, finding.fixes) == ("x", ())


@pytest.mark.parametrize(("distinct", "rows", "key"), [(60, 120, True), (59, 120, False)])
def test_half_of_the_values_of_a_key_are_distinct(distinct: int, rows: int, key: bool) -> None:
    profile = ColumnProfile(pl.Series("order_id", [str(i % distinct) for i in range(rows)]))
    assert is_named_key(profile) is key
    assert not is_named_key(ColumnProfile(pl.Series("order_id", [f"{i}.5" for i in range(rows)])))
    assert not is_named_key(ColumnProfile(pl.Series("id_order", [str(i) for i in range(rows)])))
    assert is_named_key(ColumnProfile(pl.Series("order_id", [f"k{i}" for i in range(rows)])))


@pytest.mark.parametrize(("rows", "key"), [(20, True), (19, False)])
def test_a_key_needs_twenty_rows(rows: int, key: bool) -> None:
    assert is_named_key(ColumnProfile(pl.Series("id", [str(i) for i in range(rows)]))) is key


@pytest.mark.parametrize(
    ("others", "rows", "reported"),
    [(5, 1_000, True), (6, 1_000, False), (1, 50, False), (1, 200, True), (1, 199, False)],
)
def test_nearly_constant_columns_have_one_value_in_99_5_percent(
    others: int, rows: int, reported: bool
) -> None:
    cells = {
        "x": ["y"] * others + ["x"] * (rows - others),
        "z": ["a", "b"] * (rows // 2) + ["a"] * (rows % 2),
    }
    findings = run_check(QuasiConstantColumns(), data_context(cells, x="category", z="category"))
    assert [f.title for f in findings] == [
        f"1 column with one value in nearly every row: x ('x' in all but {others})"
    ] * reported


def test_excluded_constants_are_reported_with_their_value() -> None:
    findings = run_check(
        ConstantColumns(), data_context({"a": ["x"] * 9, "b": [""] * 9}, a="constant", b="constant")
    )
    assert [f.title for f in findings] == [
        "a is always 'x' and is not used as a feature",
        "b is empty and is not used as a feature",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("check", "sound", "odd"),
    [
        (ConstantColumns(), ["a", "b"] * 100, ["x"] * 200),
        (QuasiConstantColumns(), ["a", "b"] * 100, ["x"] * 199 + ["y"]),
        (IdentifierColumns(), ["a", "b"] * 100, [f"k{i}" for i in range(200)]),
    ],
)
def test_a_column_without_findings_does_not_stop_the_check(
    check: Check, sound: list[str], odd: list[str]
) -> None:
    cells = {"sound": sound, "odd": odd, "aside": ["z"] * 200, "last": odd}
    kinds = dict.fromkeys(cells, "category") | {"aside": "constant"}
    findings = run_check(check, data_context(cells, **kinds))
    text = " ".join(finding.title for finding in findings)
    assert "odd" in text
    assert "last" in text
    assert "sound" not in text
