from __future__ import annotations

from dataclasses import replace

import pytest

from fieldcraft.data.schema import Column, Schema
from fieldcraft.kinds.text.checks.text_length import TextLength
from fieldcraft.kinds.text.ngrams import MAX_CHARACTERS
from tests.checks.contexts import data_context, run_check
from tests.kinds.text.sentences import make_texts

TEXTS = make_texts(300)
LONG = make_texts(300, 180, seed=1)


@pytest.mark.parametrize(("count", "severity"), [(2, None), (30, "tip"), (300, "warn")])
def test_how_much_of_long_texts_is_not_read_is_told(count: int, severity: str | None) -> None:
    texts = [*TEXTS, *LONG[:count]]
    findings = run_check(TextLength(), data_context({"a": texts}, a="text"))
    assert [finding.severity for finding in findings] == ([severity] if severity else [])
    for finding in findings:
        unread = sum(max(len(text) - MAX_CHARACTERS, 0) for text in texts)
        assert finding.evidence["unread"] == pytest.approx(unread / sum(map(len, texts)))
        assert finding.evidence["texts"] == count
        assert "5,000 characters" in finding.title


@pytest.mark.parametrize(
    ("encoder", "reads"),
    [("ngrams", ""), ("lstm", "lstm reads the first 128"), ("minilm", "minilm reads 4 windows")],
)
def test_how_much_an_encoder_reads_is_told_beside(encoder: str, reads: str) -> None:
    view = data_context({"a": LONG}, a="text")
    column = Column("a", "text", {"encoder": encoder})
    (finding,) = run_check(TextLength(), replace(view, schema=Schema((column,))))
    assert reads in finding.title
    assert (" reads " in finding.title) is bool(reads)


@pytest.mark.parametrize("most", [150, 1_000])
def test_texts_that_were_cut_before_are_a_warning(most: int) -> None:
    texts = [text[:most] for text in [*TEXTS, *LONG[:40]]]
    (finding,) = run_check(TextLength(), data_context({"a": texts}, a="text"))
    assert finding.severity == "warn"
    assert finding.evidence["characters"] == most
    assert f"exactly {most:,} characters" in finding.title


def test_lengths_that_thin_out_or_are_all_the_same_are_no_cut() -> None:
    same = [text.ljust(300, "x") for text in TEXTS]
    longest = max(TEXTS, key=len)
    for texts in (TEXTS, same, [*TEXTS, *[longest] * 30]):
        assert run_check(TextLength(), data_context({"a": texts}, a="text")) == []


@pytest.mark.parametrize(
    ("long", "short", "severity"),
    [(1, 99, "tip"), (1, 100, None), (50, 50, "warn"), (49, 51, "tip")],
)
def test_one_text_in_a_hundred_is_told_and_one_in_two_is_a_warning(
    long: int, short: int, severity: str | None
) -> None:
    lengths = [5_001 + i for i in range(long)] + [10 + i for i in range(short)]
    findings = run_check(TextLength(), data_context({"a": ["x" * n for n in lengths]}, a="text"))
    assert [f.severity for f in findings] == ([severity] if severity else [])
    for finding in findings:
        assert finding.evidence["texts"] == long
        assert finding.evidence["longest"] == 5_000 + long


def test_what_is_just_as_long_as_what_is_read_is_read() -> None:
    texts = ["x" * (5_000 - i) for i in range(100)]
    assert run_check(TextLength(), data_context({"a": texts}, a="text")) == []


@pytest.mark.parametrize(
    ("at_end", "near", "most", "reported"),
    [
        (10, 0, 100, True), (9, 0, 100, False),  # ten texts
        (20, 40, 100, True), (19, 40, 100, False),  # ten times as many as of a length below
        (10, 0, 20, True), (10, 0, 19, False),  # of twenty characters
    ],
)  # fmt: skip
def test_bounds_of_texts_that_seem_to_be_cut(
    at_end: int, near: int, most: int, reported: bool
) -> None:
    texts = [f"{i:03}".ljust(most, "x") for i in range(at_end)]
    texts += [f"{i:03}".ljust(most - 1 - i % 20, "y") for i in range(near)]
    texts += ["z"] * 5
    findings = run_check(TextLength(), data_context({"a": texts}, a="text"))
    assert [f.evidence["texts"] for f in findings] == [at_end] * reported


@pytest.mark.parametrize(("different", "reported"), [(20, True), (19, False)])
def test_one_text_over_and_over_was_not_cut(different: int, reported: bool) -> None:
    texts = [f"{i % different:03}".ljust(100, "x") for i in range(40)] + ["short"] * 40
    assert bool(run_check(TextLength(), data_context({"a": texts}, a="text"))) is reported
