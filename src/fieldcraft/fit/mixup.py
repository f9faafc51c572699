"""Mixup and CutMix: convex combinations of two rows of a batch and of their targets.

Zhang et al., *mixup: Beyond Empirical Risk Minimization*, 2018. The features that encoder nets
compute are mixed, be it of numbers, texts or categories (Verma et al., *Manifold Mixup*, 2019). A
net may mix its inputs instead, as the image net does, which can also paste a square of one image
into the other (Yun et al., *CutMix*, 2019).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fieldcraft.fit.settings import TrainingSettings


@dataclass(frozen=True)
class MixupPlan:
    """The partner of each row of a batch, and the fraction of the row that stays.

    Attributes:
        own_fraction: weight of the row itself (lambda in the papers), shape (rows,).
        partner: index of the other row, shape (rows,).
        is_cutmix: whether images get a square of the other one instead of being blended.
    """

    own_fraction: Tensor
    partner: Tensor
    is_cutmix: bool = False

    def mix(self, x: Tensor) -> Tensor:
        """Interpolate between each row and its partner, in the dtype of the rows."""
        own_fraction = self.own_fraction.view(-1, *[1] * (x.ndim - 1)).to(x.dtype)
        return x[self.partner].lerp(x, own_fraction)

    def mixed_losses(
        self, loss: Callable[[Tensor], Tensor], y: Tensor, weights: Tensor | None
    ) -> Tensor:
        """The losses against the row's own target and its partner's, weighted by their fractions.

        This equals the loss of the mixed target for cross-entropy, and needs no soft labels.

        Args:
            loss: maps targets to one loss per row.
            y: targets.
            weights: row weights; each target counts by the weight of the row it is from.
        """
        own_weight = self.own_fraction if weights is None else self.own_fraction * weights
        partner_weight = 1 - self.own_fraction
        if weights is not None:
            partner_weight = partner_weight * weights[self.partner]
        return own_weight * loss(y) + partner_weight * loss(y[self.partner])


def sample_mixup(settings: TrainingSettings, rows: int, device: torch.device) -> MixupPlan | None:
    """Sample how the rows of a batch are mixed; None if they are not.

    If both methods are enabled, each batch uses one of them at random.
    """
    methods = [
        (candidate_alpha, is_cutmix)
        for candidate_alpha, is_cutmix in ((settings.mixup, False), (settings.cutmix, True))
        if candidate_alpha
    ]
    if not methods:
        return None
    alpha, is_cutmix = (
        methods[int(torch.randint(len(methods), ()))] if len(methods) > 1 else methods[0]
    )
    # One fraction per row instead of one per batch, which varies the batches more.
    own_fraction = torch.distributions.Beta(alpha, alpha).sample((rows,))
    return MixupPlan(own_fraction.to(device), torch.randperm(rows).to(device), is_cutmix)
