from __future__ import annotations

import pytest

from fieldcraft.kinds.text.checks.markup import Markup
from tests.checks.contexts import data_context, run_check
from tests.kinds.text.sentences import make_texts

TEXTS = make_texts(100)


@pytest.mark.parametrize(
    ("what", "sign"),
    [
        ("tags", "<br />"),
        ("tags", "<A HREF='x'>here</A>"),
        ("tags", "<!-- hidden -->"),
        ("entities", "you &amp; me"),
        ("entities", "it&#39;s"),
        ("entities", "it&#x27;s"),
        ("addresses of pages", "all of it is to be found on https://example.org/a?b=1"),
        ("addresses of pages", "all of it is on www.example.org"),
        ("tags", "[quote]you said so[/quote]"),
        ("Markdown", "\n```\nx = 1"),
    ],
)
def test_each_sign_of_a_page_is_counted(what: str, sign: str) -> None:
    (finding,) = run_check(
        Markup(), data_context({"a": [*TEXTS, sign, f"and {sign} so"]}, a="text")
    )
    assert (finding.severity, finding.column) == ("tip", "a")
    assert finding.evidence == {what: {"texts": 2, "rows": [101, 102]}}
    assert f"{what} (" in finding.title
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
def test_what_only_looks_like_markup_is_passed(text: str) -> None:
    assert run_check(Markup(), data_context({"a": [*TEXTS, *[text] * 9]}, a="text")) == []


def test_a_few_do_no_harm() -> None:
    assert run_check(Markup(), data_context({"a": [*make_texts(300), "<br>"]}, a="text")) == []


def test_texts_that_are_next_to_nothing_but_addresses_are_told_apart() -> None:
    texts = [*TEXTS, "see https://example.org/a", "[here](https://example.org/some/page) it is"]
    (finding,) = run_check(Markup(), data_context({"a": texts}, a="text"))
    assert finding.evidence["next to nothing else"] == {"texts": 2, "rows": [101, 102]}
    assert "next to nothing else (URLs longer than the rest) in 2 of 102" in finding.title


@pytest.mark.parametrize(("texts", "reported"), [(100, True), (101, False)])
def test_one_text_in_a_hundred_is_told(texts: int, reported: bool) -> None:
    view = data_context({"a": [*make_texts(texts - 1), "<br>"]}, a="text")
    findings = run_check(Markup(), view)
    assert [f.title for f in findings] == (
        [f"a has tags (such as <br>) in 1 of {texts} texts (1.0%), row {texts}"] * reported
    )
