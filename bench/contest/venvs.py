"""The environments of the peers, whose requirements conflict with each other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REQUIREMENTS_FOLDER = Path(__file__).parents[1] / "peers"
TORCH = "torch=="


def python_of(folder: Path, name: str) -> Path:
    """Return the Python interpreter of an environment."""
    return folder / name / "bin" / "python"


def create_environments(folder: Path) -> None:
    """Create every environment that is missing or made from other requirements.

    The requirements are complete and installed without dependency resolution: fastai requires
    torchvision, which its tabular part does not use, and which fails to import with a CPU-only
    torch. Only torch is installed with its dependencies.
    """
    for requirements_file in sorted(REQUIREMENTS_FOLDER.glob("*.txt")):
        environment = folder / requirements_file.stem
        marker = environment / "ready.txt"
        requirements = requirements_file.read_text(encoding="utf-8")
        if marker.exists() and marker.read_text(encoding="utf-8") == requirements:
            print(f"{requirements_file.stem}: up to date", flush=True)
            continue
        print(f"{requirements_file.stem}: installing", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(environment)], check=True)
        pip = [str(python_of(folder, requirements_file.stem)), "-m", "pip", "install", "--quiet"]
        torch = [line for line in requirements.splitlines() if line.startswith(TORCH)]
        if torch:
            subprocess.run([*pip, *torch], check=True)
        subprocess.run([*pip, "--no-deps", "--requirement", str(requirements_file)], check=True)
        marker.write_text(requirements, encoding="utf-8")
