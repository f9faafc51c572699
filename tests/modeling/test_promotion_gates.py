"""Promotion gates: better on average is not enough, and each refusal gives its reason."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.core import catalog
from fieldcraft.data.splitting import Fold
from fieldcraft.modeling import promotion_gates
from fieldcraft.modeling.dataset import RETRAIN_WEIGHT_COLUMN, ModelingDataset, load_dataset
from fieldcraft.modeling.promotion_gates import (
    ChallengerEvaluation,
    GateResult,
    ModelPair,
    check_calibration,
    check_group_performance,
    check_latency,
    check_performance,
    check_schema,
    check_size,
    compare_subsets,
    evaluate_challenger,
    run_gates,
)
from fieldcraft.modeling.retraining_data import ChampionDataset
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.project.settings import (
    DataSettings,
    DeploySettings,
    ProblemSettings,
    ProjectSettings,
)
from fieldcraft.stages import _workflows
from fieldcraft.statistics.bootstrap import BootstrapPlan, PairedComparison
from fieldcraft.statistics.classification_metrics import ACCURACY, LOG_LOSS
from fieldcraft.statistics.metrics import Metric, Predictions
from tests.conftest import set_settings

Array = Any
PLAIN_SETTINGS: Any = {
    "problem": ProblemSettings(target="y", task="binary"),
    "data": DataSettings.model_validate({"source": "t.csv", "columns": {}}),
}


@pytest.fixture(autouse=True)
def steady_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call takes a millisecond, whatever else the machine does."""
    ticks = count(0.0, 1e-3)
    monkeypatch.setattr(promotion_gates, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))


@pytest.fixture
def settings(finished_project: ProjectFolder) -> ProjectSettings:
    return set_settings(finished_project, {"problem.sensitive_features": ["city"]}).load_settings()


@pytest.fixture
def rows(finished_project: ProjectFolder, settings: ProjectSettings) -> ModelingDataset:
    return load_dataset(
        _workflows.load_latest_report_data(finished_project).folders["split"], settings
    )


@pytest.fixture
def pair(finished_project: ProjectFolder) -> ModelPair:
    bundle = load_bundle(finished_project.bundle_path)
    return ModelPair(bundle, bundle, (finished_project.bundle_path, finished_project.bundle_path))


def make_predictions(chance: Array) -> Predictions:
    """Predictions with these probabilities of the positive class."""
    outputs = np.stack([1 - chance, chance], axis=1)
    return Predictions(outputs, outputs.argmax(1), np.ones_like(outputs, dtype=bool))


def random_chances(y: Array, right: float | Array, seed: int) -> Array:
    """Probabilities that are on the right side of 0.5 for a fraction of the rows."""
    draw = np.random.default_rng(seed)
    good = draw.random(len(y)) < right
    far = draw.uniform(0.55, 0.95, len(y))
    return np.where(good == (y == 1), far, 1 - far)


def make_evaluation(
    rows: ModelingDataset, champion: Array, challenger: Array, previous_fraction: float = 0.5
) -> ChallengerEvaluation:
    positions = np.arange(len(rows.y))
    return ChallengerEvaluation(
        rows,
        positions,
        positions < previous_fraction * len(positions),
        make_predictions(champion),
        make_predictions(challenger),
        rows.y,
    )


def gates_by_name(
    evaluation: ChallengerEvaluation, pair: ModelPair, settings: ProjectSettings
) -> dict[str, GateResult]:
    metric = next(m for m in metrics_of(evaluation) if m.name == "roc_auc")
    return {gate.name: gate for gate in run_gates(evaluation, pair, metric, settings, 0)}


def metrics_of(evaluation: ChallengerEvaluation) -> Any:
    return evaluation.dataset.task.metrics


def test_a_challenger_that_is_better_on_every_subset_passes(
    rows: ModelingDataset, pair: ModelPair, settings: ProjectSettings
) -> None:
    gates = gates_by_name(
        make_evaluation(rows, random_chances(rows.y, 0.6, 0), random_chances(rows.y, 0.95, 1)),
        pair,
        settings,
    )
    assert all(gate.passed for gate in gates.values()), gates
    assert set(gates["group_performance"].details["groups"]) == {
        "city: Bern",
        "city: Oslo",
        "city: Rome",
    }
    assert set(gates["performance"].details["subsets"]) == {"all", "previous_evaluation", "new"}


def test_a_tie_is_not_better(
    rows: ModelingDataset, pair: ModelPair, settings: ProjectSettings
) -> None:
    same = random_chances(rows.y, 0.8, 0)
    gates = gates_by_name(make_evaluation(rows, same, same), pair, settings)
    assert not gates["performance"].passed
    assert "tie" in gates["performance"].message


def test_worse_on_previous_evaluation_rows_fails_despite_a_better_average(
    rows: ModelingDataset, pair: ModelPair, settings: ProjectSettings
) -> None:
    early = np.arange(len(rows.y)) < 0.3 * len(rows.y)
    champion = random_chances(rows.y, np.where(early, 0.98, 0.4), 0)
    challenger = random_chances(rows.y, np.where(early, 0.5, 0.98), 1)
    gates = gates_by_name(
        make_evaluation(rows, champion, challenger, previous_fraction=0.3), pair, settings
    )
    assert gates["performance"].details["subsets"]["all"]["verdict"] == "better"
    assert gates["performance"].details["subsets"]["previous_evaluation"]["verdict"] == "worse"
    assert not gates["performance"].passed


def test_worse_for_one_group_fails_despite_a_better_average(
    rows: ModelingDataset, pair: ModelPair, settings: ProjectSettings
) -> None:
    here = (rows.features["city"] == "Bern").to_numpy()
    champion = random_chances(rows.y, np.where(here, 0.95, 0.55), 0)
    challenger = random_chances(rows.y, np.where(here, 0.55, 0.98), 1)
    gates = gates_by_name(make_evaluation(rows, champion, challenger), pair, settings)
    assert gates["performance"].details["subsets"]["all"]["verdict"] == "better"
    assert not gates["group_performance"].passed
    assert "worse for city: Bern" in gates["group_performance"].message


def test_a_larger_calibration_error_fails(rows: ModelingDataset) -> None:
    y, plan = rows.y, BootstrapPlan(len(rows.y), 0)
    calibrated = np.where(y == 1, 0.7, 0.3)
    calibrated[::4] = np.round(1 - calibrated[::4], 3)
    overconfident = np.where(calibrated > 0.5, 0.999, 0.001)
    assert not check_calibration(make_evaluation(rows, calibrated, overconfident), plan).passed
    assert check_calibration(make_evaluation(rows, overconfident, calibrated), plan).passed


def test_intervals_with_too_little_coverage_fail(ensemble_project: ProjectFolder) -> None:
    rows = load_dataset(
        _workflows.load_latest_report_data(ensemble_project).folders["split"],
        ensemble_project.load_settings(),
    )
    y, positions = rows.y, np.arange(len(rows.y))

    def predictions_with_width(half: float) -> Predictions:
        return Predictions(y[:, None], y, np.stack([y - half, y + half], axis=1))

    narrow = replace(predictions_with_width(1.0), regions=np.stack([y + 1, y + 2], axis=1))
    evaluation = ChallengerEvaluation(
        rows, positions, positions < 100, predictions_with_width(1.0), narrow, y
    )
    gate = check_calibration(evaluation, BootstrapPlan(len(y), 0))
    assert not gate.passed
    assert gate.message == "coverage 0.0%, champion 100.0%, target 90%"
    better = ChallengerEvaluation(
        rows, positions, positions < 100, narrow, predictions_with_width(1.0), y
    )
    assert check_calibration(better, BootstrapPlan(len(y), 0)).passed


def comparison_with_verdict(
    verdict: str, new: float = 0.5, old: float = 0.25
) -> tuple[PairedComparison, float, float]:
    """A comparison with this verdict."""
    low, high = {"better": (0.1, 0.3), "worse": (-0.3, -0.1), "tie": (-0.1, 0.3)}[verdict]
    return PairedComparison((low + high) / 2, low, high, 0.5), new, old


@pytest.mark.parametrize(
    ("verdicts", "passed"),
    [
        ({"all": "better", "previous_evaluation": "tie", "new": "tie"}, True),
        ({"all": "tie", "previous_evaluation": "tie", "new": "better"}, True),
        ({"all": "tie", "previous_evaluation": "better", "new": "tie"}, False),
        ({"all": "better", "previous_evaluation": "worse", "new": "better"}, False),
        ({"all": "better", "previous_evaluation": "better", "new": "worse"}, False),
        ({"all": "tie"}, False),
        ({}, False),
    ],
)
def test_the_performance_gate_requires_better_on_all_or_new_rows_and_worse_on_none(
    verdicts: dict[str, str], passed: bool
) -> None:
    parts = {name: np.arange(40) < 30 for name in verdicts}
    gate = check_performance(
        {n: comparison_with_verdict(v) for n, v in verdicts.items()}, ACCURACY, parts
    )
    assert gate.passed is passed
    words = "; ".join(f"{n} (30 rows): 0.5000, champion 0.2500 ({v})" for n, v in verdicts.items())
    assert gate.message == (f"accuracy on {words}" if words else "too few rows for a comparison")


def test_the_group_gate_requires_worse_for_no_group(settings: ProjectSettings) -> None:
    comparisons = {
        "city: Bern": comparison_with_verdict("better"),
        "city: Oslo": comparison_with_verdict("tie"),
    }
    gate = check_group_performance(comparisons, ACCURACY, settings)
    assert (gate.passed, gate.message) == (True, "worse for none of 2 groups")
    gate = check_group_performance(
        {**comparisons, "city: Rome": comparison_with_verdict("worse", 0.1)}, ACCURACY, settings
    )
    assert gate.passed is False
    assert gate.message == "accuracy is worse for city: Rome (0.1000, champion 0.2500)"
    assert gate.to_json()["groups"]["city: Rome"] == {
        "challenger": 0.1, "champion": 0.25, "difference": -0.2, "low": -0.3, "high": -0.1,
        "verdict": "worse",
    }  # fmt: skip
    assert check_group_performance({}, ACCURACY, settings).message == "no group has enough rows"


@pytest.mark.parametrize(
    ("task", "difference", "high", "new", "old", "passed"),
    [
        ("binary", -0.011, -0.001, 0.05, 0.039, False),
        ("binary", -0.009, -0.001, 0.05, 0.041, True),
        ("binary", -0.5, 0.001, 0.6, 0.1, True),  # not significant
        ("regression", -0.03, -0.01, 0.87, 0.9, False),
        ("regression", -0.03, -0.01, 0.875, 0.86, True),  # closer to the target than before
        ("regression", -0.03, -0.01, 0.885, 0.95, True),  # too wide before, now close to the target
        ("regression", -0.03, 0.01, 0.8, 0.9, True),
        ("regression", -0.03, -0.01, 0.89, 0.9, True),
    ],
)
def test_the_calibration_gate_tolerates_one_point_of_ece_and_two_of_coverage(
    task: str, difference: float, high: float, new: float, old: float, passed: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    result = (PairedComparison(difference, 2 * difference, high, 0.5), new, old)
    monkeypatch.setattr(promotion_gates, "compare_subsets", lambda *args: {"all": result})
    rows: Any = SimpleNamespace(task=catalog.load_plugin("tasks", task))
    y = np.zeros(1)
    evaluation = ChallengerEvaluation(rows, y, y, make_predictions(y), make_predictions(y), y)
    assert check_calibration(evaluation, BootstrapPlan(1, 0)).passed is passed


@pytest.mark.parametrize(
    ("old", "new", "limit", "allowed", "passed"),
    [
        (7.8125, 15.625, None, 15.625, True), (7.8125, 15.75, None, 15.625, False),
        (2.0, 6.9, None, 7.0, True), (2.0, 7.1, None, 7.0, False),
        (15.625, 15.625, 15.625, 15.625, True), (15.625, 15.75, 15.625, 15.625, False),
    ],
)  # fmt: skip
def test_the_latency_gate_allows_twice_the_time_or_five_milliseconds_more(
    old: float, new: float, limit: float | None, allowed: float, passed: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    now, calls = [0.0], list[tuple[str, int]]()

    def bundle(name: str, milliseconds: float) -> Any:
        def predict(row: pl.DataFrame) -> None:
            calls.append((name, row["row"].item()))
            hangs = len(calls) > 100  # outliers do not affect the median
            now[0] += 1e3 if hangs else milliseconds / 1e3

        return SimpleNamespace(predict=predict)

    monkeypatch.setattr(promotion_gates, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    pair = ModelPair(bundle("old", old), bundle("new", new), (Path(), Path()))
    rows: Any = SimpleNamespace(frame=pl.DataFrame({"row": range(7)}))
    y = np.zeros(1)
    evaluation = ChallengerEvaluation(rows, y, y, make_predictions(y), make_predictions(y), y)
    settings = ProjectSettings(deploy=DeploySettings(max_latency_ms=limit), **PLAIN_SETTINGS)
    gate = check_latency(evaluation, pair, settings)
    assert calls == [(name, call % 7) for call in range(60) for name in ("old", "new")]
    assert gate.details == pytest.approx({"challenger": new, "champion": old, "limit": allowed})
    assert gate.passed is passed


@pytest.mark.parametrize(
    ("old", "new", "limit", "allowed"),
    [(2_000_000, 4_000_000, None, 4.0), (2_000_000, 4_000_001, None, 4.0),
     (400_000, 1_400_000, None, 1.4), (400_000, 1_400_001, None, 1.4),
     (2_000_000, 3_000_001, 3.0, 3.0)],
)  # fmt: skip
def test_the_size_gate_allows_twice_the_size_or_a_megabyte_more(
    old: int, new: int, limit: float | None, allowed: float, tmp_path: Path
) -> None:
    folders = (tmp_path / "old", tmp_path / "new")
    for folder, size in zip(folders, (old, new), strict=True):
        (folder / "members").mkdir(parents=True)
        (folder / "card.md").write_bytes(bytes(1_000))
        (folder / "members" / "model").write_bytes(bytes(size - 1_000))
    bundle: Any = None
    settings = ProjectSettings(deploy=DeploySettings(max_size_mb=limit), **PLAIN_SETTINGS)
    gate = check_size(ModelPair(bundle, bundle, folders), settings)
    assert gate.details == pytest.approx(
        {"challenger": new / 1e6, "champion": old / 1e6, "limit": allowed}
    )
    assert gate.passed is (new / 1e6 <= allowed)


def test_models_are_compared_on_weighted_rows_of_a_subset() -> None:
    y = np.array([1, 1, 0, 0, 1])
    champion, challenger = np.array([0.9, 0.9, 0.9, 0.1, 0.1]), np.array([0.1, 0.9, 0.1, 0.1, 0.9])
    rows: Any = None
    evaluation = ChallengerEvaluation(
        rows, np.arange(5), y > 0, make_predictions(champion), make_predictions(challenger), y
    )
    parts = {"first": np.arange(5) < 3, "last": np.arange(5) >= 3}
    plan = BootstrapPlan(5, 0, weights=np.array([3.0, 1.0, 2.0, 1.0, 1.0]), n_resamples=200)
    result = compare_subsets(evaluation, ACCURACY, parts, plan)
    (first, *firsts), (last, *lasts) = result["first"], result["last"]
    assert firsts == pytest.approx([3 / 6, 4 / 6])  # metrics of challenger and champion
    assert lasts == pytest.approx([1.0, 0.5])
    assert first.difference == pytest.approx(-1 / 6)
    assert last.difference == pytest.approx(0.5)
    assert (first.low, first.high) == (-1.0, 1.0)
    assert (
        compare_subsets(evaluation, LOG_LOSS, parts, plan)["last"][0].difference > 0
    )  # lower is better


def test_resamples_use_clusters_and_weights_and_small_subsets_are_skipped(
    rows: ModelingDataset,
    pair: ModelPair,
    settings: ProjectSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Retraining weights of older rows do not count in the evaluation."""
    drawn: list[tuple[set[str], BootstrapPlan]] = []

    def same(
        match: ChallengerEvaluation, metric: Metric, parts: dict[str, Array], draw: BootstrapPlan
    ) -> Any:
        drawn.append((set(parts), draw))
        return dict.fromkeys(parts, comparison_with_verdict("better"))

    monkeypatch.setattr(promotion_gates, "compare_subsets", same)
    weights, size = np.linspace(1, 2, len(rows.y)), len(rows.y)
    frame = rows.frame.with_columns(
        pl.Series("w", weights), pl.lit(0.5).alias(RETRAIN_WEIGHT_COLUMN)
    )
    heavy = replace(rows, frame=frame, clusters=np.arange(size) // 2)
    data = settings.data.model_copy(
        update={
            "sample_weight": "w",
            "columns": {**settings.data.columns, "w": settings.data.columns["age"]},
        }
    )
    positions = np.arange(size - 60, size)
    half = make_predictions(np.full(60, 0.5))
    evaluation = ChallengerEvaluation(
        heavy, positions, np.arange(60) < 30, half, half, rows.y[positions]
    )
    gates = run_gates(evaluation, pair, ACCURACY, settings.model_copy(update={"data": data}), 7)
    assert [gate.name for gate in gates] == [
        "performance",
        "group_performance",
        "calibration",
        "latency",
        "size",
    ]
    parts, draw = drawn[0]
    assert {"all", "previous_evaluation", "new"} <= parts
    assert draw.seed == 7
    assert draw.weights is not None
    assert draw.clusters is not None
    np.testing.assert_array_equal(draw.weights, weights[positions])
    np.testing.assert_array_equal(draw.clusters, positions // 2)
    few = replace(evaluation, is_previous_evaluation=np.arange(60) < 29)
    run_gates(few, pair, ACCURACY, settings, 7)
    assert "previous_evaluation" not in drawn[2][0]


def test_the_schema_gate_requires_compatible_inputs_and_outputs(pair: ModelPair) -> None:
    assert check_schema(pair.champion, pair.challenger).passed

    def bundle_with(**changes: Any) -> Bundle:
        return Bundle({**pair.champion.manifest, **changes}, pair.champion.models)

    known = pair.champion.manifest["schema"]
    more = {
        **known,
        "columns": [*known["columns"], {"name": "pulse", "kind": "number", "options": {}}],
    }
    gate = check_schema(pair.champion, bundle_with(schema=more))
    assert (gate.passed, gate.message) == (False, "it requires more columns: pulse")
    fewer = {**known, "columns": known["columns"][:1]}
    assert check_schema(pair.champion, bundle_with(schema=fewer)).passed
    classes = {**pair.champion.target_spec, "classes": ["no", "yes", "maybe"]}
    assert (
        check_schema(pair.champion, bundle_with(target_spec=classes)).message
        == "the classes differ: maybe"
    )
    assert not check_schema(pair.champion, bundle_with(task="regression", target_spec={})).passed


class RecordingBundle:
    """A bundle that records the fold requested for each row."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def out_of_fold_predictions(self, frame: pl.DataFrame, folds: Array) -> Predictions:
        self.asked = list(zip(frame["row"].to_list(), folds.tolist(), strict=True))
        return make_predictions(np.full(len(folds), 0.5))


CHAMPION_PARTS = {  # of the champion's rows; the others are new
    0: ("train", -1), 1: ("validation", -1), 2: ("evaluation", -1), 3: ("cv", 1), 4: ("cv", 4),
    5: ("cv", 7),
}  # fmt: skip


@pytest.mark.parametrize(
    ("known", "positions", "champion_folds"),
    [
        # A champion of one fold has one member for all rows, also those of its own evaluation rows.
        ([0, 1, 2], [2, 6, 3, 4, 5, 7], [0, 0, 0, 0, 0, 0]),
        # Several folds have two members each; new rows go to the fold of the same number.
        ([0, 1, 3, 4, 5], [2, 6, 3, 4, 5, 7], [0, 0, 0, 2, 3, 1]),
    ],
)
def test_each_row_is_evaluated_by_members_not_trained_on_it(
    known: list[int], positions: list[int], champion_folds: list[int]
) -> None:
    none, evaluation_rows = np.array([]), ([0, 1, 2, 6], [3, 4, 5, 7])
    folds = [Fold(none, none, np.array(rows)) for rows in evaluation_rows]
    digests = [bytes([row]) for row in range(8)]
    rows: Any = SimpleNamespace(
        folds=folds, frame=pl.DataFrame({"row": range(8)}), y=10 * np.arange(8)
    )
    table = pl.DataFrame(
        [(digests[row], *CHAMPION_PARTS[row]) for row in known], orient="row",
        schema={"digest": pl.Binary, "part": pl.String, "fold": pl.Int64},
    )  # fmt: skip
    champion, challenger = RecordingBundle(), RecordingBundle()
    pair: Any = ModelPair(champion, challenger, (Path(), Path()))  # type: ignore[arg-type]
    evaluation = evaluate_challenger(
        rows, digests, ChampionDataset(Path(), rows.frame, table, frozenset()), pair
    )
    assert evaluation is not None
    assert evaluation.positions.tolist() == positions
    assert evaluation.y.tolist() == [10 * position for position in positions]
    assert evaluation.is_previous_evaluation.tolist() == [
        position in known for position in positions
    ]
    assert challenger.asked == [(position, int(position in (3, 4, 5, 7))) for position in positions]
    assert champion.asked == list(zip(positions, champion_folds, strict=True))


def test_without_common_evaluation_rows_there_is_no_evaluation(
    rows: ModelingDataset, pair: ModelPair
) -> None:
    digests = [str(position).encode() for position in range(len(rows.y))]
    trained = pl.DataFrame({"digest": digests, "part": "train", "fold": -1})
    assert (
        evaluate_challenger(
            rows, digests, ChampionDataset(Path(), rows.frame, trained, frozenset()), pair
        )
        is None
    )
