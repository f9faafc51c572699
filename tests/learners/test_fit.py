"""What each learner learns."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import lightgbm
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from fieldcraft.contracts import FittedModel, TrainingJob
from fieldcraft.core import catalog
from fieldcraft.core.types import Array
from fieldcraft.fit.settings import TrainingRecipe, TrainingSettings, choose_batch_size
from fieldcraft.learners.lightgbm import fit as lightgbm_fit
from fieldcraft.learners.lightgbm.fit import MAX_TREES, EarlyStoppingCallback, choose_max_rounds
from fieldcraft.learners.linear import fit as linear_fit
from fieldcraft.learners.linear.fit import PENALTIES
from fieldcraft.learners.network.fit import choose_tabm_size, choose_training_settings
from fieldcraft.learners.network.options import NetworkOptions
from tests.callbacks import TestCallbacks
from tests.learners.jobs import encode_matrix, make_job

DRAW = np.random.default_rng(0)
ROWS = 1_000
X = DRAW.normal(size=(ROWS, 3))
NOISE = DRAW.normal(size=ROWS)


def fit(learner: str, x: Any, y: Array, **more: Any) -> Any:
    return catalog.load_plugin("learners", learner).fit(make_job(learner, x, y, **more))


def accuracy(model: FittedModel, job: TrainingJob) -> float:
    return float((model.outputs(job.validation).argmax(axis=1) == job.validation_y).mean())


def test_the_constant_gives_shares_in_which_no_class_is_impossible() -> None:
    y = np.array([0, 0, 0, 1, 0, 2, 2, 0, 2, 2])  # of eight training rows, two of class 2
    outputs = fit("constant", X[:10], y).outputs(encode_matrix(X[:2]))
    np.testing.assert_allclose(outputs, [[6 / 11, 2 / 11, 3 / 11]] * 2, rtol=1e-6)


def test_the_constant_gives_the_mean_of_amounts() -> None:
    outputs = fit("constant", X[:5], np.array([1.0, 2.0, 3.0, 6.0, 99.0])).outputs(
        encode_matrix(X[:2])
    )
    np.testing.assert_allclose(outputs, [[3.0], [3.0]])


def test_the_constant_gives_the_rate_of_each_label_by_laplaces_rule() -> None:
    y = np.array([[1, 0], [1, 0], [0, 0], [1, 0], [0, 0]])  # of four training rows
    outputs = fit("constant", X[:5], y).outputs(encode_matrix(X[:2]))
    np.testing.assert_allclose(outputs, [[4 / 6, 1 / 6]] * 2, rtol=1e-6)


def test_a_row_of_weight_two_is_to_the_constant_as_two_rows() -> None:
    twice = {"weights": np.array([2.0, 1, 1, 1])}
    mean = fit("constant", X[:5], np.array([1.0, 2, 3, 6, 99]), extra=twice).outputs(
        encode_matrix(X[:1])
    )
    np.testing.assert_allclose(mean, [[13 / 5]])
    shares = fit("constant", X[:5], np.array([0, 1, 1, 1, 1]), extra=twice).outputs(
        encode_matrix(X[:1])
    )
    np.testing.assert_allclose(shares, [[(4 * 2 / 5 + 1) / 6, (4 * 3 / 5 + 1) / 6]], rtol=1e-6)


def test_the_rule_finds_the_column_that_tells_most() -> None:
    y = np.digitize(X[:, 1] + 0.3 * NOISE, [-1, 1])
    job = make_job("rule", X, y)
    model = catalog.load_plugin("learners", "rule").fit(job)
    assert model.values["column"] == "c1"
    assert accuracy(model, job) > 0.8
    outputs = model.outputs(job.validation)
    np.testing.assert_allclose(outputs.sum(axis=1), 1, atol=1e-6)
    text = [one["outputs"] for one in model.values["bins"]]
    assert {tuple(row) for row in outputs.tolist()} <= {tuple(row) for row in text}


def test_the_rule_takes_levels_as_they_are_and_guesses_for_unseen_ones() -> None:
    codes = DRAW.integers(1, 4, ROWS)
    model = fit("rule", codes[:, None], np.array([0, 1.0, 2.0, 6.0])[codes], levels=(3,))
    result = model.outputs(encode_matrix([[1], [2], [3], [0]], levels=(3,)))[:, 0]
    np.testing.assert_allclose(result, [1, 2, 6, 3], atol=0.2)
    assert [one["level_code"] for one in model.values["bins"]] == [1, 2, 3]
    assert sum(one["rows"] for one in model.values["bins"]) == 800


def test_the_rule_knows_what_a_gap_means() -> None:
    gap = DRAW.random(ROWS) < 0.3
    y = np.where(gap, 1, DRAW.integers(0, 2, ROWS))
    model = fit("rule", np.where(gap, np.nan, X[:, 0])[:, None], y)
    assert model.outputs(encode_matrix([[np.nan]]))[0, 1] > 0.95
    assert model.values["bins"][-1]["missing"]


def test_tune_rows_choose_between_columns_that_tell_about_the_same() -> None:
    y = (X[:, 0] > 0).astype(np.int64)
    wrong = np.where(DRAW.random((ROWS, 2)) < 0.1, 1 - y[:, None], y[:, None])
    wrong[800:, 0] = 1 - y[800:]  # the first column misleads on tune rows
    assert fit("rule", wrong, y).values["column"] == "c1"
    noise = np.stack([wrong[:, 0], np.where(np.arange(ROWS) < 800, X[:, 1], y)], axis=1)
    assert fit("rule", noise, y).values["column"] == "c0"  # the other tells nothing of training


def test_without_a_telling_column_the_rule_is_the_constant() -> None:
    y = DRAW.integers(0, 2, ROWS)
    flat = np.stack([np.full(ROWS, 5.0), np.full(ROWS, np.nan)], axis=1)
    outputs = fit("rule", flat, y).outputs(encode_matrix([[5, np.nan], [6, 1]]))
    np.testing.assert_allclose(outputs[0], np.bincount(y[:800]) / 800, atol=0.01)


def test_the_rule_has_one_table_for_all_labels() -> None:
    y = np.stack([X[:, 0] > 0, X[:, 0] < 1], axis=1).astype(np.int64)
    model = fit("rule", X, y)
    result = model.outputs(encode_matrix([[-2, 0, 0], [0.5, 0, 0], [2, 0, 0]]))
    np.testing.assert_allclose(result, [[0, 1], [1, 1], [1, 0]], atol=0.15)


def test_the_linear_model_finds_a_line() -> None:
    model = fit("linear", X, 2 * X[:, 0] - X[:, 1] + 0.5, l2_penalty=0.0)
    result = model.outputs(encode_matrix([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]))[:, 0]
    np.testing.assert_allclose(result, [0.5, 2.5, -0.5, 0.5], atol=1e-3)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_linear_model_is_scikit_learns_on_standardised_columns(classes: int) -> None:
    y = np.digitize(X[:, 0] + 0.5 * NOISE, np.linspace(-1, 1, classes + 1)[1:-1])
    job = make_job("linear", 100 * X + 7, y, l2_penalty=5.0)
    model = catalog.load_plugin("learners", "linear").fit(job)
    seen = job.train.matrix().values
    center, spread = seen.mean(axis=0), seen.std(axis=0)
    expected = LogisticRegression(C=0.2, max_iter=500).fit((seen - center) / spread, job.train_y)
    held = (job.validation.matrix().values - center) / spread
    np.testing.assert_allclose(
        model.outputs(job.validation), expected.predict_proba(held), atol=1e-3
    )


def test_the_linear_model_fills_gaps_with_the_mean_and_learns_what_a_gap_means() -> None:
    gap = DRAW.random(ROWS) < 0.3
    x = np.where(gap, np.nan, X[:, 0])[:, None]
    model = fit("linear", x, np.where(gap, 5.0, X[:, 0]), l2_penalty=0.0)
    mean = float(np.nanmean(x[:800]))
    result = model.outputs(encode_matrix([[np.nan], [mean]]))[:, 0]
    np.testing.assert_allclose(result, [5.0, mean], atol=0.02)


def test_the_linear_model_gives_each_level_a_weight_and_unseen_ones_none() -> None:
    codes = DRAW.integers(1, 4, ROWS)
    model = fit(
        "linear", codes[:, None], np.array([0, 1.0, 2.0, 6.0])[codes], levels=(3,), l2_penalty=1e-6
    )
    result = model.outputs(encode_matrix([[1], [2], [3], [0]], levels=(3,)))[:, 0]
    np.testing.assert_allclose(result[:3], [1, 2, 6], atol=0.01)
    assert result[3] == pytest.approx(float(model.arrays["bias"][0]), abs=1e-5)


def test_the_linear_model_does_not_run_away_with_far_values() -> None:
    model = fit("linear", X, X[:, 0])
    result = model.outputs(encode_matrix([[1e30, 0, 0], [-1e30, 0, 0]]))[:, 0]
    assert np.abs(result).max() < 11


def test_a_penalty_makes_the_linear_model_more_careful() -> None:
    y = (X[:, 0] > 0).astype(int)
    bold, careful = (
        fit("linear", X, y, l2_penalty=p).outputs(encode_matrix(X)) for p in (0.01, 1_000.0)
    )
    assert np.abs(careful - 0.5).mean() < 0.5 * np.abs(bold - 0.5).mean()


@pytest.mark.parametrize("absent", [0, 1, 2])
def test_the_linear_model_thinks_little_of_a_class_that_no_training_row_has(absent: int) -> None:
    y = np.array([k for k in range(3) if k != absent])[(X[:, 0] > 0).astype(int)]
    y[-1] = 2  # of a tune row, so that there are three classes
    outputs = fit("linear", X, y).outputs(encode_matrix(X))
    assert outputs[:, absent].mean() == pytest.approx(1 / 803, rel=0.5)
    np.testing.assert_allclose(outputs.sum(axis=1), 1, atol=1e-6)


def test_the_linear_model_has_weights_of_its_own_for_each_label() -> None:
    y = np.stack([X[:, 0] > 0, X[:, 1] + NOISE > 1, X[:, 2] < 0], axis=1).astype(np.int64)
    job = make_job("linear", X, y, l2_penalty=2.0)
    model = catalog.load_plugin("learners", "linear").fit(job)
    alone = [fit("linear", X, label, l2_penalty=2.0).outputs(job.validation)[:, 1] for label in y.T]
    np.testing.assert_allclose(model.outputs(job.validation), np.stack(alone, axis=1), atol=1e-4)


@pytest.mark.parametrize("same", [0, 1])
def test_a_label_that_all_training_rows_agree_on_gets_laplaces_rate(same: int) -> None:
    y = np.stack([X[:, 0] > 0, np.full(ROWS, same)], axis=1).astype(np.int64)
    outputs = fit("linear", X, y).outputs(encode_matrix(X))
    np.testing.assert_allclose(outputs[:, 1], 801 / 802 if same else 1 / 802, rtol=1e-3)


def test_the_penalty_is_the_one_with_the_lowest_tune_loss_by_more_than_a_hair() -> None:
    wide = DRAW.normal(size=(150, 60))
    y = wide[:, 0] + DRAW.normal(size=150)
    job = make_job("linear", wide, y)
    learner = catalog.load_plugin("learners", "linear")
    chosen = learner.fit(job)
    losses = {}
    for penalty in PENALTIES:
        fixed = learner.fit(make_job("linear", wide, y, l2_penalty=penalty))
        losses[penalty] = job.task.validation_loss(fixed.outputs(job.validation), job.validation_y)
    assert chosen.penalty == min(losses, key=lambda penalty: losses[penalty])
    assert chosen.penalty > PENALTIES[-1]


@pytest.mark.parametrize("kind", ["amount", "classes"])
def test_the_penalty_of_many_rows_is_chosen_with_some_of_them(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    y = X[:, 0] + NOISE if kind == "amount" else (X[:, 0] + NOISE > 0).astype(int)
    monkeypatch.setattr(linear_fit, "MAX_SEARCH_ROWS", 300)
    model = fit("linear", X, y)
    asked = fit("linear", X, y, l2_penalty=model.penalty)
    result, expected = (one.outputs(encode_matrix(X)) for one in (model, asked))
    np.testing.assert_allclose(result, expected, atol=1e-6)  # fitted on all rows in the end


def test_a_budget_that_is_over_ends_the_search_for_a_penalty() -> None:
    callbacks = TestCallbacks()
    extra = {"budget": 1e-9, "callbacks": callbacks}
    assert fit("linear", X, X[:, 0], extra=extra).penalty == PENALTIES[0]
    assert callbacks.messages == [("penalty 1000", None)]


def test_a_search_that_would_take_too_long_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_fit, "MAX_SEARCH_OPERATIONS_PER_STEP", 100)
    assert fit("linear", X, X[:, 0]).penalty == linear_fit.DEFAULT_PENALTY


@pytest.mark.parametrize("kind", ["amount", "classes"])
def test_a_row_of_weight_two_is_to_the_linear_model_as_two_rows(kind: str) -> None:
    noisy = X[:, 0] + NOISE
    y = noisy if kind == "amount" else np.digitize(noisy, [-1, 1])
    twice = np.arange(800) % 2 + 1
    job = make_job("linear", X, y, l2_penalty=0.0)
    learner = catalog.load_plugin("learners", "linear")
    weighted = learner.fit(replace(job, weights=7.0 * twice)).outputs(job.validation)
    rows = np.repeat(np.arange(800), twice)
    doubled = replace(job, train=encode_matrix(X[rows]), train_y=y[rows])
    np.testing.assert_allclose(weighted, learner.fit(doubled).outputs(job.validation), atol=2e-3)


CHECKER = ((X[:, 0] > 0) ^ (X[:, 1] > 0)).astype(int)


def test_trees_learn_what_a_linear_model_cannot() -> None:
    job = make_job("lightgbm", X, CHECKER)
    assert accuracy(catalog.load_plugin("learners", "lightgbm").fit(job), job) > 0.9
    assert accuracy(fit("linear", X, CHECKER), job) < 0.65


def test_trees_stop_growing_when_the_tune_loss_rises() -> None:
    noisy = np.where(NOISE > 1, 1 - CHECKER, CHECKER)
    most = fit("lightgbm", X, noisy, n_estimators=400, patience=400).boosters[0]
    few = fit("lightgbm", X, noisy, n_estimators=400, patience=10).boosters[0]
    assert few.num_trees() < 100
    assert most.num_trees() < 400  # the best number, however long one waited


def test_trees_tell_categories_apart_by_sets_of_codes() -> None:
    codes = DRAW.integers(1, 31, ROWS)
    y = (codes % 2).astype(float)
    job = make_job("lightgbm", codes[:, None], y, levels=(30,), num_leaves=2, n_estimators=60)
    model = catalog.load_plugin("learners", "lightgbm").fit(job)
    error = np.abs(model.outputs(job.validation)[:, 0] - job.validation_y).mean()
    assert error < 0.1  # two leaves cannot do that by thresholds


@pytest.mark.parametrize(("factor", "chosen"), [(1.2, 4), (0.9, 4), (0.5, 1)])
def test_trees_grow_on_fewer_threads_where_that_is_clearly_faster(
    monkeypatch: pytest.MonkeyPatch, factor: float, chosen: int
) -> None:
    times = {4: 1.0, 2: factor, 1: factor**2}
    monkeypatch.setattr(lightgbm_fit, "available_cpus", lambda: 4)
    monkeypatch.setattr(
        lightgbm_fit, "time_boosting_round", lambda _, rows, threads: times[threads]
    )
    assert lightgbm_fit.choose_thread_count({}, lightgbm.Dataset(np.zeros((2, 1)))) == chosen


def test_the_trees_do_not_depend_on_the_threads_that_grew_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = np.random.default_rng(0).normal(size=(300, 3))
    texts = []
    for threads in (1, 2):
        monkeypatch.setattr(lightgbm_fit, "choose_thread_count", lambda *_, n=threads: n)
        texts.append(fit("lightgbm", x, (x[:, 0] > 0).astype(int), n_estimators=20).model_texts)
    assert texts[0] == texts[1]


def test_a_budget_stops_the_trees() -> None:
    model = fit("lightgbm", X, CHECKER, n_estimators=300, patience=300, extra={"budget": 1e-9})
    assert model.boosters[0].num_trees() == 1


def test_a_budget_that_is_over_keeps_the_trees_up_to_the_best_round() -> None:
    watch = EarlyStoppingCallback(make_job("lightgbm", X, CHECKER), "", budget=1e9, start=0.0)
    for number, loss in enumerate([0.5, 0.3, 0.4]):
        state = SimpleNamespace(
            iteration=number, end_iteration=9, evaluation_result_list=[("", "", loss, False)]
        )
        if number == 2:
            watch.budget = 0.0
            with pytest.raises(lightgbm.callback.EarlyStopException) as stopped:
                watch(state)
        else:
            watch(state)
    assert stopped.value.best_iteration == 1


def test_each_label_gets_trees_of_its_own_and_its_share_of_the_time() -> None:
    labels = np.stack([CHECKER, X[:, 2] > 0, np.zeros(ROWS)], axis=1).astype(np.int64)
    job = make_job("lightgbm", X, labels)
    model = catalog.load_plugin("learners", "lightgbm").fit(job)
    right = (model.outputs(job.validation) > 0.5) == job.validation_y
    assert (right.mean(axis=0) > [0.9, 0.95, 0.99]).all()
    short = fit("lightgbm", X, labels, extra={"budget": 1e-9})
    assert [booster.num_trees() for booster in short.boosters] == [1, 1, 1]


def test_very_many_classes_get_fewer_rounds_unless_they_are_asked_for() -> None:
    many = np.arange(ROWS) % 500
    assert choose_max_rounds(make_job("lightgbm", X, CHECKER)) == 2_000
    assert choose_max_rounds(make_job("lightgbm", X, many)) == MAX_TREES // 500
    assert choose_max_rounds(make_job("lightgbm", X, many, n_estimators=123)) == 123


def test_very_many_classes_are_learned_from_the_rows_that_memory_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lightgbm_fit, "MAX_ROWS_TIMES_CLASSES", 1_200)
    three = np.digitize(X[:, 0], [-0.5, 0.5])
    extra = {"weights": np.arange(800) + 1.0}
    job = make_job("lightgbm", X, three, extra=extra)
    kept = lightgbm_fit.select_rows_for_memory(job)
    assert isinstance(kept, np.ndarray)
    assert np.unique(kept).shape == (400,)
    assert accuracy(catalog.load_plugin("learners", "lightgbm").fit(job), job) > 0.9
    assert lightgbm_fit.select_rows_for_memory(make_job("lightgbm", X, X[:, 0])) == slice(None)


def test_trees_give_heavier_rows_more_say() -> None:
    y = DRAW.permutation(np.arange(ROWS) % 2)  # nothing explains it
    weights = np.where(y[:800] == 1, 3.0, 1.0)
    outputs = fit("lightgbm", X, y, n_estimators=1, extra={"weights": weights}).outputs(
        encode_matrix(X)
    )
    assert outputs[:, 1].mean() == pytest.approx(0.75, abs=0.02)


def test_trees_report_progress_and_their_validation_loss() -> None:
    callbacks = TestCallbacks()
    fit("lightgbm", X, CHECKER, n_estimators=60, patience=60, extra={"callbacks": callbacks})
    assert [message for message, _ in callbacks.messages] == ["tree 0", "tree 25", "tree 50"]
    losses = [metrics["validation_loss"] for metrics in callbacks.metrics.values()]
    assert list(callbacks.metrics) == [1, 26, 51]
    assert losses[0] > losses[-1] > 0
    assert all(
        m["best_validation_loss"] <= m["validation_loss"] for m in callbacks.metrics.values()
    )


def test_a_callback_stops_the_trees() -> None:
    callbacks = TestCallbacks(stop_function=lambda epoch: epoch > 1)
    stopped = fit(
        "lightgbm", X, CHECKER, n_estimators=60, patience=60, extra={"callbacks": callbacks}
    )
    assert list(callbacks.metrics) == [1, 26]
    assert max(booster.num_trees() for booster in stopped.boosters) <= 26


def test_the_number_of_threads_is_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lightgbm_fit, "choose_thread_count", None)  # must not be timed
    single, double = (
        fit("lightgbm", X, CHECKER, n_estimators=20, extra={"threads": threads})
        for threads in (1, 2)
    )
    assert single.model_texts == double.model_texts


@pytest.mark.parametrize(
    ("rows", "members", "width", "layers"),
    [(1_000, 8, 128, 3), (10_000, 16, 128, 3), (200_000, 8, 256, 3)],
)
def test_few_rows_get_fewer_members_and_many_rows_wider_layers(
    rows: int, members: int, width: int, layers: int
) -> None:
    size = choose_tabm_size(rows, NetworkOptions(), has_gpu=False)
    assert (size.ensemble_size, size.hidden_size, size.n_layers) == (members, width, layers)


def test_the_size_that_a_user_asks_for_goes_first() -> None:
    options = NetworkOptions(ensemble_size=3, width=7, layers=2)
    for gpu in (False, True):
        size = choose_tabm_size(50_000, options, gpu)
        assert (size.ensemble_size, size.hidden_size, size.n_layers) == (3, 7, 2)


def test_settings_that_a_user_asks_for_go_first_even_if_they_are_zero() -> None:
    options = NetworkOptions(
        learning_rate=0.5,
        weight_decay=0.0,
        batch_size=9,
        epochs=4,
        patience=2,
        ema_decay=0.0,
        max_grad_norm=0.0,
    )
    result = choose_training_settings(1_000, options)
    assert (result.learning_rate, result.weight_decay, result.ema_decay, result.max_grad_norm) == (
        0.5,
        0,
        0,
        0,
    )
    assert (result.batch_size, result.epochs) == (9, 4)
    assert [result.patience_at(best) for best in (0, 500)] == [2, 2]


def test_a_plain_mlp_is_trained_the_plain_way() -> None:
    plain, tabm = (
        choose_training_settings(1_000, NetworkOptions(trunk=name)) for name in ("mlp", "tabm")
    )
    assert (plain.ema_decay, plain.weight_decay) == (0, 0)
    assert tabm.ema_decay > 0.9
    assert plain.batch_size == choose_batch_size(1_000, is_mlp=True)
    assert tabm.batch_size == choose_batch_size(1_000)


def test_a_deep_nets_recipe_gives_way_to_what_the_user_says() -> None:
    recipe = TrainingRecipe(
        TrainingSettings(epochs=30, lr_schedule="linear", learning_rate=0.5, max_grad_norm=0.0)
    )
    result = choose_training_settings(1_000, NetworkOptions(epochs=3, optimizer="sgd"), recipe)
    assert (result.epochs, result.optimizer) == (3, "sgd")
    assert (result.lr_schedule, result.learning_rate, result.max_grad_norm) == ("linear", 0.5, 0.0)
    assert (
        choose_training_settings(1_000, NetworkOptions(max_grad_norm=2.0), recipe).max_grad_norm
        == 2.0
    )
