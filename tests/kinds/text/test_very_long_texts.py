from __future__ import annotations

import pytest

from fieldcraft.kinds.text.checks.very_long_texts import VeryLongTexts
from tests.checks.contexts import data_context, run_check
from tests.kinds.text.sentences import make_texts

TEXTS = make_texts(250)
HUGE_TEXT = "\n".join(TEXTS)


@pytest.mark.parametrize("count", [1, 2])
def test_texts_that_swallowed_other_rows_are_a_warning(count: int) -> None:
    (finding,) = run_check(
        VeryLongTexts(), data_context({"a": [*TEXTS, *[HUGE_TEXT] * count]}, a="text")
    )
    assert (finding.severity, finding.column) == ("warning", "a")
    assert finding.evidence["rows"] == [251, 252][:count]
    assert finding.evidence["longest"] == len(HUGE_TEXT)
    assert finding.evidence["typical_length"] in sorted(map(len, TEXTS))[-2:]
    assert f"{len(HUGE_TEXT):,} characters, where nearly all have at most" in finding.title


@pytest.mark.parametrize(
    "texts",
    [
        TEXTS,
        [*TEXTS, TEXTS[0] * 8],  # long, but less than ten times
        [*TEXTS, *[HUGE_TEXT] * 9],  # some texts are long
        ["yes we can"] * 60 + [TEXTS[0]],  # an ordinary text among very short ones
        [*TEXTS[:10], HUGE_TEXT],  # too few for a typical length
    ],
    ids=["alike", "long", "several", "short", "few"],
)
def test_texts_of_many_lengths_are_not_reported(texts: list[str]) -> None:
    assert run_check(VeryLongTexts(), data_context({"a": texts}, a="text")) == []


@pytest.mark.parametrize(
    ("typical_length", "length", "reported"),
    [(600, 6_001, True), (600, 6_000, False), (100, 5_001, True), (100, 5_000, False)],
)
def test_very_long_is_ten_times_the_typical_length_and_above_the_reading_limit(
    typical_length: int, length: int, reported: bool
) -> None:
    texts = ["a" * typical_length] * 60 + ["b" * length]
    findings = run_check(VeryLongTexts(), data_context({"a": texts}, a="text"))
    assert [f.evidence for f in findings] == (
        [{"texts": 1, "longest": length, "typical_length": typical_length, "rows": [61]}] * reported
    )


@pytest.mark.parametrize(
    ("n_long", "texts", "reported"),
    [(2, 200, True), (2, 199, False), (1, 20, True), (1, 19, False)],
)
def test_one_percent_of_at_least_twenty_texts_are_very_long(
    n_long: int, texts: int, reported: bool
) -> None:
    cells = ["a" * 9] * (texts - n_long) + ["b" * 9_000] * n_long
    assert bool(run_check(VeryLongTexts(), data_context({"a": cells}, a="text"))) is reported
