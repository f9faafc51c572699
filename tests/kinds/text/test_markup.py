from __future__ import annotations

import pytest

from fieldcraft.kinds.text.checks.markup import Markup
from tests.checks.contexts import data_context, run_check
from tests.kinds.text.sentences import make_texts

TEXTS = make_texts(100)


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("tags", "<br />"),
        ("tags", "<A HREF='x'>here</A>"),
        ("tags", "<!-- hidden -->"),
        ("entities", "you &amp; me"),
        ("entities", "it&#39;s"),
        ("entities", "it&#x27;s"),
        ("URLs", "all of it is to be found on https://example.org/a?b=1"),
        ("URLs", "all of it is on www.example.org"),
        ("tags", "[quote]you said so[/quote]"),
        ("Markdown", "\n```\nx = 1"),
    ],
)
def test_each_type_of_markup_is_counted(markup: str, text: str) -> None:
    (finding,) = run_check(
        Markup(), data_context({"a": [*TEXTS, text, f"and {text} so"]}, a="text")
    )
    assert (finding.severity, finding.column) == ("info", "a")
    assert finding.evidence == {markup: {"texts": 2, "rows": [101, 102]}}
    assert f"{markup} (" in finding.title
    assert "2 of 102 texts (2.0%), rows 101, 102" in finding.title


@pytest.mark.parametrize(
    "text",
    [
        "a < b and c > d",
        "<grin>",
        "#include <stdio.h>",
        "AT&T; R&D",
        "<me@home.org>",
        "x.org",
        "**so**",
        "[b] 1",
    ],
)
def test_what_only_looks_like_markup_is_not_reported(text: str) -> None:
    assert run_check(Markup(), data_context({"a": [*TEXTS, *[text] * 9]}, a="text")) == []


def test_less_than_one_percent_is_not_reported() -> None:
    assert run_check(Markup(), data_context({"a": [*make_texts(300), "<br>"]}, a="text")) == []


def test_texts_that_are_mostly_urls_are_counted_separately() -> None:
    texts = [*TEXTS, "see https://example.org/a", "[here](https://example.org/some/page) it is"]
    (finding,) = run_check(Markup(), data_context({"a": texts}, a="text"))
    assert finding.evidence["mostly URLs"] == {"texts": 2, "rows": [101, 102]}
    assert "mostly URLs (URLs longer than the rest) in 2 of 102" in finding.title


@pytest.mark.parametrize(("texts", "reported"), [(100, True), (101, False)])
def test_one_percent_of_texts_is_reported(texts: int, reported: bool) -> None:
    context = data_context({"a": [*make_texts(texts - 1), "<br>"]}, a="text")
    findings = run_check(Markup(), context)
    assert [f.title for f in findings] == (
        [f"a has tags (such as <br>) in 1 of {texts} texts (1.0%), row {texts}"] * reported
    )
