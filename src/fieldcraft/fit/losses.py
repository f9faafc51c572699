"""Losses of raw outputs of shape (rows, members, width); one value per row."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def cross_entropy(raw: Tensor, y: Tensor) -> Tensor:
    """Mean over the members of each one's cross-entropy (never the loss of their mean)."""
    rows, members, width = raw.shape
    labels = y[:, None].expand(rows, members).reshape(-1)
    losses = functional.cross_entropy(raw.reshape(-1, width).float(), labels, reduction="none")
    return losses.reshape(rows, members).mean(1)


def squared_error(raw: Tensor, y: Tensor) -> Tensor:
    """Mean over the members of each one's squared error."""
    return torch.square(raw.float() - y[:, None, None]).mean((1, 2))
