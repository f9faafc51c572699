"""The champion is the best model by a paired test; a tie goes to the simpler model."""

from __future__ import annotations

import json
from functools import partial
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
    """Return a candidate that is correct where `right` is true."""
    outputs = np.eye(2)[np.where(right, y, 1 - y)] * 0.8 + 0.1
    predictions = Predictions(outputs, outputs.argmax(axis=1), outputs > 0.3)
    return Candidate(
        name, {"title": name, "complexity": complexity}, Path(), predictions, {}, [], ""
    )


def compare_random_models(rates: dict[str, float], metric: Metric = ACCURACY) -> ModelComparison:
    """Compare models with these accuracies and independent errors, the simplest first."""
    draw = np.random.default_rng(0)
    y = draw.integers(0, 2, ROWS)
    candidates = [
        make_candidate(name, complexity, draw.permutation(ROWS) < rate * ROWS, y)
        for complexity, (name, rate) in enumerate(rates.items())
    ]
    drawn = resample(
        {(c.name, metric.name): partial(metric.compute, y, c.predictions) for c in candidates},
        BootstrapPlan(ROWS, 1),
    )
    return ModelComparison(candidates, drawn, metric)


def test_the_best_wins_if_it_is_significantly_better() -> None:
    comparison = compare_random_models({"guess": 0.5, "simple": 0.8, "rival": 0.801, "deep": 0.9})
    champion = comparison.choose_champion()
    assert champion.name == "deep"
    summary = comparison.summarize(champion, ROWS)
    assert summary == (
        "Champion: deep, accuracy 0.9000 on 1,000 evaluation rows (guess: 0.5000). "
        "Significantly better than simple and rival."
    )


def test_a_tie_goes_to_the_simpler_model() -> None:
    comparison = compare_random_models({"guess": 0.5, "simple": 0.8, "rival": 0.801})
    champion = comparison.choose_champion()
    assert champion.name == "simple"
    assert comparison.summarize(champion, ROWS).endswith(
        "No significant difference from rival, and simpler."
    )


def test_the_lowest_loss_wins() -> None:
    comparison = compare_random_models({"guess": 0.5, "simple": 0.8, "deep": 0.9}, LOG_LOSS)
    champion = comparison.choose_champion()
    assert champion.name == "deep"
    rivals = comparison.compare_champion_with_all(champion)
    assert [rival["verdict"] for rival in rivals] == ["better", "better"]
    assert all(rival["difference"] > 0 for rival in rivals)


def test_the_summary_says_if_no_model_is_better_than_guessing() -> None:
    comparison = compare_random_models({"guess": 0.5, "simple": 0.5})
    champion = comparison.choose_champion()
    assert champion.name == "guess"
    summary = comparison.summarize(champion, ROWS)
    assert summary.startswith(
        "No model is significantly better than the guess (accuracy, 1,000 evaluation rows)"
    )


def test_the_champion_is_compared_with_every_other_model() -> None:
    comparison = compare_random_models({"guess": 0.5, "simple": 0.8, "rival": 0.801})
    comparisons = comparison.compare_champion_with_all(comparison.choose_champion())
    assert [(item["model_a"], item["model_b"]) for item in comparisons] == [
        ("simple", "guess"),
        ("simple", "rival"),
    ]
    assert [item["verdict"] for item in comparisons] == ["better", "tie"]
    for item in comparisons:
        assert item["low"] <= item["difference"] <= item["high"]
    assert comparisons[0]["p_value"] < 0.01 < comparisons[1]["p_value"]


def test_a_model_with_an_undefined_metric_cannot_win() -> None:
    comparison = compare_random_models({"guess": 0.5, "simple": 0.8})
    undefined = {
        key: np.full_like(value, np.nan) for key, value in comparison.bootstrap_metrics.items()
    }
    drawn = {
        **comparison.bootstrap_metrics,
        ("simple", "accuracy"): undefined["simple", "accuracy"],
    }
    assert ModelComparison(comparison.candidates, drawn, ACCURACY).choose_champion().name == "guess"
    against = ModelComparison(comparison.candidates, drawn, ACCURACY).compare_champion_with_all(
        comparison.candidates[0]
    )
    assert json.loads(json.dumps(against, allow_nan=False))[0]["difference"] is None


@pytest.mark.parametrize("metric", [PRECISION, MATTHEWS_CORRCOEF])
def test_a_constant_guess_does_not_win_by_an_undefined_metric(
    metric: Metric,
) -> None:
    """Precision and correlation of a constant prediction are 0 / 0, which is no tie."""
    y = np.arange(100) % 3 // 2
    right = {"g": y == 0, "s": np.arange(100) % 10 > 0, "d": y >= 0}
    candidates = [
        make_candidate(name, complexity, right[name], y) for complexity, name in enumerate(right)
    ]
    drawn = resample(
        {(c.name, metric.name): partial(metric.compute, y, c.predictions) for c in candidates},
        BootstrapPlan(100, 1),
    )
    comparison = ModelComparison(candidates, drawn, metric)
    assert np.isnan(comparison.metric_value(candidates[0]))
    champion = comparison.choose_champion()
    assert champion.name == "d"
    assert comparison.summarize(champion, 100).startswith("Champion: d")
    undefined = {key: np.full_like(value, np.nan) for key, value in drawn.items()}
    assert (
        ModelComparison(candidates, undefined, metric).choose_champion().name == "g"
    )  # where all metrics are undefined


def test_nonfinite_numbers_become_none() -> None:
    assert finite_or_none(float("nan")) is None
    assert finite_or_none(float("inf")) is None
    assert finite_or_none(float(np.float32(0.5))) == 0.5


def compare_given_metrics(metric: Metric, **drawn: list[float]) -> ModelComparison:
    """Compare models with these metrics: on the rows, then on resamples; the simplest first."""
    y = np.zeros(1, dtype=int)
    candidates = [
        make_candidate(name, complexity, y == 0, y) for complexity, name in enumerate(drawn)
    ]
    bootstrap_metrics = {(name, metric.name): np.array(values) for name, values in drawn.items()}
    return ModelComparison(candidates, bootstrap_metrics, metric)


@pytest.mark.parametrize(("metric", "sign"), [(ACCURACY, 1), (LOG_LOSS, -1)])
def test_models_are_compared_on_the_same_resamples(metric: Metric, sign: int) -> None:
    """The models vary more than they differ: only a paired test shows the difference."""
    noise = np.linspace(-0.3, 0.3, 41)
    gains = np.linspace(0.05, 0.15, 41)
    base = [0.5, *(0.5 + noise)]
    comparison = compare_given_metrics(metric, base=base, deep=[0.6, *(0.5 + noise + gains)])
    first, second = comparison.candidates if sign > 0 else reversed(comparison.candidates)
    result = comparison.compare_pair(second, first)
    assert result.difference == pytest.approx(0.1)
    assert (result.low, result.high) == pytest.approx((0.0525, 0.1475))
    assert result.p_value == pytest.approx(2 / 42)
    assert comparison.compare_pair(first, second).difference == pytest.approx(-0.1)
    assert comparison.choose_champion() is second
    (entry,) = comparison.compare_champion_with_all(second)
    assert (entry["model_a"], entry["model_b"], entry["verdict"]) == (
        second.name,
        first.name,
        "better",
    )
    assert entry["difference"] == result.difference


def test_the_champion_is_the_simplest_model_that_ties_with_the_best() -> None:
    wide = [0.0, 0.1] * 10
    comparison = compare_given_metrics(
        ACCURACY, guess=[0.2, *[0.2] * 20], simple=[0.58, *(0.55 + np.array(wide))],
        middle=[0.59, *(0.55 + np.array(wide))], deep=[0.6, *[0.6] * 20],
    )  # fmt: skip
    champion = comparison.choose_champion()
    assert champion.name == "simple"
    assert comparison.summarize(champion, 1_234) == (
        "Champion: simple, accuracy 0.5800 on 1,234 evaluation rows (guess: 0.2000). "
        "No significant difference from middle and deep, and simpler."
    )
    # The summary names ties of any model, even one that is not the simplest.
    assert comparison.summarize(comparison.candidates[3], 10) == (
        "Champion: deep, accuracy 0.6000 on 10 evaluation rows (guess: 0.2000). "
        "No significant difference from simple and middle."
    )


def test_the_main_metric_is_the_configured_one_or_the_first_of_the_task() -> None:
    rows: Any = SimpleNamespace(task=SimpleNamespace(metrics=(ACCURACY, LOG_LOSS)))
    assert choose_metric(rows, "log_loss") is LOG_LOSS
    assert choose_metric(rows, None) is ACCURACY


def test_the_best_models_with_and_without_files_are_compared() -> None:
    comparison = compare_given_metrics(
        ACCURACY, guess=[0.3, 0.3], whole=[0.6, 0.61], deep=[0.7, 0.72], bare=[0.5, 0.5],
        lean=[0.65, 0.66],
    )  # fmt: skip
    for candidate, complexity in zip(comparison.candidates, (0, 2, 3, 2, 3), strict=True):
        candidate.metadata["complexity"] = complexity
    for candidate in comparison.candidates[3:]:
        candidate.metadata["columns"] = ["n", "m"]
    result = comparison.compare_without_files(["n", "photo", "m", "scan"])
    assert result is not None
    assert (result["with_files"], result["without_files"], result["verdict"]) == (
        "deep",
        "lean",
        "better",
    )
    for candidate, complexity in zip(comparison.candidates, (0, 3, 2, 2, 3), strict=True):
        candidate.metadata["complexity"] = complexity  # of "lean", not the best with files
    assert comparison.compare_without_files(["n"]) == {**result, "excluded_columns": []}
    assert result["excluded_columns"] == ["photo", "scan"]
    assert (result["difference"], result["low"]) == pytest.approx((0.05, 0.06))
    # Without a counterpart that reads files there is nothing to compare with.
    for candidate in comparison.candidates[:3]:
        candidate.metadata["complexity"] = 1
    assert comparison.compare_without_files(["n"]) is None


def test_a_tie_goes_to_the_model_without_files() -> None:
    comparison = compare_random_models({"guess": 0.5, "whole": 0.8, "bare": 0.801, "deep": 0.803})
    assert comparison.compare_without_files(["n", "photo"]) is None
    for candidate, complexity in zip(comparison.candidates, (0, 2, 2, 4), strict=True):
        candidate.metadata["complexity"] = complexity
    comparison.candidates[2].metadata["columns"] = ["n"]
    assert comparison.choose_champion().name == "bare"
    result = comparison.compare_without_files(["n", "photo"])
    assert result is not None
    assert (result["with_files"], result["without_files"], result["verdict"]) == (
        "deep",
        "bare",
        "tie",
    )
    assert result["excluded_columns"] == ["photo"]
    assert result["low"] < 0 < result["high"]
