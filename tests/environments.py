"""Environments that hold what some extras of Fieldcraft bring, and nothing else."""

from __future__ import annotations

import venv
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import fieldcraft


def resolve_requirements(*extras: str) -> set[str]:
    """Everything that `pip install fieldcraft[...]` brings."""
    pending, names = ["fieldcraft"], set[str]()
    while pending:
        name = canonicalize_name(pending.pop())
        if name in names:
            continue
        names.add(name)
        needed = [Requirement(line) for line in distribution(name).requires or []]
        chosen = ("", *extras) if name == "fieldcraft" else ("",)
        pending += [
            r.name
            for r in needed
            if not r.marker or any(r.marker.evaluate({"extra": extra}) for extra in chosen)
        ]
    return names


def create_environment(folder: Path, *extras: str) -> Path:
    """A virtual environment with the core dependencies, those of some extras and nothing else."""
    venv.create(folder, symlinks=True, with_pip=False)
    site = next(folder.glob("lib/python*/site-packages"))
    for name in resolve_requirements(*extras) - {"fieldcraft"}:
        dist = distribution(name)
        for top in {Path(str(file)).parts[0] for file in dist.files or []} - {"..", "__pycache__"}:
            link = site / top
            if not link.exists():
                link.symlink_to(Path(str(dist.locate_file(top))))
    (site / "fieldcraft.pth").write_text(str(Path(fieldcraft.__file__).parents[1]))
    return folder / "bin" / "python"
