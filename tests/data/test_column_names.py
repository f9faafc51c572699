"""Words of column names."""

from __future__ import annotations

import pytest

from fieldcraft.data.column_names import split_words, strip_accents


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
def test_names_split_into_words(name: str, words: tuple[str, ...]) -> None:
    assert split_words(name) == words


def test_accents_are_removed_and_other_scripts_kept() -> None:
    assert strip_accents("éàüñß Ł 東") == "eaunss Ł 東"
