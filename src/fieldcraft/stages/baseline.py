"""Train the baselines that the task asks for: what any model must beat."""

from __future__ import annotations

from dataclasses import dataclass, field

from fieldcraft.contracts import Learner, Stage
from fieldcraft.core import catalog
from fieldcraft.core.formatting import join_names
from fieldcraft.core.types import Json
from fieldcraft.modeling.dataset import (
    TARGET_SECTIONS,
    ModelingDataset,
    drop_file_columns,
    load_dataset,
)
from fieldcraft.modeling.fold_models import TrainingLimits, fit_fold_models
from fieldcraft.project.context import StageContext

MIN_COMPLEXITY_OF_ALL_COLUMNS = 2  # complexity from which on a learner uses all columns together


def baseline(context: StageContext) -> Json:
    """Fit every baseline on the training rows of each fold.

    Where some columns name files, such as photos, and others do not, models of all columns are
    fitted once more without those: files are worth their trouble only if they are better.
    """
    dataset = load_dataset(context.inputs["split"], context.settings)
    baselines = [
        BaselineSpec(catalog.load_plugin("learners", name), dataset, name)
        for name in dataset.task.baselines
    ]
    dataset_without_files = drop_file_columns(dataset)
    if dataset_without_files is not None:
        baselines += [
            without_file_columns(spec, dataset_without_files)
            for spec in baselines
            if spec.learner.complexity >= MIN_COMPLEXITY_OF_ALL_COLUMNS
        ]
    summary: Json = {}
    for position, spec in enumerate(baselines):

        def report_progress(message: str, fraction: float | None, index: int = position) -> None:
            total_fraction = (index + (fraction or 0)) / len(baselines)
            context.on_progress(f"{baselines[index].title}: {message}", total_fraction)

        report_progress("fitting", None)
        metadata = fit_fold_models(
            spec.learner, spec.learner.options(), spec.dataset, context.out / spec.name,
            TrainingLimits(context.settings.train.seed, on_progress=report_progress), spec.extra_metadata,
        )  # fmt: skip
        summary[spec.name] = {"members": metadata["members"], "seconds": metadata["seconds"]}
    return summary


@dataclass(frozen=True)
class BaselineSpec:
    """A learner to be fitted as a baseline.

    Attributes:
        learner: the learner.
        dataset: that it is fitted on.
        name: of its folder.
        extra_metadata: entries of its ``model.json``.
    """

    learner: Learner
    dataset: ModelingDataset
    name: str
    extra_metadata: Json = field(default_factory=dict)

    @property
    def title(self) -> str:
        """How it is called where people read."""
        return str(self.extra_metadata.get("title", self.learner.title))


def without_file_columns(spec: BaselineSpec, dataset: ModelingDataset) -> BaselineSpec:
    """A baseline on the same rows with fewer columns."""
    names = [column.name for column in dataset.schema.columns]
    excluded_kinds = sorted(
        {
            f"{schema_column.kind}s"
            for schema_column in spec.dataset.schema.columns
            if schema_column.name not in names
        }
    )
    title = f"{spec.learner.title} without {join_names(excluded_kinds)}"
    return BaselineSpec(
        spec.learner, dataset, f"{spec.name}-plain", {"title": title, "columns": names}
    )


STAGE = Stage(
    "baseline",
    "Train the baselines: what any model must beat.",
    baseline,
    config_sections=(*TARGET_SECTIONS, "data", "clean", "model.kinds", "train.seed"),
    version=8,
)
