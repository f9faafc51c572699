"""Losses of raw outputs of shape (rows, members, width); one value per row."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def cross_entropy(raw: Tensor, y: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean over the members of each one's cross-entropy (never the loss of their mean)."""
    rows, members, width = raw.shape
    labels = y[:, None].expand(rows, members).reshape(-1)
    losses = functional.cross_entropy(
        raw.reshape(-1, width).float(), labels, reduction="none", label_smoothing=smoothing
    )
    return losses.reshape(rows, members).mean(1)


def squared_error(raw: Tensor, y: Tensor) -> Tensor:
    """Mean over the members of each one's squared error."""
    return torch.square(raw.float() - y[:, None, None]).mean((1, 2))


def label_cross_entropy(raw: Tensor, y: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean over members and labels of each one's binary cross-entropy; y is (rows, labels)."""
    truth = y[:, None, :].expand(raw.shape).float() * (1 - smoothing) + smoothing / 2
    losses = functional.binary_cross_entropy_with_logits(raw.float(), truth, reduction="none")
    return losses.mean((1, 2))


def ordered_cross_entropy(raw: Tensor, y: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean over members and cuts of the cross-entropy of "at most this class".

    A logarithmic ranked probability score: far misses cost more than near ones.
    """
    width = raw.shape[-1]
    steps = torch.arange(width, device=raw.device)
    beyond = steps > steps[:-1, None]  # (cuts, classes)
    # Sums of probabilities as logarithms, so that a far miss has a slope however sure it is.
    logs = raw.float().log_softmax(-1)[:, :, None, :]
    below = logs.masked_fill(beyond, -torch.inf).logsumexp(-1)
    above = logs.masked_fill(~beyond, -torch.inf).logsumexp(-1)
    truth = (steps[:-1] >= y[:, None])[:, None, :]
    share = truth * (1 - smoothing) + smoothing / 2
    return -(share * below + (1 - share) * above).mean((1, 2))
