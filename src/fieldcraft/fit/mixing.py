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

from fieldcraft.fit.settings import Training


@dataclass(frozen=True)
class Mixing:
    """With which row each row of a batch is mixed, and how much stays of it.

    Attributes:
        share: of the row itself, shape (rows,).
        partner: the place of the other row, shape (rows,).
        cut: whether photos get a square of the other, instead of lying over each other.
    """

    share: Tensor
    partner: Tensor
    cut: bool = False

    def mixed(self, x: Tensor) -> Tensor:
        """What lies between each row and its partner, in the format of the rows."""
        share = self.share.view(-1, *[1] * (x.ndim - 1)).to(x.dtype)
        return x[self.partner].lerp(x, share)

    def losses(self, loss: Callable[[Tensor], Tensor], y: Tensor, weights: Tensor | None) -> Tensor:
        """The loss of each row by its own answer and by its partner's, each by its share.

        Args:
            loss: of answers, one number a row.
            y: the answers.
            weights: how much each row counts, if not all the same.
        """
        own = self.share if weights is None else self.share * weights
        other = 1 - self.share
        if weights is not None:
            other = other * weights[self.partner]
        return own * loss(y) + other * loss(y[self.partner])


def drawn(settings: Training, rows: int, device: torch.device) -> Mixing | None:
    """How the rows of a batch are mixed; None if they are not.

    If both are asked for, batches are mixed one way or the other by lot.
    """
    ways = [(a, cut) for a, cut in ((settings.mixup, False), (settings.cutmix, True)) if a]
    if not ways:
        return None
    strength, cut = ways[int(torch.randint(len(ways), ()))] if len(ways) > 1 else ways[0]
    share = torch.distributions.Beta(strength, strength).sample((rows,))
    return Mixing(share.to(device), torch.randperm(rows).to(device), cut)
