"""The champion is the best by a paired test; ties go to the simpler; words say what was found."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from fieldcraft.contracts import Array
from fieldcraft.develop.candidate import Candidate
from fieldcraft.develop.contest import Contest, finite
from fieldcraft.evidence.bootstrap import Draw, resample
from fieldcraft.evidence.class_metrics import ACCURACY, LOG_LOSS
from fieldcraft.evidence.metrics import Metric, Said

ROWS = 1000


def candidate(name: str, complexity: int, right: Array, y: Array) -> Candidate:
    """A model that is right where it is said to be."""
    outputs = np.eye(2)[np.where(right, y, 1 - y)] * 0.8 + 0.1
    said = Said(outputs, outputs.argmax(axis=1), outputs > 0.3)
    return Candidate(name, {"title": name, "complexity": complexity}, Path(), said, {}, [], "")


def contest(rates: dict[str, float], metric: Metric = ACCURACY) -> Contest:
    """Models that are right as often as said, each on rows of its own, the simplest first."""
    draw = np.random.default_rng(0)
    y = draw.integers(0, 2, ROWS)
    found = [
        candidate(name, place, draw.permutation(ROWS) < rate * ROWS, y)
        for place, (name, rate) in enumerate(rates.items())
    ]
    drawn = resample(
        {(c.name, metric.name): lambda w, c=c: metric.values(y, c.said, w) for c in found},  # type: ignore[misc]
        Draw(ROWS, 1),
    )
    return Contest(found, drawn, metric)


def test_the_best_wins_if_it_is_significantly_better() -> None:
    match = contest({"guess": 0.5, "simple": 0.8, "rival": 0.801, "deep": 0.9})
    champion = match.champion()
    assert champion.name == "deep"
    words = match.sentence(champion, ROWS)
    assert words == (
        "Champion: deep, accuracy 0.9000 on 1,000 judge rows (guess: 0.5000). "
        "Significantly better than simple and rival."
    )


def test_a_tie_goes_to_the_simpler() -> None:
    match = contest({"guess": 0.5, "simple": 0.8, "rival": 0.801})
    champion = match.champion()
    assert champion.name == "simple"
    assert match.sentence(champion, ROWS).endswith("Level with rival, but simpler.")


def test_a_metric_that_is_to_be_low_is_won_by_the_lowest() -> None:
    match = contest({"guess": 0.5, "simple": 0.8, "deep": 0.9}, LOG_LOSS)
    champion = match.champion()
    assert champion.name == "deep"
    rivals = match.against_all(champion)
    assert [rival["verdict"] for rival in rivals] == ["better", "better"]
    assert all(rival["difference"] > 0 for rival in rivals)


def test_no_better_than_guessing_is_said_plainly() -> None:
    match = contest({"guess": 0.5, "simple": 0.5})
    champion = match.champion()
    assert champion.name == "guess"
    words = match.sentence(champion, ROWS)
    assert words.startswith("No model is better than a guess by accuracy on 1,000 judge rows")


def test_the_champion_is_compared_with_each_of_the_others() -> None:
    match = contest({"guess": 0.5, "simple": 0.8, "rival": 0.801})
    found = match.against_all(match.champion())
    assert [(item["a"], item["b"]) for item in found] == [("simple", "guess"), ("simple", "rival")]
    assert [item["verdict"] for item in found] == ["better", "level"]
    for item in found:
        assert item["low"] <= item["difference"] <= item["high"]
    assert found[0]["p_value"] < 0.01 < found[1]["p_value"]


def test_models_whose_figure_is_not_defined_cannot_win() -> None:
    match = contest({"guess": 0.5, "simple": 0.8})
    nothing = {key: np.full_like(value, np.nan) for key, value in match.drawn.items()}
    drawn = {**match.drawn, ("simple", "accuracy"): nothing["simple", "accuracy"]}
    assert Contest(match.candidates, drawn, ACCURACY).champion().name == "guess"
    against = Contest(match.candidates, drawn, ACCURACY).against_all(match.candidates[0])
    assert json.loads(json.dumps(against, allow_nan=False))[0]["difference"] is None


def test_what_is_no_number_is_none_in_json() -> None:
    assert finite(float("nan")) is None
    assert finite(float("inf")) is None
    assert finite(float(np.float32(0.5))) == 0.5


def test_a_tie_goes_to_the_model_without_files_and_the_two_are_compared() -> None:
    match = contest({"guess": 0.5, "whole": 0.8, "bare": 0.801, "deep": 0.803})
    assert match.without_files(["n", "photo"]) is None
    for found, complexity in zip(match.candidates, (0, 2, 2, 4), strict=True):
        found.about["complexity"] = complexity
    match.candidates[2].about["columns"] = ["n"]
    assert match.champion().name == "bare"
    told = match.without_files(["n", "photo"])
    assert told is not None
    assert (told["with"], told["without"], told["verdict"]) == ("deep", "bare", "level")
    assert told["left_out"] == ["photo"]
    assert told["low"] < 0 < told["high"]
