"""The commands as a user types them: what they print, and how they fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from fieldcraft.cli import app
from fieldcraft.project.folder import ProjectFolder
from tests.conftest import mixed_table

RunCommand = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> RunCommand:
    """Run a command line in this process; returns exit code, standard output and error."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fieldcraft", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_info:
            app.main()
        code = exit_info.value.code
        captured = capsys.readouterr()
        return int(code or 0), captured.out, captured.err

    return run


def test_status_fits_the_terminal(run_command: RunCommand, finished_project: ProjectFolder) -> None:
    code, out, _ = run_command("status", "--dir", finished_project.root)
    assert code == 0
    assert "ROC AUC" in out
    assert "Sealed: 36 test rows have never been used." in " ".join(out.split())
    assert "95 % interval" in out
    assert len(out.splitlines()) < 30
    assert max(map(len, out.splitlines())) <= 80


def test_json_is_one_value_on_standard_output(
    run_command: RunCommand, finished_project: ProjectFolder
) -> None:
    code, out, err = run_command("run", "--dir", finished_project.root, "--json")
    output = json.loads(out)
    assert code == 0
    assert err == ""
    assert output["champion"] in {model["name"] for model in output["models"]}
    assert output["row_counts"] == {"cv": 204, "test": 36}


def test_a_new_project_is_made_and_audited(
    run_command: RunCommand, csv_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "new"
    code, out, _ = run_command(
        "run", csv_path, "--target", "bought", "--dir", folder, "--until", "audit"
    )
    assert code == 0
    assert (folder / "fieldcraft.yaml").exists()
    assert (folder / "report.html").exists()
    assert "key is an identifier" not in out  # an info is not the first thing to print
    code, out, _ = run_command("audit", "--dir", folder)
    assert "key is an identifier" in out


def test_init_only_writes_the_file(run_command: RunCommand, csv_path: Path, tmp_path: Path) -> None:
    code, out, _ = run_command("init", csv_path, "--target", "bought", "--dir", tmp_path / "new")
    assert code == 0
    assert "predict bought (binary)" in out
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["fieldcraft.yaml"]


def test_predict_inside_a_project_needs_no_bundle(
    run_command: RunCommand,
    finished_project: ProjectFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = mixed_table(30, seed=3)
    rows.write_csv(tmp_path / "rows.csv")
    monkeypatch.chdir(finished_project.root)
    code, out, _ = run_command("predict", tmp_path / "rows.csv", "-o", tmp_path / "a.csv")
    assert code == 0
    assert "30 predictions" in out
    code, _, _ = run_command(
        "predict", "bundle", tmp_path / "rows.csv", "-o", tmp_path / "b.parquet"
    )
    assert pl.read_csv(tmp_path / "a.csv")["prediction"].to_list() == (
        pl.read_parquet(tmp_path / "b.parquet")["prediction"].to_list()
    )


def test_verify_passes_on_an_untouched_project(
    run_command: RunCommand, finished_project: ProjectFolder
) -> None:
    code, out, _ = run_command("verify", "--dir", finished_project.root)
    assert code == 0
    assert "hash chain intact" in out
    assert "all checksums match" in out


def test_verify_notices_a_changed_run_folder(
    run_command: RunCommand, finished_project: ProjectFolder
) -> None:
    path = next(finished_project.root.glob("runs/evaluate/*/evaluation.json"))
    path.write_text(path.read_text(encoding="utf-8").replace("0.", "1.", 1), encoding="utf-8")
    code, _, err = run_command("verify", "--dir", finished_project.root)
    assert code == 2
    assert "differs from its record in the ledger" in " ".join(err.split())


def test_log_prints_every_entry(run_command: RunCommand, finished_project: ProjectFolder) -> None:
    _, out, _ = run_command("log", "--dir", finished_project.root)
    assert "completed in" in out
    assert "roc_auc" in out
    entries = json.loads(run_command("log", "--dir", finished_project.root, "--json")[1])
    assert [entry["number"] for entry in entries] == list(range(1, len(entries) + 1))


def test_final_evaluation_is_refused_the_second_time(
    run_command: RunCommand, finished_project: ProjectFolder
) -> None:
    code, out, _ = run_command("evaluate", "--final", "--dir", finished_project.root)
    assert code == 0
    assert "Sealed test set: ROC AUC" in out
    code, _, err = run_command("evaluate", "--final", "--dir", finished_project.root)
    assert code == 2
    assert "opened before" in err
    assert "--reopen" in err


@pytest.mark.parametrize(
    ("arguments", "what", "hint"),
    [
        (["run", "nothing.csv", "--target", "y"], "no file", "path"),
        (["run", "{csv}"], "no target given", "pass --target"),
        (["run", "{csv}", "--target", "bouhgt"], "no column 'bouhgt'", "did you mean 'bought'?"),
        (["run", "{csv}", "--target", "bought", "--task", "binari"], "no task", "'binary'"),
        (["run", "{csv}", "--target", "bought", "--budget", "soon"], "budget", "90s, 5m or 1h"),
        (["run"], "no project here", "fieldcraft run DATA --target"),
        (["status"], "no project here", "--dir"),
        (["predict", "nowhere", "{csv}"], "no bundle here", "fieldcraft run"),
        (["evaluate", "--final"], "no project here", "--dir"),
    ],
)
def test_an_error_says_what_is_wrong_with_a_hint(
    run_command: RunCommand,
    csv_path: Path,
    arguments: list[str],
    what: str,
    hint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run_command(*(a.format(csv=csv_path) for a in arguments))
    words = " ".join(err.split())
    assert code == 2
    assert out == ""
    assert what in words
    assert hint in words
    assert "Traceback" not in words


def test_a_folder_with_other_things_in_it_is_left_alone(
    run_command: RunCommand, csv_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.txt").write_text("precious", encoding="utf-8")
    code, _, err = run_command("run", csv_path, "--target", "bought", "--dir", tmp_path / "papers")
    assert code == 2
    assert "thesis.txt" in err
    assert [path.name for path in (tmp_path / "papers").iterdir()] == ["thesis.txt"]


def test_a_project_on_other_data_is_refused(
    run_command: RunCommand, csv_path: Path, finished_project: ProjectFolder
) -> None:
    code, _, err = run_command("run", csv_path, "--target", "city", "--dir", finished_project.root)
    assert code == 2
    assert "other data" in err


def test_a_full_disk_is_one_clear_line(
    run_command: RunCommand, finished_project: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raise_disk_full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "/data/x")

    monkeypatch.setattr("fieldcraft.stages._workflows.load_latest_report_data", raise_disk_full)
    code, _, err = run_command("status", "--dir", finished_project.root)
    assert code == 2
    assert "No space left on device" in err
    assert "free some space" in err


def test_an_interruption_says_how_to_resume(
    run_command: RunCommand, finished_project: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fieldcraft.stages._workflows.load_latest_report_data", interrupt)
    code, _, err = run_command("status", "--dir", finished_project.root)
    assert code == 130
    assert "run the same command again" in err


def test_a_live_line_is_drawn_on_a_terminal_and_cleared(finished_project: ProjectFolder) -> None:
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": "80", "TERM": "xterm"}
    done = subprocess.run(
        [sys.executable, "-m", "fieldcraft", "run", "--dir", finished_project.root],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert "up to date" in done.stderr
    assert "Sealed" in done.stdout


@pytest.mark.parametrize("name", app.SUMMARIES)
def test_the_summary_in_the_list_is_that_of_the_command(name: str) -> None:
    command = app.LazyCommands(name="fieldcraft").get_command(None, name)
    assert command.help.splitlines()[0] == app.SUMMARIES[name]


@pytest.mark.parametrize("name", app.SUMMARIES)
def test_help_of_a_command_is_plain_text_with_whole_option_names(
    run_command: RunCommand, name: str
) -> None:
    code, out, _ = run_command(name, "--help")
    options = [
        option
        for parameter in app.LazyCommands(name="fieldcraft").get_command(None, name).params
        for option in parameter.opts
    ]
    assert code == 0
    assert all(option in out for option in options)
    assert max(map(len, out.splitlines())) <= 80
    assert "│" not in out


def test_every_command_has_a_module() -> None:
    assert sorted(app.SUMMARIES) == sorted(n for names in app.MODULES.values() for n in names)


def test_run_shows_goal_and_limits_in_the_plan_of_a_new_project(
    run_command: RunCommand, csv_path: Path, tmp_path: Path
) -> None:
    code, out, _ = run_command(
        "run", csv_path, "--target", "bought", "--dir", tmp_path / "p", "--dry-run",
        "--goal", "roc_auc >= 0.8", "--max-latency-ms", 20, "--max-size-mb", 50,
    )  # fmt: skip
    assert code == 0
    assert "ensemble the models" in out
    assert not (tmp_path / "p").exists()
