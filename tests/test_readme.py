"""The commands and code blocks of the README run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from typer.testing import CliRunner

import fieldcraft
from fieldcraft.cli import app
from fieldcraft.project import project_file
from fieldcraft.project.folder import ProjectFolder

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
ROWS = 100  # of the demo tables, so that the default network trains in seconds


def find_code_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture(scope="module")
def readme_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a part of the demo tables, for the commands of the README."""
    folder = tmp_path_factory.mktemp("readme")
    cancer: Any = load_breast_cancer(as_frame=True)
    table = cancer.data.iloc[:ROWS, :6].round(4)
    table["diagnosis"] = cancer.target.map({0: "malignant", 1: "benign"})
    table.to_csv(folder / "breast_cancer.csv", index=False)
    diabetes: Any = load_diabetes(as_frame=True, scaled=False).frame
    diabetes.head(ROWS).rename(columns={"target": "progression"}).to_csv(
        folder / "diabetes.csv", index=False
    )
    return folder


def test_the_commands_run_one_after_the_other(readme_folder: Path) -> None:
    here = readme_folder
    lines = [line[2:] for block in find_code_blocks("console") for line in block.splitlines()]
    assert len(lines) > 5
    for line in lines:
        words = shlex.split(line)
        if words[0] == "cd":
            here = here / words[1]
            continue
        assert words[0] == "fieldcraft"
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=here, capture_output=True, text=True, check=False,
            env={**os.environ, "COLUMNS": "80"},
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    created = {path.name for path in (readme_folder / "diagnosis").iterdir()}
    assert {"fieldcraft.yaml", "report.html", "bundle", "ledger.sqlite", "runs"} <= created


def test_the_python_block_runs(
    readme_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(readme_folder)
    project, estimator = find_code_blocks("python")
    rows = pl.read_csv("diabetes.csv")
    exec(compile(project, "README.md", "exec"), {"rows": rows})
    assert "RMSE" in capsys.readouterr().out
    table = pl.read_csv("breast_cancer.csv")
    variables = {"fc": fieldcraft, "X": table.drop("diagnosis"), "y": table["diagnosis"]}
    exec(compile(estimator, "README.md", "exec"), variables)
    assert capsys.readouterr().out.count("[") > 3
    assert (readme_folder / "churn.bundle" / "manifest.json").exists()


def test_the_model_block_is_a_valid_section(project: ProjectFolder) -> None:
    (section,) = find_code_blocks("yaml")
    text = project.file_path.read_text(encoding="utf-8")
    start, end = text.index("model:"), text.index("train:")
    project.file_path.write_text(text[:start] + section + text[end:], encoding="utf-8")
    options = project_file.load_settings(project.file_path).model.learner_options()
    assert options == {"trunk": "mlp", "layers": [128, 64], "dropout": 0.3, "optimizer": "adam"}


def test_every_option_in_the_readme_exists() -> None:
    commands = re.findall(r"^(?:\$ )?fieldcraft (\w+)(.*)$", README, flags=re.MULTILINE)
    assert len(commands) > 10
    for command in {name for name, _ in commands}:
        help_text = CliRunner().invoke(app.app, [command, "--help"]).output
        used = {
            option
            for name, rest in commands
            if name == command
            for option in re.findall(r"(?<= )--?\w[\w-]*", rest.split("#")[0])
        }
        assert all(option in help_text for option in used), (command, used)


def test_every_linked_page_exists() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (Path(__file__).parents[1] / target).exists(), target


REPLAY_SCRIPT = Path(__file__).parents[1] / "examples" / "replay.py"
LOG_WRITE_SECONDS = 8.0  # the log is written every 5 seconds


def parse_command(line: str, port: int) -> list[str]:
    """A command line run by this Python, with a free port for the server."""
    words = shlex.split(line, comments=True)
    if words[0] == "fieldcraft":
        port_option = ["--port", str(port)] if words[1] == "serve" else []
        return [sys.executable, "-m", *(word for word in words if word != "&"), *port_option]
    assert words[0] == "python"
    return [sys.executable, *words[1:], "--address", f"http://127.0.0.1:{port}"]


def find_free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_the_loop_from_traffic_to_a_better_model(tmp_path: Path, shared_data: Path) -> None:
    for name in ("adult_train.parquet", "adult_test.parquet"):
        shutil.copy(shared_data / "tabular" / "adult" / name, tmp_path / name)
    shutil.copy(REPLAY_SCRIPT, tmp_path / "replay.py")
    [block] = find_code_blocks("sh")
    folder, results, servers = (
        tmp_path,
        list[tuple[str, int, str]](),
        list[subprocess.Popen[bytes]](),
    )
    port = find_free_port()
    try:
        for line in block.splitlines():
            if line.startswith("cd "):
                folder = folder / line[3:]
            elif line.endswith("&"):
                servers.append(subprocess.Popen(parse_command(line, port), cwd=folder))
            else:
                done = subprocess.run(
                    parse_command(line, port),
                    cwd=folder,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                results.append((line, done.returncode, done.stdout + done.stderr))
                time.sleep(LOG_WRITE_SECONDS if "replay" in line else 0)
    finally:
        for server in servers:
            server.terminate()
            server.wait(60)
    _, _, quiet, _, alarmed, labels, retrained, versions = results
    assert [code for _, code, _ in results[:4]] == [0] * 4, results
    assert "quiet" in quiet[2]
    assert alarmed[1] == 1, alarmed
    assert {"age", "hours_per_week", "probability_>50K"} <= {w[:-1] for w in alarmed[2].split()}
    assert labels[1] == 0, labels
    assert "new labels" in labels[2]
    promoted = "promoted: the challenger is the champion now" in retrained[2]
    assert promoted or "not promoted: the champion stays" in retrained[2], retrained
    assert retrained[1] == (0 if promoted else 1)
    assert versions[2].count("  by ") == 1 + promoted
