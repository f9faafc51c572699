"""The encoder net of categories: one-hot for few levels, embeddings for many."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fieldcraft.kinds.category.encode import CategoryEncoder

MAX_ONE_HOT_LEVELS = 16  # with more levels, embeddings are learned
MAX_EMBEDDING_DIM = 8
MIN_STD = 1e-6  # a statistic with less is constant over the levels, and is not scaled


class CategoryNet(nn.Module):
    """Turns each code into a vector; target means and counts are standardized."""

    mean: Tensor
    std: Tensor

    def __init__(self, encoder: CategoryEncoder) -> None:
        """Set up for the inputs ``category`` and ``category_facts`` of a fitted encoder."""
        super().__init__()
        embeddings = [build_level_embedding(len(levels)) for levels in encoder.levels]
        self.embeddings = nn.ModuleList(embeddings)
        statistics = [torch.as_tensor(table).float() for table in encoder.level_statistics.values()]
        self.recipe = None
        self.inputs = ("category",) + ("category_facts",) * bool(statistics)
        if statistics:
            # Over levels, each counted once: the net is built from the encoder, without the rows.
            self.register_buffer("mean", torch.cat([table.mean(0) for table in statistics]))
            std = torch.cat([table.std(0) for table in statistics])
            self.register_buffer("std", torch.where(std > MIN_STD, std, 1.0))
        embedding_widths = tuple(table.embedding_dim for table in embeddings)
        self.feature_widths = embedding_widths + (1,) * sum(table.shape[1] for table in statistics)

    def forward(self, tensors: dict[str, Tensor]) -> Tensor:
        """Vectors of all columns side by side, shape (rows, sum of feature widths)."""
        codes = tensors["category"]
        features = [embedding(codes[:, i]) for i, embedding in enumerate(self.embeddings)]
        if "category_facts" in self.inputs:
            features.append((tensors["category_facts"] - self.mean) / self.std)
        return torch.cat(features, dim=1)


def build_level_embedding(n_levels: int) -> nn.Embedding:
    """A vector for each level and one for unseen levels: one-hot, or learned if there are many."""
    if n_levels <= MAX_ONE_HOT_LEVELS:
        one_hot = nn.Embedding(n_levels + 1, n_levels + 1, _weight=torch.eye(n_levels + 1))
        one_hot.weight.requires_grad_(False)
        return one_hot
    # The rule of thumb of fastai for the size of embeddings.
    embedding_dim = min(MAX_EMBEDDING_DIM, round(1.6 * n_levels**0.56))
    embedding = nn.Embedding(n_levels + 1, embedding_dim)
    nn.init.normal_(embedding.weight, std=embedding_dim**-0.5)
    return embedding
