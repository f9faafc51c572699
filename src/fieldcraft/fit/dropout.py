"""ReLU and dropout in one, whose random numbers cost next to nothing on a processor."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

BYTE = 256
PLACES = 2**18  # that a mask may begin at, at least, so that two steps hardly share one


class DropRelu(nn.Module):
    """Sets negative numbers and a share of the others to zero in training, and scales the rest up.

    PyTorch draws one random number for each element at each step and keeps the mask beside the
    output; in a small network that took a third of a training step on a processor. Here the draws
    of an epoch are made at its first step, at 8 bits an element (so that shares are multiples of
    1/256); each step reads them from a place of its own drawn at random, and what was dropped is
    told from the output. On a GPU, where draws are cheap, PyTorch's own functions run.
    """

    def __init__(self, share: float) -> None:
        """Drop a share of the numbers, from 0 to below 1."""
        super().__init__()
        self.share = share
        self.pool = torch.empty(0)

    def train(self, mode: bool = True) -> DropRelu:
        """Switch between training and evaluation; the next training step draws anew."""
        self.pool = torch.empty(0)
        super().train(mode)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """The positive numbers, some of them dropped; in evaluation mode, all of them."""
        if not self.training or not self.share:
            return functional.relu(x)
        if x.device.type != "cpu":
            return functional.dropout(functional.relu(x), self.share)
        limit = max(1, round(self.share * BYTE))
        scale = BYTE / (BYTE - limit)
        kept: Tensor = _DropRelu.apply(x, self.mask(x, limit, scale), scale)  # type: ignore[no-untyped-call]
        return kept

    def mask(self, x: Tensor, limit: int, scale: float) -> Tensor:
        """Zeros where to drop and the scale elsewhere, in the shape and format of the numbers."""
        size = x.numel()
        if len(self.pool) < size + PLACES or self.pool.dtype != x.dtype:
            wanted = size + max(size, PLACES)
            draws = torch.empty(-(-wanted // 8), dtype=torch.int64).random_(-(2**63), None)
            # 0 below the limit, the scale from it on; cheaper than a comparison and a choice.
            bytes_ = draws.view(torch.uint8).to(x.dtype)
            self.pool = (bytes_ - (limit - 1)).clamp_(0, 1).mul_(scale)
        start = int(torch.randint(len(self.pool) - size + 1, ()))
        return self.pool[start : start + size].view(x.shape)


class _DropRelu(torch.autograd.Function):
    """Keeps its output only: whatever is zero there lets no gradient through."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor, scale: float) -> Tensor:
        kept = (x * mask).relu_()
        ctx.save_for_backward(kept)
        ctx.scale = scale
        return kept

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        (kept,) = ctx.saved_tensors
        passed = torch.ops.aten.threshold_backward(slope.contiguous(), kept, 0)
        return passed.mul_(ctx.scale), None, None
