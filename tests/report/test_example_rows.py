"""Largest errors are shown with their explanations, and possible label errors with their cells."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.ledger.store import Ledger
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.report.example_rows import (
    ELLIPSIS,
    MAX_SPAN_CHARS,
    MAX_TEXT_CHARS,
    build_label_issues,
    build_largest_errors,
    build_text,
    truncate,
)
from fieldcraft.report.project_report import describe_contribution, render_report
from fieldcraft.report.report_data import ReportData
from fieldcraft.stages import _pipeline, _workflows
from tests.conftest import create_project, set_settings
from tests.offers import HOSTILE_TEXT, create_offers_project

ROWS = 1200


@pytest.fixture(scope="module")
def offers_project_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project on offers that has run to the end."""
    root = tmp_path_factory.mktemp("offers")
    _workflows.run_project(create_offers_project(root), _workflows.NullCallbacks())
    return root


@pytest.fixture
def report_data(offers_project_folder: Path, tmp_path: Path) -> ReportData:
    shutil.copytree(offers_project_folder / "p", tmp_path / "p")
    return _workflows.load_latest_report_data(ProjectFolder(tmp_path / "p"))


def errors_section(report_data: ReportData) -> str:
    return render_report(report_data).split("<h3>Largest errors</h3>")[1].split("</section>")[0]


class MarkParser(HTMLParser):
    """Gathers what stands in marks, by their class, and all text."""

    def __init__(self) -> None:
        super().__init__()
        self.marks: list[tuple[str, str]] = []
        self.open_mark = ""
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.open_mark = str(dict(attrs)["class"]) if tag == "mark" else ""

    def handle_endtag(self, tag: str) -> None:
        self.open_mark = ""

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open_mark:
            self.marks.append((self.open_mark, data))


def parse_marks(html_text: str) -> MarkParser:
    parser = MarkParser()
    parser.feed(html_text)
    return parser


def test_words_are_marked_for_and_against_with_a_legend(report_data: ReportData) -> None:
    parser = parse_marks(errors_section(report_data))
    assert ("for", "Blue") in parser.marks
    assert ("against", "orange") in parser.marks
    assert {side for side, _ in parser.marks[2:]} == {"for", "against"}
    assert "supports the predicted class" in parser.text


def test_informative_words_have_the_largest_weights(report_data: ReportData) -> None:
    """Most texts with a planted word have it among the three largest weights."""
    hits = total = 0
    for item in report_data.explanations:
        spans = item["columns"].get("words", {}).get("spans", [])
        if not 10 < len(spans) < 60:
            continue
        words = [piece.strip(". ") for piece, _ in sorted(spans, key=lambda s: -abs(s[1]))]
        if {"shone", "broke"} & set(words):
            total += 1
            hits += bool({"shone", "broke"} & set(words[:3]))
    assert total >= 3
    assert hits >= 0.6 * total


def test_hostile_texts_stay_texts(report_data: ReportData) -> None:
    spans = [[word + " ", (-1) ** i * 0.9] for i, word in enumerate(HOSTILE_TEXT.split())]
    first = report_data.evaluation["largest_errors"][0]
    first["cells"]["words"] = HOSTILE_TEXT
    first["prediction"] = '"><img src=x onerror=alert(1)>'
    item = next(i for i in report_data.explanations if i["position"] == first["position"])
    item["columns"] = {"words": {"spans": spans, "max_effect": 0.4}}
    item["class_or_label"] = "<i>class</i>"
    html = errors_section(report_data)
    assert "<script>" not in html
    assert "<img src=x" not in html
    assert {"script", "b", "i"} & parse_marks(html).tags == set()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<bdi>" in html  # right-to-left marks end with the text


def test_a_photo_has_a_heatmap_only_if_some_region_matters(
    report_data: ReportData,
) -> None:
    explanations = {item["position"]: item for item in report_data.explanations}
    rows = [r for r in report_data.evaluation["largest_errors"][:8] if "photo" in r["thumbnails"]]
    assert len(rows) >= 2
    explanation = explanations[rows[0]["position"]]["columns"]["photo"]
    explanation["max_effect"] = 0.3
    explanations[rows[1]["position"]]["columns"]["photo"]["max_effect"] = 0.001
    html_text = errors_section(report_data)
    assert f'src="{explanation["heatmap"]}"' in html_text
    assert "no region matters" in html_text
    assert explanations[rows[1]["position"]]["columns"]["photo"]["heatmap"] not in html_text


def test_network_maps_of_photos_are_shown_with_a_legend(
    report_data: ReportData,
) -> None:
    assert "Grad-CAM" not in errors_section(report_data)
    explanations = {item["position"]: item for item in report_data.explanations}
    row = next(
        r for r in report_data.evaluation["largest_errors"][:8] if "photo" in r["thumbnails"]
    )
    explanations[row["position"]]["columns"]["photo"]["network_maps"] = {
        "grad_cam": {"heatmap": "data:image/jpeg;base64,AA"}
    }
    html = errors_section(report_data)
    assert 'src="data:image/jpeg;base64,AA" alt="photo: Grad-CAM of the network"' in html
    assert "come from the network alone" in html
    assert "Attention rollout shows" not in html
    explanations[row["position"]]["columns"]["photo"]["network_maps"]["attention_rollout"] = {
        "heatmap": "data:image/jpeg;base64,BB"
    }
    html = errors_section(report_data)
    assert 'src="data:image/jpeg;base64,BB" alt="photo: attention rollout of the network"' in html
    assert "Attention rollout shows" in html


def test_network_maps_of_texts_are_shown_with_a_legend(
    report_data: ReportData,
) -> None:
    assert "of the network" not in errors_section(report_data)
    item = report_data.explanations[0]
    item["columns"]["words"] = {
        "spans": [["The lamp ", 0.3], ["broke", 1.0]], "max_effect": 1e-9,
        "network_maps": {
            "integrated_gradients": {"spans": [["the", 0.0], [" lamp", -0.5], [" broke", 1.0]]},
            "attention": {"spans": [["the", 0.01], [" <b>lamp", 1.0], [" broke", 0.3]]},
        },
    }  # fmt: skip
    html = errors_section(report_data)
    assert html.index("(no word matters)") < html.index("integrated gradients of the network")
    assert "attention of the network" in html
    assert "attributions of the network alone, token by token" in html
    assert "and its attention, for or against" in html
    marks = parse_marks(html[html.index("integrated gradients of the network") :]).marks[:4]
    assert marks == [("against", "lamp"), ("for", "broke"), ("for", "<b>lamp"), ("for", "broke")]
    del item["columns"]["words"]["network_maps"]["attention"]
    assert "and its attention, for or against" not in errors_section(report_data)


def test_rows_without_an_explanation_are_shown_without_marks(report_data: ReportData) -> None:
    report_data.explanations.clear()
    html = errors_section(report_data)
    assert "<mark" not in html
    assert all(
        f">{row['line']:,}</td>" in html for row in report_data.evaluation["largest_errors"][:8]
    )


@pytest.mark.parametrize("missing", [None, ""])
def test_empty_cells_are_shown_as_missing(report_data: ReportData, missing: str | None) -> None:
    report_data.evaluation["largest_errors"][0]["cells"]["price"] = missing
    assert "price (missing)" in errors_section(report_data)


def test_long_cells_are_cut_with_a_mark(report_data: ReportData) -> None:
    report_data.explanations.clear()
    report_data.evaluation["largest_errors"][0]["cells"]["words"] = "many " * 10_000
    (row, *_) = build_largest_errors(report_data)
    assert row["cells"]["words"].endswith(ELLIPSIS)
    assert len(row["cells"]["words"]) < 130


def visible_text(built_text: dict[str, Any]) -> str:
    return "".join(p["before"] + p["core"] + p["after"] for p in built_text["parts"])


def test_of_a_long_html_textthe_largest_weights_are_shown_in_order() -> None:
    spans = [[f"part {i} " + "x" * 90 + " ", 0.1] for i in range(60)]
    spans[7][1], spans[50][1] = -0.8, 1.0
    built = build_text({"spans": spans, "max_effect": 0.5}, 1.0)
    visible = visible_text(built)
    assert visible.index("part 7 ") < visible.index("part 50 ")
    assert len(visible) < MAX_TEXT_CHARS + 60
    assert ELLIPSIS in visible
    assert re.fullmatch(r"[\d,]+ characters", built["hidden"])
    assert [p["side"] for p in built["parts"] if p["side"]] == ["against", "for"]


def test_a_very_long_word_is_truncated() -> None:
    built = build_text({"spans": [["x" * 50_000, 1.0]], "max_effect": 0.5}, 1.0)
    assert visible_text(built) == "x" * MAX_SPAN_CHARS + ELLIPSIS
    assert built["hidden"] == "49,880 characters"


def test_a_short_html_textis_shown_in_full_and_whitespace_is_not_colored() -> None:
    built = build_text(
        {"spans": [["good ", 1.0], [" bad\n", -0.5], ["so", 0.05]], "max_effect": 0.5}, 1.0
    )
    assert visible_text(built) == "good  bad\nso"
    assert [(p["core"], p["side"]) for p in built["parts"]] == [
        ("good", "for"), ("bad", "against"), ("so", ""),
    ]  # fmt: skip
    assert built["hidden"] == ""


@pytest.mark.parametrize(
    ("max_effect", "score_scale", "is_relevant"),
    [(0.005, 1.0, False), (3.0, 1000.0, False), (0.02, 1.0, True)],
)
def test_cells_with_a_negligible_effect_are_not_colored(
    max_effect: float, score_scale: float, is_relevant: bool
) -> None:
    built = build_text({"spans": [["good", 1.0]], "max_effect": max_effect}, score_scale)
    assert built["is_relevant"] is is_relevant
    assert (built["parts"][0]["side"] != "") is is_relevant


def test_only_long_texts_are_truncated() -> None:
    assert truncate("abc", 3) == "abc"
    assert truncate("ab cd", 3) == "ab" + ELLIPSIS
    assert truncate("ab cd", 2) == "ab" + ELLIPSIS
    assert truncate("a bcdefgh", 6) == "a bcde" + ELLIPSIS
    assert truncate(None, 3) is None


def test_each_kind_of_column_has_a_verdict(
    report_data: ReportData,
) -> None:
    html_text = render_report(report_data)
    table = html_text.split("Importance by kind of column")[1].split("</table>")[0]
    verdicts = {
        kind: table.split(f"<td>{kind}</td>")[1].split("</tr>")[0].rpartition("<td>")[2]
        for kind in ("text", "image", "number")
    }
    assert verdicts["text"].startswith("contributes")
    assert verdicts["number"].startswith("no significant contribution")
    assert describe_contribution({"low": -0.2, "high": -0.1}) == "hurts"
    assert describe_contribution({"low": None, "high": None}) == "not measurable"


def test_a_table_with_one_kind_has_no_importance_by_kind(report_data: ReportData) -> None:
    report_data.kind_importance.clear()
    assert "Importance by kind of column" not in render_report(report_data)


def make_tree_table(flipped: float) -> tuple[pl.DataFrame, set[int]]:
    """A table of trees, some with a wrong label, and the lines of these."""
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
    """The report data of a run on such trees, up to the evaluation."""
    table, wrong = make_tree_table(flipped)
    table.write_csv(folder / "trees.csv")
    project = create_project(folder / "p", folder / "trees.csv", "tree", edits=())
    set_settings(project, {"model": {"learner": "linear"}, "audit.accept": ["target_leakage:long"]})
    _pipeline.run_steps(project, _workflows.NullCallbacks(), until="evaluate")
    return _workflows.load_latest_report_data(project), wrong, project


def test_wrong_labels_are_listed_with_their_cells(tmp_path: Path) -> None:
    report_data, wrong, project = run_on_trees(tmp_path, 0.1)
    label_issues = build_label_issues(report_data)
    assert label_issues["is_significant"]
    assert len(label_issues["rows"]) == 20
    assert np.mean([row["line"] in wrong for row in label_issues["rows"]]) >= 0.95
    table = pl.read_csv(tmp_path / "trees.csv")
    for row in label_issues["rows"]:
        assert table["tree"][row["line"] - 1] == row["given_label"] != row["suggested_label"]
        assert row["cells"]["seen"] == table["seen"][row["line"] - 1]
        assert "tree" not in row["cells"]
    text = (
        render_report(report_data).split("<h3>Possible label errors</h3>")[1].split("</section>")[0]
    )
    assert all(f">{row['line']:,}</td>" in text for row in label_issues["rows"])
    assert "&lt;b&gt;elm&lt;/b&gt;" in text
    assert "<b>elm" not in text
    recorded = [
        e.body for e in Ledger(project.ledger_path).entries(kind="finding", stage="evaluate")
    ]
    assert [body["name"] for body in recorded] == ["label_noise:tree"]
    assert recorded[0]["severity"] == "warning"


def test_correct_labels_are_not_flagged(tmp_path: Path) -> None:
    report_data, _, _ = run_on_trees(tmp_path, 0.0)
    assert build_label_issues(report_data) == {}
    assert "Possible label errors" not in render_report(report_data)
    assert not [f for f in report_data.findings if f.code == "label_noise"]


def test_accepted_findings_are_not_shown(tmp_path: Path) -> None:
    report_data, _, project = run_on_trees(tmp_path, 0.1)
    set_settings(project, {"audit.accept": ["target_leakage:long", "label_noise:tree"]})
    assert build_label_issues(_workflows.load_latest_report_data(project)) == {}
    set_settings(project, {"audit.accept": ["target_leakage:long"]})
    assert build_label_issues(_workflows.load_latest_report_data(project))
    (report_data.folders["evaluate"] / "findings.json").unlink()
    assert build_label_issues(_workflows.load_latest_report_data(project)) == {}
