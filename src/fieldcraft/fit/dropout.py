"""ReLU and dropout in one, whose random numbers cost next to nothing on a processor."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

BYTE_VALUES = 256
MIN_MASK_OFFSETS = 2**18  # that a mask may begin at, at least, so that two steps hardly share one


class ReluDropout(nn.Module):
    """Sets negative numbers and a share of the others to zero in training, and scales the rest up.

    PyTorch draws one random number for each element at each step and keeps the mask beside the
    output; in a small network that took a third of a training step on a processor. Here the draws
    of an epoch are made at its first step, at 8 bits an element (so that shares are multiples of
    1/256); each step reads them from a place of its own drawn at random, and what was dropped is
    told from the output. On a GPU, where draws are cheap, PyTorch's own functions run.
    """

    def __init__(self, p: float) -> None:
        """Drop a share of the numbers, from 0 to below 1."""
        super().__init__()
        self.p = p
        self.mask_pool = torch.empty(0)

    def train(self, mode: bool = True) -> ReluDropout:
        """Switch between training and evaluation; the next training step draws anew."""
        self.mask_pool = torch.empty(0)
        super().train(mode)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """The positive numbers, some of them dropped; in evaluation mode, all of them."""
        if not self.training or not self.p:
            return functional.relu(x)
        if x.device.type != "cpu":
            return functional.dropout(functional.relu(x), self.p)
        drop_below = max(1, round(self.p * BYTE_VALUES))
        scale = BYTE_VALUES / (BYTE_VALUES - drop_below)
        activations: Tensor = _ReluDropoutFunction.apply(
            x, self.sample_mask(x, drop_below, scale), scale
        )  # type: ignore[no-untyped-call]
        return activations

    def sample_mask(self, x: Tensor, drop_below: int, scale: float) -> Tensor:
        """Zeros where to drop and the scale elsewhere, in the shape and format of the numbers."""
        n_elements = x.numel()
        if len(self.mask_pool) < n_elements + MIN_MASK_OFFSETS or self.mask_pool.dtype != x.dtype:
            pool_size = n_elements + max(n_elements, MIN_MASK_OFFSETS)
            random_words = torch.empty(-(-pool_size // 8), dtype=torch.int64).random_(
                -(2**63), None
            )
            # 0 below the limit, the scale from it on; cheaper than a comparison and a choice.
            random_bytes = random_words.view(torch.uint8).to(x.dtype)
            self.mask_pool = (random_bytes - (drop_below - 1)).clamp_(0, 1).mul_(scale)
        offset = int(torch.randint(len(self.mask_pool) - n_elements + 1, ()))
        return self.mask_pool[offset : offset + n_elements].view(x.shape)


class _ReluDropoutFunction(torch.autograd.Function):
    """Keeps its output only: whatever is zero there lets no gradient through."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor, scale: float) -> Tensor:
        output = (x * mask).relu_()
        ctx.save_for_backward(output)
        ctx.scale = scale
        return output

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None, None]:
        (output,) = ctx.saved_tensors
        grad_input = torch.ops.aten.threshold_backward(grad_output.contiguous(), output, 0)
        return grad_input.mul_(ctx.scale), None, None
