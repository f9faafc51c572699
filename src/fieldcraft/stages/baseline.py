"""Train the baselines of the task."""

from __future__ import annotations

from dataclasses import replace

from fieldcraft.contracts import Learner, Stage
from fieldcraft.core import catalog
from fieldcraft.core.formatting import join_names
from fieldcraft.core.types import Json
from fieldcraft.modeling.dataset import (
    TARGET_SECTIONS,
    ModelingDataset,
    drop_file_columns,
)
from fieldcraft.modeling.fold_models import (
    FoldFitter,
    ModelPlan,
    TrainingLimits,
    estimate_fit_bytes,
    finish_model,
    make_dataset_source,
    make_fit_jobs,
)
from fieldcraft.project.context import StageContext

# Complexity of the simplest learner that uses all columns; simpler ones use none or a single one.
MIN_COMPLEXITY_OF_ALL_COLUMNS = 2


def baseline(context: StageContext) -> Json:
    """Fit every baseline on the training rows of each fold.

    If some columns hold files, such as images, and others do not, baselines of all columns are also
    fitted without the files, to show whether the files improve the model.
    """
    fitter, train_settings = FoldFitter(source=make_dataset_source(context)), context.settings.train
    dataset = fitter.dataset()
    limits = TrainingLimits(train_settings.seed, threads=train_settings.threads)
    plans = [
        ModelPlan(name, default_options(name), context.out / name, limits)
        for name in dataset.task.baselines
    ]
    without_files = drop_file_columns(dataset)
    if without_files is not None:
        names = tuple(column.name for column in without_files.schema.columns)
        plans += [plan_without_files(plan, dataset, names) for plan in plans if uses_columns(plan)]
    context.on_progress("starting", None)
    executor = context.executor.limit_memory(estimate_fit_bytes(dataset))
    for _ in executor.map(fitter, make_fit_jobs(plans, fitter, executor, context)):
        pass
    models = [finish_model(plan, len(dataset.folds)) for plan in plans]
    return {
        plan.folder.name: {name: metadata[name] for name in ("n_members", "fit_seconds")}
        for plan, metadata in zip(plans, models, strict=True)
    }


def default_options(learner: str) -> Json:
    """The default options of a learner."""
    options: Json = catalog.load_plugin("learners", learner).options().model_dump(mode="json")
    return options


def uses_columns(plan: ModelPlan) -> bool:
    """Whether a model reads all columns, so that leaving some out makes another one."""
    learner: Learner = catalog.load_plugin("learners", plan.learner)
    return learner.complexity >= MIN_COMPLEXITY_OF_ALL_COLUMNS


def plan_without_files(
    plan: ModelPlan, dataset: ModelingDataset, names: tuple[str, ...]
) -> ModelPlan:
    """The same model without file columns.

    Args:
        plan: the model of all columns.
        dataset: the dataset with all columns.
        names: the columns that hold no files.
    """
    excluded_kinds = sorted(
        {f"{column.kind}s" for column in dataset.schema.columns if column.name not in names}
    )
    title = f"{plan.title} without {join_names(excluded_kinds)}"
    return replace(
        plan,
        folder=plan.folder.with_name(f"{plan.folder.name}-without-files"),
        columns=names,
        extra_metadata={"title": title, "columns": list(names)},
    )


STAGE = Stage(
    "baseline",
    "Train the baselines.",
    baseline,
    config_sections=(
        *TARGET_SECTIONS, "data", "clean", "model.kinds", "train.seed", "train.threads",
    ),
    version=9,
)  # fmt: skip
