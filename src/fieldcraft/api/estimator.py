"""Scikit-learn estimators: arrays or frames in, calibrated predictions out."""

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

MAX_SEED = 2**31 - 1  # fits the default integer of `RandomState.randint` on every system

# Parts of the docstrings of both estimators.
ROWS_DOC = """Rows may be an array (columns x0, x1, ...) or a pandas or Polars frame with numbers,
    strings, dates and missing values; the kinds of the columns of a frame are inferred. Tables
    below 5,000 rows get five fold models, each with another fifth of the rows for validation, and
    their outputs are averaged."""
PARAMETERS_DOC = """Args:
        learner: name of the learner: ``network``, ``lightgbm``, ``linear``, ...
        options: settings of the learner, as under ``model:`` in a project file.
        time_budget: seconds that training may take.
        random_state: the same number gives the same model; None means 0.
        device: where a network is trained: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        columns: kinds of columns that override the inference: a kind such as ``category``, or a
            dict of ``kind`` and its options, by column name."""
ATTRIBUTES_DOC = """n_features_in_: number of columns in `fit`.
        feature_names_in_: names of the columns, if the rows were a frame.
        model_: the trained model as data files. It keeps up to 500 of the rows, with which
            `to_bundle` checks that the bundle predicts the same.

    A sample weight of 2 is not equivalent to a duplicated row: weights count in training and
    calibration, but not in scaling or in the assignment of rows to folds."""


def fill_docstring(cls: type) -> type:
    """Insert the shared parts into the docstring of an estimator (a class decorator)."""
    if cls.__doc__ is not None:  # python -OO strips docstrings
        for name, text in (
            ("{rows}", ROWS_DOC),
            ("{parameters}", PARAMETERS_DOC),
            ("{attributes}", ATTRIBUTES_DOC),
        ):
            cls.__doc__ = cls.__doc__.replace(name, text)
    return cls


class TableEstimator(BaseEstimator):
    """The shared part of classifier and regressor: parameters, rows, training, bundles."""

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
            path: a new folder or .zip file, or an older bundle to replace.

        Returns:
            The bundle's manifest.

        Raises:
            BundleError: the path holds something else, or the bundle predicts differently.
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


@fill_docstring
class Classifier(ClassifierMixin, TableEstimator):
    """A classifier with calibrated probabilities, for classes or for many labels per row.

    {rows}
    A target of 0 and 1 with shape (rows, labels) is multilabel: a row may have many labels.

    {parameters}

    Attributes:
        classes_: the sorted classes; the column numbers of a multilabel target.
        {attributes}

    Example:
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True, as_frame=True)
        >>> float(Classifier("linear").fit(X, y).score(X, y)) > 0.9
        True
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the classifier.

        Args:
            X: rows, shape (rows, columns).
            y: classes, shape (rows,), or labels of 0 and 1, shape (rows, labels).
            sample_weight: weights of the rows, shape (rows,).

        Raises:
            InputError: fewer than two classes, or invalid settings; also a ValueError.
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
        # Rows of weight 0 are left out, and with them classes that have no other rows. The word
        # "class" in the error below is required by scikit-learn's estimator checks.
        weighted_codes = (
            codes
            if sample_weight is None
            else codes[validate_sample_weight(sample_weight, len(y)) > 0]
        )
        if len(np.unique(weighted_codes)) < 2:
            raise InputError(
                "y has only one class, so there is nothing to learn",
                detail=f"1 class: {self.classes_[weighted_codes[0]]!r}",
                hint="pass rows of at least two classes",
            )
        task = "binary" if len(self.classes_) == 2 else "multiclass"
        problem = ProblemSpec(task, {"classes": format_class_labels(self.classes_)}, names)
        return self._train(X, codes, problem, sample_weight)

    def predict(self, X: Any) -> Array:
        """Classes, shape (rows,), or labels as 0 and 1, shape (rows, labels)."""
        decisions = self._predictions(X).decisions
        return decisions if decisions.ndim == 2 else np.asarray(self.classes_[decisions])

    def predict_proba(self, X: Any) -> Array:
        """Probabilities, shape (rows, classes) or (rows, labels)."""
        return self._predictions(X).outputs.astype(np.float64)

    def predict_set(self, X: Any) -> Array:
        """Prediction sets with 90 % coverage: which classes each contains, shape (rows, classes).

        For labels: whether each may be absent, and may be present, shape (rows, labels, 2).
        """
        return self._predictions(X).regions

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


@fill_docstring
class Regressor(RegressorMixin, TableEstimator):
    """A regressor with prediction intervals.

    {rows}

    {parameters}

    Attributes:
        {attributes}
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the regressor.

        Args:
            X: rows, shape (rows, columns).
            y: values, shape (rows,).
            sample_weight: weights of the rows, shape (rows,).

        Raises:
            InputError: invalid settings; also a ValueError.
        """
        names = target_names(y)
        y = column_or_1d(validate_target(self, y), warn=True)
        target = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        return self._train(X, target, ProblemSpec("regression", {}, names), sample_weight)

    def predict(self, X: Any) -> Array:
        """Values, shape (rows,)."""
        return self._predictions(X).decisions

    def predict_interval(self, X: Any) -> tuple[Array, Array]:
        """Lower and upper bounds of intervals with 90 % coverage, each of shape (rows,)."""
        low, high = self._predictions(X).regions.T
        return low, high


def validate_rows(estimator: Any, rows: Any, reset: bool) -> tuple[pl.DataFrame, bool]:
    """Rows as a frame with the estimator's column names, and whether they are a numeric array.

    Args:
        estimator: stores the names and the number of columns in `fit`; they must match later.
        rows: an array, a list of lists, or a frame.
        reset: whether these are training rows.

    Raises:
        InputError: too few rows, or no columns.
        ValueError: the columns are not those of `fit`, or the rows are not two-dimensional.
    """
    rows = rows.collect() if isinstance(rows, pl.LazyFrame) else rows
    if is_frame(rows):
        # Names and number of columns only: scikit-learn's check would convert to one array.
        validate_data(estimator, rows, reset=reset, skip_check_array=True)
        frame, is_numeric = to_polars(rows), False
    else:
        values = validate_data(estimator, rows, reset=reset, dtype=None, ensure_all_finite=False)
        is_numeric = values.dtype.kind in "biuf"
        frame = frame_from_array(values, default_column_names(values.shape[1]))
    # `reset` is True, which equals 1, in `fit`: two rows at least to fit, one to predict.
    if frame.height <= reset or not frame.width:
        raise InputError(
            "there are too few rows or columns",
            detail=f"n_samples={frame.height}, n_features={frame.width}",
            hint="pass a table with at least two rows and one column",
        )
    names = getattr(estimator, "feature_names_in_", default_column_names(frame.width))
    return frame.rename(dict(zip(frame.columns, names, strict=True))), is_numeric


def validate_target(estimator: Any, y: Any) -> Array:
    """The target as an array without missing values.

    Raises:
        ValueError: there is no target, or values are missing.
    """
    # The wording of both errors is scikit-learn's, whose estimator checks require the first.
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
            hint="remove rows without a target",
        )
    return np.asarray(target)


def target_names(y: Any) -> list[str]:
    """The names of the target columns."""
    if is_frame(y):
        return [str(name) for name in y.columns]
    name = getattr(y, "name", None)
    return [name if isinstance(name, str) and name else "y"]


def format_class_labels(classes: Array) -> list[str]:
    """Class names in a bundle: as the kind `category` parses them, if they stay distinct."""
    cells = catalog.load_plugin("kinds", "category").parse(series_from_array(classes, "y"), {})
    labels: list[str] = cells.to_list()
    return labels if len(set(labels)) == len(labels) else [str(name) for name in classes]


def validate_sample_weight(sample_weight: Any, n_rows: int) -> Array:
    """Sample weights, shape (rows,).

    Raises:
        InputError: the number of weights is wrong, one is negative, or all are zero.
    """
    weights = np.asarray(check_array(
        np.full(n_rows, sample_weight) if np.isscalar(sample_weight) else sample_weight,
        ensure_2d=False, dtype=np.float64, input_name="sample_weight",
    ))  # fmt: skip
    if weights.shape != (n_rows,) or (weights < 0).any() or not weights.any():
        raise InputError(
            "sample_weight must be one weight per row, none negative and not all zero",
            detail=f"shape {weights.shape}, lowest {weights.min():g}, rows {n_rows:,}",
            hint="pass one number for each row",
        )
    return weights


def parse_learner_options(learner: Learner, options: Mapping[str, Any]) -> Any:
    """Validate the settings of a learner.

    Raises:
        InputError: an unknown setting or an invalid value.
    """
    try:
        return learner.options.model_validate(dict(options))
    except ValidationError as error:
        first_error = error.errors()[0]
        name = str(first_error["loc"][0]) if first_error["loc"] else "options"
        raise InputError(
            f"invalid option for the learner {learner.name}: {name}",
            detail=f"{first_error['msg']}: {options.get(name)!r}",
            hint=f"correct or remove it; {did_you_mean(name, learner.options.model_fields)}",
        ) from error


def resolve_seed(random_state: Any) -> int:
    """An integer seed from a scikit-learn random state: 0 for None, an int as it is."""
    if random_state is None:
        return 0
    if isinstance(random_state, (int, np.integer)):
        return int(random_state)
    return int(check_random_state(random_state).randint(MAX_SEED))
