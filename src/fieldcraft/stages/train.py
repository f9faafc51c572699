"""Train the model that the project file asks for.

Folder of the stage::

    <learner>/         the model: see develop/members.py
    augmented.json     some training rows as training changes them, if it does
"""

from __future__ import annotations

from fieldcraft.contracts import Json, Learner, Stage
from fieldcraft.core import catalogue, files, seeds
from fieldcraft.develop.augmented import augmented
from fieldcraft.develop.members import Effort, fit_members, load_member
from fieldcraft.develop.rows import TARGET_SECTIONS, load_development
from fieldcraft.project.work import Work


def train(work: Work) -> Json:
    """Fit the learner on the training rows of each fold, within the time budget."""
    rows = load_development(work.inputs["split"], work.settings)
    model, limits = work.settings.model, work.settings.train
    learner: Learner = catalogue.load("learners", model.learner)
    options = learner.options.model_validate(model.options())
    work.progress("starting", None)
    effort = Effort(limits.seed, limits.budget, limits.device, work.progress)
    about = fit_members(learner, options, rows, work.out / learner.name, effort)
    first = load_member(learner, options, work.out / learner.name / "0", rows.task, rows.about)
    forms = augmented(first, rows, seeds.derive(limits.seed, "augmented"))
    if forms:
        files.write_json(work.out / "augmented.json", forms)
    work.record("decision", {"decision": "trained", **about})
    return {learner.name: {"members": about["members"], "seconds": about["seconds"]}}


STAGE = Stage(
    "train",
    "Train the model that the project file asks for.",
    train,
    sections=(
        *TARGET_SECTIONS, "data", "clean", "model.learner", "model.options", "model.kinds", "train",
    ),
    version=8,
)  # fmt: skip
