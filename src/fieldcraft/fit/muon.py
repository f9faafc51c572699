"""Muon in 32-bit floats: momentum whose steps are made orthogonal.

Jordan et al., *Muon: An optimizer for hidden layers in neural networks*, 2024, with the step size
matched to AdamW's (Liu et al., *Muon is Scalable for LLM Training*, 2025). PyTorch's own computes
in bfloat16, which is slow on processors without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

NEWTON_SCHULZ_COEFFICIENTS = ((3.4445, -4.7750, 2.0315),) * 5  # of the Newton-Schulz iteration
ADAMW_STEP_RMS = 0.2  # root mean square of AdamW's usual step, which Muon's is brought to
NORM_EPSILON = 1e-7
MIN_ASPECT_RATIO = 3  # times as wide as high


class Muon(torch.optim.Optimizer):
    """Moves matrices by Nesterov momentum, each step made orthogonal.

    The kernel of a convolution counts as the matrix of its channels out by all it reads.
    """

    def __init__(
        self, params: Iterable[Any], lr: float, weight_decay: float = 0.0, momentum: float = 0.95
    ) -> None:
        """Set up for matrices; the learning rate is on the scale of AdamW's."""
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every matrix once."""
        for group in self.param_groups:
            learning_rate, momentum = group["lr"], group["momentum"]
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                if not state:
                    state["momentum"] = torch.zeros_like(matrix)
                state["momentum"].lerp_(matrix.grad, 1 - momentum)
                nesterov_update = matrix.grad.lerp(state["momentum"], momentum)
                matrix_update = nesterov_update.flatten(1)
                step_scale = ADAMW_STEP_RMS * max(matrix_update.shape) ** 0.5
                matrix.mul_(1 - learning_rate * group["weight_decay"])
                matrix.add_(
                    orthogonalize(matrix_update).view_as(matrix), alpha=-learning_rate * step_scale
                )


def orthogonalize(matrix: Tensor) -> Tensor:
    """Nearly the closest matrix with all singular values 1, by Newton-Schulz iteration.

    A step multiplies the matrix by a polynomial of its rows' products. Of a long matrix, such as
    the kernel of a convolution, these products alone are iterated, and the matrix is multiplied
    once: the same to rounding in less than half the time.
    """
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = wide / (wide.norm() + NORM_EPSILON)
    if x.shape[1] >= MIN_ASPECT_RATIO * x.shape[0]:
        x = compose_newton_schulz(x @ x.T) @ x
    else:
        for a, b, c in NEWTON_SCHULZ_COEFFICIENTS:
            gram = x @ x.T
            x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    orthogonal: Tensor = x.T if matrix.shape[0] > matrix.shape[1] else x
    return orthogonal


def compose_newton_schulz(gram: Tensor) -> Tensor:
    """What all turns together multiply a matrix by, from the products of its rows."""
    product = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    for a, b, c in NEWTON_SCHULZ_COEFFICIENTS:
        factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal().add_(a)
        product, gram = factor @ product, factor @ gram @ factor
    return product
