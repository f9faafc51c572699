"""Train the baselines of the task."""

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

# Complexity of the simplest learner that uses all columns; simpler ones use none or a single one.
MIN_COMPLEXITY_OF_ALL_COLUMNS = 2


def baseline(context: StageContext) -> Json:
    """Fit every baseline on the training rows of each fold.

    If some columns hold files, such as images, and others do not, baselines of all columns are also
    fitted without the files, to show whether the files improve the model.
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
        # The default binds the index of this iteration; a closure would see the last one.
        def report_progress(message: str, fraction: float | None, index: int = position) -> None:
            total_fraction = (index + (fraction or 0)) / len(baselines)
            context.on_progress(f"{baselines[index].title}: {message}", total_fraction)

        report_progress("fitting", None)
        metadata = fit_fold_models(
            spec.learner, spec.learner.options(), spec.dataset, context.out / spec.name,
            TrainingLimits(context.settings.train.seed, on_progress=report_progress),
            spec.extra_metadata,
        )  # fmt: skip
        summary[spec.name] = {
            "n_members": metadata["n_members"],
            "fit_seconds": metadata["fit_seconds"],
        }
    return summary


@dataclass(frozen=True)
class BaselineSpec:
    """A baseline: a learner and the dataset to fit it on.

    Attributes:
        learner: the learner.
        dataset: the dataset.
        name: name of the model and its folder.
        extra_metadata: further entries of its ``model.json``.
    """

    learner: Learner
    dataset: ModelingDataset
    name: str
    extra_metadata: Json = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The title of the model."""
        return str(self.extra_metadata.get("title", self.learner.title))


def without_file_columns(spec: BaselineSpec, dataset: ModelingDataset) -> BaselineSpec:
    """The same baseline for a dataset without file columns, with a name and title of its own."""
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
        spec.learner, dataset, f"{spec.name}-without-files", {"title": title, "columns": names}
    )


STAGE = Stage(
    "baseline",
    "Train the baselines.",
    baseline,
    config_sections=(*TARGET_SECTIONS, "data", "clean", "model.kinds", "train.seed"),
    version=9,
)
