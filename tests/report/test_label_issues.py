"""Labels that contradict the champion are found by a run, kept as evidence and shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from fieldcraft.ledger.store import Ledger
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.report.label_issues import build_label_issues
from fieldcraft.report.project_report import render_report
from fieldcraft.report.report_data import ReportData
from fieldcraft.stages import _pipeline, _workflows
from tests.conftest import create_project, set_settings

ROWS = 1200


def make_tree_table(flipped: float) -> tuple[pl.DataFrame, set[int]]:
    """Trees that their leaves tell, some under another name; the lines of these."""
    draw = np.random.default_rng(4)
    kind = draw.integers(0, 3, ROWS)
    wrong = draw.random(ROWS) < flipped
    names = np.array(["ash", "<b>elm</b>", "oak"])
    cells = {
        "long": (3.0 * kind + draw.normal(0, 0.4, ROWS)).round(3),
        "wide": (2.0 * (kind == 1) + draw.normal(0, 0.3, ROWS)).round(3),
        "seen": [f"place {i % 7}" for i in range(ROWS)],
        "tree": names[(kind + wrong * draw.integers(1, 3, ROWS)) % 3],
    }
    return pl.DataFrame(cells), set((np.flatnonzero(wrong) + 1).tolist())


def run_on_trees(folder: Path, flipped: float) -> tuple[ReportData, set[int], ProjectFolder]:
    """The story of a run on such trees, up to the evaluation."""
    table, wrong = make_tree_table(flipped)
    table.write_csv(folder / "trees.csv")
    project = create_project(folder / "p", folder / "trees.csv", "tree", edits=())
    set_settings(project, {"model": {"learner": "linear"}, "audit.accept": ["leak:long"]})
    _pipeline.run_steps(project, _workflows.NullCallbacks(), until="evaluate")
    return _workflows.load_latest_report_data(project), wrong, project


def test_wrong_labels_are_listed_with_their_cells(tmp_path: Path) -> None:
    story, wrong, project = run_on_trees(tmp_path, 0.1)
    label_issues = build_label_issues(story)
    assert label_issues["sure"]
    assert len(label_issues["rows"]) == 20
    assert np.mean([row["line"] in wrong for row in label_issues["rows"]]) >= 0.95
    table = pl.read_csv(tmp_path / "trees.csv")
    for row in label_issues["rows"]:
        assert table["tree"][row["line"] - 1] == row["given"] != row["suggested"]
        assert row["shown"]["seen"] == table["seen"][row["line"] - 1]
        assert "tree" not in row["shown"]
    text = (
        render_report(story).split("<h3>Labels worth a second look</h3>")[1].split("</section>")[0]
    )
    assert all(f">{row['line']:,}</td>" in text for row in label_issues["rows"])
    assert "&lt;b&gt;elm&lt;/b&gt;" in text
    assert "<b>elm" not in text
    recorded = [
        e.body for e in Ledger(project.ledger_path).entries(kind="finding", stage="evaluate")
    ]
    assert [body["name"] for body in recorded] == ["label_noise:tree"]
    assert recorded[0]["severity"] == "warn"


def test_sound_labels_are_passed(tmp_path: Path) -> None:
    story, _, _ = run_on_trees(tmp_path, 0.0)
    assert build_label_issues(story) == {}
    assert "Labels worth a second look" not in render_report(story)
    assert not [f for f in story.findings if f.code == "label_noise"]


def test_what_is_accepted_or_was_never_looked_for_is_not_shown(tmp_path: Path) -> None:
    story, _, project = run_on_trees(tmp_path, 0.1)
    set_settings(project, {"audit.accept": ["leak:long", "label_noise:tree"]})
    assert build_label_issues(_workflows.load_latest_report_data(project)) == {}
    set_settings(project, {"audit.accept": ["leak:long"]})
    assert build_label_issues(_workflows.load_latest_report_data(project))
    (story.folders["evaluate"] / "findings.json").unlink()  # as an older version left it
    assert build_label_issues(_workflows.load_latest_report_data(project)) == {}
