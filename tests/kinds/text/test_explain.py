"""Words that speak for a prediction are found, whatever the text holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from fieldcraft.core import catalog
from fieldcraft.core.types import Array
from fieldcraft.kinds.text.explain import (
    MAX_CHARACTERS,
    MAX_SPANS,
    PERTURBATIONS_RANGE,
    explain_text,
    sample_masks,
    split_into_spans,
)
from tests.kinds.text.sentences import make_texts

KIND = catalog.load_plugin("kinds", "text")
HOSTILE = "<script>alert('x')</script> \"quoted\" & \u202eback\u202c \x00 {{ 7*7 }}"


def build_score_function(score: Callable[[str], float]) -> Callable[[Sequence[Any]], Array]:
    return lambda texts: np.array([score(text) for text in texts])


def explain_weights(text: str, score: Callable[[str], float]) -> dict[str, float]:
    found = explain_text(text, build_score_function(score))
    assert found is not None
    return {piece.strip(): weight for piece, weight in found["spans"]}


def test_words_for_and_against_are_told_by_their_weight() -> None:
    text = "The lamp shone and the saddle broke when we moved."
    score = {"shone": 0.4, "broke": -0.2}
    found = explain_text(
        text, build_score_function(lambda t: 0.5 + sum(v for w, v in score.items() if w in t))
    )
    assert found is not None
    weights = {piece.strip(): weight for piece, weight in found["spans"]}
    assert weights.pop("shone") == 1.0
    assert weights.pop("broke") == pytest.approx(-0.5, abs=0.02)
    assert max(map(abs, weights.values())) < 0.02
    assert found["most"] == pytest.approx(0.4, rel=0.05)


def test_words_of_which_any_one_is_enough_are_found() -> None:
    """Leaving out one after the other would find neither."""
    weights = explain_weights(
        "good lamp and a great kettle for the money", lambda t: float("good" in t or "great" in t)
    )
    ordered = sorted(weights, key=lambda word: -weights[word])
    assert set(ordered[:2]) == {"good", "great"}
    assert min(weights["good"], weights["great"]) > 2 * max(abs(weights[w]) for w in ordered[2:])


def test_the_same_text_gives_the_same() -> None:
    text = make_texts(1)[0]
    score = build_score_function(lambda t: len(t) / 100)
    assert explain_text(text, score) == explain_text(text, score)


@pytest.mark.parametrize(
    "text", [HOSTILE, "word " * 10_000, "x" * 50_000, "  odd \n\t blanks ", "灯はとても良いです",
             "one", "💥", make_texts(1, 40)[0]],
)  # fmt: skip
def test_spans_are_the_whole_text_and_few(text: str) -> None:
    found = explain_text(text, build_score_function(lambda t: len(t) / (1 + len(text))))
    assert found is not None
    assert "".join(piece for piece, _ in found["spans"]) == text[:MAX_CHARACTERS]
    assert 1 <= len(found["spans"]) <= MAX_SPANS
    assert max(abs(weight) for _, weight in found["spans"]) == pytest.approx(1)


@pytest.mark.parametrize("value", [None, "", "   \n "])
def test_nothing_is_said_of_nothing(value: str | None) -> None:
    assert KIND.explain(value, build_score_function(lambda t: 1.0)) is None


def test_words_that_change_nothing_weigh_nothing() -> None:
    assert set(explain_weights("a b c", lambda t: 0.7).values()) == {0.0}


def test_in_scripts_without_blanks_each_sign_is_a_word() -> None:
    assert split_into_spans("灯は良い") == ["灯", "は", "良", "い"]


@pytest.mark.parametrize("count", [1, 2, 7, MAX_SPANS])
def test_the_whole_text_comes_first_and_each_word_is_left_out_alone(count: int) -> None:
    kept = sample_masks(count, 200)
    assert kept[0].all()
    assert (kept[1 : count + 1].sum(axis=1) == count - 1).all()
    assert len(kept) == 201


def test_of_long_texts_fewer_are_tried() -> None:
    asked: list[int] = []

    def said(texts: Sequence[Any]) -> Array:
        asked.append(len(texts))
        return np.zeros(len(texts))

    for text in ("a lamp", "a lamp " * 5_000):
        explain_text(text, said)
    assert asked == [PERTURBATIONS_RANGE[1] + 1, PERTURBATIONS_RANGE[0] + 1]


def test_of_a_giant_text_the_start_is_explained() -> None:
    longest: list[int] = []

    def said(texts: Sequence[Any]) -> Array:
        longest.append(max(map(len, texts)))
        return np.array([float("lamp" in text[:100]) for text in texts])

    found = explain_text("a lamp " * 1_000_000, said)
    assert found is not None
    assert longest == [20_000]
    assert sum(len(span) for span, _ in found["spans"]) == 20_000
