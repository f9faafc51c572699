from __future__ import annotations

import polars as pl
import pytest

from fieldcraft.kinds.text.checks.boilerplate import Boilerplate, most_common_prefix
from tests.checks.contexts import data_context, run_check
from tests.kinds.text.sentences import make_texts

TEXTS = make_texts(100)
START = "Dear customer service, "
END = "\n--\nSent from my telephone"


@pytest.mark.parametrize(
    ("form", "where", "words"),
    [
        (START + "{text}", "begin", "Dear customer service,"),
        ("{text}" + END, "end", "-- Sent from my telephone"),
    ],
)
@pytest.mark.parametrize("count", [60, 100])
def test_what_most_texts_begin_or_end_with_is_told(
    form: str, where: str, words: str, count: int
) -> None:
    texts = [form.format(text=text) if i < count else text for i, text in enumerate(TEXTS)]
    (finding,) = run_check(Boilerplate(), data_context({"a": texts}, a="text"))
    assert (finding.severity, finding.column) == ("tip", "a")
    assert (finding.evidence["where"], finding.evidence["texts"]) == (where, count)
    assert f"{count} of 100 different texts ({count}%) {where} with the same" in finding.title
    assert words in finding.title


@pytest.mark.parametrize(
    "texts",
    [
        TEXTS,
        [f"Hello {text}" for text in TEXTS],  # two words are a habit
        [START + text if i < 40 else text for i, text in enumerate(TEXTS)],  # of a few
        [*TEXTS, *[START + END] * 200],  # one text over and over
        ["Dear all, one text"] * 50,
    ],
    ids=["different", "habit", "a few", "repeated", "all the same"],
)
def test_texts_that_begin_each_in_its_way_are_passed(texts: list[str]) -> None:
    assert run_check(Boilerplate(), data_context({"a": texts}, a="text")) == []


def test_the_start_ends_with_a_whole_word() -> None:
    texts = pl.Series(["my own cats", "my own cars", "my own cow", "a dog"])
    assert most_common_prefix(texts) == "my own"
    assert most_common_prefix(pl.Series(["a", "b", "c"])) == ""
    assert (
        most_common_prefix(pl.Series(["好的 我要 一二三", "好的 我要 四五六", "好的 我要 七"]))
        == "好的 我要"
    )


@pytest.mark.parametrize(("count", "reported"), [(50, True), (49, False)])
def test_half_of_the_texts_are_most(count: int, reported: bool) -> None:
    texts = [f"{START}{i} {text}" if i < count else text for i, text in enumerate(TEXTS)]
    findings = run_check(Boilerplate(), data_context({"a": texts}, a="text"))
    assert [f.evidence["texts"] for f in findings] == [count] * reported
    assert all(f.evidence["characters"] == len(START.rstrip()) for f in findings)


@pytest.mark.parametrize(("words", "reported"), [("Dear all", False), ("Dear you all", True)])
def test_three_words_are_more_than_a_habit(words: str, reported: bool) -> None:
    texts = [f"{words}, {i} {text}" for i, text in enumerate(TEXTS)]
    assert bool(run_check(Boilerplate(), data_context({"a": texts}, a="text"))) is reported


@pytest.mark.parametrize(("different", "reported"), [(20, True), (19, False)])
def test_twenty_different_texts_are_needed(different: int, reported: bool) -> None:
    texts = [START + text for text in TEXTS[:different]] * 3
    assert bool(run_check(Boilerplate(), data_context({"a": texts}, a="text"))) is reported


def test_a_long_start_is_cut_in_the_title() -> None:
    start = "We thank you for your message and will answer it as soon as we can do so"
    texts = [f"{start} {i} {text}" for i, text in enumerate(TEXTS)]
    (finding,) = run_check(Boilerplate(), data_context({"a": texts}, a="text"))
    assert finding.title.endswith(f"with the same {len(start)} characters, {start[:60] + '...'!r}")
