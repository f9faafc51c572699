"""Linear models over character n-grams: an SVM for each class or label, ridge for numbers."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fieldcraft.core.types import Array

SVM_C = 1.0
RIDGE_ALPHA = 1.0
SVM_TOLERANCE = 1e-2  # a finer one is slower and no better (Banking77: .9133 and .9130)
RIDGE_TOLERANCE = 1e-4


def build_score_targets(target: Array) -> Array:
    """Return the targets to fit scores to: those given, and for classes also the first class.

    Args:
        target: shape (rows, columns): numbers, 0/1 labels, or 0/1 indicators of every class but
            the first.
    """
    # One-vs-rest needs a score for the first class too, which has no indicator. Several columns of
    # which at most one is 1 in each row are classes; otherwise they are labels.
    is_multiclass = (
        target.shape[1] > 1 and is_binary(target) and bool((target.sum(axis=1) <= 1).all())
    )
    return np.hstack([1 - target.sum(axis=1, keepdims=True), target]) if is_multiclass else target


def is_binary(values: Array) -> bool:
    """Whether all values are 0 or 1."""
    return bool(np.isin(values, (0, 1)).all())


def fit_score_models(tfidf: Any, score_targets: Array) -> tuple[Array, Array]:
    """Fit a linear model to each score target.

    Linear SVMs for binary targets (Fan et al., *LIBLINEAR*, JMLR 2008), ridge regression for
    numbers.

    Args:
        tfidf: texts by n-gram buckets, a SciPy CSR matrix whose rows have about unit length.
        score_targets: from `build_score_targets`, shape (texts, targets).

    Returns:
        Weights, shape (buckets, targets), and offsets, shape (targets,).
    """
    fitted = [fit_score_model(tfidf, score_target) for score_target in score_targets.T]
    weights = np.array([weight for weight, _ in fitted]).reshape(len(fitted), tfidf.shape[1])
    return weights.T, np.array([offset for _, offset in fitted])


def fit_score_model(tfidf: Any, score_target: Array) -> tuple[Array, float]:
    """Fit weights and offset to one target; zeros where the target is constant."""
    from sklearn.linear_model import Ridge
    from sklearn.svm import LinearSVC

    if not tfidf.shape[1] or not len(score_target) or np.ptp(score_target) == 0:
        return np.zeros(tfidf.shape[1]), 0.0
    if not is_binary(score_target):
        ridge = Ridge(RIDGE_ALPHA, solver="sparse_cg", tol=RIDGE_TOLERANCE).fit(tfidf, score_target)
        return ridge.coef_, float(ridge.intercept_)
    with warnings.catch_warnings():
        # LIBLINEAR warns when it stops at its iteration limit. A rough margin is good enough for a
        # score that is a feature of another model.
        warnings.simplefilter("ignore", UserWarning)
        svm = LinearSVC(C=SVM_C, tol=SVM_TOLERANCE, random_state=0).fit(tfidf, score_target == 1)
    return svm.coef_[0], float(svm.intercept_[0])
