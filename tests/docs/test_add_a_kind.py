"""The page on kinds is true: its package is written, and trained and predicted with."""

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
    """A folder of packages with the one of the page, as pip would install it."""
    project = tomllib.loads(find_code_block("toml"))["project"]
    (points,) = project["entry-points"].values()
    (module,) = points.values()
    place = tmp_path / "site"
    about = place / f"{module}-{project['version']}.dist-info"
    about.mkdir(parents=True)
    (place / f"{module}.py").write_text(find_code_block("python"), "utf-8")
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n", "utf-8"
    )
    lines = [f"{name} = {value}" for name, value in points.items()]
    (about / "entry_points.txt").write_text("\n".join(["[fieldcraft.kinds]", *lines]), "utf-8")
    return place


def test_a_table_with_a_new_kind_goes_all_the_way(site_packages: Path, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    parts = draw.integers(0, 256, (ROWS, 3))
    colours = [f"#{r:02X}{g:02x}{b:02x}" for r, g, b in parts]
    warm = np.where(parts[:, 0] > parts[:, 2], "warm", "cold")
    table = pl.DataFrame({"paint": colours, "litres": draw.random(ROWS).round(3), "mood": warm})
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
    assert "kind: colour" in (tmp_path / "p" / "fieldcraft.yaml").read_text("utf-8")
    by_name = {learner["name"]: learner["measures"]["roc_auc"]["value"] for learner in output["learners"]}
    assert min(by_name["linear"], by_name["lightgbm"], by_name["network"]) > 0.95
    fieldcraft("predict", "p/bundle", "t.csv", "-o", "out.csv")
    right = (pl.read_csv(tmp_path / "out.csv")["prediction"] == table["mood"]).to_numpy()
    assert right.mean() > 0.9
