"""Fused ReLU and dropout with cheap random numbers on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

BYTE_VALUES = 256
MIN_MASK_OFFSETS = 2**18  # start positions of a mask in the pool; two steps rarely share one


class ReluDropout(nn.Module):
    """ReLU followed by inverted dropout (Srivastava et al., JMLR 2014).

    PyTorch draws one random number per element and step, and stores the mask beside the output. In
    a small network that takes a third of a training step on a CPU. Here the random numbers of an
    epoch are drawn at its first step, with 8 bits per element, so `p` is rounded to a multiple of
    1/256. Each step reads them from a random offset, and the backward pass recovers the mask from
    the output. On a GPU, where random numbers are cheap, PyTorch's own functions are used.
    """

    def __init__(self, p: float) -> None:
        """Create the layer with a dropout probability from 0 to below 1."""
        super().__init__()
        self.p = p
        self.mask_pool = torch.empty(0)

    def train(self, mode: bool = True) -> ReluDropout:
        """Switch between training and evaluation mode; the next training step draws a new pool."""
        self.mask_pool = torch.empty(0)
        super().train(mode)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Apply ReLU, and dropout in training mode."""
        if not self.training or not self.p:
            return functional.relu(x)
        if x.device.type != "cpu":
            return functional.dropout(functional.relu(x), self.p)
        drop_below = max(1, round(self.p * BYTE_VALUES))
        # From the rounded probability, so that the expected output is exact.
        scale = BYTE_VALUES / (BYTE_VALUES - drop_below)
        activations: Tensor = _ReluDropoutFunction.apply(
            x, self.sample_mask(x, drop_below, scale), scale
        )  # type: ignore[no-untyped-call]
        return activations

    def sample_mask(self, x: Tensor, drop_below: int, scale: float) -> Tensor:
        """A mask like `x` in shape and dtype: 0 for dropped elements, the scale elsewhere."""
        n_elements = x.numel()
        if len(self.mask_pool) < n_elements + MIN_MASK_OFFSETS or self.mask_pool.dtype != x.dtype:
            pool_size = n_elements + max(n_elements, MIN_MASK_OFFSETS)
            random_words = torch.empty(-(-pool_size // 8), dtype=torch.int64).random_(
                -(2**63), None
            )
            # 0 for bytes below the limit and `scale` above: cheaper than a comparison and a select.
            random_bytes = random_words.view(torch.uint8).to(x.dtype)
            self.mask_pool = (random_bytes - (drop_below - 1)).clamp_(0, 1).mul_(scale)
        offset = int(torch.randint(len(self.mask_pool) - n_elements + 1, ()))
        return self.mask_pool[offset : offset + n_elements].view(x.shape)


class _ReluDropoutFunction(torch.autograd.Function):
    """Saves its output only: where that is 0, the gradient is 0 as well."""

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
