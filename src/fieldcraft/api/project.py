"""The Python API of a project: the operations of the command line as methods."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.core.types import Json
from fieldcraft.data.dataframes import to_polars
from fieldcraft.ledger.records import Finding
from fieldcraft.ledger.store import Ledger
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.report.report_data import ReportData
from fieldcraft.stages import _workflows
from fieldcraft.stages.init import InitRequest, init


class Project:
    """A project folder: audit data, train, evaluate, package, predict.

    Args:
        folder: of an existing project; `Project.create` makes a new one.

    Raises:
        ProjectError: the folder holds no project.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = ProjectFolder.find(Path(folder))

    @classmethod
    def create(
        cls, folder: str | Path, data: Any, target: str | Sequence[str], task: str | None = None
    ) -> Project:
        """Create a project from a file, or from a Polars or pandas frame.

        Args:
            folder: a new folder.
            data: path of a table, or a frame, which is written to the folder as Parquet.
            target: name of the target column; or names of boolean columns, one for each label.
            task: such as ``binary``; inferred by default.

        Raises:
            ProjectError: the folder holds a project already.
            DataError: the table cannot be read, or has no such column.
        """
        project_folder = Path(folder)
        source = (
            data if isinstance(data, (str, Path)) else save_table(project_folder, to_polars(data))
        )
        targets = (target,) if isinstance(target, str) else tuple(target)
        init(InitRequest(project_folder, str(source), targets, task=task))
        return cls(project_folder)

    def run(self, until: str | None = None, fix: bool = False) -> ReportData:
        """Run every step that is not up to date and return the records of the project.

        Raises:
            BlockedByFindingsError: a finding of severity "error" is neither fixed nor accepted.
        """
        return _workflows.run_project(self.folder, _workflows.NullCallbacks(), until, fix)

    def evaluate_final(self, reopen_reason: str | None = None) -> ReportData:
        """Evaluate on the sealed test set and record it; a second time only with a reason.

        Raises:
            SealError: the test set was opened before and no reason is given.
        """
        return _workflows.run_final_evaluation(
            self.folder, _workflows.NullCallbacks(), reopen_reason
        )

    def findings(self) -> list[Finding]:
        """Findings of the audit, the most severe first."""
        return _workflows.load_latest_report_data(self.folder).findings

    def bundle(self) -> Bundle:
        """The current bundle, ready to predict.

        Raises:
            BundleError: there is none yet, or its files were changed.
        """
        return load_bundle(self.folder.bundle_path)

    def predict(self, rows: Any) -> pl.DataFrame:
        """Predictions of the current bundle for a Polars or pandas frame."""
        return self.bundle().predict(rows)

    def retrain(
        self,
        data: Any = None,
        log: str | Path | None = None,
        reason: str = "",
        force: bool = False,
    ) -> Json:
        """Train a challenger on old and new rows; promote it only if it is better.

        Args:
            data: labeled rows, a path or a frame; by default rows of the prediction log with
                feedback, and rows added to the project's own table.
            log: prediction log folder; by default the monitored one.
            reason: kept in the ledger.
            force: train despite data-quality alerts or too few new rows.

        Returns:
            The ``outcome``, the ``reasons`` and the ``gates``: see docs/retrain.md.

        Raises:
            DataError: the rows cannot be read, or do not fit.
        """
        with tempfile.TemporaryDirectory() as temporary_folder:
            source = None if data is None else str(data)
            if source is not None and not isinstance(data, (str, Path)):
                source = str(save_table(Path(temporary_folder), to_polars(data)))
            options = {
                "data": source,
                "log": None if log is None else str(log),
                "reason": reason,
                "force": force,
            }
            return _workflows.retrain_project(self.folder, _workflows.NullCallbacks(), options)

    def rollback(self, to: str | None = None, reason: str = "") -> Json:
        """Make the previous bundle the current one again.

        Args:
            to: prefix of a model id, for another version.
            reason: kept in the ledger.

        Raises:
            ProjectError: there is no such version.
        """
        return _workflows.rollback_project(self.folder, to, reason)

    def log(self) -> list[Json]:
        """Every ledger entry, oldest first."""
        return _workflows.list_ledger_entries(self.folder)

    def verify(self) -> int:
        """Check the hash chain of the ledger and the run folders; return the number of entries.

        Raises:
            LedgerError: an entry or a run folder was changed.
        """
        _workflows.verify_run_folders(self.folder)
        return Ledger(self.folder.ledger_path).verify()


def save_table(folder: Path, frame: pl.DataFrame) -> Path:
    """Write a frame to a project folder, atomically, so that the project can run again."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "data.parquet"
    # Renamed when it is complete: a crash must not leave a partial table under the final name.
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".tmp", delete=False) as stream:
        temp_path = Path(stream.name)
    frame.write_parquet(temp_path)
    return temp_path.replace(path)
