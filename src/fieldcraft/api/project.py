"""A project from Python: the same steps as on the command line."""

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
    """A project folder: look at data, train, evaluate, package.

    Args:
        folder: of a project that is there already; `Project.create` starts a new one.

    Raises:
        ProjectError: the folder holds no project.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = ProjectFolder.find(Path(folder))

    @classmethod
    def create(
        cls, folder: str | Path, data: Any, target: str | Sequence[str], task: str | None = None
    ) -> Project:
        """Start a project from a file, or from a Polars or pandas frame.

        Args:
            folder: a new folder.
            data: path of a table, or a frame, which is written into the folder as Parquet.
            target: name of the column to predict, or several of yes and no, one a label.
            task: what the target asks, such as ``binary``; guessed if left out.

        Raises:
            ProjectError: the folder holds a project already.
            DataError: the table cannot be read, or has no such target.
        """
        project_folder = Path(folder)
        source = (
            data if isinstance(data, (str, Path)) else save_table(project_folder, to_polars(data))
        )
        targets = (target,) if isinstance(target, str) else tuple(target)
        init(InitRequest(project_folder, str(source), targets, task=task))
        return cls(project_folder)

    def run(self, until: str | None = None, fix: bool = False) -> ReportData:
        """Run every step that is not done; returns what the records now say.

        Raises:
            HeldError: a finding of severity "stop" is neither fixed nor accepted.
        """
        return _workflows.run_project(self.folder, _workflows.NullCallbacks(), until, fix)

    def evaluate_final(self, reopen_reason: str | None = None) -> ReportData:
        """Open the sealed test set, on the record; a second time only with a reason.

        Raises:
            SealError: the test set was opened before and no reason is given.
        """
        return _workflows.run_final_evaluation(
            self.folder, _workflows.NullCallbacks(), reopen_reason
        )

    def findings(self) -> list[Finding]:
        """What the audit found, the worst first."""
        return _workflows.load_latest_report_data(self.folder).findings

    def bundle(self) -> Bundle:
        """The current bundle, ready to predict.

        Raises:
            BundleError: there is none yet, or it was changed.
        """
        return load_bundle(self.folder.bundle_path)

    def predict(self, rows: Any) -> pl.DataFrame:
        """Predictions of the current bundle for a Polars or pandas frame."""
        return self.bundle().predict(rows)

    def retrain(self, data: Any = None, log: str | Path | None = None, reason: str = "") -> Json:
        """Train a challenger on old and new rows; it is promoted only if it is better.

        Args:
            data: labelled rows, a path or a frame; if left out those of the prediction log that
                labels were joined to, and those that the project's own table has gained.
            log: folder of the prediction log; the one that is watched if left out.
            reason: the reason, for the record.

        Returns:
            The ``outcome``, the ``reasons`` and the ``gates``: see docs/retrain.md.

        Raises:
            DataError: the rows cannot be read, or do not fit.
        """
        with tempfile.TemporaryDirectory() as temporary_folder:
            source = None if data is None else str(data)
            if source is not None and not isinstance(data, (str, Path)):
                source = str(save_table(Path(temporary_folder), to_polars(data)))
            options = {"rows": source, "log": None if log is None else str(log), "why": reason}
            return _workflows.retrain_project(self.folder, _workflows.NullCallbacks(), options)

    def rollback(self, to: str | None = None, reason: str = "") -> Json:
        """Make the bundle that was there before the current one again.

        Args:
            to: how the id of the version begins, if it is another.
            reason: the reason, for the record.

        Raises:
            ProjectError: there is no such version.
        """
        return _workflows.rollback_project(self.folder, to, reason)

    def log(self) -> list[Json]:
        """Every entry of the ledger, oldest first."""
        return _workflows.list_ledger_entries(self.folder)

    def verify(self) -> int:
        """Check the chain of evidence; returns how many entries it has.

        Raises:
            LedgerError: an entry or a run folder was changed.
        """
        _workflows.verify_run_folders(self.folder)
        return Ledger(self.folder.ledger_path).verify()


def save_table(folder: Path, frame: pl.DataFrame) -> Path:
    """Write a frame into a project folder, so that the project can be run again."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "data.parquet"
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".tmp", delete=False) as stream:
        temp_path = Path(stream.name)
    frame.write_parquet(temp_path)
    return temp_path.replace(path)
