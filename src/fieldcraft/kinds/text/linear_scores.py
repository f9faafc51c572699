"""What in a text speaks for a class, or for a larger number: linear models over parts of words."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fieldcraft.core.types import Array

SVM_C = 1.0  # of a text on the wrong side of the margin, beside the squared weights
RIDGE_ALPHA = 1.0  # on squared weights, beside squared errors
SVM_TOLERANCE = 1e-2  # where machines stop: finer ones told no more (Banking77: .9133 and .9130)
RIDGE_TOLERANCE = 1e-4  # of the residual, where ridge regression stops


def build_score_targets(target: Array) -> Array:
    """What scores are to tell: the columns of the target, and for classes also the first class.

    Args:
        target: numbers, labels of 0 and 1, or one such column for each class but the first;
            shape (rows, columns).
    """
    is_multiclass = (
        target.shape[1] > 1 and is_binary(target) and bool((target.sum(axis=1) <= 1).all())
    )
    return np.hstack([1 - target.sum(axis=1, keepdims=True), target]) if is_multiclass else target


def is_binary(values: Array) -> bool:
    """Whether there is nothing but 0 and 1."""
    return bool(np.isin(values, (0, 1)).all())


def fit_score_models(tfidf: Any, score_targets: Array) -> tuple[Array, Array]:
    """Weights of the parts for each goal, and what is added to their sum.

    Support vector machines for what is true or not (Fan et al., *LIBLINEAR*, JMLR 2008), ridge
    regression for numbers.

    Args:
        tfidf: texts by the parts of their words, a SciPy matrix (CSR) whose rows have length one.
        score_targets: from `goals_of`, shape (texts, goals).

    Returns:
        Shapes (parts, goals) and (goals,).
    """
    fitted = [fit_score_model(tfidf, score_target) for score_target in score_targets.T]
    weights = np.array([weight for weight, _ in fitted]).reshape(len(fitted), tfidf.shape[1])
    return weights.T, np.array([offset for _, offset in fitted])


def fit_score_model(tfidf: Any, score_target: Array) -> tuple[Array, float]:
    """Weights and offset for one goal; none where all rows agree."""
    from sklearn.linear_model import Ridge
    from sklearn.svm import LinearSVC

    if not tfidf.shape[1] or not len(score_target) or np.ptp(score_target) == 0:
        return np.zeros(tfidf.shape[1]), 0.0
    if not is_binary(score_target):
        ridge = Ridge(RIDGE_ALPHA, solver="sparse_cg", tol=RIDGE_TOLERANCE).fit(tfidf, score_target)
        return ridge.coef_, float(ridge.intercept_)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of steps: a rough margin is good enough
        svm = LinearSVC(C=SVM_C, tol=SVM_TOLERANCE, random_state=0).fit(tfidf, score_target == 1)
    return svm.coef_[0], float(svm.intercept_[0])
