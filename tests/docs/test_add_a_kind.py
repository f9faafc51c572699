"""The package in docs/add-a-kind.md works: a project with it trains and predicts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import polars as pl
import pytest

DOCS_PAGE = Path(__file__).parents[2] / "docs" / "add-a-kind.md"
ROWS = 300


def find_code_block(language: str) -> str:
    (code,) = re.findall(rf"```{language}\n(.*?)```", DOCS_PAGE.read_text("utf-8"), flags=re.DOTALL)
    return str(code)


@pytest.fixture
def site_packages(tmp_path: Path) -> Path:
    """A folder with the package of the page, as pip would install it."""
    project = tomllib.loads(find_code_block("toml"))["project"]
    (points,) = project["entry-points"].values()
    (module,) = points.values()
    site = tmp_path / "site"
    metadata_folder = site / f"{module}-{project['version']}.dist-info"
    metadata_folder.mkdir(parents=True)
    (site / f"{module}.py").write_text(find_code_block("python"), "utf-8")
    (metadata_folder / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n", "utf-8"
    )
    lines = [f"{name} = {value}" for name, value in points.items()]
    (metadata_folder / "entry_points.txt").write_text(
        "\n".join(["[fieldcraft.kinds]", *lines]), "utf-8"
    )
    return site


def test_a_table_with_the_new_kind_trains_and_predicts(site_packages: Path, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    parts = draw.integers(0, 256, (ROWS, 3))
    colors = [f"#{r:02X}{g:02x}{b:02x}" for r, g, b in parts]
    warm = np.where(parts[:, 0] > parts[:, 2], "warm", "cold")
    table = pl.DataFrame({"paint": colors, "liters": draw.random(ROWS).round(3), "mood": warm})
    table[5, "paint"] = None
    table.write_csv(tmp_path / "t.csv")

    path = os.pathsep.join([str(site_packages), os.environ.get("PYTHONPATH", "")])

    def fieldcraft(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "fieldcraft", *words], cwd=tmp_path, text=True,
            capture_output=True, check=False, env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    output = json.loads(
        fieldcraft("run", "t.csv", "--target", "mood", "--dir", "p", "--budget", "2m", "--json")
    )
    assert "kind: color" in (tmp_path / "p" / "fieldcraft.yaml").read_text("utf-8")
    roc_auc = {m["name"]: m["metrics"]["roc_auc"]["value"] for m in output["models"]}
    assert min(roc_auc["linear"], roc_auc["lightgbm"], roc_auc["network"]) > 0.95
    fieldcraft("predict", "p/bundle", "t.csv", "-o", "out.csv")
    is_correct = (pl.read_csv(tmp_path / "out.csv")["prediction"] == table["mood"]).to_numpy()
    assert is_correct.mean() > 0.9
