from __future__ import annotations

import pytest

from fieldcraft.kinds.text.checks.oversized_texts import OversizedTexts
from tests.checks.contexts import data_context, run_check
from tests.kinds.text.sentences import make_texts

TEXTS = make_texts(250)
GIANT = "\n".join(TEXTS)


@pytest.mark.parametrize("count", [1, 2])
def test_texts_that_swallowed_others_are_a_warning(count: int) -> None:
    (finding,) = run_check(
        OversizedTexts(), data_context({"a": [*TEXTS, *[GIANT] * count]}, a="text")
    )
    assert (finding.severity, finding.column) == ("warn", "a")
    assert finding.evidence["rows"] == [251, 252][:count]
    assert finding.evidence["longest"] == len(GIANT)
    assert finding.evidence["usual"] in sorted(map(len, TEXTS))[-2:]
    assert f"{len(GIANT):,} characters, where nearly all have at most" in finding.title


@pytest.mark.parametrize(
    "texts",
    [
        TEXTS,
        [*TEXTS, TEXTS[0] * 8],  # long, but not out of the world
        [*TEXTS, *[GIANT] * 9],  # some texts are long
        ["yes we can"] * 60 + [TEXTS[0]],  # where all others are short, an ordinary one
        [*TEXTS[:10], GIANT],  # too few to tell what is usual
    ],
    ids=["alike", "long", "several", "short", "few"],
)
def test_texts_of_many_lengths_are_passed(texts: list[str]) -> None:
    assert run_check(OversizedTexts(), data_context({"a": texts}, a="text")) == []


@pytest.mark.parametrize(
    ("usual", "length", "reported"),
    [(600, 6_001, True), (600, 6_000, False), (100, 5_001, True), (100, 5_000, False)],
)
def test_a_giant_is_ten_times_as_long_and_longer_than_what_is_read(
    usual: int, length: int, reported: bool
) -> None:
    texts = ["a" * usual] * 60 + ["b" * length]
    findings = run_check(OversizedTexts(), data_context({"a": texts}, a="text"))
    assert [f.evidence for f in findings] == (
        [{"texts": 1, "longest": length, "usual": usual, "rows": [61]}] * reported
    )


@pytest.mark.parametrize(
    ("giants", "texts", "reported"),
    [(2, 200, True), (2, 199, False), (1, 20, True), (1, 19, False)],
)
def test_giants_are_one_text_in_a_hundred_and_one_of_twenty(
    giants: int, texts: int, reported: bool
) -> None:
    cells = ["a" * 9] * (texts - giants) + ["b" * 9_000] * giants
    assert bool(run_check(OversizedTexts(), data_context({"a": cells}, a="text"))) is reported
