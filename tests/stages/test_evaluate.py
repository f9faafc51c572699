"""Learners are judged on the same rows; the champion is the best, ties go to the simpler."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcraft.core import files
from fieldcraft.evidence import metrics
from fieldcraft.evidence.bootstrap import resample
from fieldcraft.evidence.ledger import Ledger
from fieldcraft.project.folder import Folder
from fieldcraft.stages import _flow
from fieldcraft.stages.evaluate import Candidate, choose, sentence


def candidate(name: str, complexity: int) -> Candidate:
    about = {"title": name, "complexity": complexity}
    return Candidate(name, about, Path(), np.zeros((0, 2)), {}, "")


@pytest.fixture
def drawn() -> dict[str, dict[str, np.ndarray]]:
    """Accuracy of four learners on the same thousand rows: chance, good, as good, better."""
    draw = np.random.default_rng(0)
    y = draw.integers(0, 2, 1000)
    rates = {"guess": 0.5, "simple": 0.8, "rival": 0.801, "deep": 0.9}
    found = {}
    for name, rate in rates.items():
        right = draw.permutation(1000) < rate * 1000
        outputs = np.eye(2)[np.where(right, y, 1 - y)]
        values = resample(lambda w, o=outputs: metrics.accuracy(y, o, w), 1000, seed=1)  # type: ignore[misc]
        found[name] = {"accuracy": values}
    return found


LADDER = [candidate("guess", 0), candidate("simple", 1), candidate("rival", 2)]
DEEP = candidate("deep", 3)


def test_the_best_wins_if_it_is_significantly_better(
    drawn: dict[str, dict[str, np.ndarray]],
) -> None:
    assert choose([*LADDER, DEEP], drawn, metrics.ACCURACY).name == "deep"


def test_a_tie_goes_to_the_simpler(drawn: dict[str, dict[str, np.ndarray]]) -> None:
    assert choose(LADDER, drawn, metrics.ACCURACY).name == "simple"
    words = sentence(LADDER[1], LADDER, drawn, metrics.ACCURACY, 1000)
    assert "Champion: simple, accuracy 0.8000 on 1,000 judge rows (guess: 0.5000)." in words
    assert "Level with rival, but simpler." in words


def test_no_better_than_guessing_is_said_plainly(drawn: dict[str, dict[str, np.ndarray]]) -> None:
    level = {"guess": drawn["guess"], "simple": drawn["guess"]}
    assert choose(LADDER[:2], level, metrics.ACCURACY).name == "guess"
    words = sentence(LADDER[0], LADDER[:2], level, metrics.ACCURACY, 1000)
    assert words.startswith("No model is better than a guess")


def test_every_measure_has_an_interval_rows_and_digests(finished: Folder) -> None:
    measures = [e.body for e in Ledger(finished.ledger).entries(kind="measure")]
    assert {m["model"] for m in measures} == {"constant", "linear", "lightgbm", "network"}
    for measure in measures:
        if measure["value"] is None:
            continue  # such as precision where nothing is called positive
        assert measure["low"] <= measure["value"] + 1e-9
        assert measure["value"] <= measure["high"] + 1e-9
        assert measure["rows"] == 204
        assert len(measure["data"]) == len(measure["model_digest"]) == 64


def test_the_champions_predictions_are_kept(finished: Folder) -> None:
    folder = _flow.latest(finished).folders["evaluate"]
    kept = pl.read_parquet(folder / "judge.parquet")
    assert kept.height == 204
    assert kept["line"].n_unique() == 204
    assert {"prediction", "probability_no", "probability_yes"} <= set(kept.columns)


def test_the_evidence_adds_up(finished: Folder) -> None:
    found = files.read_json(_flow.latest(finished).folders["evaluate"] / "evaluation.json")
    evidence = found["evidence"]
    assert sum(map(sum, evidence["confusion"])) == 204
    assert sum(point["rows"] for point in evidence["reliability"]) == 204
    hits = sum(evidence["confusion"][i][i] for i in range(2)) / 204
    champion = next(x for x in found["learners"] if x["name"] == found["champion"])
    assert champion["measures"]["accuracy"]["value"] == pytest.approx(hits)
    assert len(found["worst"]) == 20
    assert all("key" in row["cells"] for row in found["worst"])
