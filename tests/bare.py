"""Environments that hold what some extras of Fieldcraft bring, and nothing else."""

from __future__ import annotations

import venv
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import fieldcraft


def packages(*extras: str) -> set[str]:
    """Everything that `pip install fieldcraft[...]` brings."""
    waiting, found = ["fieldcraft"], set[str]()
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found:
            continue
        found.add(name)
        needed = [Requirement(line) for line in distribution(name).requires or []]
        chosen = ("", *extras) if name == "fieldcraft" else ("",)
        waiting += [
            r.name
            for r in needed
            if not r.marker or any(r.marker.evaluate({"extra": extra}) for extra in chosen)
        ]
    return found


def bare_environment(folder: Path, *extras: str) -> Path:
    """A virtual environment with the core dependencies, those of some extras and nothing else."""
    venv.create(folder, symlinks=True, with_pip=False)
    site = next(folder.glob("lib/python*/site-packages"))
    for name in packages(*extras) - {"fieldcraft"}:
        found = distribution(name)
        for top in {Path(str(file)).parts[0] for file in found.files or []} - {"..", "__pycache__"}:
            link = site / top
            if not link.exists():
                link.symlink_to(Path(str(found.locate_file(top))))
    (site / "fieldcraft.pth").write_text(str(Path(fieldcraft.__file__).parents[1]))
    return folder / "bin" / "python"
