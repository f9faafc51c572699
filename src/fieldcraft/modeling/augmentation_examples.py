"""Some training rows as they are, and as training changes them, for people to look at.

What a network is to take for the same thing is only as good as the changes: a digit that is turned
round, or a text that lost its "not", is another one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from fieldcraft.contracts import Kind
from fieldcraft.core import catalog
from fieldcraft.core.types import Array, Json
from fieldcraft.modeling.dataset import ModelingDataset
from fieldcraft.modeling.fold_models import FoldModel

N_EXAMPLE_ROWS, N_VARIANTS = 6, 4  # rows that are shown, and how often each is changed
MAX_TEXT_CHARACTERS = 240  # of a text
ELLIPSIS = "…"


def make_augmentation_examples(
    fold_model: FoldModel, dataset: ModelingDataset, seed: int
) -> list[Json]:
    """Of each column that training changes some rows of the first fold, each in several forms.

    Args:
        fold_model: of that fold.
        dataset: the rows that it was developed on.
        seed: of the changes.

    Returns:
        For each such column its name, ``pictures`` (whether photos are shown, or texts) and
        ``rows``: the ``original`` and its ``forms``. Nothing if the model is no network, or a
        network that learns from rows as they are.
    """
    network = getattr(fold_model.fitted, "network", None)
    if network is None:
        return []
    from fieldcraft.fit.allocator import seeded_rng

    values = dataset.features[most_complete_rows(dataset.features, dataset.folds[0].train)]
    tensors = fold_model.encoders.transform(fold_model.encoders.precompute(values)).tensors()
    row_indexes = np.tile(np.arange(values.height), N_VARIANTS)
    repeated_tensors = {name: array[row_indexes] for name, array in tensors.items()}
    examples = []
    for name in fold_model.encoders.by_kind:
        kind: Kind = catalog.load_plugin("kinds", name)
        with seeded_rng(seed):
            variants_by_column = kind.augmentation_examples(network, repeated_tensors)
        columns = [column.name for column in dataset.schema.columns_of_kind(name)]
        for column, variants in zip(columns, variants_by_column, strict=False):
            examples.append(column_examples(kind, values[column], variants))
    return [entry for entry in examples if entry["rows"]]


def most_complete_rows(values: pl.DataFrame, train_positions: Array) -> Array:
    """The positions of some training rows, far from each other, of those that miss the least."""
    n_missing = (
        values[train_positions].select(pl.sum_horizontal(pl.all().is_null())).to_series().to_numpy()
    )
    candidates = train_positions[n_missing == n_missing.min()]
    chosen = np.linspace(0, len(candidates) - 1, min(N_EXAMPLE_ROWS, len(candidates))).astype(int)
    return np.asarray(candidates[chosen])


def column_examples(kind: Kind, values: pl.Series, variants: Sequence[str]) -> Json:
    """The cells of a column as they are, each with its forms; those without any are left out.

    Args:
        kind: of the column.
        values: one for each row.
        variants: of the first row, of the second, and so on, and then of the first row once more.
    """
    thumbnails = [kind.thumbnail(value) for value in values.to_list()]
    are_images, examples = any(thumbnails), []
    for index, value in enumerate(values.to_list()):
        row_variants = list(variants[index :: len(values)])
        if value is None or not row_variants or (are_images and thumbnails[index] is None):
            continue
        if not are_images:
            row_variants = [truncate_text(variant) for variant in row_variants]
        examples.append(
            {"original": thumbnails[index] or truncate_text(str(value)), "forms": row_variants}
        )
    return {"column": values.name, "pictures": are_images, "rows": examples}


def truncate_text(text: str) -> str:
    """The start of a text, with a mark where it was cut."""
    return (
        text if len(text) <= MAX_TEXT_CHARACTERS else text[:MAX_TEXT_CHARACTERS].rstrip() + ELLIPSIS
    )
