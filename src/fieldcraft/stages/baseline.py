"""Train the baselines that the task asks for: what any model must beat."""

from __future__ import annotations

from fieldcraft.contracts import Json, Learner, Stage
from fieldcraft.core import catalogue
from fieldcraft.develop.members import Effort, fit_members
from fieldcraft.develop.rows import TARGET_SECTIONS, load_development
from fieldcraft.project.work import Work


def baseline(work: Work) -> Json:
    """Fit every baseline on the training rows of each fold."""
    rows = load_development(work.inputs["split"], work.settings)
    found: Json = {}
    for number, name in enumerate(rows.task.baselines):
        learner: Learner = catalogue.load("learners", name)

        def tell(
            text: str, share: float | None, title: str = learner.title, i: int = number
        ) -> None:
            work.progress(f"{title}: {text}", (i + (share or 0)) / len(rows.task.baselines))

        tell("fitting", None)
        effort = Effort(work.settings.train.seed, tell=tell)
        about = fit_members(learner, learner.options(), rows, work.out / name, effort)
        found[name] = {"members": about["members"], "seconds": about["seconds"]}
    return found


STAGE = Stage(
    "baseline",
    "Train the baselines: what any model must beat.",
    baseline,
    sections=(*TARGET_SECTIONS, "data", "clean", "model.kinds", "train.seed"),
    version=7,
)
