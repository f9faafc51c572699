"""Examples of augmented training rows, to be checked by a person.

An augmentation must not change the label: a 6 that is rotated becomes a 9, and a text without its
"not" means the opposite.
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

N_EXAMPLE_ROWS, N_VARIANTS = 6, 4  # variants of each row
MAX_TEXT_CHARACTERS = 240  # of a text in the report
ELLIPSIS = "…"


def make_augmentation_examples(
    fold_model: FoldModel, dataset: ModelingDataset, seed: int
) -> list[Json]:
    """Augmented variants of some training rows of the first fold, by column.

    Args:
        fold_model: model of the first fold.
        dataset: the dataset that it was trained on.
        seed: random seed of the augmentation.

    Returns:
        For each augmented column its name, ``are_images`` (images rather than texts) and ``rows``:
        the ``original`` and its ``variants``. Empty if the model is not a network or does not
        augment.
    """
    network = getattr(fold_model.fitted, "network", None)
    if network is None:
        return []
    from fieldcraft.fit.allocator import seeded_rng

    # One call per kind makes all variants of all its columns, so that the random stream does not
    # depend on the number of columns.
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
    """Positions of evenly spaced training rows among those with the fewest missing values."""
    n_missing = (
        values[train_positions].select(pl.sum_horizontal(pl.all().is_null())).to_series().to_numpy()
    )
    candidates = train_positions[n_missing == n_missing.min()]
    chosen = np.linspace(0, len(candidates) - 1, min(N_EXAMPLE_ROWS, len(candidates))).astype(int)
    return np.asarray(candidates[chosen])


def column_examples(kind: Kind, values: pl.Series, variants: Sequence[str]) -> Json:
    """The cells of a column with their variants; cells without variants are skipped.

    Args:
        kind: kind of the column.
        values: original values, one for each row.
        variants: first one variant of each row, then a second one of each, and so on.
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
            {"original": thumbnails[index] or truncate_text(str(value)), "variants": row_variants}
        )
    return {"column": values.name, "are_images": are_images, "rows": examples}


def truncate_text(text: str) -> str:
    """The start of a text, with an ellipsis if it was cut."""
    return (
        text if len(text) <= MAX_TEXT_CHARACTERS else text[:MAX_TEXT_CHARACTERS].rstrip() + ELLIPSIS
    )
