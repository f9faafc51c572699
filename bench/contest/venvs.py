"""The peers' environments: they do not go together in one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LISTS = Path(__file__).parents[1] / "peers"
TORCH = "torch=="


def python_of(folder: Path, name: str) -> Path:
    """The interpreter of an environment."""
    return folder / name / "bin" / "python"


def set_up(folder: Path) -> None:
    """Make every environment that is not there, or not by the present list of versions.

    The lists are complete, so nothing is resolved: fastai asks for torchvision, which does not
    import beside a CPU-only torch and which its part for tables does not use. Only torch comes
    with what it needs on this machine, by plain pip.
    """
    for wanted in sorted(LISTS.glob("*.txt")):
        place = folder / wanted.stem
        ready = place / "ready.txt"
        listed = wanted.read_text(encoding="utf-8")
        if ready.exists() and ready.read_text(encoding="utf-8") == listed:
            print(f"{wanted.stem}: there already", flush=True)
            continue
        print(f"{wanted.stem}: installing", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
        pip = [str(python_of(folder, wanted.stem)), "-m", "pip", "install", "--quiet"]
        torch = [line for line in listed.splitlines() if line.startswith(TORCH)]
        if torch:
            subprocess.run([*pip, *torch], check=True)
        subprocess.run([*pip, "--no-deps", "--requirement", str(wanted)], check=True)
        ready.write_text(listed, encoding="utf-8")
