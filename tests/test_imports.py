"""Importing is fast and loads no heavy library."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from statistics import median

import pytest

HEAVY = ("torch", "pandas", "sklearn", "polars", "numpy", "onnxruntime", "pydantic", "lightgbm")
PRINT_LOADED = "import sys, json; print(json.dumps([m for m in {heavy} if m in sys.modules]))"


@pytest.mark.parametrize(
    "code",
    [
        "import fieldcraft",
        "import fieldcraft.cli.app",
        "from fieldcraft.core import catalog; catalog.list_plugins('kinds')",
    ],
)
def test_nothing_heavy_is_loaded(code: str) -> None:
    line = f"{code}; {PRINT_LOADED.format(heavy=HEAVY)}"
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_a_bundle_is_loaded_without_training_libraries() -> None:
    heavy = ("torch", "pandas", "sklearn", "lightgbm", "fieldcraft.fit", "altair")
    line = f"import fieldcraft; fieldcraft.load_bundle; {PRINT_LOADED.format(heavy=heavy)}"
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def measure_seconds(*arguments: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
    return time.perf_counter() - start


def test_help_takes_little_longer_than_importing_typer() -> None:
    fieldcraft_seconds, typer_seconds = [], []
    for _ in range(5):  # in turn, so that a slow moment of the machine hits both
        fieldcraft_seconds.append(measure_seconds("-m", "fieldcraft", "--help"))
        typer_seconds.append(measure_seconds("-c", "import typer"))
    assert median(fieldcraft_seconds) < 2.5 * median(typer_seconds)


def test_an_unknown_name_is_an_error_with_the_public_names() -> None:
    import fieldcraft

    with pytest.raises(AttributeError, match="load_bundle"):
        _ = fieldcraft.load_bundel
