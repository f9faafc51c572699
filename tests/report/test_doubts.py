"""Labels that contradict the champion are found by a run, kept as evidence and shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from fieldcraft.evidence.ledger import Ledger
from fieldcraft.project.folder import Folder
from fieldcraft.report.doubts import doubtful
from fieldcraft.report.html import page
from fieldcraft.report.story import Story
from fieldcraft.stages import _flow, _plan
from tests.conftest import change, start

ROWS = 1200


def trees(flipped: float) -> tuple[pl.DataFrame, set[int]]:
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


def told(folder: Path, flipped: float) -> tuple[Story, set[int], Folder]:
    """The story of a run on such trees, up to the evaluation."""
    table, wrong = trees(flipped)
    table.write_csv(folder / "trees.csv")
    project = start(folder / "p", folder / "trees.csv", "tree", edits=())
    change(project, {"model": {"learner": "linear"}, "audit.accept": ["leak:long"]})
    _plan.run(project, _flow.Unwatched(), until="evaluate")
    return _flow.latest(project), wrong, project


def test_wrong_labels_are_listed_with_their_cells(tmp_path: Path) -> None:
    story, wrong, project = told(tmp_path, 0.1)
    found = doubtful(story)
    assert found["sure"]
    assert len(found["rows"]) == 20
    assert np.mean([row["line"] in wrong for row in found["rows"]]) >= 0.95
    table = pl.read_csv(tmp_path / "trees.csv")
    for row in found["rows"]:
        assert table["tree"][row["line"] - 1] == row["given"] != row["suggested"]
        assert row["shown"]["seen"] == table["seen"][row["line"] - 1]
        assert "tree" not in row["shown"]
    text = page(story).split("<h3>Labels worth a second look</h3>")[1].split("</section>")[0]
    assert all(f">{row['line']:,}</td>" in text for row in found["rows"])
    assert "&lt;b&gt;elm&lt;/b&gt;" in text
    assert "<b>elm" not in text
    recorded = [e.body for e in Ledger(project.ledger).entries(kind="finding", stage="evaluate")]
    assert [body["name"] for body in recorded] == ["label_noise:tree"]
    assert recorded[0]["severity"] == "warn"


def test_sound_labels_are_passed(tmp_path: Path) -> None:
    story, _, _ = told(tmp_path, 0.0)
    assert doubtful(story) == {}
    assert "Labels worth a second look" not in page(story)
    assert not [f for f in story.findings if f.code == "label_noise"]


def test_what_is_accepted_or_was_never_looked_for_is_not_shown(tmp_path: Path) -> None:
    story, _, project = told(tmp_path, 0.1)
    change(project, {"audit.accept": ["leak:long", "label_noise:tree"]})
    assert doubtful(_flow.latest(project)) == {}
    change(project, {"audit.accept": ["leak:long"]})
    assert doubtful(_flow.latest(project))
    (story.folders["evaluate"] / "findings.json").unlink()  # as an older version left it
    assert doubtful(_flow.latest(project)) == {}
