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
from fieldcraft.modeling.dataset import TARGET_SECTIONS, load_dataset
from fieldcraft.modeling.fold_models import TrainingLimits, fit_fold_models, load_fold_model
from fieldcraft.project.context import StageContext


def train(context: StageContext) -> Json:
    """Fit the learner on the training rows of each fold, within the time budget."""
    dataset = load_dataset(context.inputs["split"], context.settings)
    model, train_settings = context.settings.model, context.settings.train
    learner: Learner = catalog.load_plugin("learners", model.learner)
    options = learner.options.model_validate(model.learner_options())
    context.on_progress("starting", None)
    training_limits = TrainingLimits(
        train_settings.seed, train_settings.time_budget, train_settings.device, context.on_progress
    )
    metadata = fit_fold_models(
        learner, options, dataset, context.out / learner.name, training_limits
    )
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
        *TARGET_SECTIONS, "data", "clean", "model.learner", "model.options", "model.kinds", "train",
    ),
    version=9,
)  # fmt: skip
