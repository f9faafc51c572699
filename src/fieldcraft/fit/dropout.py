"""Dropout whose random numbers cost little on a processor."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

BYTE = 256


class Dropout(nn.Module):
    """Sets a share of the numbers to zero in training and scales the others up.

    PyTorch draws one random number for each element, which took a fifth of a training step on a
    processor. Here eight elements share one draw of 64 bits, so that shares are multiples of
    1/256. On a GPU, where draws are cheap, PyTorch's own dropout runs.
    """

    def __init__(self, share: float) -> None:
        """Drop a share of the numbers, from 0 to below 1."""
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """The numbers with some of them dropped; in evaluation mode, as they are."""
        if not self.training or not self.share:
            return x
        if x.device.type != "cpu":
            return functional.dropout(x, self.share)
        limit = max(1, round(self.share * BYTE))
        draws = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        bytes_ = draws.view(torch.uint8)[: x.numel()].view(x.shape).to(x.dtype)
        # 0 below the limit, the scale from it on; cheaper than a comparison and a choice.
        return x * (bytes_ - (limit - 1)).clamp_(0, 1).mul_(BYTE / (BYTE - limit))
