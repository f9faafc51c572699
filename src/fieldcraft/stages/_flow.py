"""What the commands and the Python face do with the plan: run it, deliver, open the seal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fieldcraft.contracts import Json
from fieldcraft.core import digest, optional
from fieldcraft.core.errors import LedgerError, SealError
from fieldcraft.evidence.ledger import Ledger
from fieldcraft.evidence.records import Finding
from fieldcraft.project.folder import Folder
from fieldcraft.report.story import Story, tell
from fieldcraft.stages import _plan, _reproduce, _seal, _versions, retrain
from fieldcraft.stages._plan import Planned, forecast

__all__ = ["Planned", "forecast"]


class Unwatched:
    """A watcher that lets a run go on unseen."""

    def started(self, step: str) -> None:
        """A step begins."""

    def said(self, step: str, text: str, share: float | None) -> None:
        """A step says how far it is."""

    def finished(self, step: str, seconds: float, summary: Json) -> None:
        """A step is done."""

    def skipped(self, step: str) -> None:
        """A step was done already."""

    def fixed(self, finding: Finding) -> None:
        """A finding was mended in the project file."""


def run_project(
    project: Folder, watcher: _plan.Watcher, until: str | None = None, fix: bool = False
) -> Story:
    """Run what is not done, make the champion the current bundle, and write the report."""
    optional.needs("train")
    outcome = _plan.run(project, watcher, until, fix)
    if "package" in outcome.summaries:
        _versions.publish(project, outcome.folders, "run")
    return write_up(project, outcome.folders)


def write_up(project: Folder, folders: Mapping[str, Path]) -> Story:
    """Tell the story of some steps in the report, and in the model card of the bundle."""

    # The report needs what only the extra `train` brings; looking at a project does not.
    from fieldcraft.report import card, html

    story = tell(project, folders)
    if story.package:
        card.refresh(project.bundle, story)
    html.write(project.report, story)
    return story


def final_evaluation(project: Folder, watcher: _plan.Watcher, again: str | None) -> Story:
    """Open the sealed test set for the current bundle; report and model card tell of it.

    Raises:
        SealError: the test set was opened before and no reason is given.
    """
    story = run_project(project, watcher)
    if not project.bundle.is_dir():
        raise SealError(
            "there is no model to evaluate",
            seen=f"no bundle in {project.root}",
            way_out="make one with: fieldcraft run",
        )
    _seal.open_seal(project, story.folders["split"], again)
    return write_up(project, story.folders)


def retrain_project(project: Folder, watcher: _plan.Watcher, asked: Mapping[str, Any]) -> Json:
    """Train a challenger; where it is promoted, the report and the model card tell of it.

    Args:
        project: the project.
        watcher: told how the training goes.
        asked: ``log``, ``rows``, ``why`` and ``anyway``: see `retrain.Request`.
    """
    optional.needs("train")

    def publish(folders: Mapping[str, Path], why: str) -> None:
        _versions.publish(project, folders, "retrain", why)
        write_up(project, folders)

    def train(trial: Folder) -> Mapping[str, Path]:
        return _plan.run(trial, watcher).folders

    return retrain.retrain(retrain.Request(project, train, publish, _versions.user(), **asked))


def rollback_project(project: Folder, to: str | None, why: str) -> Json:
    """Make an earlier bundle the current one again; the report is written afterwards."""
    found = _versions.rollback(project, to, why)
    write_up(project, found.pop("folders"))
    return found


def versions(project: Folder) -> list[Json]:
    """Each time that a bundle became the current one, oldest first."""
    return [{"at": entry.at, **entry.body} for entry in _versions.versions(project)]


def reproduce_project(project: Folder, watcher: _plan.Watcher) -> list[Json]:
    """Do the whole run over again in a folder of its own, and compare what comes out."""
    optional.needs("train")
    return _reproduce.reproduce(project, watcher)


def latest(project: Folder) -> Story:
    """The story of the steps that are done, as they were done last."""
    return tell(project, _plan.standing(project))


def log(project: Folder) -> list[Json]:
    """Every entry of the ledger, oldest first."""
    return [
        {"number": e.number, "at": e.at, "kind": e.kind, "stage": e.stage, "body": dict(e.body)}
        for e in Ledger(project.ledger).entries()
    ]


def verify_folders(project: Folder) -> int:
    """Compare the run folders with the digests in the ledger; returns how many there are.

    Raises:
        LedgerError: a file of a run was changed after it was recorded.
    """
    checked = 0
    for entry in Ledger(project.ledger).entries(kind="done"):
        folder = project.run(entry.stage, entry.key)
        if not folder.exists():
            continue
        found = digest.of_json(digest.of_folder(folder))
        if found != entry.body["folder"]:
            raise LedgerError(
                "a run folder is not what the ledger recorded",
                seen=f"{folder.relative_to(project.root)}, entry {entry.number}",
                way_out="delete that folder and run again, or restore it from a copy",
            )
        checked += 1
    return checked
