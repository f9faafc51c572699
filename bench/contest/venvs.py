"""The peers' environments: they do not go together in one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REQUIREMENTS_FOLDER = Path(__file__).parents[1] / "peers"
TORCH = "torch=="


def python_of(folder: Path, name: str) -> Path:
    """The interpreter of an environment."""
    return folder / name / "bin" / "python"


def create_environments(folder: Path) -> None:
    """Make every environment that is not there, or not by the present list of versions.

    The lists are complete, so nothing is resolved: fastai asks for torchvision, which does not
    import beside a CPU-only torch and which its part for tables does not use. Only torch comes
    with what it needs on this machine, by plain pip.
    """
    for requirements_file in sorted(REQUIREMENTS_FOLDER.glob("*.txt")):
        place = folder / requirements_file.stem
        ready = place / "ready.txt"
        listed = requirements_file.read_text(encoding="utf-8")
        if ready.exists() and ready.read_text(encoding="utf-8") == listed:
            print(f"{requirements_file.stem}: there already", flush=True)
            continue
        print(f"{requirements_file.stem}: installing", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
        pip = [str(python_of(folder, requirements_file.stem)), "-m", "pip", "install", "--quiet"]
        torch = [line for line in listed.splitlines() if line.startswith(TORCH)]
        if torch:
            subprocess.run([*pip, *torch], check=True)
        subprocess.run([*pip, "--no-deps", "--requirement", str(requirements_file)], check=True)
        ready.write_text(listed, encoding="utf-8")
