"""Rows that lie between two rows of a batch, and have a share of the answer of each.

Zhang et al., *mixup: Beyond Empirical Risk Minimization*, 2018. What the encoder nets make of the
rows is mixed, be it numbers, texts or categories (Verma et al., *Manifold Mixup*, 2019); a net may
rather mix what it reads, as that of photos does, which may also set a square of one photo into the
other (Yun et al., *CutMix*, 2019).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fieldcraft.fit.settings import TrainingSettings


@dataclass(frozen=True)
class MixupPlan:
    """With which row each row of a batch is mixed, and how much stays of it.

    Attributes:
        own_fraction: of the row itself, shape (rows,).
        partner: the place of the other row, shape (rows,).
        is_cutmix: whether photos get a square of the other, instead of lying over each other.
    """

    own_fraction: Tensor
    partner: Tensor
    is_cutmix: bool = False

    def mix(self, x: Tensor) -> Tensor:
        """What lies between each row and its partner, in the format of the rows."""
        own_fraction = self.own_fraction.view(-1, *[1] * (x.ndim - 1)).to(x.dtype)
        return x[self.partner].lerp(x, own_fraction)

    def mixed_losses(
        self, loss: Callable[[Tensor], Tensor], y: Tensor, weights: Tensor | None
    ) -> Tensor:
        """The loss of each row by its own answer and by its partner's, each by its share.

        Args:
            loss: of answers, one number a row.
            y: the answers.
            weights: how much each row counts, if not all the same.
        """
        own_weight = self.own_fraction if weights is None else self.own_fraction * weights
        partner_weight = 1 - self.own_fraction
        if weights is not None:
            partner_weight = partner_weight * weights[self.partner]
        return own_weight * loss(y) + partner_weight * loss(y[self.partner])


def sample_mixup(settings: TrainingSettings, rows: int, device: torch.device) -> MixupPlan | None:
    """How the rows of a batch are mixed; None if they are not.

    If both are asked for, batches are mixed one way or the other by lot.
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
    own_fraction = torch.distributions.Beta(alpha, alpha).sample((rows,))
    return MixupPlan(own_fraction.to(device), torch.randperm(rows).to(device), is_cutmix)
