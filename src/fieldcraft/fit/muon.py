"""Muon in 32-bit floats: momentum with orthogonalized updates.

Jordan et al., *Muon: An optimizer for hidden layers in neural networks*, 2024, with the step size
matched to AdamW's (Liu et al., *Muon is Scalable for LLM Training*, 2025). PyTorch's own computes
in bfloat16, which is slow on CPUs without hardware support.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

# Five steps of the quintic a x + b x^3 + c x^5 that Jordan et al. (2024) tuned: the slope a at 0 is
# as large as possible, so that small singular values grow fast, at the price that all of them end
# in about 0.7 to 1.2 instead of at 1, which does not hurt training. The same coefficients in each
# step.
NEWTON_SCHULZ_COEFFICIENTS = ((3.4445, -4.7750, 2.0315),) * 5
# Root mean square of AdamW's usual update (Liu et al. 2025, section 2.2). An orthogonal update of
# shape (m, n) has an RMS of 1 / sqrt(max(m, n)); times 0.2 sqrt(max(m, n)) it is as large as
# AdamW's, so one learning rate and one weight decay suit both optimizers.
ADAMW_STEP_RMS = 0.2
NORM_EPSILON = 1e-7  # a zero gradient stays zero
# From this ratio of width to height on, iterating the small Gram matrix and multiplying once is
# cheaper (33.3 to 12.6 ms for 256 by 2,304; docs/log.md).
MIN_ASPECT_RATIO = 3


class Muon(torch.optim.Optimizer):
    """Nesterov momentum with orthogonalized updates of matrices.

    A convolution kernel is treated as a matrix of output channels by everything else.
    """

    def __init__(
        self, params: Iterable[Any], lr: float, weight_decay: float = 0.0, momentum: float = 0.95
    ) -> None:
        """Create the optimizer for matrices; the learning rate is on the scale of AdamW's."""
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every matrix once."""
        for group in self.param_groups:
            learning_rate, momentum = group["lr"], group["momentum"]
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                if not state:
                    state["momentum"] = torch.zeros_like(matrix)
                # An average of gradients; the sum that other optimizers keep differs only in scale,
                # which the orthogonalization removes.
                state["momentum"].lerp_(matrix.grad, 1 - momentum)
                nesterov_update = matrix.grad.lerp(state["momentum"], momentum)
                matrix_update = nesterov_update.flatten(1)
                step_scale = ADAMW_STEP_RMS * max(matrix_update.shape) ** 0.5
                # Decoupled weight decay as in AdamW: it must not be orthogonalized with the
                # gradient.
                matrix.mul_(1 - learning_rate * group["weight_decay"])
                matrix.add_(
                    orthogonalize(matrix_update).view_as(matrix), alpha=-learning_rate * step_scale
                )


def orthogonalize(matrix: Tensor) -> Tensor:
    """Approximate the nearest semi-orthogonal matrix by Newton-Schulz iteration.

    For a matrix U S V' this is U V'. Each step multiplies the matrix by a polynomial of its Gram
    matrix. For a long matrix, such as a convolution kernel, only the Gram matrix is iterated, and
    the matrix is multiplied once: the same up to rounding in less than half the time.
    """
    # The Gram matrix of the shorter side is the smaller one.
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    # The Frobenius norm bounds the spectral norm, and the iteration converges for singular values
    # up to 1 (a little more does no harm).
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
    """The product of the factors of all steps, from the Gram matrix of the rows.

    With x_k+1 = F_k x_k and F_k a polynomial of the Gram matrix G_k, the next Gram matrix is
    F_k G_k F_k, so x itself is not needed until the end.
    """
    product = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    for a, b, c in NEWTON_SCHULZ_COEFFICIENTS:
        factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal().add_(a)
        product, gram = factor @ product, factor @ gram @ factor
    return product
