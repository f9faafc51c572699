"""What the names of columns say."""

from __future__ import annotations

import pytest

from fieldcraft.data.column_names import (
    find_known_words,
    shared_word,
    split_words,
    stem,
    strip_accents,
    suggests_after_outcome,
    suggests_protected_attribute,
)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("two_year_recid", ("two", "year", "recid")),
        ("TotalCharges", ("total", "charges")),
        ("customerID", ("customer", "id")),
        ("HTTPStatus2xx", ("http", "status", "2", "xx")),
        ("Alter (Jahre)", ("alter", "jahre")),
        ("Größe.1", ("grosse", "1")),
        ("性别", ("性别",)),
        ("", ()),
        ("__", ()),
    ],
)
def test_words_are_told_apart_however_they_are_joined(name: str, words: tuple[str, ...]) -> None:
    assert split_words(name) == words


def test_accents_are_taken_away_and_other_scripts_kept() -> None:
    assert strip_accents("éàüñß Ł 東") == "eaunss Ł 東"


def test_words_count_whole_and_joined() -> None:
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
def test_stems_are_shared_by_kin(a: str, b: str, same: bool) -> None:
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
def test_names_are_kin_by_a_word_that_means_something(
    name: str, target: str, word: str | None
) -> None:
    assert shared_word(name, target) == word


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
def test_names_sound_like_afterwards(name: str, word: str | None) -> None:
    assert suggests_after_outcome(name) == word


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
def test_names_sound_sensitive_by_whole_words_only(name: str, word: str | None) -> None:
    assert suggests_protected_attribute(name) == word
