"""Checks of photos by class, for few distinct photos and a single source; and of LoRA options."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.formatting import join_names
from fieldcraft.core.types import Array
from fieldcraft.data.pretrained_weights import has_linear_layers, resolve_path
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

MIN_IMAGES_PER_CLASS = 10  # smaller classes naturally have few distinct photos
MAX_DISTINCT_FRACTION = 1 / 3  # of the photos of a class; a class with more is not reported
MIN_CLASS_ASSOCIATION = 0.6  # of file metadata with one class against the rest
MAX_CLASSES = 100
MAX_LISTED_CLASSES = 20  # in the evidence


class FewDistinctImages:
    """Classes with few distinct photos, which a model memorizes."""

    code = "few_images_per_class"
    scope: CheckScope = "split"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Count the distinct photos of each class among the training photos."""
        classes = dict(iter_classes(context))
        for name, sample in iter_image_samples(context) if classes else ():
            readable = np.flatnonzero(sample.is_readable)
            if len(readable) < MIN_IMAGES_PER_CLASS:
                continue
            pixels = get_pixel_cache(COMPARISON_SIDE_PIXELS).get_pixels(
                [sample.addresses[i] for i in readable], FILL_COLOR
            )
            # An incomplete grouping misses duplicates, which can only suppress this finding.
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
        self,
        name: str,
        counts_by_class: Mapping[str, tuple[int, int]],
        sample: ImageSample,
        groups: Sequence[Array],
        context: CheckContext,
    ) -> Finding:
        descriptions = [
            f"{label} ({n_images:,} photos, {n_distinct:,} distinct)"
            for label, (n_images, n_distinct) in counts_by_class.items()
        ]
        listed_counts = list(counts_by_class.items())[:MAX_LISTED_CLASSES]
        return Finding(
            self.code,
            "warning",
            f"some classes have few distinct photos in {name}: {join_names(descriptions[:5])}; "
            f"such as {format_examples(sample, groups[0].tolist(), context)}",
            name,
            {
                "classes": {
                    label: {"images": n_images, "distinct_images": n_distinct}
                    for label, (n_images, n_distinct) in listed_counts
                }
            },
            "a model memorizes these photos rather than the class: take photos of more objects, "
            "on other days and backgrounds; frames of one video count as one photo",
        )


class ClassSourceBias:
    """Classes that the camera, the background or the file format separates from the others."""

    code = "single_source_class"
    scope: CheckScope = "split"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Measure the association of the metadata of training photos with each class."""
        classes = dict(iter_classes(context))
        if len(classes) < 3:
            return  # with two classes this is the same as image_shortcut
        for name, sample in iter_image_samples(context):
            present = np.flatnonzero([address is not None for address in sample.addresses])
            if len(present) < MIN_IMAGES or context.y is None:
                continue
            metadata = {
                field: encode_levels(pl.Series(field, values))
                for field, values in image_metadata(
                    [str(sample.addresses[i]) for i in present]
                ).items()
            }
            rows_by_class = {
                label: rows[sample.row_positions[present]] for label, rows in classes.items()
            }
            if context.y.ndim == 1:  # metadata that predicts all classes is an image_shortcut
                y = context.y[sample.row_positions[present]]
                metadata = {
                    field: codes
                    for field, codes in metadata.items()
                    if association_strength(codes, y, False) < MIN_ASSOCIATION
                }
            associations_by_class = dict(iter_separable_classes(metadata, rows_by_class))
            if associations_by_class:
                yield self._build_finding(name, associations_by_class)

    def _build_finding(
        self, name: str, associations_by_class: Mapping[str, Mapping[str, float]]
    ) -> Finding:
        parts = [
            f"{label} by {join_names(list(associations))}"
            for label, associations in associations_by_class.items()
        ]
        listed = list(associations_by_class.items())[:MAX_LISTED_CLASSES]
        return Finding(
            self.code,
            "warning",
            f"some classes can be recognized by how their photos in {name} were taken, whatever "
            f"they show: {'; '.join(parts[:5])}",
            name,
            {"association_strength": {label: dict(associations) for label, associations in listed}},
            "a model learns the camera, place or background of a class if it has only one: add "
            "photos from other sources to these classes, or from this source to the others",
        )


class UnsupportedLora:
    """LoRA requested for a network without linear layers."""

    code = "unsupported_finetuning"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Look for linear layers in the weight files of the networks that ask for LoRA."""
        for column in context.schema.columns:
            encoder = str(column.options.get("encoder", ""))
            if (
                column.kind != "image"
                or column.options.get("finetune") != LORA
                or encoder in IMAGE_NETWORKS_FROM_SCRATCH
            ):
                continue
            folder = resolve_path(encoder)
            if folder.is_dir() and not has_linear_layers(folder):
                yield Finding(
                    self.code,
                    "error",
                    f"LoRA cannot train the network for the photos in {column.name}: it has "
                    "convolutions only, no linear layers",
                    column.name,
                    {"encoder": encoder, "finetune": LORA},
                    "train all its weights (finetune: true), keep it frozen (leave finetune out), "
                    "or use a network with attention, or a ConvNeXt",
                    (ConfigEdit(("data", "columns", column.name, "finetune"), True),),
                )


def iter_classes(context: CheckContext) -> Iterator[tuple[str, Array]]:
    """Yield the classes or labels of the training rows, each with the mask of its rows."""
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
    """Numbers of photos and of distinct photos of a class; None if enough photos are distinct.

    Args:
        is_class: whether each photo is of the class.
        groups: positions of the photos of each group of near-duplicates.
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
    """Yield the classes that metadata separates from the rest, with the association by field."""
    for label, rows in rows_by_class.items():
        if rows.sum() < MIN_IMAGES_PER_CLASS:
            continue
        associations = {
            field: association_strength(codes, rows.astype(np.int64), False)
            for field, codes in metadata.items()
        }
        strong_associations = {
            field: association
            for field, association in associations.items()
            if association >= MIN_CLASS_ASSOCIATION
        }
        if strong_associations:
            yield label, strong_associations


CHECKS = (FewDistinctImages(), ClassSourceBias(), UnsupportedLora())
