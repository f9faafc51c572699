"""Exported models decide as the learner does, on ordinary rows and on odd ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fieldcraft.core import catalog
from fieldcraft.core.types import Array
from tests.learners.jobs import encode_matrix, make_job, run_onnx

DRAW = np.random.default_rng(0)
ROWS = 800
LEARNERS = ["constant", "rule", "linear", "lightgbm"]
FAST_OPTIONS: dict[str, dict[str, Any]] = {"lightgbm": {"n_estimators": 40}}
LEVELS = (0, 0, 12)
X = np.stack(
    [DRAW.normal(size=ROWS), np.exp(3 * DRAW.normal(size=ROWS)), DRAW.integers(0, 13, ROWS)], axis=1
)
X[DRAW.random(ROWS) < 0.1, 0] = np.nan
SCORE = np.nan_to_num(X[:, 0], nan=2.0) + np.log(X[:, 1]) / 3 + (X[:, 2] % 3 == 0)
TARGETS = {
    "amount": SCORE,
    "two": (SCORE > 0).astype(np.int64),
    "three": np.digitize(SCORE, [-0.5, 0.5]),
    "labels": np.stack([SCORE > 0, X[:, 2] > 6, np.zeros(ROWS)], axis=1).astype(np.int64),
}
EXTREME_ROWS = [
    [np.nan, np.nan, 0],  # all missing, unseen
    [3e38, 3e38, 12],
    [-3e38, -3e38, 1],
    [1e-40, -1e-40, 5],
    [0.0, -0.0, 7],
    [np.inf, -np.inf, 99],  # a code that nobody has
]


def assert_onnx_parity(
    learner: str, x: Any, y: Array, rows: Any, levels: tuple[int, ...] | None = None
) -> None:
    """Outputs of the model and of its export are the same on rows of every sort."""
    job = make_job(learner, x, y, levels, **FAST_OPTIONS.get(learner, {}))
    model = catalog.load_plugin("learners", learner).fit(job)
    exported = model.to_onnx()
    for encoded in (
        job.train,
        job.validation,
        encode_matrix(rows, levels),
        encode_matrix(rows[:1], levels),
    ):
        onnx_outputs, outputs = run_onnx(exported, encoded), model.outputs(encoded)
        assert onnx_outputs.shape == outputs.shape
        assert onnx_outputs.dtype == outputs.dtype == np.float32
        np.testing.assert_allclose(onnx_outputs, outputs, atol=1e-5)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("learner", LEARNERS)
def test_odd_rows_are_decided_alike(learner: str, target: str) -> None:
    assert_onnx_parity(learner, X, TARGETS[target], EXTREME_ROWS, LEVELS)


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize(
    "column",
    [
        16_000_000 + DRAW.integers(0, 60, ROWS),  # whole numbers that are neighboring floats
        1.7e9 + DRAW.integers(0, 9_000, ROWS),  # seconds since 1970
        1 + DRAW.random(ROWS) / 1_024,
        DRAW.integers(0, 1_000, ROWS) / 100,
        DRAW.normal(size=ROWS) * 1e30,
        DRAW.normal(size=ROWS) * 1e-30,
    ],
    ids=["large", "seconds", "dense", "cents", "huge", "tiny"],
)
def test_numbers_of_any_size_are_decided_alike(learner: str, column: Array) -> None:
    amount = (column - column.mean()) / column.std()
    rows = column[:50, None]
    for y in (amount, (amount > 0).astype(np.int64)):
        assert_onnx_parity(learner, column[:, None], y, rows)


@pytest.mark.parametrize("learner", LEARNERS[1:])
def test_gaps_that_no_training_row_had_are_decided_alike(learner: str) -> None:
    whole = DRAW.normal(size=(ROWS, 2))
    assert_onnx_parity(learner, whole, whole[:, 0], [[np.nan, 0.0], [0.0, np.nan]])


@pytest.mark.parametrize("learner", LEARNERS)
def test_columns_that_say_nothing_still_make_a_model(learner: str) -> None:
    empty = np.stack([np.full(ROWS, 5.0), np.full(ROWS, np.nan)], axis=1)
    assert_onnx_parity(learner, empty, TARGETS["three"], [[5.0, np.nan], [6.0, 1.0]])


@pytest.mark.parametrize("learner", LEARNERS)
def test_exporting_says_nothing(learner: str, capfd: pytest.CaptureFixture[str]) -> None:
    model = catalog.load_plugin("learners", learner).fit(
        make_job(learner, X, TARGETS["two"], LEVELS)
    )
    model.to_onnx()
    assert capfd.readouterr() == ("", "")


def test_sets_of_levels_are_told_apart_alike_where_levels_are_many() -> None:
    codes = DRAW.integers(0, 61, (ROWS, 2))
    effect = DRAW.normal(size=61)
    y = effect[codes[:, 0]] + effect[codes[:, 1]]
    assert_onnx_parity("lightgbm", codes, y, [[0, 60], [61, 1], [np.nan, 2]], (60, 60))


def test_very_many_trees_add_up_alike() -> None:
    job = make_job("lightgbm", X, SCORE, n_estimators=1_500)
    job = replace(job, validation=job.train, validation_y=job.train_y)  # no tree is one too many
    model = catalog.load_plugin("learners", "lightgbm").fit(job)
    assert model.boosters[0].num_trees() > 1_000
    result, expected = run_onnx(model.to_onnx(), job.train), model.outputs(job.train)
    np.testing.assert_allclose(result, expected, atol=1e-6)
