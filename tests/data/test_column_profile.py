"""A first look at a column tells what its cells could be."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from fieldcraft.core import catalog
from fieldcraft.data.column_profile import ColumnProfile, looks
from fieldcraft.data.read import read_table


def make_profile(*cells: object, missing: tuple[str, ...] = ()) -> ColumnProfile:
    """A look at a column of these cells."""
    return ColumnProfile(pl.Series("cells", cells, strict=False), missing)


def test_counts_of_rows_gaps_and_values() -> None:
    found = make_profile("a", " a", "b", "", None, "?", missing=("?",))
    assert (found.name, found.n_rows, found.n_missing, found.n_unique) == ("cells", 6, 3, 2)
    assert found.present_values.to_list() == ["a", "a", "b"]
    assert found.most_common() == [("a", 2), ("b", 1)]


def test_equally_common_values_come_in_the_order_of_the_alphabet() -> None:
    assert make_profile("c", "a", "b", "a", "c").most_common(2) == [("a", 2), ("c", 2)]


@pytest.mark.parametrize("name", ["value", "count"])
def test_a_column_may_have_the_name_of_a_count(name: str) -> None:
    assert ColumnProfile(pl.Series(name, ["x", "x"])).most_common() == [("x", 2)]


def test_numbers_in_text_with_their_share_and_span() -> None:
    found = make_profile("1", "2.5", "x", None)
    assert found.is_text
    assert found.numbers.to_list() == [1.0, 2.5, None, None]
    assert found.numeric_fraction == pytest.approx(2 / 3)
    assert found.value_range == (1.0, 2.5)
    assert not found.is_integer


def test_a_decimal_comma_is_noticed() -> None:
    found = make_profile("1,5", "-2,25")
    assert found.decimal_mark == ","
    assert found.value_range == (-2.25, 1.5)


@pytest.mark.parametrize(
    ("cells", "whole"), [(("1", "2.0"), True), ((1, 2), True), (("1", "x"), False), ((1.5,), False)]
)
def test_whole_numbers_have_no_fraction_and_no_exceptions(
    cells: tuple[object, ...], whole: bool
) -> None:
    assert make_profile(*cells).is_integer is whole


def test_an_empty_column_has_nothing_to_show() -> None:
    found = make_profile(None, "", "?", missing=("?",))
    assert (found.n_missing, found.n_unique, found.numeric_fraction) == (3, 0, 0.0)
    assert (found.value_range, found.most_common(), found.datetime_format) == ((0.0, 0.0), [], None)


def test_dates_are_noticed_in_text_and_in_typed_columns() -> None:
    assert make_profile("31.12.2024", "01.01.2025").datetime_format == "%d.%m.%Y"
    assert make_profile(date(2024, 12, 31)).datetime_format == "native"
    assert make_profile(20241231).datetime_format is None


def test_marks_of_missing_values_are_counted_as_they_are_spelt() -> None:
    found = make_profile("?", "NA", " na", "N/A", "x", "none", None, missing=("?",))
    assert found.missing_marker_counts == {"?": 1, "N/A": 1, "NA": 1, "na": 1}
    assert make_profile(1, 2).missing_marker_counts == {}


def test_every_column_of_a_frame_is_looked_at(table: pl.DataFrame) -> None:
    found = looks(table, ("no",))
    assert list(found) == table.columns
    assert found["member"].n_missing == table["member"].to_list().count("no")
    assert found["age"].n_missing == table["age"].null_count()


# The developers' data: columns as they are found in the wild.


def inferred_kinds(path: Path) -> dict[str, str]:
    """The kind that is surest of each column of a file."""
    kinds = catalog.load_plugins("kinds")
    best: dict[str, str] = {}
    for name, found in looks(read_table(path).frame).items():
        guesses = [guess for kind in kinds if (guess := kind.infer(found)) is not None]
        best[name] = max(guesses, key=lambda guess: guess.confidence).name
    return best


def test_charges_with_blank_cells_are_numbers_with_gaps(shared_data: Path) -> None:
    path = shared_data / "tabular/telco_churn_raw.csv.gz"
    found = looks(read_table(path).frame)["TotalCharges"]
    assert (found.n_missing, found.numeric_fraction) == (11, 1.0)
    kinds = inferred_kinds(path)
    assert (kinds["TotalCharges"], kinds["customerID"]) == ("number", "identifier")
    values = catalog.load_plugin("kinds", "number").parse(found.column, {})
    assert values.null_count() == 11
    assert values.max() == pytest.approx(8684.8)


def test_measures_with_a_decimal_comma_are_numbers(shared_data: Path) -> None:
    kinds = inferred_kinds(shared_data / "tabular/dry_bean/dry_bean_raw_european.csv.gz")
    assert kinds.pop("Bean ID") == "identifier"
    assert kinds.pop("Class") == "category"
    assert set(kinds.values()) == {"number"}


def test_question_marks_are_reported_as_marks(shared_data: Path) -> None:
    frame = read_table(shared_data / "tabular/messy/horse_colic.csv").frame
    marks = [found.missing_marker_counts for found in looks(frame).values()]
    assert sum(mark.get("?", 0) for mark in marks) == 1_605
    assert sum(bool(mark) for mark in marks) == 21
