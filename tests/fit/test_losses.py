"""Losses of many members at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, mean_squared_error
from torch import Tensor

from fieldcraft.core.types import Array
from fieldcraft.fit.losses import (
    cross_entropy,
    multilabel_cross_entropy,
    ordinal_cross_entropy,
    squared_error,
)

ROWS, MEMBERS, CLASSES = 7, 3, 4
RAW = torch.randn(ROWS, MEMBERS, CLASSES, generator=torch.Generator().manual_seed(0))
CLASS = torch.arange(ROWS) % CLASSES
LABELS = torch.stack([CLASS.eq(k) for k in range(CLASSES)], dim=1).long()
AMOUNTS = torch.linspace(-1, 1, ROWS)

Loss = Callable[[Tensor, Tensor], Tensor]
ALL: list[tuple[Loss, Tensor, Tensor]] = [
    (cross_entropy, RAW, CLASS),
    (ordinal_cross_entropy, RAW, CLASS),
    (multilabel_cross_entropy, RAW, LABELS),
    (squared_error, RAW[:, :, :1], AMOUNTS),
]
of_all = pytest.mark.parametrize(
    ("loss", "raw", "y"), ALL, ids=[loss.__name__ for loss, _, _ in ALL]
)


def test_cross_entropy_is_the_mean_of_each_members_own() -> None:
    found = cross_entropy(RAW, CLASS)
    shares = RAW.softmax(-1).numpy()
    wanted = np.mean([log_loss(CLASS, shares[:, m], labels=range(CLASSES)) for m in range(MEMBERS)])
    np.testing.assert_allclose(float(found.mean()), wanted, rtol=1e-6)


def test_squared_error_is_the_mean_of_each_members_own() -> None:
    raw = RAW[:, :, :1]
    wanted = [mean_squared_error(AMOUNTS, raw[:, m, 0]) for m in range(MEMBERS)]
    found = squared_error(raw, AMOUNTS)
    np.testing.assert_allclose(float(found.mean()), np.mean(wanted), rtol=1e-6)


def test_the_loss_of_labels_is_the_mean_over_members_and_labels() -> None:
    shares = RAW.sigmoid().double().numpy()
    wanted = [
        log_loss(LABELS[:, k], shares[:, m, k], labels=[0, 1])
        for m in range(MEMBERS)
        for k in range(CLASSES)
    ]
    found = multilabel_cross_entropy(RAW, LABELS)
    np.testing.assert_allclose(float(found.mean()), np.mean(wanted), rtol=1e-6)


def test_the_loss_of_ordered_classes_is_that_of_at_most_each_class() -> None:
    below = RAW.double().softmax(-1).cumsum(-1).numpy()
    wanted = [
        log_loss((cut >= CLASS).int(), below[:, m, cut], labels=[0, 1])
        for m in range(MEMBERS)
        for cut in range(CLASSES - 1)
    ]
    found = ordinal_cross_entropy(RAW, CLASS)
    np.testing.assert_allclose(float(found.mean()), np.mean(wanted), rtol=1e-5)


def test_of_two_ordered_classes_it_is_the_cross_entropy() -> None:
    raw, y = RAW[:, :, :2], CLASS % 2
    torch.testing.assert_close(ordinal_cross_entropy(raw, y), cross_entropy(raw, y))
    smooth = ordinal_cross_entropy(raw, y, 0.2)
    torch.testing.assert_close(smooth, cross_entropy(raw, y, 0.2))


def test_a_far_miss_costs_more_than_a_near_one() -> None:
    raw = torch.tensor([[[4.0, 0.0, 0.0, 0.0]]])  # says the first class
    y = [torch.tensor([k]) for k in range(4)]
    losses = [float(ordinal_cross_entropy(raw, k)) for k in y]
    assert losses == sorted(losses)
    assert losses[0] < losses[1] < losses[3]
    plain = [float(cross_entropy(raw, k)) for k in y]
    assert plain[1] == plain[3]


@pytest.mark.parametrize("sure", [20.0, 100.0, 1e4])
def test_a_sure_miss_of_ordered_classes_still_has_a_slope(sure: float) -> None:
    raw = torch.zeros(1, 1, CLASSES)
    raw[0, 0, 0] = sure
    raw.requires_grad_()
    loss = ordinal_cross_entropy(raw, torch.tensor([CLASSES - 1]))
    assert float(loss.detach()) == pytest.approx(sure, rel=0.1)
    (slope,) = torch.autograd.grad(loss.sum(), raw)
    assert float(slope[0, 0, 0]) == pytest.approx(1, rel=1e-3)
    assert bool(slope.isfinite().all())


def test_members_that_disagree_are_not_averaged_before_the_loss() -> None:
    raw = torch.tensor([[[9.0, -9.0], [-9.0, 9.0]]])  # together even, each one sure
    for loss in (cross_entropy, ordinal_cross_entropy):
        assert float(loss(raw, torch.tensor([0]))) > 8
    assert float(multilabel_cross_entropy(raw, torch.tensor([[1, 0]]))) > 4
    amounts = torch.tensor([[[1.0], [-1.0]]])
    assert float(squared_error(amounts, torch.tensor([0.0]))) == 1


@of_all
def test_a_row_has_the_same_loss_whatever_rows_stand_beside_it(
    loss: Loss, raw: Tensor, y: Tensor
) -> None:
    alone = torch.cat([loss(raw[i : i + 1], y[i : i + 1]) for i in range(ROWS)])
    torch.testing.assert_close(loss(raw, y), alone)


@of_all
def test_losses_are_taken_in_full_precision(loss: Loss, raw: Tensor, y: Tensor) -> None:
    assert loss(raw.bfloat16(), y).dtype == torch.float32


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3])
def test_smoothed_losses_are_cross_entropies_against_what_is_left_of_the_truth(
    smoothing: float,
) -> None:
    """Szegedy et al. 2016: a share of the truth is spread evenly over all that could be."""
    logs = torch.log_softmax(RAW.double(), -1).numpy()
    spread = (1 - smoothing) * np.eye(CLASSES)[CLASS] + smoothing / CLASSES
    expected = -(spread[:, None] * logs).sum(-1).mean(1)
    np.testing.assert_allclose(cross_entropy(RAW, CLASS, smoothing), expected, rtol=1e-5)

    def binary(chance: Array, truth: Array) -> Array:
        left = (1 - smoothing) * truth[:, None] + smoothing / 2
        return np.asarray(-(left * np.log(chance) + (1 - left) * np.log(1 - chance)).mean((1, 2)))

    of_labels = binary(RAW.double().sigmoid().numpy(), LABELS.numpy())
    np.testing.assert_allclose(
        multilabel_cross_entropy(RAW, LABELS, smoothing), of_labels, rtol=1e-5
    )
    below = np.exp(logs).cumsum(-1)[..., :-1]
    of_cuts = binary(below, np.arange(CLASSES - 1) >= CLASS.numpy()[:, None])
    np.testing.assert_allclose(ordinal_cross_entropy(RAW, CLASS, smoothing), of_cuts, rtol=1e-5)
