from __future__ import annotations

import pytest

from fieldcraft.kinds.text.checks.escape_sequences import EscapeSequences
from tests.checks.contexts import data_context, run_check
from tests.kinds.text.sentences import make_texts

TEXTS = make_texts(98)


@pytest.mark.parametrize(
    ("text", "most_common"),
    [
        (r"I\u2019m sorry, don\u2019t\u002c", r"\u2019"),
        (r"caf\xe9 au lait", r"\xe9"),
        (r"one line.\nand more.\nand more", r".\n"),
        (r"a heading\n\nand more", r"\n\n"),
    ],
)
def test_escape_sequences_are_a_warning(text: str, most_common: str) -> None:
    (finding,) = run_check(
        EscapeSequences(), data_context({"a": [*TEXTS, text, f"{text} so"]}, a="text")
    )
    assert (finding.severity, finding.column) == ("warning", "a")
    assert finding.evidence == {"texts": 2, "rows": [99, 100], "commonest": most_common}
    assert f"escape sequences such as {most_common}, rows 99, 100" in finding.title


@pytest.mark.parametrize(
    "text",
    [r"C:\temp\user\new folder", r"\textbf{x} and \usepackage{y}", "a\nb\n\nc", r"AC\DC", "’"],
)
def test_other_backslashes_and_real_line_ends_are_not_reported(text: str) -> None:
    assert run_check(EscapeSequences(), data_context({"a": [*TEXTS, *[text] * 9]}, a="text")) == []


def test_a_single_text_about_programming_is_not_reported() -> None:
    context = data_context({"a": [*make_texts(300), r'printf("Done.\n");']}, a="text")
    assert run_check(EscapeSequences(), context) == []


@pytest.mark.parametrize(("count", "reported"), [(2, True), (1, False)])
def test_reported_from_one_percent_of_texts(count: int, reported: bool) -> None:
    texts = [*make_texts(200 - count), *[r"so \u2019 so"] * count]
    assert bool(run_check(EscapeSequences(), data_context({"a": texts}, a="text"))) is reported


def test_most_common_escape_is_shown() -> None:
    texts = [*make_texts(50), r"a \xe9 b \u2019 c \u2019"]
    (finding,) = run_check(EscapeSequences(), data_context({"a": texts}, a="text"))
    assert finding.evidence["commonest"] == r"\u2019"
    title = r"1 of 51 texts (2.0%) has escape sequences such as \u2019, row 51"
    assert title in finding.title
