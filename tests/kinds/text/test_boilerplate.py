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
def test_common_start_or_end_is_reported(form: str, where: str, words: str, count: int) -> None:
    texts = [form.format(text=text) if i < count else text for i, text in enumerate(TEXTS)]
    (finding,) = run_check(Boilerplate(), data_context({"a": texts}, a="text"))
    assert (finding.severity, finding.column) == ("info", "a")
    assert (finding.evidence["where"], finding.evidence["texts"]) == (where, count)
    assert f"{count} of 100 distinct texts ({count}%) {where} with the same" in finding.title
    assert words in finding.title


@pytest.mark.parametrize(
    "texts",
    [
        TEXTS,
        [f"Hello {text}" for text in TEXTS],  # two words are ordinary language
        [START + text if i < 40 else text for i, text in enumerate(TEXTS)],  # less than half
        [*TEXTS, *[START + END] * 200],  # copies of one text
        ["Dear all, one text"] * 50,
    ],
    ids=["distinct", "two words", "a few", "repeated", "one text"],
)
def test_texts_without_a_common_start_are_not_reported(texts: list[str]) -> None:
    assert run_check(Boilerplate(), data_context({"a": texts}, a="text")) == []


def test_common_prefix_ends_with_a_whole_word() -> None:
    texts = pl.Series(["my own cats", "my own cars", "my own cow", "a dog"])
    assert most_common_prefix(texts) == "my own"
    assert most_common_prefix(pl.Series(["a", "b", "c"])) == ""
    assert (
        most_common_prefix(pl.Series(["好的 我要 一二三", "好的 我要 四五六", "好的 我要 七"]))
        == "好的 我要"
    )


@pytest.mark.parametrize(("count", "reported"), [(50, True), (49, False)])
def test_reported_from_half_of_the_texts(count: int, reported: bool) -> None:
    texts = [f"{START}{i} {text}" if i < count else text for i, text in enumerate(TEXTS)]
    findings = run_check(Boilerplate(), data_context({"a": texts}, a="text"))
    assert [f.evidence["texts"] for f in findings] == [count] * reported
    assert all(f.evidence["characters"] == len(START.rstrip()) for f in findings)


@pytest.mark.parametrize(("words", "reported"), [("Dear all", False), ("Dear you all", True)])
def test_reported_from_three_words(words: str, reported: bool) -> None:
    texts = [f"{words}, {i} {text}" for i, text in enumerate(TEXTS)]
    assert bool(run_check(Boilerplate(), data_context({"a": texts}, a="text"))) is reported


@pytest.mark.parametrize(("n_distinct", "reported"), [(20, True), (19, False)])
def test_twenty_distinct_texts_are_needed(n_distinct: int, reported: bool) -> None:
    texts = [START + text for text in TEXTS[:n_distinct]] * 3
    assert bool(run_check(Boilerplate(), data_context({"a": texts}, a="text"))) is reported


@pytest.mark.parametrize("word", ["cafe\u0301", "\U0001f468\u200d\U0001f469\u200d\U0001f467"])
def test_combining_characters_are_found_at_the_end(word: str) -> None:
    texts = [f"{text} sent from the {word}" for text in TEXTS]
    (finding,) = run_check(Boilerplate(), data_context({"a": texts}, a="text"))
    assert (finding.evidence["where"], finding.evidence["texts"]) == ("end", len(TEXTS))
    assert finding.evidence["characters"] == len(f". sent from the {word}")


def test_long_boilerplate_is_truncated_in_the_title() -> None:
    start = "We thank you for your message and will answer it as soon as we can do so"
    texts = [f"{start} {i} {text}" for i, text in enumerate(TEXTS)]
    (finding,) = run_check(Boilerplate(), data_context({"a": texts}, a="text"))
    assert finding.title.endswith(f"with the same {len(start)} characters, {start[:60] + '...'!r}")
