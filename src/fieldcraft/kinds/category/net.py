"""Networks over category codes: one-hot where levels are few, embeddings where they are many."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fieldcraft.kinds.category.encode import CategoryEncoder

FEW_LEVELS = 16
WIDEST = 8
SMALLEST_SPREAD = 1e-6


class CategoryNet(nn.Module):
    """Turns each code into a vector; target means and counts pass standardised."""

    centre: Tensor
    spread: Tensor

    def __init__(self, encoder: CategoryEncoder) -> None:
        """Set up the net for what an encoder gives: inputs ``category``, ``category_facts``."""
        super().__init__()
        tables = [level_table(len(levels)) for levels in encoder.levels]
        self.tables = nn.ModuleList(tables)
        facts = [torch.as_tensor(table).float() for table in encoder.facts.values()]
        self.recipe = None
        self.inputs = ("category",) + ("category_facts",) * bool(facts)
        if facts:
            self.register_buffer("centre", torch.cat([table.mean(0) for table in facts]))
            spread = torch.cat([table.std(0) for table in facts])
            self.register_buffer("spread", torch.where(spread > SMALLEST_SPREAD, spread, 1.0))
        widths = tuple(table.embedding_dim for table in tables)
        self.chunks = widths + (1,) * sum(table.shape[1] for table in facts)

    def forward(self, tensors: dict[str, Tensor]) -> Tensor:
        """Vectors of all categories side by side, shape (rows, sum of chunks)."""
        codes = tensors["category"]
        parts = [table(codes[:, i]) for i, table in enumerate(self.tables)]
        if "category_facts" in self.inputs:
            parts.append((tensors["category_facts"] - self.centre) / self.spread)
        return torch.cat(parts, dim=1)


def level_table(levels: int) -> nn.Embedding:
    """One vector for each level and one for unseen ones: unit vectors, or learned if many."""
    if levels <= FEW_LEVELS:
        fixed = nn.Embedding(levels + 1, levels + 1, _weight=torch.eye(levels + 1))
        fixed.weight.requires_grad_(False)
        return fixed
    width = min(WIDEST, round(1.6 * levels**0.56))
    table = nn.Embedding(levels + 1, width)
    nn.init.normal_(table.weight, std=width**-0.5)
    return table
