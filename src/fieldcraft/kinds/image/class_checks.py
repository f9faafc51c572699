"""Checks of photos class by class: few distinct shots, one source; and of what is asked of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.formatting import join_names
from fieldcraft.core.types import Array
from fieldcraft.data.pretrained_weights import has_linear_layers
from fieldcraft.kinds.image.architectures import IMAGE_NETWORKS_FROM_SCRATCH
from fieldcraft.kinds.image.checks import (
    MIN_ASSOCIATION,
    MIN_IMAGES,
    ImageSample,
    format_examples,
    image_metadata,
    iter_image_samples,
)
from fieldcraft.kinds.image.near_duplicates import (
    COMPARISON_SIDE_PIXELS,
    FILL_COLOR,
    group_near_duplicates,
)
from fieldcraft.kinds.image.options import LORA
from fieldcraft.kinds.image.pixel_cache import get_pixel_cache
from fieldcraft.ledger.records import Finding
from fieldcraft.statistics.association import association_strength, encode_levels

MIN_IMAGES_PER_CLASS = 10  # photos of a class, below which few shots are no surprise
MAX_DISTINCT_FRACTION = 1 / 3  # distinct shots of a class's photos, from which on they are too few
MIN_ASSOCIATION = (
    0.6  # share of whether a photo is of a class, that a fact of its file tells by itself
)
MAX_CLASSES = 100
MAX_LISTED_CLASSES = 20  # classes that are listed as evidence


class FewDistinctImages:
    """Classes whose photos are shots of few things, so that a model learns these by heart."""

    code = "class_shots"
    scope: CheckScope = "split"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Count the distinct shots of each class among training photos."""
        classes = dict(iter_classes(context))
        for name, sample in iter_image_samples(context) if classes else ():
            readable = np.flatnonzero(sample.is_readable)
            if len(readable) < MIN_IMAGES_PER_CLASS:
                continue
            pixels = get_pixel_cache(COMPARISON_SIDE_PIXELS).get_pixels(
                [sample.addresses[i] for i in readable], FILL_COLOR
            )
            groups, _ = group_near_duplicates(pixels)
            counts_by_class = {
                label: counts
                for label, rows in classes.items()
                if (counts := count_distinct_images(rows[sample.row_positions[readable]], groups))
            }
            if counts_by_class:
                groups_of_rows = [readable[group] for group in groups]
                yield self._build_finding(name, counts_by_class, sample, groups_of_rows, context)

    def _build_finding(
        self, name: str, counts_by_class: Mapping[str, tuple[int, int]], sample: ImageSample,
        groups: Sequence[Array], context: CheckContext,
    ) -> Finding:  # fmt: skip
        descriptions = [f"{label} ({n_images:,} photos, {n_distinct:,} shots)"
                for label, (n_images, n_distinct) in counts_by_class.items()]  # fmt: skip
        return Finding(
            self.code,
            "warn",
            f"some classes have few distinct shots in {name}: {join_names(descriptions[:5])}; such as "
            f"{format_examples(sample, groups[0].tolist(), context)}",
            name,
            {"classes": {label: {"photos": n_images, "shots": n_distinct}
                         for label, (n_images, n_distinct) in list(counts_by_class.items())[:MAX_LISTED_CLASSES]}},
            "a model learns these shots rather than the class: take photos of more things, on "
            "other days and grounds; frames of one film count as one shot",
        )  # fmt: skip


class ClassSourceBias:
    """A class that is told from all others by its camera, its background, or its files."""

    code = "one_source"
    scope: CheckScope = "split"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Measure how much each fact of training photos tells of each class against the rest."""
        classes = dict(iter_classes(context))
        if len(classes) < 3:
            return  # of two classes the check of shortcuts says the same
        for name, sample in iter_image_samples(context):
            present = np.flatnonzero([address is not None for address in sample.addresses])
            if len(present) < MIN_IMAGES or context.y is None:
                continue
            metadata = {
                fact: encode_levels(pl.Series(fact, values))
                for fact, values in image_metadata(
                    [str(sample.addresses[i]) for i in present]
                ).items()
            }
            rows_by_class = {
                label: rows[sample.row_positions[present]] for label, rows in classes.items()
            }
            if context.y.ndim == 1:  # what tells all classes alike is a shortcut, told by itself
                y = context.y[sample.row_positions[present]]
                metadata = {
                    fact: codes
                    for fact, codes in metadata.items()
                    if association_strength(codes, y, False) < MIN_ASSOCIATION
                }
            facts_by_class = dict(iter_separable_classes(metadata, rows_by_class))
            if facts_by_class:
                yield self._build_finding(name, facts_by_class)

    def _build_finding(
        self, name: str, facts_by_class: Mapping[str, Mapping[str, float]]
    ) -> Finding:
        parts = [f"{label} by {join_names(list(facts))}" for label, facts in facts_by_class.items()]
        return Finding(
            self.code,
            "warn",
            f"a class is told from all others by how its photos in {name} were taken, whatever "
            f"they show: {'; '.join(parts[:5])}",
            name,
            {
                "power": {
                    label: dict(facts)
                    for label, facts in list(facts_by_class.items())[:MAX_LISTED_CLASSES]
                }
            },
            "photos of one camera, place or background alone make a model learn that: add some of "
            "other sources to these classes, or of this source to the others",
        )


class UnsupportedLora:
    """LoRA that is asked of a network without a layer that it could train."""

    code = "unfit_tuning"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Look into the files of the network that is asked for."""
        for column in context.schema.columns:
            encoder = str(column.options.get("encoder", ""))
            if (
                column.kind != "image"
                or column.options.get("tune") != LORA
                or encoder in IMAGE_NETWORKS_FROM_SCRATCH
            ):
                continue
            folder = Path(encoder).expanduser()
            if folder.is_dir() and not has_linear_layers(folder):
                yield Finding(
                    self.code,
                    "stop",
                    f"the network for the photos in {column.name} has nothing that LoRA could "
                    "train: it has convolutions only, no linear layers",
                    column.name,
                    {"encoder": encoder, "tune": LORA},
                    "train it as a whole, take it as it is (leave tune out), or take a network "
                    "with attention, or a ConvNeXt",
                    (ConfigEdit(("data", "columns", column.name, "tune"), True),),
                )


def iter_classes(context: CheckContext) -> Iterator[tuple[str, Array]]:
    """The classes or labels of the training rows, each with the rows that have it."""
    if (
        context.y is None
        or context.target_spec is None
        or context.task is None
        or context.task.output == "value"
    ):
        return
    if context.y.ndim == 2:
        yield from (
            (name, label == 1) for name, label in zip(context.targets, context.y.T, strict=True)
        )
        return
    labels = context.target_spec.get("classes", [])
    if len(labels) <= MAX_CLASSES:
        yield from (
            (str(label), context.y == class_index) for class_index, label in enumerate(labels)
        )


def count_distinct_images(is_class: Array, groups: Sequence[Array]) -> tuple[int, int] | None:
    """Photos and distinct shots of a class; None where these are many enough.

    Args:
        is_class: whether each photo is of the class.
        groups: numbers of the photos that look nearly the same.
    """
    n_images = int(is_class.sum())
    duplicate_counts = [int(is_class[group].sum()) for group in groups]
    n_distinct = n_images - sum(count - 1 for count in duplicate_counts if count)
    return (
        (n_images, n_distinct)
        if n_images >= MIN_IMAGES_PER_CLASS and n_distinct <= MAX_DISTINCT_FRACTION * n_images
        else None
    )


def iter_separable_classes(
    metadata: Mapping[str, Array], rows_by_class: Mapping[str, Array]
) -> Iterator[tuple[str, dict[str, float]]]:
    """The classes that facts tell from the rest, with how much of that each fact tells."""
    for label, rows in rows_by_class.items():
        if rows.sum() < MIN_IMAGES_PER_CLASS:
            continue
        associations = {
            fact: association_strength(codes, rows.astype(np.int64), False)
            for fact, codes in metadata.items()
        }
        strong_associations = {
            fact: association
            for fact, association in associations.items()
            if association >= MIN_ASSOCIATION
        }
        if strong_associations:
            yield label, strong_associations


CHECKS = (FewDistinctImages(), ClassSourceBias(), UnsupportedLora())
