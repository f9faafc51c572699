from __future__ import annotations

from dataclasses import replace

import pytest

from fieldcraft.data.schema import Column, Schema
from fieldcraft.kinds.text.checks.truncated_texts import TruncatedTexts
from fieldcraft.kinds.text.ngrams import MAX_CHARACTERS
from tests.checks.contexts import data_context, run_check
from tests.kinds.text.sentences import make_texts

TEXTS = make_texts(300)
LONG = make_texts(300, 180, seed=1)


@pytest.mark.parametrize(("count", "severity"), [(2, None), (30, "info"), (300, "warning")])
def test_unread_fraction_of_long_texts_is_reported(count: int, severity: str | None) -> None:
    texts = [*TEXTS, *LONG[:count]]
    findings = run_check(TruncatedTexts(), data_context({"a": texts}, a="text"))
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
def test_title_says_how_much_the_encoder_reads(encoder: str, reads: str) -> None:
    context = data_context({"a": LONG}, a="text")
    column = Column("a", "text", {"encoder": encoder})
    (finding,) = run_check(TruncatedTexts(), replace(context, schema=Schema((column,))))
    assert reads in finding.title
    assert (" reads " in finding.title) is bool(reads)


@pytest.mark.parametrize("max_length", [150, 1_000])
def test_texts_truncated_at_their_source_are_a_warning(max_length: int) -> None:
    texts = [text[:max_length] for text in [*TEXTS, *LONG[:40]]]
    (finding,) = run_check(TruncatedTexts(), data_context({"a": texts}, a="text"))
    assert finding.severity == "warning"
    assert finding.evidence["characters"] == max_length
    assert f"exactly {max_length:,} characters" in finding.title


def test_varied_and_constant_lengths_are_not_truncated() -> None:
    constant = [text.ljust(300, "x") for text in TEXTS]
    longest = max(TEXTS, key=len)
    for texts in (TEXTS, constant, [*TEXTS, *[longest] * 30]):
        assert run_check(TruncatedTexts(), data_context({"a": texts}, a="text")) == []


@pytest.mark.parametrize(
    ("long", "short", "severity"),
    [(1, 99, "info"), (1, 100, None), (50, 50, "warning"), (49, 51, "info")],
)
def test_one_percent_is_reported_and_half_is_a_warning(
    long: int, short: int, severity: str | None
) -> None:
    lengths = [5_001 + i for i in range(long)] + [10 + i for i in range(short)]
    findings = run_check(
        TruncatedTexts(), data_context({"a": ["x" * n for n in lengths]}, a="text")
    )
    assert [f.severity for f in findings] == ([severity] if severity else [])
    for finding in findings:
        assert finding.evidence["texts"] == long
        assert finding.evidence["longest"] == 5_000 + long


def test_texts_at_the_reading_limit_are_read() -> None:
    texts = ["x" * (5_000 - i) for i in range(100)]
    assert run_check(TruncatedTexts(), data_context({"a": texts}, a="text")) == []


@pytest.mark.parametrize(
    ("at_max", "below", "max_length", "reported"),
    [
        (10, 0, 100, True), (9, 0, 100, False),  # ten texts
        (20, 40, 100, True), (19, 40, 100, False),  # ten times as many as of a length below
        (10, 0, 20, True), (10, 0, 19, False),  # of twenty characters
    ],
)  # fmt: skip
def test_limits_of_truncation(at_max: int, below: int, max_length: int, reported: bool) -> None:
    texts = [f"{i:03}".ljust(max_length, "x") for i in range(at_max)]
    texts += [f"{i:03}".ljust(max_length - 1 - i % 20, "y") for i in range(below)]
    texts += ["z"] * 5
    findings = run_check(TruncatedTexts(), data_context({"a": texts}, a="text"))
    assert [f.evidence["texts"] for f in findings] == [at_max] * reported


@pytest.mark.parametrize(("different", "reported"), [(20, True), (19, False)])
def test_copies_of_one_text_are_not_truncated(different: int, reported: bool) -> None:
    texts = [f"{i % different:03}".ljust(100, "x") for i in range(40)] + ["short"] * 40
    assert bool(run_check(TruncatedTexts(), data_context({"a": texts}, a="text"))) is reported
