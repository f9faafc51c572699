"""Inference of kinds, and parsing of cells."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.core import catalog
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.modeling.type_inference import infer_kind

ROWS = 100
DRAW = np.random.default_rng(0)
NUMBERS = [f"{v:.2f}" for v in DRAW.normal(50, 20, ROWS)]
DAY = dt.datetime(2024, 2, 3)
NAMES = [f"Person number {i}, of {place}" for i, place in enumerate(["Bern", "Rome"] * 50)]
DAYS = [dt.date(2020, 1, 1) + dt.timedelta(days=7 * (i % 60)) for i in range(ROWS)]


def infer_from_cells(cells: list[Any], name: str = "x") -> tuple[str, dict[str, Any]]:
    inferences = infer_kind(ColumnProfile(pl.Series(name, cells)))
    return inferences.name, dict(inferences.options)


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (NUMBERS, "number"),
        ([*NUMBERS[:96], "n/k", "?", "about 3", "x"], "number"),  # 4 % are mistakes
        ([*NUMBERS[:90], *["low", "high"] * 5], "category"),
        ([str(i % 3) for i in range(ROWS)], "number"),
        ([str(1950 + i % 70) for i in range(ROWS)], "number"),  # years are no dates
        (["1", "2"] * 50, "number"),
        (["yes", "no"] * 50, "boolean"),
        (["TRUE", "FALSE"] * 50, "boolean"),
        (["0", "1"] * 50, "boolean"),
        ([True, False] * 50, "boolean"),
        (["yes", ""] * 50, "category"),  # missing may mean no, which the user must decide
        (["red", "blue"] * 50, "category"),
        (["yes", "no", "maybe", "no"] * 25, "category"),
        ([str(day) for day in DAYS], "datetime"),
        (DAYS, "datetime"),
        ([dt.time(i % 24) for i in range(ROWS)], "category"),
        ([f"k{i}" for i in range(ROWS)], "identifier"),
        ([str(i) for i in range(1, ROWS + 1)], "identifier"),
        (list(range(ROWS)), "identifier"),
        (list(DRAW.permutation(ROWS) + 1), "identifier"),  # a shuffled row counter
        ([f"k{i}" for i in range(12)], "category"),  # too few rows
        ([f"{i:03d}" for i in range(10, 130)], "identifier"),
        ([f"{i % 40 * 10:03d}" for i in range(ROWS)], "category"),  # codes, not quantities
        ([f"{i % 12 + 1:02d}" for i in range(ROWS)], "number"),  # months may be padded
        (["0", *["136", "128"] * 50], "number"),
        ([f"2023-{i % 12 + 1:02d}" for i in range(ROWS)], "datetime"),
        (NAMES, "text"),
        ([f"No {i}" for i in range(ROWS)], "identifier"),
        ([f"{i}590-VH{i}EG" for i in range(ROWS)], "identifier"),
        ([f"https://example.org/a-page/{i}" for i in range(ROWS)], "identifier"),
        ([f"+41 79 555 {i:02d} {i:02d}" for i in range(ROWS)], "identifier"),
        ([f"{i:02x} ab cd ef 1{i % 7}" for i in range(ROWS)], "text"),
        (["a charge of grand theft", "a charge of battery"] * 50, "category"),
        (NAMES[:60] + ["the very same words"] * 40, "text"),
        (NAMES[:40] + ["the very same words"] * 60, "category"),
        (NAMES[:12], "category"),
        ([f"这是第{i}条很长的评论" for i in range(ROWS)], "text"),
        (["x"] * ROWS, "constant"),
        ([""] * ROWS, "constant"),
        ([None] * ROWS, "constant"),
    ],
)
def test_the_kind_is_inferred_from_the_cells(cells: list[Any], kind: str) -> None:
    assert infer_from_cells(cells)[0] == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("customer_id", "identifier"),
        ("PID", "identifier"),
        ("zip_code", "identifier"),
        ("CustomerID", "identifier"),
        ("id", "identifier"),
        ("uuid", "identifier"),
        ("paid", "number"),
        ("width", "number"),
        ("idle", "number"),
    ],
)
def test_distinct_integers_with_the_name_of_a_key_are_identifiers(name: str, kind: str) -> None:
    cells = [str(v) for v in DRAW.permutation(100_000)[:ROWS]]
    assert infer_from_cells(cells, name)[0] == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [("shop_id", "category"), ("zipcode", "category"), ("sex", "category"), ("rooms", "number")],
)
def test_repeated_integers_with_the_name_of_a_key_are_categories(name: str, kind: str) -> None:
    cells = [str(90_000 + i % 30) for i in range(ROWS)]
    assert infer_from_cells(cells, name)[0] == kind
    assert infer_from_cells([f"{cell}.5" for cell in cells], name)[0] == "number"


def test_identifiers_may_repeat_and_years_are_no_identifiers() -> None:
    assert (
        infer_from_cells([str(i * 7 % 640) for i in range(ROWS)][:80] * 2, "doc_id")[0]
        == "identifier"
    )
    assert infer_from_cells(list(range(1900, 1900 + ROWS)), "Year")[0] == "number"


@pytest.mark.parametrize(
    ("cells", "options"),
    [
        (NUMBERS, {}),
        ([cell.replace(".", ",") for cell in NUMBERS], {"decimal": ","}),
        ([str(day) for day in DAYS], {"format": "%Y-%m-%d"}),
        ([f"{day:%d.%m.%Y}" for day in DAYS], {"format": "%d.%m.%Y"}),
        ([f"{day:%d/%m/%Y}" for day in DAYS], {"format": "%d/%m/%Y"}),
        ([f"{day:%Y-%m-%d} 10:30:00" for day in DAYS], {"format": "%Y-%m-%d %H:%M:%S"}),
        (DAYS, {"format": "native"}),
    ],
)
def test_formats_are_inferred(cells: list[Any], options: dict[str, Any]) -> None:
    assert infer_from_cells(cells)[1] == options


def test_the_reason_counts_unparseable_cells() -> None:
    result = infer_kind(ColumnProfile(pl.Series("x", [*NUMBERS[:97], "a", "b", "c"])))
    assert "3 cells are not numbers and count as missing" in result.reason


@pytest.mark.parametrize(
    ("kind", "cells", "options", "values"),
    [
        ("number", ["1.5", "x", "", "1,234.5", "inf"], {}, [1.5, None, None, 1234.5, None]),
        ("number", ["1,5", "1.234,5"], {"decimal": ","}, [1.5, 1234.5]),
        ("number", ["-5", "0.5", "99"], {"clip": [0, 10]}, [0.0, 0.5, 10.0]),
        ("number", ["1e300"], {}, [1e100]),  # the largest allowed number
        ("boolean", ["Yes", "n", "1.0", "perhaps"], {}, [True, False, True, None]),
        ("category", [1.0, 2.5, None, -3.0], {}, ["1", "2.5", None, "-3"]),
        ("category", [1, 2], {}, ["1", "2"]),
        ("category", ["a", "1.0", "-2.", "1.10", "020"], {}, ["a", "1", "-2", "1.10", "020"]),
        ("datetime", ["2024-02", "2024-13"], {"format": "%Y-%m"}, [dt.datetime(2024, 2, 1), None]),
        ("number", ["-5", "99"], {"clip": "auto"}, [-5.0, 99.0]),  # clipped by the encoder
        ("text", ["a b", 7], {}, ["a b", "7"]),
        ("datetime", ["3.2.2024", "2024-02-03"], {"format": "%d.%m.%Y"}, [DAY, None]),
        ("datetime", [DAY.date()], {"format": "%d.%m.%Y"}, [DAY]),
        ("identifier", [17, None], {}, ["17", None]),
        ("constant", [1.5], {}, ["1.5"]),
    ],
)  # fmt: skip
def test_each_kind_parses_its_cells(
    kind: str, cells: list[Any], options: dict[str, Any], values: list[Any]
) -> None:
    column = pl.Series("x", cells, strict=False)
    assert catalog.load_plugin("kinds", kind).parse(column, options).to_list() == values


@pytest.mark.parametrize(
    "text", ["2024-02-03T10:30:00", "2024-02-03 10:30:00", "2024-02-03T12:30:00+02:00"]
)
def test_native_dates_are_parsed_from_text(text: str) -> None:
    column = pl.Series("x", [text, None, "soon"])
    read = catalog.load_plugin("kinds", "datetime").parse(column, {"format": "native"})
    assert read.to_list() == [dt.datetime(2024, 2, 3, 10, 30), None, None]


def test_categories_are_parsed_independently() -> None:
    kind = catalog.load_plugin("kinds", "category")
    together = kind.parse(pl.Series([1.0, 2.5]), {}).to_list()
    assert kind.parse(pl.Series([1.0]), {}).to_list() == together[:1]


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("number", [1.0, None], {"value": [1.0, None]}),
        ("boolean", [True, None], {"value": ["true", None]}),
        ("category", ["a", None], {"value": ["a", None]}),
        ("constant", ["x"], {"value": ["x"]}),
        ("datetime", [DAY, None], {"value": [DAY, None], "weekday": ["Saturday", None],
                                   "hour": [0.0, None]}),
        ("identifier", ["secret"], {}),
        ("text", ["a bc", None], {"length": [4, None], "words": [2, None],
                                  "chars_per_word": [2, None]}),
    ],
)  # fmt: skip
def test_each_kind_has_its_drift_statistics(
    kind: str, values: list[Any], expected: dict[str, Any]
) -> None:
    result = catalog.load_plugin("kinds", kind).drift_statistics(pl.Series(values))
    assert {name: measure.to_list() for name, measure in result.items()} == expected
