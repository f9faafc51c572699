"""What each learner learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from fieldcraft.contracts import Array, Fitted, Job
from fieldcraft.core import catalogue
from fieldcraft.fit.settings import batch_size_for
from fieldcraft.learners.lightgbm.fit import short_thresholds
from fieldcraft.learners.network.fit import size_for, training_for
from fieldcraft.learners.network.options import NetworkOptions
from tests.learners.rows import make_job, matrix

DRAW = np.random.default_rng(0)
ROWS = 1_000
X = DRAW.normal(size=(ROWS, 3))
NOISE = DRAW.normal(size=ROWS)


def fit(learner: str, x: Any, y: Array, **more: Any) -> Any:
    return catalogue.load("learners", learner).fit(make_job(learner, x, y, **more))


def accuracy(model: Fitted, job: Job) -> float:
    return float((model.outputs(job.tune).argmax(axis=1) == job.tune_y).mean())


def test_the_constant_gives_shares_in_which_no_class_is_impossible() -> None:
    y = np.array([0, 0, 0, 1, 0, 2, 2, 0, 2, 2])  # of eight training rows, two of class 2
    outputs = fit("constant", X[:10], y).outputs(matrix(X[:2]))
    np.testing.assert_allclose(outputs, [[6 / 11, 2 / 11, 3 / 11]] * 2, rtol=1e-6)


def test_the_constant_gives_the_mean_of_amounts() -> None:
    outputs = fit("constant", X[:5], np.array([1.0, 2.0, 3.0, 6.0, 99.0])).outputs(matrix(X[:2]))
    np.testing.assert_allclose(outputs, [[3.0], [3.0]])


def test_the_linear_model_finds_a_line() -> None:
    model = fit("linear", X, 2 * X[:, 0] - X[:, 1] + 0.5, penalty=0.0)
    found = model.outputs(matrix([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]))[:, 0]
    np.testing.assert_allclose(found, [0.5, 2.5, -0.5, 0.5], atol=1e-3)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_linear_model_is_scikit_learns_on_standardised_columns(classes: int) -> None:
    y = np.digitize(X[:, 0] + 0.5 * NOISE, np.linspace(-1, 1, classes + 1)[1:-1])
    job = make_job("linear", 100 * X + 7, y)
    model = catalogue.load("learners", "linear").fit(job)
    seen = job.train.matrix().values
    centre, spread = seen.mean(axis=0), seen.std(axis=0)
    wanted = LogisticRegression(max_iter=500).fit((seen - centre) / spread, job.train_y)
    held = (job.tune.matrix().values - centre) / spread
    np.testing.assert_allclose(model.outputs(job.tune), wanted.predict_proba(held), atol=1e-3)


def test_the_linear_model_fills_gaps_with_the_mean_and_learns_what_a_gap_means() -> None:
    gap = DRAW.random(ROWS) < 0.3
    x = np.where(gap, np.nan, X[:, 0])[:, None]
    model = fit("linear", x, np.where(gap, 5.0, X[:, 0]), penalty=0.0)
    mean = float(np.nanmean(x[:800]))
    found = model.outputs(matrix([[np.nan], [mean]]))[:, 0]
    np.testing.assert_allclose(found, [5.0, mean], atol=0.02)


def test_the_linear_model_gives_each_level_a_weight_and_unseen_ones_none() -> None:
    codes = DRAW.integers(1, 4, ROWS)
    model = fit(
        "linear", codes[:, None], np.array([0, 1.0, 2.0, 6.0])[codes], levels=(3,), penalty=1e-6
    )
    found = model.outputs(matrix([[1], [2], [3], [0]], levels=(3,)))[:, 0]
    np.testing.assert_allclose(found[:3], [1, 2, 6], atol=0.01)
    assert found[3] == pytest.approx(float(model.arrays["bias"][0]), abs=1e-5)


def test_the_linear_model_does_not_run_away_with_far_values() -> None:
    model = fit("linear", X, X[:, 0])
    found = model.outputs(matrix([[1e30, 0, 0], [-1e30, 0, 0]]))[:, 0]
    assert np.abs(found).max() < 11


def test_a_penalty_makes_the_linear_model_more_careful() -> None:
    y = (X[:, 0] > 0).astype(int)
    bold, careful = (fit("linear", X, y, penalty=p).outputs(matrix(X)) for p in (0.01, 1_000.0))
    assert np.abs(careful - 0.5).mean() < 0.5 * np.abs(bold - 0.5).mean()


@pytest.mark.parametrize("absent", [0, 1, 2])
def test_the_linear_model_keeps_a_class_that_no_training_row_has_out_of_reach(absent: int) -> None:
    y = np.array([k for k in range(3) if k != absent])[(X[:, 0] > 0).astype(int)]
    y[-1] = 2  # of a tune row, so that there are three classes
    outputs = fit("linear", X, y).outputs(matrix(X))
    assert outputs[:, absent].max() < 1e-6
    np.testing.assert_allclose(outputs.sum(axis=1), 1, atol=1e-6)


CHECKER = ((X[:, 0] > 0) ^ (X[:, 1] > 0)).astype(int)


def test_trees_learn_what_a_linear_model_cannot() -> None:
    job = make_job("lightgbm", X, CHECKER)
    assert accuracy(catalogue.load("learners", "lightgbm").fit(job), job) > 0.9
    assert accuracy(fit("linear", X, CHECKER), job) < 0.65


def test_trees_stop_growing_when_the_tune_loss_rises() -> None:
    noisy = np.where(NOISE > 1, 1 - CHECKER, CHECKER)
    most = fit("lightgbm", X, noisy, trees=400, patience=400).booster
    few = fit("lightgbm", X, noisy, trees=400, patience=10).booster
    assert few.num_trees() < 100
    assert most.num_trees() < 400  # the best number, however long one waited


def test_trees_tell_categories_apart_by_sets_of_codes() -> None:
    codes = DRAW.integers(1, 31, ROWS)
    y = (codes % 2).astype(float)
    job = make_job("lightgbm", codes[:, None], y, levels=(30,), leaves=2, trees=30)
    model = catalogue.load("learners", "lightgbm").fit(job)
    error = np.abs(model.outputs(job.tune)[:, 0] - job.tune_y).mean()
    assert error < 0.1  # two leaves cannot do that by thresholds


def test_a_budget_stops_the_trees() -> None:
    model = fit("lightgbm", X, CHECKER, trees=300, patience=300, more={"budget": 1e-9})
    assert model.booster.num_trees() == 1


def test_trees_tell_how_far_they_are() -> None:
    told: list[str] = []
    more = {"progress": lambda text, share: told.append(text)}
    fit("lightgbm", X, CHECKER, trees=60, patience=60, more=more)
    assert told == ["tree 0", "tree 25", "tree 50"]


def test_thresholds_in_short_floats_decide_every_row_as_before() -> None:
    text = "tree\ntree_sizes=10 20\nthreshold=16000014.500000002 0.1 3 -0.1\nleaf_value=0.1 0.2\n"
    found = short_thresholds(text)
    assert found.startswith("tree\nthreshold=16000014.0 ")
    assert found.endswith("leaf_value=0.1 0.2\n")
    for long, short in zip((16000014.500000002, 0.1, 3.0, -0.1), found.split("\n")[1][10:].split(),
                           strict=True):  # fmt: skip
        below = float(short)
        assert below == float(np.float32(below)) <= long
        assert float(np.nextafter(np.float32(below), np.float32(np.inf))) > long


@pytest.mark.parametrize(
    ("rows", "members", "width", "layers"),
    [(1_000, 16, 128, 3), (10_000, 16, 128, 3), (200_000, 8, 256, 3)],
)
def test_many_rows_get_fewer_members_and_wider_layers(
    rows: int, members: int, width: int, layers: int
) -> None:
    size = size_for(rows, NetworkOptions(), gpu=False)
    assert (size.members, size.width, size.layers) == (members, width, layers)


def test_the_size_that_a_user_asks_for_goes_first() -> None:
    options = NetworkOptions(members=3, width=7, layers=2)
    for gpu in (False, True):
        size = size_for(50_000, options, gpu)
        assert (size.members, size.width, size.layers) == (3, 7, 2)


def test_settings_that_a_user_asks_for_go_first_even_if_they_are_zero() -> None:
    options = NetworkOptions(
        learning_rate=0.5, weight_decay=0.0, batch_size=9, epochs=4, patience=2, ema=0.0, clip=0.0
    )
    found = training_for(1_000, options)
    assert (found.learning_rate, found.weight_decay, found.ema, found.clip) == (0.5, 0, 0, 0)
    assert (found.batch_size, found.epochs) == (9, 4)
    assert [found.allowance(best) for best in (0, 500)] == [2, 2]


def test_a_plain_mlp_is_trained_the_plain_way() -> None:
    plain, tabm = (training_for(1_000, NetworkOptions(trunk=name)) for name in ("mlp", "tabm"))
    assert (plain.ema, plain.weight_decay) == (0, 0)
    assert tabm.ema > 0.9
    assert plain.batch_size == tabm.batch_size == batch_size_for(1_000)
