"""Words in column names that checks look for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fieldcraft.checks._names import (
    find_after_outcome_word,
    find_known_words,
    find_protected_attribute_word,
    find_sensitive_columns,
    find_shared_word,
    stem,
)
from tests.checks.contexts import data_context


def test_words_match_whole_and_joined() -> None:
    assert find_known_words("native-country code", {"nativecountry", "count"}) == ("nativecountry",)
    assert find_known_words("Essex", {"sex"}) == ()


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("charges", "charge", True),
        ("housing", "house", True),
        ("recidivism", "recid", False),
        ("house", "household", False),
        ("age", "ages", False),  # too short to be cut
    ],
)
def test_related_words_share_a_stem(a: str, b: str, same: bool) -> None:
    assert (stem(a) == stem(b)) is same


@pytest.mark.parametrize(
    ("name", "target", "word"),
    [
        ("is_recid", "two_year_recid", "recid"),
        ("Sale Type", "SalePrice", "sale"),
        ("mean_value", "median_value", None),
        ("column_3", "column_24", None),
        ("age", "age_at_death", None),
        ("deaths", "age_at_death", "deaths"),
        ("last_year_sales", "sales", None),
    ],
)
def test_a_shared_word_must_be_specific(name: str, target: str, word: str | None) -> None:
    assert find_shared_word(name, target) == word


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("outcome", "outcome"),
        ("DischargeDate", "discharge"),
        ("charge_off_amount", "chargeoff"),
        ("previous_outcome", None),
        ("last_payment", None),
        ("finale", None),
        ("weekend", None),
    ],
)
def test_names_suggest_a_column_written_after_the_outcome(name: str, word: str | None) -> None:
    assert find_after_outcome_word(name) == word


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("sex", "sex"),
        ("Is_Female", "female"),
        ("Marital Status", "maritalstatus"),
        ("age", "age"),
        ("age_group", "age"),
        ("CustomerAge", "age"),
        ("house_age", None),
        ("housing_median_age", None),
        ("account_age_days", None),
        ("usage", None),
        ("Essex", None),
        ("country_of_birth", "countryofbirth"),
        ("Staatsangehörigkeit", "staatsangehorigkeit"),
        ("état civil", "etatcivil"),
        ("trace", None),
    ],
)
def test_protected_attributes_match_whole_words_only(name: str, word: str | None) -> None:
    assert find_protected_attribute_word(name) == word


def test_declared_sensitive_columns_come_before_suspected_ones() -> None:
    cells = {name: ["a", "b"] * 10 for name in ("gender", "x", "race")}
    context = data_context(cells, **dict.fromkeys(cells, "category"))
    assert find_sensitive_columns(context) == ["gender", "race"]
    declared = replace(context, sensitive_features=("x", "race"))
    assert find_sensitive_columns(declared) == ["x", "race", "gender"]
