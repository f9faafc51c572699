"""Losses of raw outputs of shape (rows, members, width); one value per row."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def cross_entropy(logits: Tensor, y: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean over the members of each one's cross-entropy (never the loss of their mean)."""
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
    """Mean over the members of each one's squared error."""
    return torch.square(outputs.float() - y[:, None, None]).mean((1, 2))


def multilabel_cross_entropy(logits: Tensor, y: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean over members and labels of each one's binary cross-entropy; y is (rows, labels)."""
    targets = (
        y[:, None, :].expand(logits.shape).float() * (1 - label_smoothing) + label_smoothing / 2
    )
    losses = functional.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none")
    return losses.mean((1, 2))


def ordinal_cross_entropy(logits: Tensor, y: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean over members and cuts of the cross-entropy of "at most this class".

    A logarithmic ranked probability score: far misses cost more than near ones.
    """
    n_classes = logits.shape[-1]
    class_indexes = torch.arange(n_classes, device=logits.device)
    is_above_cut = class_indexes > class_indexes[:-1, None]  # (cuts, classes)
    # Sums of probabilities as logarithms, so that a far miss has a slope however sure it is.
    log_probabilities = logits.float().log_softmax(-1)[:, :, None, :]
    log_cdf = log_probabilities.masked_fill(is_above_cut, -torch.inf).logsumexp(-1)
    log_survival = log_probabilities.masked_fill(~is_above_cut, -torch.inf).logsumexp(-1)
    is_at_most = (class_indexes[:-1] >= y[:, None])[:, None, :]
    targets = is_at_most * (1 - label_smoothing) + label_smoothing / 2
    return -(targets * log_cdf + (1 - targets) * log_survival).mean((1, 2))
