"""The profile of a column shows what its cells could be parsed as."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from fieldcraft.core import catalog
from fieldcraft.data.column_profile import ColumnProfile, profile_columns
from fieldcraft.data.read import read_table


def make_profile(*cells: object, missing: tuple[str, ...] = ()) -> ColumnProfile:
    """Profile a column of these cells."""
    return ColumnProfile(pl.Series("cells", cells, strict=False), missing)


def test_counts_of_rows_missing_values_and_distinct_values() -> None:
    profile = make_profile("a", " a", "b", "", None, "?", missing=("?",))
    assert (profile.name, profile.n_rows, profile.n_missing, profile.n_unique) == ("cells", 6, 3, 2)
    assert profile.present_values.to_list() == ["a", "a", "b"]
    assert profile.most_common() == [("a", 2), ("b", 1)]


def test_equally_frequent_values_are_in_alphabetical_order() -> None:
    assert len(make_profile(*"abcdefg").most_common()) == 5
    assert make_profile("c", "a", "b", "a", "c").most_common(2) == [("a", 2), ("c", 2)]


@pytest.mark.parametrize("name", ["value", "count"])
def test_a_column_may_have_the_name_of_a_count(name: str) -> None:
    assert ColumnProfile(pl.Series(name, ["x", "x"])).most_common() == [("x", 2)]


def test_numbers_in_text_have_a_fraction_and_a_range() -> None:
    profile = make_profile("1", "2.5", "x", None)
    assert profile.is_text
    assert profile.numbers.to_list() == [1.0, 2.5, None, None]
    assert profile.numeric_fraction == pytest.approx(2 / 3)
    assert profile.value_range == (1.0, 2.5)
    assert not profile.is_integer


def test_a_decimal_comma_is_detected() -> None:
    profile = make_profile("1,5", "-2,25")
    assert profile.decimal_mark == ","
    assert profile.value_range == (-2.25, 1.5)


@pytest.mark.parametrize(
    ("cells", "is_integer"),
    [(("1", "2.0"), True), ((1, 2), True), (("1", "x"), False), ((1.5,), False)],
)
def test_a_column_is_integer_only_if_all_values_are(
    cells: tuple[object, ...], is_integer: bool
) -> None:
    assert make_profile(*cells).is_integer is is_integer


def test_the_profile_of_an_empty_column() -> None:
    profile = make_profile(None, "", "?", missing=("?",))
    assert (profile.n_missing, profile.n_unique, profile.numeric_fraction) == (3, 0, 0.0)
    assert (profile.value_range, profile.most_common(), profile.datetime_format) == (
        (0.0, 0.0),
        [],
        None,
    )


def test_dates_are_detected_in_text_and_in_typed_columns() -> None:
    assert make_profile("31.12.2024", "01.01.2025").datetime_format == "%d.%m.%Y"
    assert make_profile(date(2024, 12, 31)).datetime_format == "native"
    assert make_profile(20241231).datetime_format is None


def test_missing_markers_are_counted_as_written() -> None:
    profile = make_profile("?", "NA", " na", "N/A", "x", "none", None, missing=("?",))
    assert profile.missing_marker_counts == {"?": 1, "N/A": 1, "NA": 1, "na": 1}
    assert make_profile(1, 2).missing_marker_counts == {}


def test_every_column_of_a_frame_is_profiled(table: pl.DataFrame) -> None:
    profile = profile_columns(table, ("no",))
    assert list(profile) == table.columns
    assert profile["member"].n_missing == table["member"].to_list().count("no")
    assert profile["age"].n_missing == table["age"].null_count()


# Columns of real data sets.


def inferred_kinds(path: Path) -> dict[str, str]:
    """Infer the kind of each column of a file."""
    kinds = catalog.load_plugins("kinds")
    best: dict[str, str] = {}
    for name, profile in profile_columns(read_table(path).frame).items():
        guesses = [guess for kind in kinds if (guess := kind.infer(profile)) is not None]
        best[name] = max(guesses, key=lambda guess: guess.confidence).name
    return best


def test_charges_with_blank_cells_are_numbers_with_missing_values(shared_data: Path) -> None:
    path = shared_data / "tabular/telco_churn_raw.csv.gz"
    profile = profile_columns(read_table(path).frame)["TotalCharges"]
    assert (profile.n_missing, profile.numeric_fraction) == (11, 1.0)
    kinds = inferred_kinds(path)
    assert (kinds["TotalCharges"], kinds["customerID"]) == ("number", "identifier")
    values = catalog.load_plugin("kinds", "number").parse(profile.column, {})
    assert values.null_count() == 11
    assert values.max() == pytest.approx(8684.8)


def test_measurements_with_a_decimal_comma_are_numbers(shared_data: Path) -> None:
    kinds = inferred_kinds(shared_data / "tabular/dry_bean/dry_bean_raw_european.csv.gz")
    assert kinds.pop("Bean ID") == "identifier"
    assert kinds.pop("Class") == "category"
    assert set(kinds.values()) == {"number"}


def test_question_marks_are_counted_as_missing_markers(shared_data: Path) -> None:
    frame = read_table(shared_data / "tabular/messy/horse_colic.csv").frame
    marks = [profile.missing_marker_counts for profile in profile_columns(frame).values()]
    assert sum(mark.get("?", 0) for mark in marks) == 1_605
    assert sum(bool(mark) for mark in marks) == 21
