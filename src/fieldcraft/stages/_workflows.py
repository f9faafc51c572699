"""The workflows behind the commands and the Python API: run, report, retrain, roll back."""

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
    """Run callbacks that do nothing."""

    def on_step_start(self, step: str) -> None:
        """A step starts."""

    def on_progress(self, step: str, message: str, fraction: float | None) -> None:
        """A step reports progress."""

    def on_epoch_end(self, step: str, epoch: int, metrics: Mapping[str, float]) -> bool:
        """A training has finished an epoch, and goes on."""
        return False

    def is_cancelled(self) -> bool:
        """The run goes on."""
        return False

    def on_step_end(self, step: str, seconds: float, summary: Json) -> None:
        """A step has finished."""

    def on_step_skip(self, step: str) -> None:
        """A step is up to date."""

    def on_fix(self, finding: Finding) -> None:
        """A finding was fixed in the project file."""


def run_project(
    project: ProjectFolder,
    callbacks: _pipeline.RunCallbacks,
    until: str | None = None,
    fix: bool = False,
) -> ReportData:
    """Run all steps that are not up to date, publish the champion, and write the report."""
    return publish_run(project, _pipeline.run_steps(project, callbacks, until, fix))


def publish_run(project: ProjectFolder, result: _pipeline.RunResult) -> ReportData:
    """Publish the champion of a run that packaged one, and write the report."""
    if "package" in result.summaries:
        _versions.publish(project, result.folders, "run")
    return write_reports(project, result.folders)


def write_reports(project: ProjectFolder, folders: Mapping[str, Path]) -> ReportData:
    """Write the report, and the model card of the current bundle, from the results of steps."""
    # The report needs packages of the extra `train`; other workflows must work without them.
    from fieldcraft.report import card, project_report

    report_data = load_report_data(project, folders)
    if report_data.package:
        card.update_model_card(project.bundle_path, report_data)
    project_report.write_report(project.report_path, report_data)
    return report_data


def run_final_evaluation(
    project: ProjectFolder, callbacks: _pipeline.RunCallbacks, reopen_reason: str | None
) -> ReportData:
    """Evaluate the current bundle on the sealed test set, then update report and model card.

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
    """Train a challenger; if it is promoted, publish it and update report and model card.

    Args:
        project: the project.
        callbacks: notified of progress.
        options: ``log``, ``data``, ``reason`` and ``force``, see `retrain.RetrainRequest`.
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
    """Make an earlier bundle the current one again, then write the report."""
    result = _versions.rollback(project, to, reason)
    write_reports(project, result.pop("folders"))
    return result


def list_versions(project: ProjectFolder) -> list[Json]:
    """The published bundles with their times, oldest first."""
    return [{"at": entry.created_at, **entry.body} for entry in _versions.list_versions(project)]


def reproduce_project(project: ProjectFolder, callbacks: _pipeline.RunCallbacks) -> list[Json]:
    """Run a copy of the project and compare the results."""
    extras.require_extra("train")
    return _reproduce.reproduce(project, callbacks)


def load_latest_report_data(project: ProjectFolder) -> ReportData:
    """The report data of the last run of each step."""
    return load_report_data(project, _pipeline.latest_folders(project))


def list_ledger_entries(project: ProjectFolder) -> list[Json]:
    """All entries of the ledger, oldest first."""
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
    """Compare the run folders with the digests in the ledger; returns the number of folders.

    Raises:
        LedgerError: a file of a run was changed after it was recorded.
    """
    n_verified = 0
    for entry in Ledger(project.ledger_path).entries(kind="step_completed"):
        folder = project.run_folder(entry.stage, entry.key)
        if not folder.exists():  # users may delete old runs to free disk space
            continue
        folder_digest = digest.of_json(digest.of_folder(folder))
        if folder_digest != entry.body["folder_digest"]:
            raise LedgerError(
                "a run folder differs from its record in the ledger",
                detail=f"{folder.relative_to(project.root)}, entry {entry.number}",
                hint="delete that folder and run again, or restore it from a backup",
            )
        n_verified += 1
    return n_verified
