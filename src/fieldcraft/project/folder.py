"""Where everything of a project lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fieldcraft.core.errors import ProjectError
from fieldcraft.project import project_file
from fieldcraft.project.settings import ProjectSettings

KEY_PREFIX_LENGTH = 16  # characters of a key in a folder's name


@dataclass(frozen=True)
class ProjectFolder:
    """The folder of a project.

    ::

        fieldcraft.yaml       the project file
        ledger.sqlite         the evidence
        report.html           the report, from the evidence
        bundle/               the champion, ready to deploy
        runs/<stage>/<key>/   what each stage made, by the digest of its inputs
        retrain/<key>/        rows that a challenger learned from

    Attributes:
        root: the folder.
        trial_file: a project file that is tried in place of the project's own.
    """

    root: Path
    trial_file: Path | None = None

    @classmethod
    def find(cls, start: Path) -> ProjectFolder:
        """The project whose folder this is, or lies above this folder.

        Raises:
            ProjectError: neither this folder nor one above it holds a project file.
        """
        for folder in (start.resolve(), *start.resolve().parents):
            if (folder / project_file.PROJECT_FILE_NAME).exists():
                return cls(folder)
        raise ProjectError(
            "there is no project here",
            detail=f"no {project_file.PROJECT_FILE_NAME} in {start.resolve()} or above it",
            hint="go to a project folder, pass --dir, or start one: "
            "fieldcraft run DATA --target COLUMN",
        )

    @property
    def file_path(self) -> Path:
        """The project file."""
        return self.trial_file or self.root / project_file.PROJECT_FILE_NAME

    @property
    def report_path(self) -> Path:
        """The report."""
        return self.root / "report.html"

    @property
    def bundle_path(self) -> Path:
        """The current bundle."""
        return self.root / "bundle"

    @property
    def ledger_path(self) -> Path:
        """The evidence."""
        return self.root / "ledger.sqlite"

    def load_settings(self) -> ProjectSettings:
        """What the project file says."""
        return project_file.load_settings(self.file_path)

    def run_folder(self, step: str, key: str) -> Path:
        """The folder of what a step made from the inputs of that key."""
        return self.root / "runs" / step / key[:KEY_PREFIX_LENGTH]

    def partial_folder(self, step: str, key: str) -> Path:
        """The folder of a step that is not finished yet; it survives a crash."""
        return self.root / "runs" / step / f"{key[:KEY_PREFIX_LENGTH]}.partial"
