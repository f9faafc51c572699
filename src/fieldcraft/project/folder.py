"""The layout of a project folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fieldcraft.core.errors import ProjectError
from fieldcraft.project import project_file
from fieldcraft.project.settings import ProjectSettings

# Characters of a key in the name of a run folder: 64 bits, so that keys of one project never
# collide in practice and paths stay short.
KEY_PREFIX_LENGTH = 16


@dataclass(frozen=True)
class ProjectFolder:
    """The folder of a project.

    ::

        fieldcraft.yaml       the project file
        ledger.sqlite         the ledger: metrics, findings and decisions
        report.html           the report
        bundle/               the champion, ready to deploy
        runs/<step>/<key>/    the output of each step, by the digest of its inputs
        retrain/<key>/        training data of a challenger
        monitoring/           state and reports of `fieldcraft monitor`

    Attributes:
        root: the folder.
        trial_file: project file of a challenger, used in place of the project's own.
    """

    root: Path
    trial_file: Path | None = None

    @classmethod
    def find(cls, start: Path) -> ProjectFolder:
        """Find the project in a folder or in the nearest folder above it.

        Raises:
            ProjectError: there is no project file in any of these folders.
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
        """The HTML report."""
        return self.root / "report.html"

    @property
    def bundle_path(self) -> Path:
        """The current bundle."""
        return self.root / "bundle"

    @property
    def ledger_path(self) -> Path:
        """The ledger."""
        return self.root / "ledger.sqlite"

    def load_settings(self) -> ProjectSettings:
        """Read and check the project file."""
        return project_file.load_settings(self.file_path)

    def run_folder(self, step: str, key: str) -> Path:
        """Return the output folder of a step whose inputs have a key."""
        return self.root / "runs" / step / key[:KEY_PREFIX_LENGTH]

    def partial_folder(self, step: str, key: str) -> Path:
        """Return the folder of an unfinished step, which survives a crash so that it can resume."""
        return self.root / "runs" / step / f"{key[:KEY_PREFIX_LENGTH]}.partial"
