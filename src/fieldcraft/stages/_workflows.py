"""What the commands and the Python face do with the plan: run it, deliver, open the seal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fieldcraft.core import digest, extras
from fieldcraft.core.errors import LedgerError, SealError
from fieldcraft.core.types import Json
from fieldcraft.ledger.records import Finding
from fieldcraft.ledger.store import Ledger
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.report.report_data import ReportData, load_report_data
from fieldcraft.stages import _pipeline, _reproduce, _seal, _versions, retrain


class NullCallbacks:
    """A watcher that lets a run go on unseen."""

    def on_step_start(self, step: str) -> None:
        """A step begins."""

    def on_progress(self, step: str, message: str, fraction: float | None) -> None:
        """A step says how far it is."""

    def on_step_end(self, step: str, seconds: float, summary: Json) -> None:
        """A step is done."""

    def on_step_skip(self, step: str) -> None:
        """A step was done already."""

    def on_fix(self, finding: Finding) -> None:
        """A finding was mended in the project file."""


def run_project(
    project: ProjectFolder,
    callbacks: _pipeline.RunCallbacks,
    until: str | None = None,
    fix: bool = False,
) -> ReportData:
    """Run what is not done, make the champion the current bundle, and write the report."""
    extras.require_extra("train")
    result = _pipeline.run_steps(project, callbacks, until, fix)
    if "package" in result.summaries:
        _versions.publish(project, result.folders, "run")
    return write_reports(project, result.folders)


def write_reports(project: ProjectFolder, folders: Mapping[str, Path]) -> ReportData:
    """Tell the story of some steps in the report, and in the model card of the bundle."""

    # The report needs what only the extra `train` brings; looking at a project does not.
    from fieldcraft.report import card, project_report

    report_data = load_report_data(project, folders)
    if report_data.package:
        card.update_model_card(project.bundle_path, report_data)
    project_report.write_report(project.report_path, report_data)
    return report_data


def run_final_evaluation(
    project: ProjectFolder, callbacks: _pipeline.RunCallbacks, reopen_reason: str | None
) -> ReportData:
    """Open the sealed test set for the current bundle; report and model card tell of it.

    Raises:
        SealError: the test set was opened before and no reason is given.
    """
    report_data = run_project(project, callbacks)
    if not project.bundle_path.is_dir():
        raise SealError(
            "there is no model to evaluate",
            detail=f"no bundle in {project.root}",
            hint="make one with: fieldcraft run",
        )
    _seal.open_seal(project, report_data.folders["split"], reopen_reason)
    return write_reports(project, report_data.folders)


def retrain_project(
    project: ProjectFolder, callbacks: _pipeline.RunCallbacks, options: Mapping[str, Any]
) -> Json:
    """Train a challenger; where it is promoted, the report and the model card tell of it.

    Args:
        project: the project.
        callbacks: told how the training goes.
        options: ``log``, ``rows``, ``why`` and ``anyway``: see `retrain.Request`.
    """
    extras.require_extra("train")

    def publish(folders: Mapping[str, Path], reason: str) -> None:
        _versions.publish(project, folders, "retrain", reason)
        write_reports(project, folders)

    def train(trial_project: ProjectFolder) -> Mapping[str, Path]:
        return _pipeline.run_steps(trial_project, callbacks).folders

    return retrain.retrain(
        retrain.RetrainRequest(project, train, publish, _versions.get_user(), **options)
    )


def rollback_project(project: ProjectFolder, to: str | None, reason: str) -> Json:
    """Make an earlier bundle the current one again; the report is written afterwards."""
    result = _versions.rollback(project, to, reason)
    write_reports(project, result.pop("folders"))
    return result


def list_versions(project: ProjectFolder) -> list[Json]:
    """Each time that a bundle became the current one, oldest first."""
    return [{"at": entry.created_at, **entry.body} for entry in _versions.list_versions(project)]


def reproduce_project(project: ProjectFolder, callbacks: _pipeline.RunCallbacks) -> list[Json]:
    """Do the whole run over again in a folder of its own, and compare what comes out."""
    extras.require_extra("train")
    return _reproduce.reproduce(project, callbacks)


def load_latest_report_data(project: ProjectFolder) -> ReportData:
    """The story of the steps that are done, as they were done last."""
    return load_report_data(project, _pipeline.latest_folders(project))


def list_ledger_entries(project: ProjectFolder) -> list[Json]:
    """Every entry of the ledger, oldest first."""
    return [
        {
            "number": entry.number,
            "at": entry.created_at,
            "kind": entry.kind,
            "stage": entry.stage,
            "body": dict(entry.body),
        }
        for entry in Ledger(project.ledger_path).entries()
    ]


def verify_run_folders(project: ProjectFolder) -> int:
    """Compare the run folders with the digests in the ledger; returns how many there are.

    Raises:
        LedgerError: a file of a run was changed after it was recorded.
    """
    checked = 0
    for entry in Ledger(project.ledger_path).entries(kind="done"):
        folder = project.run_folder(entry.stage, entry.key)
        if not folder.exists():
            continue
        folder_digest = digest.of_json(digest.of_folder(folder))
        if folder_digest != entry.body["folder"]:
            raise LedgerError(
                "a run folder is not what the ledger recorded",
                detail=f"{folder.relative_to(project.root)}, entry {entry.number}",
                hint="delete that folder and run again, or restore it from a copy",
            )
        checked += 1
    return checked
