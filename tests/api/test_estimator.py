"""The estimators follow scikit-learn's conventions and accept raw tables."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, make_multilabel_classification
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

import fieldcraft as fc
from fieldcraft.api.table import ColumnSpec
from fieldcraft.core.errors import BundleError, InputError, PluginError
from tests.conftest import mixed_table

FEW_TREES = {"n_estimators": 20}
SMALL_NETWORK = {"trunk": "mlp", "layers": [8], "epochs": 2}
EXPECTED_FAILED_CHECKS = {
    "check_sample_weight_equivalence_on_dense_data": "weights count in training and calibration, "
    "but not in scaling or in the assignment of rows to folds",
}


@parametrize_with_checks(  # type: ignore[untyped-decorator]
    [
        fc.Classifier("linear"),
        fc.Regressor("linear"),
        fc.Classifier("lightgbm", options=FEW_TREES),
        fc.Regressor("lightgbm", options=FEW_TREES),
    ],
    expected_failed_checks=lambda estimator: EXPECTED_FAILED_CHECKS,
    xfail_strict=True,
)
def test_scikit_learns_own_checks_hold(
    estimator: Any, check: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if check.func is estimator_checks.check_methods_sample_order_invariance:
        # Outputs are computed in 32-bit floats, whose last digits depend on how the rows of a
        # matrix product are blocked: compared with scikit-learn's tolerance for such floats.
        monkeypatch.setattr(
            estimator_checks,
            "assert_allclose_dense_sparse",
            lambda a, b, **_: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        )
    check(estimator)


@pytest.fixture(scope="module")
def fitted_classifier() -> Any:
    """A classifier of the table with every kind of column."""
    table = mixed_table()
    return fc.Classifier("linear").fit(table.drop("bought"), table["bought"])


@pytest.fixture
def new_rows() -> pl.DataFrame:
    return mixed_table(50, seed=3)


def test_polars_and_pandas_tables_give_the_same(
    fitted_classifier: Any, new_rows: pl.DataFrame
) -> None:
    table = mixed_table()
    pandas_classifier = fc.Classifier("linear").fit(
        table.drop("bought").to_pandas(), table["bought"]
    )
    rows = new_rows.drop("bought")
    expected = fitted_classifier.predict_proba(rows)
    for given in (rows, rows.lazy(), rows.to_pandas(), rows.with_columns(pl.all().cast(str))):
        np.testing.assert_array_equal(fitted_classifier.predict_proba(given), expected)
        np.testing.assert_allclose(pandas_classifier.predict_proba(given), expected, atol=1e-9)


def test_kinds_are_inferred_and_can_be_overridden(new_rows: pl.DataFrame) -> None:
    table = mixed_table()
    columns: ColumnSpec = {"member": "category", "age": {"kind": "number", "clip": [0, 60]}}
    model = fc.Classifier("linear", columns=columns).fit(table.drop("bought"), table["bought"])
    kinds = {column.name: column.kind for column in model.model_.schema.columns}
    assert kinds == {"age": "number", "city": "category", "member": "category", "seen": "datetime"}
    old, older = (new_rows.with_columns(age=pl.lit(v)).drop("bought") for v in (60.0, 90.0))
    np.testing.assert_array_equal(model.predict_proba(old), model.predict_proba(older))


def test_a_column_that_counts_up_is_a_number_in_an_array_and_a_key_in_a_frame() -> None:
    x = np.arange(200.0)
    model = fc.Regressor("linear").fit(x[:, None], 3 * x + 1)
    assert model.score(x[:, None], 3 * x + 1) > 0.9
    frame = pd.DataFrame({"id": np.arange(200), "x": np.random.default_rng(0).normal(size=200)})
    keyed = fc.Regressor("linear").fit(frame, frame["x"])
    assert [column.name for column in keyed.model_.schema.columns] == ["x"]


def test_a_table_of_nothing_but_a_constant_gives_the_mean() -> None:
    frame = pd.DataFrame({"same": ["x"] * 40})
    y = np.arange(40.0)
    np.testing.assert_allclose(fc.Regressor("linear").fit(frame, y).predict(frame), 19.5, atol=3)


def test_classes_of_any_type_come_back(new_rows: pl.DataFrame) -> None:
    X, y = load_iris(return_X_y=True)
    for names in (np.array([False, True]), np.array(["b", "a"]), np.array([2.0, -1.0])):
        target = names[(y == 2).astype(int)]
        model = fc.Classifier("linear").fit(X, target)
        assert model.predict(X).dtype == target.dtype
        assert model.score(X, target) > 0.9
        np.testing.assert_array_equal(model.classes_, np.sort(names))


def test_missing_values_and_unseen_categories_are_accepted(
    fitted_classifier: Any, new_rows: pl.DataFrame
) -> None:
    odd = new_rows.drop("bought").with_columns(age=pl.lit(None), city=pl.lit("Atlantis"))
    assert np.isfinite(fitted_classifier.predict_proba(odd)).all()


def test_sets_and_intervals_have_90_percent_coverage() -> None:
    X, y = load_diabetes(return_X_y=True)
    low, high = fc.Regressor("linear").fit(X[::2], y[::2]).predict_interval(X[1::2])
    assert 0.8 < ((low <= y[1::2]) & (y[1::2] <= high)).mean() < 0.98
    table, test_table = mixed_table(1_000), mixed_table(1_000, seed=1)
    model = fc.Classifier("linear").fit(table.drop("bought"), table["bought"])
    sets = model.predict_set(test_table.drop("bought"))
    true = (test_table["bought"] == "yes").to_numpy().astype(int)
    assert sets.dtype == bool
    assert sets.shape == (1_000, 2)
    assert 0.85 < sets[np.arange(1_000), true].mean() < 0.97


def test_large_tables_have_one_fold_model() -> None:
    draw = np.random.default_rng(0)
    X = draw.normal(size=(5_200, 2))
    y = X[:, 0] > 0
    small, large = (fc.Classifier("linear").fit(X[:n], y[:n]) for n in (400, 5_200))
    assert len(small.model_.fold_models) == 5
    assert len(large.model_.fold_models) == 1
    assert large.score(X, y) > 0.9


def test_the_same_seed_gives_the_same_model_and_none_is_zero() -> None:
    X, y = load_iris(return_X_y=True)
    first, second, other_seed = (
        fc.Classifier("lightgbm", options=FEW_TREES, random_state=seed).fit(X, y).predict_proba(X)
        for seed in (None, 0, 1)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other_seed)
    drawn = fc.Classifier("linear", random_state=np.random.RandomState(7)).fit(X, y)
    assert drawn.score(X, y) > 0.9


def test_weights_count_and_rows_of_weight_zero_are_ignored() -> None:
    draw = np.random.default_rng(0)
    X = draw.normal(size=(300, 3))
    y = np.where(np.arange(300) < 200, X[:, 0], -5 * X[:, 0])
    weights = np.where(np.arange(300) < 200, 1.0, 0.0)
    without = fc.Regressor("linear").fit(X[:200], y[:200]).predict(X)
    np.testing.assert_allclose(fc.Regressor("linear").fit(X, y, weights).predict(X), without)
    heavy = fc.Regressor("linear").fit(X, y, np.where(weights > 0, 1.0, 100.0)).predict(X)
    assert np.corrcoef(heavy, X[:, 0])[0, 1] < 0 < np.corrcoef(without, X[:, 0])[0, 1]


def test_targets_with_many_columns_are_multilabel() -> None:
    X, y = make_multilabel_classification(200, n_classes=3, random_state=0)
    frame = pd.DataFrame(y, columns=["jazz", "pop", "rock"])
    model = fc.Classifier("linear").fit(X, frame)
    assert (model.predict(X) == y).mean() > 0.7
    assert model.predict_proba(X).shape == (200, 3)
    assert model.predict_set(X).shape == (200, 3, 2)
    assert model.model_.problem.targets == ["jazz", "pop", "rock"]


def test_a_model_survives_pickling_and_leaves_no_folder_behind(
    fitted_classifier: Any, new_rows: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rows = new_rows.drop("bought")
    expected = fitted_classifier.predict_proba(rows)
    again = pickle.loads(pickle.dumps(fitted_classifier))
    np.testing.assert_array_equal(again.predict_proba(rows), expected)
    assert "fold_models" not in pickle.loads(pickle.dumps(again)).model_.__dict__
    clone(fitted_classifier).fit(rows, new_rows["bought"])
    assert list(tmp_path.iterdir()) == []


def test_cross_validation_and_grid_search_work(new_rows: pl.DataFrame) -> None:
    table = mixed_table(120)
    X, y = table.drop("bought").to_pandas(), table["bought"].to_pandas()
    scores = cross_val_score(fc.Classifier("linear"), X, y, cv=2, n_jobs=2)
    assert scores.mean() > 0.6
    pipeline = make_pipeline(FunctionTransformer(), fc.Classifier("linear"))
    grid = {"classifier__options": [{"l2_penalty": 1.0}, {"l2_penalty": 100.0}]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    assert search.best_score_ > 0.6


def test_an_error_in_another_process_keeps_its_parts() -> None:
    X, y = load_iris(return_X_y=True)
    wrong = fc.Classifier("linear", columns={"x9": "number"})
    with pytest.raises(InputError, match="which is not a column") as caught:
        cross_val_score(wrong, X, y, cv=2, n_jobs=2, error_score="raise")
    assert caught.value.detail == "x0, x1, x2, x3"


def test_the_default_learner_is_the_network() -> None:
    X, y = load_iris(return_X_y=True)
    model = fc.Classifier(options=SMALL_NETWORK, device="cpu").fit(X, y)
    assert model.model_.metadata["learner"] == "network"
    expected = model.predict_proba(X)
    np.testing.assert_allclose(pickle.loads(pickle.dumps(model)).predict_proba(X), expected)


@pytest.mark.parametrize("suffix", ["", ".zip"])
@pytest.mark.parametrize("learner", ["linear", "lightgbm"])
def test_a_bundle_predicts_what_the_estimator_predicts(
    learner: str, suffix: str, new_rows: pl.DataFrame, tmp_path: Path
) -> None:
    table = mixed_table()
    model = fc.Classifier(learner).fit(table.drop("bought"), table["bought"])
    manifest = model.to_bundle(tmp_path / f"bundle{suffix}")
    bundle = fc.load_bundle(tmp_path / f"bundle{suffix}")
    assert bundle.model_id == manifest["model_id"]
    assert manifest["targets"] == ["bought"]
    predictions = bundle.predict(new_rows)
    assert predictions["prediction"].to_list() == model.predict(new_rows.drop("bought")).tolist()
    np.testing.assert_allclose(
        predictions.select("probability_no", "probability_yes").to_numpy(),
        model.predict_proba(new_rows.drop("bought")), atol=1e-5,
    )  # fmt: skip


def test_regressors_on_arrays_make_bundles(tmp_path: Path) -> None:
    X, y = load_diabetes(return_X_y=True)
    model = fc.Regressor("lightgbm", options=FEW_TREES).fit(X, y)
    model.to_bundle(tmp_path / "bundle")
    rows = pl.DataFrame(X, schema=[f"x{i}" for i in range(10)])
    predictions = fc.load_bundle(tmp_path / "bundle").predict(rows)
    np.testing.assert_allclose(predictions["prediction"], model.predict(X), rtol=1e-5)
    np.testing.assert_allclose(
        predictions["prediction_low"], model.predict_interval(X)[0], rtol=1e-5
    )


def test_a_bundle_replaces_an_older_one_and_nothing_else(
    fitted_classifier: Any, tmp_path: Path
) -> None:
    assert fitted_classifier.to_bundle(tmp_path / "b") == fitted_classifier.to_bundle(
        tmp_path / "b"
    )
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.txt").write_text("all of it", encoding="utf-8")
    for path in (tmp_path / "papers", tmp_path / "papers" / "thesis.txt"):
        with pytest.raises(BundleError, match="something else"):
            fitted_classifier.to_bundle(path)
    assert (tmp_path / "papers" / "thesis.txt").read_text(encoding="utf-8") == "all of it"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"options": {"l2_penalti": 1}}, "did you mean 'l2_penalty'"),
        ({"options": {"l2_penalty": -1}}, r"greater than or equal to 0(.|\n)*-1"),
        ({"columns": {"aeg": "number"}}, "did you mean 'age'"),
        ({"columns": {"age": {"decimal": ","}}}, "no kind"),
        ({"columns": {"age": {"kind": "number", "decimals": 3}}}, "did you mean 'decimal'"),
    ],
)
def test_invalid_settings_are_errors(parameters: dict[str, Any], message: str) -> None:
    table = mixed_table(60)
    with pytest.raises(InputError, match=message) as caught:
        fc.Classifier("linear", **parameters).fit(table.drop("bought"), table["bought"])
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("parameters", [{"learner": "linea"}, {"columns": {"age": "numbr"}}])
def test_unknown_plugins_are_errors(parameters: dict[str, Any]) -> None:
    table = mixed_table(60)
    with pytest.raises(PluginError, match="did you mean"):
        fc.Classifier(**parameters).fit(table.drop("bought"), table["bought"])


@pytest.mark.parametrize(
    ("X", "y", "weights", "message"),
    [
        (np.zeros((4, 1)), ["a"] * 4, None, "only one class"),
        (np.zeros((4, 1)), ["a", "b", None, "a"], None, "no target"),
        (np.zeros((4, 1)), None, None, "requires y"),
        (np.zeros((4, 1)), ["a", "b"] * 2, [1, 1, -1, 1], "none negative"),
        (np.zeros((4, 1)), ["a", "b"] * 2, [0, 1, 0, 1], "only one class"),
        (pl.DataFrame({"a": []}), [], None, "0 sample"),
        (pl.DataFrame({"a": [1]}), ["a"], None, "only one class"),
    ],
)
def test_invalid_training_rows_are_errors(X: Any, y: Any, weights: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fc.Classifier("linear").fit(X, y, weights)


def test_a_table_of_one_row_or_no_columns_is_an_error() -> None:
    for frame in (pl.DataFrame({"a": [1]}), pd.DataFrame(index=range(3))):
        with pytest.raises(InputError, match="too few rows or columns"):
            fc.Regressor("linear").fit(frame, np.arange(float(len(frame))))


def test_scikit_learn_is_loaded_only_when_an_estimator_is_asked_for() -> None:
    code = "import sys, fieldcraft as fc; fc.load_bundle; before = 'sklearn' in sys.modules; "
    code += "fc.Regressor; print(before, 'sklearn' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "False"]
