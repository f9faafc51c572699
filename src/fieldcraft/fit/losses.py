"""Losses of raw outputs, shape (rows, members, outputs), with one value per row.

The loss is the mean of the members' losses, never the loss of their mean: only then does each
member learn to predict alone, and the ensemble gains from their differences (as in TabM).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def cross_entropy(logits: Tensor, y: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of the members."""
    rows, members, n_classes = logits.shape
    labels = y[:, None].expand(rows, members).reshape(-1)
    losses = functional.cross_entropy(
        logits.reshape(-1, n_classes).float(),
        labels,
        reduction="none",
        label_smoothing=label_smoothing,
    )
    return losses.reshape(rows, members).mean(1)


def squared_error(outputs: Tensor, y: Tensor) -> Tensor:
    """Mean squared error of the members."""
    return torch.square(outputs.float() - y[:, None, None]).mean((1, 2))


def multilabel_cross_entropy(logits: Tensor, y: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean binary cross-entropy over members and labels; `y` has shape (rows, labels)."""
    targets = (
        y[:, None, :].expand(logits.shape).float() * (1 - label_smoothing) + label_smoothing / 2
    )
    losses = functional.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none")
    return losses.mean((1, 2))


def ordinal_cross_entropy(logits: Tensor, y: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean over members and cuts of the binary cross-entropy of "at most this class".

    A logarithmic version of the ranked probability score (Epstein 1969): predictions far from the
    true class cost more than near ones.
    """
    n_classes = logits.shape[-1]
    class_indexes = torch.arange(n_classes, device=logits.device)
    is_above_cut = class_indexes > class_indexes[:-1, None]  # (cuts, classes)
    # Cumulative probabilities as logarithms: computed from the sum of probabilities, a confident
    # wrong prediction would underflow to 0 and have no gradient.
    log_probabilities = logits.float().log_softmax(-1)[:, :, None, :]
    log_cdf = log_probabilities.masked_fill(is_above_cut, -torch.inf).logsumexp(-1)
    log_survival = log_probabilities.masked_fill(~is_above_cut, -torch.inf).logsumexp(-1)
    is_at_most = (class_indexes[:-1] >= y[:, None])[:, None, :]
    targets = is_at_most * (1 - label_smoothing) + label_smoothing / 2
    return -(targets * log_cdf + (1 - targets) * log_survival).mean((1, 2))
