"""Losses of many members at once."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.metrics import log_loss, mean_squared_error

from fieldcraft.fit.losses import cross_entropy, squared_error

ROWS, MEMBERS, CLASSES = 7, 3, 4
RAW = torch.randn(ROWS, MEMBERS, CLASSES, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(ROWS) % CLASSES


def test_cross_entropy_is_the_mean_of_each_members_own() -> None:
    found = cross_entropy(RAW, LABELS)
    shares = RAW.softmax(-1).numpy()
    wanted = np.mean(
        [log_loss(LABELS, shares[:, m], labels=range(CLASSES)) for m in range(MEMBERS)]
    )
    np.testing.assert_allclose(float(found.mean()), wanted, rtol=1e-6)


def test_members_that_disagree_are_not_averaged_before_the_loss() -> None:
    raw = torch.tensor([[[9.0, -9.0], [-9.0, 9.0]]])  # together even, each one sure
    assert float(cross_entropy(raw, torch.tensor([0]))) > 8
    amounts = torch.tensor([[[1.0], [-1.0]]])
    assert float(squared_error(amounts, torch.tensor([0.0]))) == 1


def test_squared_error_is_the_mean_of_each_members_own() -> None:
    raw, y = RAW[:, :, :1], torch.linspace(-1, 1, ROWS)
    wanted = [mean_squared_error(y, raw[:, m, 0]) for m in range(MEMBERS)]
    np.testing.assert_allclose(float(squared_error(raw, y).mean()), np.mean(wanted), rtol=1e-6)


def test_a_row_has_the_same_loss_whatever_rows_stand_beside_it() -> None:
    alone = torch.cat([cross_entropy(RAW[i : i + 1], LABELS[i : i + 1]) for i in range(ROWS)])
    torch.testing.assert_close(cross_entropy(RAW, LABELS), alone)


def test_losses_are_taken_in_full_precision() -> None:
    assert cross_entropy(RAW.bfloat16(), LABELS).dtype == torch.float32
    assert squared_error(RAW[..., :1].bfloat16(), torch.zeros(ROWS)).dtype == torch.float32
