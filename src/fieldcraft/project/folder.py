"""Where everything of a project lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fieldcraft.core.errors import ProjectError
from fieldcraft.project import file
from fieldcraft.project.settings import Settings

KEY_SHOWN = 16  # characters of a key in a folder's name


@dataclass(frozen=True)
class Folder:
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
        trial: a project file that is tried in place of the project's own.
    """

    root: Path
    trial: Path | None = None

    @classmethod
    def find(cls, start: Path) -> Folder:
        """The project whose folder this is, or lies above this folder.

        Raises:
            ProjectError: neither this folder nor one above it holds a project file.
        """
        for folder in (start.resolve(), *start.resolve().parents):
            if (folder / file.NAME).exists():
                return cls(folder)
        raise ProjectError(
            "there is no project here",
            seen=f"no {file.NAME} in {start.resolve()} or above it",
            way_out="go to a project folder, pass --dir, or start one: "
            "fieldcraft run DATA --target COLUMN",
        )

    @property
    def file(self) -> Path:
        """The project file."""
        return self.trial or self.root / file.NAME

    @property
    def report(self) -> Path:
        """The report."""
        return self.root / "report.html"

    @property
    def bundle(self) -> Path:
        """The current bundle."""
        return self.root / "bundle"

    @property
    def ledger(self) -> Path:
        """The evidence."""
        return self.root / "ledger.sqlite"

    def settings(self) -> Settings:
        """What the project file says."""
        return file.load(self.file)

    def run(self, step: str, key: str) -> Path:
        """The folder of what a step made from the inputs of that key."""
        return self.root / "runs" / step / key[:KEY_SHOWN]

    def partial(self, step: str, key: str) -> Path:
        """The folder of a step that is not finished yet; it survives a crash."""
        return self.root / "runs" / step / f"{key[:KEY_SHOWN]}.partial"
