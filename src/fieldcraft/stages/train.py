"""Train the model that the project file asks for.

Folder of the stage::

    <learner>/                     the model, see modeling/fold_models.py
    augmentation_examples.json     augmented training rows, if the model augments rows in training
"""

from __future__ import annotations

from fieldcraft.contracts import Learner, Stage
from fieldcraft.core import catalog, files, seeds
from fieldcraft.core.types import Json
from fieldcraft.modeling.augmentation_examples import make_augmentation_examples
from fieldcraft.modeling.dataset import TARGET_SECTIONS
from fieldcraft.modeling.fold_models import (
    FoldFitter,
    ModelPlan,
    TrainingLimits,
    estimate_fit_bytes,
    finish_model,
    load_fold_model,
    make_dataset_source,
    make_fit_jobs,
)
from fieldcraft.project.context import StageContext


def train(context: StageContext) -> Json:
    """Fit the learner on the training rows of each fold, within the time budget."""
    model, train_settings = context.settings.model, context.settings.train
    learner: Learner = catalog.load_plugin("learners", model.learner)
    options = learner.options.model_validate(model.learner_options())
    context.on_progress("starting", None)
    fitter = FoldFitter(source=make_dataset_source(context))
    dataset = fitter.dataset()
    plan = ModelPlan(
        learner.name,
        options.model_dump(mode="json"),
        context.out / learner.name,
        TrainingLimits(
            train_settings.seed,
            train_settings.time_budget,
            train_settings.device,
            train_settings.threads,
        ),
    )
    executor = context.executor.limit_memory(estimate_fit_bytes(dataset))
    for _ in executor.map(fitter, make_fit_jobs([plan], fitter, executor, context)):
        pass
    metadata = finish_model(plan, len(dataset.folds))
    first_member = load_fold_model(
        learner, options, context.out / learner.name / "0", dataset.task, dataset.target_spec
    )
    examples = make_augmentation_examples(
        first_member, dataset, seeds.derive_seed(train_settings.seed, "augmented")
    )
    if examples:
        files.atomic_write_json(context.out / "augmentation_examples.json", examples)
    context.log_record("decision", {"decision": "trained", **metadata})
    return {
        learner.name: {
            "n_members": metadata["n_members"],
            "fit_seconds": metadata["fit_seconds"],
        }
    }


STAGE = Stage(
    "train",
    "Train the model that the project file asks for.",
    train,
    config_sections=(
        *TARGET_SECTIONS, "data", "clean", "model.learner", "model.options", "model.kinds",
        "train.seed", "train.time_budget", "train.device", "train.threads",
    ),
    version=9,
)  # fmt: skip
