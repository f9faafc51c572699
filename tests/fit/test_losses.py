"""Losses of several members at once."""

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
LOGITS = torch.randn(ROWS, MEMBERS, CLASSES, generator=torch.Generator().manual_seed(0))
CLASS = torch.arange(ROWS) % CLASSES
LABELS = torch.stack([CLASS.eq(k) for k in range(CLASSES)], dim=1).long()
AMOUNTS = torch.linspace(-1, 1, ROWS)

Loss = Callable[[Tensor, Tensor], Tensor]
ALL: list[tuple[Loss, Tensor, Tensor]] = [
    (cross_entropy, LOGITS, CLASS),
    (ordinal_cross_entropy, LOGITS, CLASS),
    (multilabel_cross_entropy, LOGITS, LABELS),
    (squared_error, LOGITS[:, :, :1], AMOUNTS),
]
of_all = pytest.mark.parametrize(
    ("loss", "logits", "y"), ALL, ids=[loss.__name__ for loss, _, _ in ALL]
)


def test_cross_entropy_is_the_mean_of_each_members_own() -> None:
    losses = cross_entropy(LOGITS, CLASS)
    probabilities = LOGITS.softmax(-1).numpy()
    expected = np.mean(
        [log_loss(CLASS, probabilities[:, m], labels=range(CLASSES)) for m in range(MEMBERS)]
    )
    np.testing.assert_allclose(float(losses.mean()), expected, rtol=1e-6)


def test_squared_error_is_the_mean_of_each_members_own() -> None:
    logits = LOGITS[:, :, :1]
    expected = [mean_squared_error(AMOUNTS, logits[:, m, 0]) for m in range(MEMBERS)]
    losses = squared_error(logits, AMOUNTS)
    np.testing.assert_allclose(float(losses.mean()), np.mean(expected), rtol=1e-6)


def test_multilabel_cross_entropy_is_the_mean_over_members_and_labels() -> None:
    probabilities = LOGITS.sigmoid().double().numpy()
    expected = [
        log_loss(LABELS[:, k], probabilities[:, m, k], labels=[0, 1])
        for m in range(MEMBERS)
        for k in range(CLASSES)
    ]
    losses = multilabel_cross_entropy(LOGITS, LABELS)
    np.testing.assert_allclose(float(losses.mean()), np.mean(expected), rtol=1e-6)


def test_ordinal_cross_entropy_is_that_of_at_most_each_class() -> None:
    below = LOGITS.double().softmax(-1).cumsum(-1).numpy()
    expected = [
        log_loss((cut >= CLASS).int(), below[:, m, cut], labels=[0, 1])
        for m in range(MEMBERS)
        for cut in range(CLASSES - 1)
    ]
    losses = ordinal_cross_entropy(LOGITS, CLASS)
    np.testing.assert_allclose(float(losses.mean()), np.mean(expected), rtol=1e-5)


def test_ordinal_cross_entropy_of_two_classes_is_cross_entropy() -> None:
    logits, y = LOGITS[:, :, :2], CLASS % 2
    torch.testing.assert_close(ordinal_cross_entropy(logits, y), cross_entropy(logits, y))
    smooth = ordinal_cross_entropy(logits, y, 0.2)
    torch.testing.assert_close(smooth, cross_entropy(logits, y, 0.2))


def test_distant_classes_cost_more_than_near_ones() -> None:
    logits = torch.tensor([[[4.0, 0.0, 0.0, 0.0]]])  # says the first class
    y = [torch.tensor([k]) for k in range(4)]
    losses = [float(ordinal_cross_entropy(logits, k)) for k in y]
    assert losses == sorted(losses)
    assert losses[0] < losses[1] < losses[3]
    plain = [float(cross_entropy(logits, k)) for k in y]
    assert plain[1] == plain[3]


@pytest.mark.parametrize("logit", [20.0, 100.0, 1e4])
def test_a_confident_ordinal_error_still_has_a_gradient(logit: float) -> None:
    logits = torch.zeros(1, 1, CLASSES)
    logits[0, 0, 0] = logit
    logits.requires_grad_()
    loss = ordinal_cross_entropy(logits, torch.tensor([CLASSES - 1]))
    assert float(loss.detach()) == pytest.approx(logit, rel=0.1)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert float(gradient[0, 0, 0]) == pytest.approx(1, rel=1e-3)
    assert bool(gradient.isfinite().all())


def test_members_are_not_averaged_before_the_loss() -> None:
    logits = torch.tensor([[[9.0, -9.0], [-9.0, 9.0]]])  # together even, each one logit
    for loss in (cross_entropy, ordinal_cross_entropy):
        assert float(loss(logits, torch.tensor([0]))) > 8
    assert float(multilabel_cross_entropy(logits, torch.tensor([[1, 0]]))) > 4
    amounts = torch.tensor([[[1.0], [-1.0]]])
    assert float(squared_error(amounts, torch.tensor([0.0]))) == 1


@of_all
def test_the_loss_of_a_row_does_not_depend_on_other_rows(
    loss: Loss, logits: Tensor, y: Tensor
) -> None:
    alone = torch.cat([loss(logits[i : i + 1], y[i : i + 1]) for i in range(ROWS)])
    torch.testing.assert_close(loss(logits, y), alone)


@of_all
def test_losses_are_computed_in_32_bit_floats(loss: Loss, logits: Tensor, y: Tensor) -> None:
    assert loss(logits.bfloat16(), y).dtype == torch.float32


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3])
def test_label_smoothing_spreads_the_target_over_all_classes(
    smoothing: float,
) -> None:
    """Szegedy et al. 2016: a fraction of the target is spread evenly over all classes."""
    logs = torch.log_softmax(LOGITS.double(), -1).numpy()
    spread = (1 - smoothing) * np.eye(CLASSES)[CLASS] + smoothing / CLASSES
    expected = -(spread[:, None] * logs).sum(-1).mean(1)
    np.testing.assert_allclose(cross_entropy(LOGITS, CLASS, smoothing), expected, rtol=1e-5)

    def binary(chance: Array, truth: Array) -> Array:
        left = (1 - smoothing) * truth[:, None] + smoothing / 2
        return np.asarray(-(left * np.log(chance) + (1 - left) * np.log(1 - chance)).mean((1, 2)))

    of_labels = binary(LOGITS.double().sigmoid().numpy(), LABELS.numpy())
    np.testing.assert_allclose(
        multilabel_cross_entropy(LOGITS, LABELS, smoothing), of_labels, rtol=1e-5
    )
    below = np.exp(logs).cumsum(-1)[..., :-1]
    of_cuts = binary(below, np.arange(CLASSES - 1) >= CLASS.numpy()[:, None])
    np.testing.assert_allclose(ordinal_cross_entropy(LOGITS, CLASS, smoothing), of_cuts, rtol=1e-5)
