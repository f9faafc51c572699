"""The champion is the best by a paired test; ties go to the simpler; words say what was found."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fieldcraft.core.types import Array
from fieldcraft.modeling.candidate import Candidate
from fieldcraft.modeling.model_comparison import ModelComparison, choose_metric, finite_or_none
from fieldcraft.statistics.bootstrap import BootstrapPlan, resample
from fieldcraft.statistics.classification_metrics import (
    ACCURACY,
    LOG_LOSS,
    MATTHEWS_CORRCOEF,
    PRECISION,
)
from fieldcraft.statistics.metrics import Metric, Predictions

ROWS = 1000


def make_candidate(name: str, complexity: int, right: Array, y: Array) -> Candidate:
    """A model that is right where it is said to be."""
    outputs = np.eye(2)[np.where(right, y, 1 - y)] * 0.8 + 0.1
    predictions = Predictions(outputs, outputs.argmax(axis=1), outputs > 0.3)
    return Candidate(
        name, {"title": name, "complexity": complexity}, Path(), predictions, {}, [], ""
    )


def compare_random_models(rates: dict[str, float], metric: Metric = ACCURACY) -> ModelComparison:
    """Models that are right as often as said, each on rows of its own, the simplest first."""
    draw = np.random.default_rng(0)
    y = draw.integers(0, 2, ROWS)
    found = [
        make_candidate(name, place, draw.permutation(ROWS) < rate * ROWS, y)
        for place, (name, rate) in enumerate(rates.items())
    ]
    drawn = resample(
        {(c.name, metric.name): lambda w, c=c: metric.compute(y, c.predictions, w) for c in found},  # type: ignore[misc]
        BootstrapPlan(ROWS, 1),
    )
    return ModelComparison(found, drawn, metric)


def test_the_best_wins_if_it_is_significantly_better() -> None:
    match = compare_random_models({"guess": 0.5, "simple": 0.8, "rival": 0.801, "deep": 0.9})
    champion = match.choose_champion()
    assert champion.name == "deep"
    words = match.summarize(champion, ROWS)
    assert words == (
        "Champion: deep, accuracy 0.9000 on 1,000 evaluation rows (guess: 0.5000). "
        "Significantly better than simple and rival."
    )


def test_a_tie_goes_to_the_simpler() -> None:
    match = compare_random_models({"guess": 0.5, "simple": 0.8, "rival": 0.801})
    champion = match.choose_champion()
    assert champion.name == "simple"
    assert match.summarize(champion, ROWS).endswith(
        "No significant difference from rival, and simpler."
    )


def test_a_metric_that_is_to_be_low_is_won_by_the_lowest() -> None:
    match = compare_random_models({"guess": 0.5, "simple": 0.8, "deep": 0.9}, LOG_LOSS)
    champion = match.choose_champion()
    assert champion.name == "deep"
    rivals = match.compare_champion_with_all(champion)
    assert [rival["verdict"] for rival in rivals] == ["better", "better"]
    assert all(rival["difference"] > 0 for rival in rivals)


def test_no_better_than_guessing_is_said_plainly() -> None:
    match = compare_random_models({"guess": 0.5, "simple": 0.5})
    champion = match.choose_champion()
    assert champion.name == "guess"
    words = match.summarize(champion, ROWS)
    assert words.startswith(
        "No model is significantly better than the guess (accuracy, 1,000 evaluation rows)"
    )


def test_the_champion_is_compared_with_each_of_the_others() -> None:
    match = compare_random_models({"guess": 0.5, "simple": 0.8, "rival": 0.801})
    found = match.compare_champion_with_all(match.choose_champion())
    assert [(item["model_a"], item["model_b"]) for item in found] == [
        ("simple", "guess"),
        ("simple", "rival"),
    ]
    assert [item["verdict"] for item in found] == ["better", "tie"]
    for item in found:
        assert item["low"] <= item["difference"] <= item["high"]
    assert found[0]["p_value"] < 0.01 < found[1]["p_value"]


def test_models_whose_figure_is_not_defined_cannot_win() -> None:
    match = compare_random_models({"guess": 0.5, "simple": 0.8})
    nothing = {key: np.full_like(value, np.nan) for key, value in match.bootstrap_metrics.items()}
    drawn = {**match.bootstrap_metrics, ("simple", "accuracy"): nothing["simple", "accuracy"]}
    assert ModelComparison(match.candidates, drawn, ACCURACY).choose_champion().name == "guess"
    against = ModelComparison(match.candidates, drawn, ACCURACY).compare_champion_with_all(
        match.candidates[0]
    )
    assert json.loads(json.dumps(against, allow_nan=False))[0]["difference"] is None


@pytest.mark.parametrize("metric", [PRECISION, MATTHEWS_CORRCOEF])
def test_a_guess_that_calls_no_row_positive_does_not_win_by_a_figure_that_it_has_not(
    metric: Metric,
) -> None:
    """Precision and correlation of a constant guess are 0 / 0: that is no tie."""
    y = np.arange(100) % 3 // 2
    right = {"g": y == 0, "s": np.arange(100) % 10 > 0, "d": y >= 0}
    found = [make_candidate(name, place, right[name], y) for place, name in enumerate(right)]
    drawn = resample(
        {(c.name, metric.name): lambda w, c=c: metric.compute(y, c.predictions, w) for c in found},  # type: ignore[misc]
        BootstrapPlan(100, 1),
    )
    match = ModelComparison(found, drawn, metric)
    assert np.isnan(match.metric_value(found[0]))
    champion = match.choose_champion()
    assert champion.name == "d"
    assert match.summarize(champion, 100).startswith("Champion: d")
    nothing = {key: np.full_like(value, np.nan) for key, value in drawn.items()}
    assert (
        ModelComparison(found, nothing, metric).choose_champion().name == "g"
    )  # where nothing is to be said


def test_what_is_no_number_is_none_in_json() -> None:
    assert finite_or_none(float("nan")) is None
    assert finite_or_none(float("inf")) is None
    assert finite_or_none(float(np.float32(0.5))) == 0.5


def compare_given_metrics(metric: Metric, **drawn: list[float]) -> ModelComparison:
    """Models of given figures: on the rows, then on resamples; the simplest first."""
    y = np.zeros(1, dtype=int)
    found = [make_candidate(name, i, y == 0, y) for i, name in enumerate(drawn)]
    figures = {(name, metric.name): np.array(values) for name, values in drawn.items()}
    return ModelComparison(found, figures, metric)


@pytest.mark.parametrize(("metric", "sign"), [(ACCURACY, 1), (LOG_LOSS, -1)])
def test_a_comparison_pairs_figures_of_the_same_resample(metric: Metric, sign: int) -> None:
    """Each model varies more than the two differ: only in pairs is the difference certain."""
    noise = np.linspace(-0.3, 0.3, 41)
    gains = np.linspace(0.05, 0.15, 41)
    base = [0.5, *(0.5 + noise)]
    match = compare_given_metrics(metric, base=base, deep=[0.6, *(0.5 + noise + gains)])
    first, second = match.candidates if sign > 0 else reversed(match.candidates)
    result = match.compare_pair(second, first)
    assert result.difference == pytest.approx(0.1)
    assert (result.low, result.high) == pytest.approx((0.0525, 0.1475))
    assert result.p_value == pytest.approx(2 / 42)
    assert match.compare_pair(first, second).difference == pytest.approx(-0.1)
    assert match.choose_champion() is second
    (entry,) = match.compare_champion_with_all(second)
    assert (entry["model_a"], entry["model_b"], entry["verdict"]) == (
        second.name,
        first.name,
        "better",
    )
    assert entry["difference"] == result.difference


def test_the_champion_is_the_simplest_of_all_that_are_level_with_the_best() -> None:
    wide = [0.0, 0.1] * 10
    match = compare_given_metrics(
        ACCURACY, guess=[0.2, *[0.2] * 20], simple=[0.58, *(0.55 + np.array(wide))],
        middle=[0.59, *(0.55 + np.array(wide))], deep=[0.6, *[0.6] * 20],
    )  # fmt: skip
    champion = match.choose_champion()
    assert champion.name == "simple"
    assert match.summarize(champion, 1_234) == (
        "Champion: simple, accuracy 0.5800 on 1,234 evaluation rows (guess: 0.2000). "
        "No significant difference from middle and deep, and simpler."
    )
    # Which is level and which is not is told of any model, also one that is not the simplest.
    assert match.summarize(match.candidates[3], 10) == (
        "Champion: deep, accuracy 0.6000 on 10 evaluation rows (guess: 0.2000). "
        "No significant difference from simple and middle."
    )


def test_the_main_metric_is_the_one_that_is_asked_for_or_the_first_of_the_task() -> None:
    rows: Any = SimpleNamespace(task=SimpleNamespace(metrics=(ACCURACY, LOG_LOSS)))
    assert choose_metric(rows, "log_loss") is LOG_LOSS
    assert choose_metric(rows, None) is ACCURACY


def test_models_with_and_without_files_are_compared_by_the_best_of_each() -> None:
    match = compare_given_metrics(
        ACCURACY, guess=[0.3, 0.3], whole=[0.6, 0.61], deep=[0.7, 0.72], bare=[0.5, 0.5],
        lean=[0.65, 0.66],
    )  # fmt: skip
    for found, complexity in zip(match.candidates, (0, 2, 3, 2, 3), strict=True):
        found.metadata["complexity"] = complexity
    for found in match.candidates[3:]:
        found.metadata["columns"] = ["n", "m"]
    result = match.compare_without_files(["n", "photo", "m", "scan"])
    assert result is not None
    assert (result["with_files"], result["without_files"], result["verdict"]) == (
        "deep",
        "lean",
        "better",
    )
    for found, complexity in zip(match.candidates, (0, 3, 2, 2, 3), strict=True):
        found.metadata["complexity"] = complexity  # the best with files has a twin, if not the best
    assert match.compare_without_files(["n"]) == {**result, "excluded_columns": []}
    assert result["excluded_columns"] == ["photo", "scan"]
    assert (result["difference"], result["low"]) == pytest.approx((0.05, 0.06))
    # Without a twin that may read files there is nothing to compare with.
    for found in match.candidates[:3]:
        found.metadata["complexity"] = 1
    assert match.compare_without_files(["n"]) is None


def test_a_tie_goes_to_the_model_without_files_and_the_two_are_compared() -> None:
    match = compare_random_models({"guess": 0.5, "whole": 0.8, "bare": 0.801, "deep": 0.803})
    assert match.compare_without_files(["n", "photo"]) is None
    for found, complexity in zip(match.candidates, (0, 2, 2, 4), strict=True):
        found.metadata["complexity"] = complexity
    match.candidates[2].metadata["columns"] = ["n"]
    assert match.choose_champion().name == "bare"
    result = match.compare_without_files(["n", "photo"])
    assert result is not None
    assert (result["with_files"], result["without_files"], result["verdict"]) == (
        "deep",
        "bare",
        "tie",
    )
    assert result["excluded_columns"] == ["photo"]
    assert result["low"] < 0 < result["high"]
