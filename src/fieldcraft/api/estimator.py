"""Fieldcraft as scikit-learn estimators: arrays or frames in, a calibrated model out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from pydantic import ValidationError
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from fieldcraft.api.dataset import build_dataset
from fieldcraft.api.model import ProblemSpec, train_model
from fieldcraft.api.table import (
    ColumnSpec,
    default_column_names,
    frame_from_array,
    infer_schema,
    is_frame,
    series_from_array,
)
from fieldcraft.contracts import Learner
from fieldcraft.core import catalog
from fieldcraft.core.errors import InputError, did_you_mean
from fieldcraft.core.types import Array, Json
from fieldcraft.data.dataframes import to_polars
from fieldcraft.modeling.fold_models import TrainingLimits
from fieldcraft.statistics.metrics import Predictions

MAX_SEED = 2**31 - 1


class TableEstimator(BaseEstimator):
    """What classifier and regressor share: parameters, rows, training, bundles."""

    def __init__(
        self,
        learner: str = "network",
        *,
        options: Mapping[str, Any] | None = None,
        time_budget: float | None = None,
        random_state: Any = None,
        device: str = "auto",
        columns: ColumnSpec | None = None,
    ) -> None:
        self.learner = learner
        self.options = options
        self.time_budget = time_budget
        self.random_state = random_state
        self.device = device
        self.columns = columns

    def to_bundle(self, path: str | Path) -> Json:
        """Write the model as a bundle, which ``fieldcraft.load_bundle`` runs without torch.

        Args:
            path: a folder or a .zip file that is not there yet, or an older bundle.

        Returns:
            The bundle's manifest.

        Raises:
            BundleError: something else is there, or the bundle does not predict the same.
        """
        check_is_fitted(self)
        manifest: Json = self.model_.write_bundle(Path(path))
        return manifest

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags

    def _train(self, X: Any, y: Array, problem: ProblemSpec, sample_weight: Any) -> Self:
        frame, is_numeric = validate_rows(self, X, reset=True)
        check_consistent_length(frame, y)
        schema = infer_schema(frame, self.columns or {}, is_numeric)
        weights = (
            None if sample_weight is None else validate_sample_weight(sample_weight, frame.height)
        )
        learner: Learner = catalog.load_plugin("learners", self.learner)
        options = parse_learner_options(learner, self.options or {})
        seed = resolve_seed(self.random_state)
        dataset = build_dataset(frame, y, schema, problem, weights, seed)
        training_limits = TrainingLimits(seed, self.time_budget, self.device)
        self.model_ = train_model(learner, options, dataset, problem.targets, training_limits)
        return self

    def _predictions(self, X: Any) -> Predictions:
        check_is_fitted(self)
        frame, _ = validate_rows(self, X, reset=False)
        predictions: Predictions = self.model_.predict(frame)
        return predictions


class Classifier(ClassifierMixin, TableEstimator):
    """Tell which class, or which labels, each row has, with honest probabilities.

    Rows may be an array (columns x0, x1, ...) or a pandas or Polars frame with numbers, words,
    dates and gaps; what a column of a frame holds is guessed. Tables below 5,000 rows are
    learned by five members, each tuned on another fifth of the rows, whose outputs are averaged.
    Targets of shape (rows, labels) with 0 and 1 are labels, of which a row may have many.

    Args:
        learner: name of the learner: ``network``, ``lightgbm``, ``linear``, ...
        options: the learner's settings, as under ``model:`` in a project file.
        budget: seconds that training may take.
        random_state: the same number gives the same model; None is 0.
        device: where a network is trained: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        columns: what columns hold, where the guess is to be overruled: a kind such as
            ``category``, or a dict of ``kind`` and its options, by name.

    Attributes:
        classes_: the classes in order; numbers of the labels where there are many.
        n_features_in_: how many columns there were in `fit`.
        feature_names_in_: their names, if the rows were a frame.
        model_: the trained model as data files. It keeps up to 500 of the rows, by which
            `to_bundle` proves that a bundle predicts the same.

    A weight of 2 is not the same as a row that stands there twice: weights count in training, but
    not when columns are scaled or rows dealt out to folds.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True, as_frame=True)
        >>> float(Classifier("linear").fit(X, y).score(X, y)) > 0.9
        True
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from rows and their classes.

        Args:
            X: rows, shape (rows, columns).
            y: a class for each row, or labels of 0 and 1, shape (rows, labels).
            sample_weight: how much each row counts in training.

        Raises:
            InputError: fewer than two classes, or settings that do not fit; also a ValueError.
        """
        names = target_names(y)
        y = validate_target(self, y)
        if type_of_target(y, input_name="y").startswith("multilabel"):
            self.classes_ = np.arange(y.shape[1])
            labels = names if len(names) == y.shape[1] else default_column_names(y.shape[1], "y")
            problem = ProblemSpec("multilabel", {"labels": labels}, labels)
            return self._train(X, y.astype(np.int64), problem, sample_weight)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        weighted_codes = (
            codes
            if sample_weight is None
            else codes[validate_sample_weight(sample_weight, len(y)) > 0]
        )
        if len(np.unique(weighted_codes)) < 2:
            raise InputError(
                "there is only one class in y, so there is nothing to learn",
                detail=f"1 class: {self.classes_[weighted_codes[0]]!r}",
                hint="give rows of at least two classes",
            )
        task = "binary" if len(self.classes_) == 2 else "multiclass"
        problem = ProblemSpec(task, {"classes": format_class_labels(self.classes_)}, names)
        return self._train(X, codes, problem, sample_weight)

    def predict(self, X: Any) -> Array:
        """The class of each row, shape (rows,), or its labels as 0 and 1, (rows, labels)."""
        decisions = self._predictions(X).decisions
        return decisions if decisions.ndim == 2 else np.asarray(self.classes_[decisions])

    def predict_proba(self, X: Any) -> Array:
        """Probabilities, shape (rows, classes) or (rows, labels)."""
        return self._predictions(X).outputs.astype(np.float64)

    def predict_set(self, X: Any) -> Array:
        """Which classes are in the set that holds the true one for 90 % of rows, (rows, classes).

        For labels: whether each may be absent, and may be present, (rows, labels, 2).
        """
        return self._predictions(X).regions

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class Regressor(RegressorMixin, TableEstimator):
    """Tell an amount for each row, and an interval that holds the true one.

    Rows may be an array (columns x0, x1, ...) or a pandas or Polars frame with numbers, words,
    dates and gaps; what a column of a frame holds is guessed. Tables below 5,000 rows are
    learned by five members, each tuned on another fifth of the rows, whose outputs are averaged.

    Args:
        learner: name of the learner: ``network``, ``lightgbm``, ``linear``, ...
        options: the learner's settings, as under ``model:`` in a project file.
        budget: seconds that training may take.
        random_state: the same number gives the same model; None is 0.
        device: where a network is trained: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        columns: what columns hold, where the guess is to be overruled: a kind such as
            ``category``, or a dict of ``kind`` and its options, by name.

    Attributes:
        n_features_in_: how many columns there were in `fit`.
        feature_names_in_: their names, if the rows were a frame.
        model_: the trained model as data files. It keeps up to 500 of the rows, by which
            `to_bundle` proves that a bundle predicts the same.

    A weight of 2 is not the same as a row that stands there twice: weights count in training, but
    not when columns are scaled or rows dealt out to folds.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from rows and their amounts.

        Args:
            X: rows, shape (rows, columns).
            y: an amount for each row.
            sample_weight: how much each row counts in training.

        Raises:
            InputError: settings that do not fit; also a ValueError.
        """
        names = target_names(y)
        y = column_or_1d(validate_target(self, y), warn=True)
        target = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        return self._train(X, target, ProblemSpec("regression", {}, names), sample_weight)

    def predict(self, X: Any) -> Array:
        """The amount of each row, shape (rows,)."""
        return self._predictions(X).decisions

    def predict_interval(self, X: Any) -> tuple[Array, Array]:
        """Low and high end of the interval that holds the true amount for 90 % of rows."""
        low, high = self._predictions(X).regions.T
        return low, high


def validate_rows(estimator: Any, rows: Any, reset: bool) -> tuple[pl.DataFrame, bool]:
    """Rows as a frame with the estimator's column names, and whether they are an array of numbers.

    Args:
        estimator: is told the names and number of columns, or asked whether they fit.
        rows: an array, a list of lists, or a frame.
        reset: whether these are the rows to learn from.

    Raises:
        InputError: too few rows, or no columns.
        ValueError: columns are not those of `fit`, or the shape is not that of a table.
    """
    rows = rows.collect() if isinstance(rows, pl.LazyFrame) else rows
    if is_frame(rows):
        validate_data(estimator, rows, reset=reset, skip_check_array=True)
        frame, is_numeric = to_polars(rows), False
    else:
        values = validate_data(estimator, rows, reset=reset, dtype=None, ensure_all_finite=False)
        is_numeric = values.dtype.kind in "biuf"
        frame = frame_from_array(values, default_column_names(values.shape[1]))
    if frame.height <= reset or not frame.width:
        raise InputError(
            "there are too few rows or columns",
            detail=f"n_samples={frame.height}, n_features={frame.width}",
            hint="give a table with at least two rows and one column",
        )
    names = getattr(estimator, "feature_names_in_", default_column_names(frame.width))
    return frame.rename(dict(zip(frame.columns, names, strict=True))), is_numeric


def validate_target(estimator: Any, y: Any) -> Array:
    """The target as an array in which nothing is missing.

    Raises:
        ValueError: there is none, or values are missing.
    """
    if y is None:
        raise InputError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None",
            detail="y=None",
            hint="call fit(X, y)",
        )
    target = check_array(y, ensure_2d=False, dtype=None, input_name="y")
    if target.dtype == object and any(value is None for value in target.ravel().tolist()):
        raise InputError(
            "Input y contains NaN: some rows have no target",
            detail="None",
            hint="leave out rows without a target",
        )
    return np.asarray(target)


def target_names(y: Any) -> list[str]:
    """What the target is called."""
    if is_frame(y):
        return [str(name) for name in y.columns]
    name = getattr(y, "name", None)
    return [name if isinstance(name, str) and name else "y"]


def format_class_labels(classes: Array) -> list[str]:
    """How classes are written in a bundle: as the kind category reads them."""
    cells = catalog.load_plugin("kinds", "category").parse(series_from_array(classes, "y"), {})
    labels: list[str] = cells.to_list()
    return labels if len(set(labels)) == len(labels) else [str(name) for name in classes]


def validate_sample_weight(sample_weight: Any, n_rows: int) -> Array:
    """The weight of each row.

    Raises:
        InputError: another number of weights than rows, a negative one, or none but zeros.
    """
    weights = np.asarray(check_array(
        np.full(n_rows, sample_weight) if np.isscalar(sample_weight) else sample_weight,
        ensure_2d=False, dtype=np.float64, input_name="sample_weight",
    ))  # fmt: skip
    if weights.shape != (n_rows,) or (weights < 0).any() or not weights.any():
        raise InputError(
            "sample_weight must give each row a weight, none below zero and not all zero",
            detail=f"shape {weights.shape}, lowest {weights.min():g}, rows {n_rows:,}",
            hint="give one number for each row",
        )
    return weights


def parse_learner_options(learner: Learner, options: Mapping[str, Any]) -> Any:
    """The learner's settings.

    Raises:
        InputError: a setting that it does not have, or a value that does not fit.
    """
    try:
        return learner.options.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "options"
        raise InputError(
            f"options do not fit the learner {learner.name}: {name}",
            detail=f"{first['msg']}: {options.get(name)!r}",
            hint=f"mend it, or leave it out; {did_you_mean(name, learner.options.model_fields)}",
        ) from error


def resolve_seed(random_state: Any) -> int:
    """The seed that a random state stands for: 0 for None, and a number for itself."""
    if random_state is None:
        return 0
    if isinstance(random_state, (int, np.integer)):
        return int(random_state)
    return int(check_random_state(random_state).randint(MAX_SEED))
