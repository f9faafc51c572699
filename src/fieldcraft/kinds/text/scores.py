"""What in a text speaks for a class, or for a larger number: linear models over parts of words."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fieldcraft.contracts import Array

COST = 1.0  # of a text on the wrong side of the margin, beside the squared weights
PENALTY = 1.0  # on squared weights, beside squared errors
ROUGH = 1e-2  # where machines stop: finer ones told no more (Banking77: .9133 and .9130)
CLOSE = 1e-4  # of the residual, where ridge regression stops


def goals_of(target: Array) -> Array:
    """What scores are to tell: the columns of the target, and for classes also the first class.

    Args:
        target: numbers, labels of 0 and 1, or one such column for each class but the first;
            shape (rows, columns).
    """
    one_of_many = target.shape[1] > 1 and is_flag(target) and bool((target.sum(axis=1) <= 1).all())
    return np.hstack([1 - target.sum(axis=1, keepdims=True), target]) if one_of_many else target


def is_flag(values: Array) -> bool:
    """Whether there is nothing but 0 and 1."""
    return bool(np.isin(values, (0, 1)).all())


def learn_scores(table: Any, goals: Array) -> tuple[Array, Array]:
    """Weights of the parts for each goal, and what is added to their sum.

    Support vector machines for what is true or not (Fan et al., *LIBLINEAR*, JMLR 2008), ridge
    regression for numbers.

    Args:
        table: texts by the parts of their words, a SciPy matrix (CSR) whose rows have length one.
        goals: from `goals_of`, shape (texts, goals).

    Returns:
        Shapes (parts, goals) and (goals,).
    """
    found = [learn_one(table, goal) for goal in goals.T]
    weights = np.array([weight for weight, _ in found]).reshape(len(found), table.shape[1])
    return weights.T, np.array([offset for _, offset in found])


def learn_one(table: Any, goal: Array) -> tuple[Array, float]:
    """Weights and offset for one goal; none where all rows agree."""
    from sklearn.linear_model import Ridge
    from sklearn.svm import LinearSVC

    if not table.shape[1] or not len(goal) or np.ptp(goal) == 0:
        return np.zeros(table.shape[1]), 0.0
    if not is_flag(goal):
        ridge = Ridge(PENALTY, solver="sparse_cg", tol=CLOSE).fit(table, goal)
        return ridge.coef_, float(ridge.intercept_)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of steps: a rough margin is good enough
        machine = LinearSVC(C=COST, tol=ROUGH, random_state=0).fit(table, goal == 1)
    return machine.coef_[0], float(machine.intercept_[0])
