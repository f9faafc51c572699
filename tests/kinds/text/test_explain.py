"""LIME finds the words that a prediction depends on, whatever the text holds."""

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
    explanation = explain_text(text, build_score_function(score))
    assert explanation is not None
    return {piece.strip(): weight for piece, weight in explanation["spans"]}


def test_words_for_and_against_have_signed_weights() -> None:
    text = "The lamp shone and the saddle broke when we moved."
    effects = {"shone": 0.4, "broke": -0.2}
    explanation = explain_text(
        text, build_score_function(lambda t: 0.5 + sum(v for w, v in effects.items() if w in t))
    )
    assert explanation is not None
    weights = {piece.strip(): weight for piece, weight in explanation["spans"]}
    assert weights.pop("shone") == 1.0
    assert weights.pop("broke") == pytest.approx(-0.5, abs=0.02)
    assert max(map(abs, weights.values())) < 0.02
    assert explanation["max_effect"] == pytest.approx(0.4, rel=0.05)


def test_redundant_words_are_both_found() -> None:
    """Leaving out one word at a time would find neither."""
    weights = explain_weights(
        "good lamp and a great kettle for the money", lambda t: float("good" in t or "great" in t)
    )
    ordered = sorted(weights, key=lambda word: -weights[word])
    assert set(ordered[:2]) == {"good", "great"}
    assert min(weights["good"], weights["great"]) > 2 * max(abs(weights[w]) for w in ordered[2:])


def test_explanation_is_deterministic() -> None:
    text = make_texts(1)[0]
    score = build_score_function(lambda t: len(t) / 100)
    assert explain_text(text, score) == explain_text(text, score)


@pytest.mark.parametrize(
    "text", [HOSTILE, "word " * 10_000, "x" * 50_000, "  odd \n\t blanks ", "灯はとても良いです",
             "one", "💥", make_texts(1, 40)[0]],
)  # fmt: skip
def test_joined_spans_are_the_text(text: str) -> None:
    explanation = explain_text(text, build_score_function(lambda t: len(t) / (1 + len(text))))
    assert explanation is not None
    assert "".join(piece for piece, _ in explanation["spans"]) == text[:MAX_CHARACTERS]
    assert 1 <= len(explanation["spans"]) <= MAX_SPANS
    assert max(abs(weight) for _, weight in explanation["spans"]) == pytest.approx(1)


@pytest.mark.parametrize("value", [None, "", "   \n "])
def test_empty_texts_have_no_explanation(value: str | None) -> None:
    assert KIND.explain(value, build_score_function(lambda t: 1.0)) is None


def test_words_without_effect_have_zero_weight() -> None:
    assert set(explain_weights("a b c", lambda t: 0.7).values()) == {0.0}


def test_scripts_without_spaces_are_split_into_characters() -> None:
    assert split_into_spans("灯は良い") == ["灯", "は", "良", "い"]


@pytest.mark.parametrize("count", [1, 2, 7, MAX_SPANS])
def test_masks_begin_with_the_whole_text_and_single_omissions(count: int) -> None:
    masks = sample_masks(count, 200)
    assert masks[0].all()
    assert (masks[1 : count + 1].sum(axis=1) == count - 1).all()
    assert len(masks) == 201


def test_fewer_perturbations_of_long_texts() -> None:
    n_scored: list[int] = []

    def score(texts: Sequence[Any]) -> Array:
        n_scored.append(len(texts))
        return np.zeros(len(texts))

    for text in ("a lamp", "a lamp " * 5_000):
        explain_text(text, score)
    assert n_scored == [PERTURBATIONS_RANGE[1] + 1, PERTURBATIONS_RANGE[0] + 1]


def test_start_of_a_very_long_text_is_explained() -> None:
    max_lengths: list[int] = []

    def score(texts: Sequence[Any]) -> Array:
        max_lengths.append(max(map(len, texts)))
        return np.array([float("lamp" in text[:100]) for text in texts])

    explanation = explain_text("a lamp " * 1_000_000, score)
    assert explanation is not None
    assert max_lengths == [20_000]
    assert sum(len(span) for span, _ in explanation["spans"]) == 20_000
