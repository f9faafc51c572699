"""Train the baselines that the task asks for: what any model must beat."""

from __future__ import annotations

from dataclasses import dataclass, field

from fieldcraft.contracts import Json, Learner, Stage
from fieldcraft.core import catalogue
from fieldcraft.core.words import joined
from fieldcraft.develop.members import Effort, fit_members
from fieldcraft.develop.rows import TARGET_SECTIONS, Development, load_development, plain
from fieldcraft.project.work import Work

WHOLE = 2  # complexity from which on a learner uses all columns together


def baseline(work: Work) -> Json:
    """Fit every baseline on the training rows of each fold.

    Where some columns name files, such as photos, and others do not, models of all columns are
    fitted once more without those: files are worth their trouble only if they are better.
    """
    rows = load_development(work.inputs["split"], work.settings)
    wanted = [
        Baseline(catalogue.load("learners", name), rows, name) for name in rows.task.baselines
    ]
    without = plain(rows)
    if without is not None:
        wanted += [less(one, without) for one in wanted if one.learner.complexity >= WHOLE]
    found: Json = {}
    for number, one in enumerate(wanted):

        def tell(text: str, share: float | None, i: int = number) -> None:
            done = (i + (share or 0)) / len(wanted)
            work.progress(f"{wanted[i].title}: {text}", done)

        tell("fitting", None)
        about = fit_members(
            one.learner, one.learner.options(), one.rows, work.out / one.name,
            Effort(work.settings.train.seed, tell=tell), one.further,
        )  # fmt: skip
        found[one.name] = {"members": about["members"], "seconds": about["seconds"]}
    return found


@dataclass(frozen=True)
class Baseline:
    """A learner to be fitted as a baseline.

    Attributes:
        learner: the learner.
        rows: that it is fitted on.
        name: of its folder.
        further: entries of its ``model.json``.
    """

    learner: Learner
    rows: Development
    name: str
    further: Json = field(default_factory=dict)

    @property
    def title(self) -> str:
        """How it is called where people read."""
        return str(self.further.get("title", self.learner.title))


def less(one: Baseline, rows: Development) -> Baseline:
    """A baseline on the same rows with fewer columns."""
    names = [column.name for column in rows.schema.columns]
    left_out = sorted({f"{c.kind}s" for c in one.rows.schema.columns if c.name not in names})
    title = f"{one.learner.title} without {joined(left_out)}"
    return Baseline(one.learner, rows, f"{one.name}-plain", {"title": title, "columns": names})


STAGE = Stage(
    "baseline",
    "Train the baselines: what any model must beat.",
    baseline,
    sections=(*TARGET_SECTIONS, "data", "clean", "model.kinds", "train.seed"),
    version=8,
)
