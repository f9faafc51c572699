"""Learners are judged on the same rows, with intervals; decisions change without new training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.bundle.runtime import load_bundle
from fieldcraft.core import files
from fieldcraft.evidence.class_metrics import LOG_LOSS, ROC_AUC
from fieldcraft.evidence.ledger import Ledger
from fieldcraft.evidence.metrics import Metric
from fieldcraft.project.folder import Folder
from fieldcraft.project.settings import Problem
from fieldcraft.stages import _flow, _plan
from fieldcraft.stages.evaluate import bar
from tests.conftest import change, mixed_table

LEARNERS = {"constant", "rule", "linear", "lightgbm", "network"}


def evaluated(project: Folder) -> tuple[dict[str, Any], pl.DataFrame]:
    outcome = _plan.run(project, _flow.Unwatched(), until="evaluate")
    folder = outcome.folders["evaluate"]
    return files.read_json(folder / "evaluation.json"), pl.read_parquet(folder / "judge.parquet")


def trainings(project: Folder) -> int:
    done = Ledger(project.ledger).entries(kind="done")
    return sum(entry.stage in ("baseline", "train", "blend") for entry in done)


def test_every_measure_has_an_interval_rows_and_digests(finished: Folder) -> None:
    measures = [e.body for e in Ledger(finished.ledger).entries(kind="measure")]
    assert {m["model"] for m in measures} - {"blend"} == LEARNERS
    for measure in measures:
        if measure["value"] is None:
            continue  # such as precision where nothing is called positive
        if measure["metric"] != "calibration_error":  # resampling drives it up
            assert measure["low"] <= measure["value"] + 1e-9
        assert measure["value"] <= measure["high"] + 1e-9
        assert measure["rows"] == 204
        assert len(measure["data"]) == len(measure["model_digest"]) == 64


def test_the_champions_predictions_are_kept(finished: Folder) -> None:
    kept = evaluated(finished)[1]
    assert kept.height == 204
    assert kept["line"].n_unique() == 204
    assert {"prediction", "probability_no", "probability_yes"} <= set(kept.columns)


def test_the_evidence_adds_up(finished: Folder) -> None:
    found = evaluated(finished)[0]
    evidence = found["evidence"]
    assert sum(map(sum, evidence["confusion"])) == 204
    assert sum(point["rows"] for point in evidence["reliability"]) == 204
    hits = sum(evidence["confusion"][i][i] for i in range(2)) / 204
    champion = next(x for x in found["learners"] if x["name"] == found["champion"])
    assert champion["measures"]["accuracy"]["value"] == pytest.approx(hits)
    assert len(found["worst"]) == 20
    assert all("key" in row["cells"] for row in found["worst"])


def test_the_worst_rows_are_those_that_are_surest_and_wrong(finished: Folder) -> None:
    found, kept = evaluated(finished)
    table = mixed_table()
    lines = [row["line"] for row in found["worst"]]
    for row in found["worst"]:
        assert table["key"][row["line"] - 1] == row["cells"]["key"]
    assert found["worst"][0]["prediction"] != found["worst"][0]["cells"]["bought"]
    truth = table["bought"].gather(kept["line"] - 1)
    given = np.where(truth == "yes", kept["probability_yes"], kept["probability_no"])
    assert sorted(lines[:3]) == sorted(kept["line"].gather(np.argsort(given)[:3]).to_list())


@pytest.mark.parametrize(
    ("metric", "wanted", "drawn", "verdict"),
    [
        (ROC_AUC, 0.6, [0.8, 0.7, 0.9], "met"),
        (ROC_AUC, 0.75, [0.8, 0.7, 0.9], "met, but not surely"),
        (ROC_AUC, 0.85, [0.8, 0.7, 0.9], "missed"),
        (LOG_LOSS, 1.0, [0.8, 0.7, 0.9], "met"),
        (LOG_LOSS, 0.85, [0.8, 0.7, 0.9], "met, but not surely"),
        (LOG_LOSS, 0.6, [0.8, 0.7, 0.9], "missed"),
    ],
)
def test_the_bar_is_met_surely_if_the_whole_interval_is(
    metric: Metric, wanted: float, drawn: list[float], verdict: str
) -> None:
    problem = Problem(target="y", task="binary", bar=wanted)
    found = bar(problem, metric, np.array([drawn[0], *drawn[1:] * 50]))
    assert found is not None
    assert found["verdict"] == verdict
    assert found["wanted"] == wanted


def test_without_a_bar_there_is_no_verdict() -> None:
    assert bar(Problem(target="y", task="binary"), ROC_AUC, np.ones(3)) is None


def test_the_bar_of_the_file_is_told_in_the_evaluation_and_the_ledger(blended: Folder) -> None:
    assert evaluated(blended)[0]["bar"]["verdict"] == "met"
    change(blended, {"problem.bar": 0.1})
    before = trainings(blended)
    assert evaluated(blended)[0]["bar"]["verdict"] == "missed"
    assert trainings(blended) == before
    (*_, last) = Ledger(blended.ledger).entries(kind="decision", stage="evaluate")
    assert last.body["bar"]["verdict"] == "missed"


def test_figures_are_told_for_each_group_of_the_file(blended: Folder) -> None:
    (found,) = evaluated(blended)[0]["groups"]
    assert found["column"] == "district"
    assert {item["group"] for item in found["groups"]} == {f"d{i}" for i in range(6)}
    recorded = [e.body for e in Ledger(blended.ledger).entries(kind="groups")]
    assert recorded == [found]


def test_the_curves_of_the_network_are_judged(finished: Folder, blended: Folder) -> None:
    assert evaluated(finished)[0]["fitness"]["verdict"] in ("unfinished", "underfit", "good")
    assert evaluated(blended)[0]["fitness"] is None  # a linear model has no curves


def test_a_threshold_changes_decisions_here_and_in_the_bundle_and_trains_nothing(
    finished: Folder,
) -> None:
    before, training = evaluated(finished)[1], trainings(finished)
    change(finished, {"problem.threshold": 0.9})
    _flow.run_project(finished, _flow.Unwatched())
    after = evaluated(finished)[1]
    assert trainings(finished) == training
    assert after["probability_yes"].equals(before["probability_yes"])
    assert (after["prediction"] == "yes").sum() < (before["prediction"] == "yes").sum()
    assert ((after["prediction"] == "yes") == (after["probability_yes"] >= 0.9)).all()
    found = load_bundle(finished.bundle).predict(mixed_table(60, seed=5))
    assert ((found["prediction"] == "yes") == (found["probability_yes"] >= 0.9)).all()


def test_a_threshold_may_be_chosen_on_tune_rows_by_a_metric(finished: Folder) -> None:
    before = evaluated(finished)[0]
    change(finished, {"problem.threshold": "f1"})
    after, kept = evaluated(finished)
    chosen = after["calibration"]["threshold"]
    assert 0 < chosen < 1
    assert before["calibration"]["threshold"] is None
    assert kept["prediction"].n_unique() == 2


def test_costs_change_decisions_and_train_nothing(finished: Folder) -> None:
    training = trainings(finished)
    change(finished, {"problem.costs": {"yes": {"no": 9}, "no": {"yes": 1}}})
    found, kept = evaluated(finished)
    assert trainings(finished) == training
    # Calling a row "no" costs nine times its chance to be "yes": from one in ten on it is called.
    clear = (kept["probability_yes"] - 0.1).abs() > 1e-6
    assert ((kept["prediction"] == "yes") == (kept["probability_yes"] > 0.1)).filter(clear).all()
    assert found["evidence"]["confusion"][1][0] <= 5


def test_more_coverage_makes_larger_sets_and_trains_nothing(finished: Folder) -> None:
    training, sizes = trainings(finished), []
    for coverage in (0.6, 0.99):
        change(finished, {"problem.coverage": coverage})
        kept = evaluated(finished)[1]
        sizes.append(float(kept["prediction_set"].str.count_matches(r"\|").fill_null(0).mean()))  # type: ignore[arg-type]
    assert sizes[0] < sizes[1]
    assert trainings(finished) == training


def test_the_same_rows_give_the_same_evaluation(finished: Folder, finished_once: Path) -> None:
    assert evaluated(finished)[0] == evaluated(Folder(finished_once / "project"))[0]
