"""The worst errors are shown with what speaks for and against them, whatever the cells hold."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from fieldcraft.project.folder import ProjectFolder
from fieldcraft.report.example_rows import (
    ELLIPSIS,
    MAX_SPAN_CHARS,
    MAX_TEXT_CHARS,
    build_largest_errors,
    build_text,
    truncate,
)
from fieldcraft.report.project_report import describe_contribution, render_report
from fieldcraft.report.report_data import ReportData
from fieldcraft.stages import _workflows
from tests.offers import HOSTILE_TEXT, create_offers_project


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
    return render_report(report_data).split("<h3>The worst errors</h3>")[1].split("</section>")[0]


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


def parse_marks(text_: str) -> MarkParser:
    parser = MarkParser()
    parser.feed(text_)
    return parser


def test_words_are_marked_for_and_against_and_told_in_a_legend(report_data: ReportData) -> None:
    parser = parse_marks(errors_section(report_data))
    assert ("for", "blue") in parser.marks
    assert ("against", "orange") in parser.marks
    assert {side for side, _ in parser.marks[2:]} == {"for", "against"}
    assert "speaks for what was predicted" in parser.text


def test_the_words_that_tell_are_the_heaviest(report_data: ReportData) -> None:
    """Of the texts with a planted word most have it among their three heaviest."""
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
    first = report_data.evaluation["worst"][0]
    first["cells"]["words"] = HOSTILE_TEXT
    first["prediction"] = '"><img src=x onerror=alert(1)>'
    item = next(i for i in report_data.explanations if i["position"] == first["position"])
    item["columns"] = {"words": {"spans": spans, "most": 0.4}}
    item["of"] = "<i>of</i>"
    html = errors_section(report_data)
    assert "<script>" not in html
    assert "<img src=x" not in html
    assert {"script", "b", "i"} & parse_marks(html).tags == set()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<bdi>" in html  # signs that turn the direction of writing end with the text


def test_a_photo_stands_beside_its_map_and_one_that_does_not_matter_alone(
    report_data: ReportData,
) -> None:
    why = {item["position"]: item for item in report_data.explanations}
    rows = [r for r in report_data.evaluation["worst"][:8] if "photo" in r["pictures"]]
    assert len(rows) >= 2
    explanation = why[rows[0]["position"]]["columns"]["photo"]
    explanation["most"] = 0.3
    why[rows[1]["position"]]["columns"]["photo"]["most"] = 0.001
    text_ = errors_section(report_data)
    assert f'src="{explanation["picture"]}"' in text_
    assert "no place of it matters" in text_
    assert why[rows[1]["position"]]["columns"]["photo"]["picture"] not in text_


def test_maps_of_the_network_stand_beside_and_the_legend_names_them(
    report_data: ReportData,
) -> None:
    assert "Grad-CAM" not in errors_section(report_data)
    why = {item["position"]: item for item in report_data.explanations}
    row = next(r for r in report_data.evaluation["worst"][:8] if "photo" in r["pictures"])
    why[row["position"]]["columns"]["photo"]["network"] = {
        "Grad-CAM": {"picture": "data:image/jpeg;base64,AA"}
    }
    html = errors_section(report_data)
    assert 'src="data:image/jpeg;base64,AA" alt="photo: Grad-CAM of the network"' in html
    assert "gradients of the network alone" in html
    assert "map of its attention" not in html
    why[row["position"]]["columns"]["photo"]["network"]["attention"] = {
        "picture": "data:image/jpeg;base64,BB"
    }
    html = errors_section(report_data)
    assert 'src="data:image/jpeg;base64,BB" alt="photo: attention of the network"' in html
    assert "map of its attention" in html


def test_what_the_network_tells_of_a_text_stands_below_and_the_legend_names_it(
    report_data: ReportData,
) -> None:
    assert "of the network" not in errors_section(report_data)
    item = report_data.explanations[0]
    item["columns"]["words"] = {
        "spans": [["The lamp ", 0.3], ["broke", 1.0]], "most": 1e-9,
        "network": {
            "gradients": {"spans": [["the", 0.0], [" lamp", -0.5], [" broke", 1.0]]},
            "attention": {"spans": [["the", 0.01], [" <b>lamp", 1.0], [" broke", 0.3]]},
        },
    }  # fmt: skip
    html = errors_section(report_data)
    assert html.index("(no word matters)") < html.index("gradients of the network")
    assert "attention of the network" in html
    assert "integrated gradients of the tokens" in html
    assert "where its attention lies" in html
    marks = parse_marks(html[html.index("gradients of the network") :]).marks[:4]
    assert marks == [("against", "lamp"), ("for", "broke"), ("for", "<b>lamp"), ("for", "broke")]
    del item["columns"]["words"]["network"]["attention"]
    assert "where its attention lies" not in errors_section(report_data)


def test_rows_without_an_explanation_are_shown_as_they_are(report_data: ReportData) -> None:
    report_data.explanations.clear()
    html = errors_section(report_data)
    assert "<mark" not in html
    assert all(f">{row['line']:,}</td>" in html for row in report_data.evaluation["worst"][:8])


@pytest.mark.parametrize("missing", [None, ""])
def test_cells_that_are_empty_are_called_missing(
    report_data: ReportData, missing: str | None
) -> None:
    report_data.evaluation["worst"][0]["cells"]["price"] = missing
    assert "price (missing)" in errors_section(report_data)


def test_long_cells_are_cut_with_a_mark(report_data: ReportData) -> None:
    report_data.explanations.clear()
    report_data.evaluation["worst"][0]["cells"]["words"] = "many " * 10_000
    (row, *_) = build_largest_errors(report_data)
    assert row["shown"]["words"].endswith(ELLIPSIS)
    assert len(row["shown"]["words"]) < 130


def visible_text(built_text: dict[str, Any]) -> str:
    return "".join(p["before"] + p["core"] + p["after"] for p in built_text["parts"])


def test_of_a_long_text_the_heaviest_parts_are_shown_in_their_order() -> None:
    spans = [[f"part {i} " + "x" * 90 + " ", 0.1] for i in range(60)]
    spans[7][1], spans[50][1] = -0.8, 1.0
    built = build_text({"spans": spans, "most": 0.5}, 1.0)
    visible = visible_text(built)
    assert visible.index("part 7 ") < visible.index("part 50 ")
    assert len(visible) < MAX_TEXT_CHARS + 60
    assert ELLIPSIS in visible
    assert re.fullmatch(r"[\d,]+ signs", built["cut"])
    assert [p["side"] for p in built["parts"] if p["side"]] == ["against", "for"]


def test_one_endless_word_is_cut() -> None:
    built = build_text({"spans": [["x" * 50_000, 1.0]], "most": 0.5}, 1.0)
    assert visible_text(built) == "x" * MAX_SPAN_CHARS + ELLIPSIS
    assert built["cut"] == "49,880 signs"


def test_a_short_text_is_whole_and_blanks_are_not_coloured() -> None:
    built = build_text(
        {"spans": [["good ", 1.0], [" bad\n", -0.5], ["so", 0.05]], "most": 0.5}, 1.0
    )
    assert visible_text(built) == "good  bad\nso"
    assert [(p["core"], p["side"]) for p in built["parts"]] == [
        ("good", "for"), ("bad", "against"), ("so", ""),
    ]  # fmt: skip
    assert built["cut"] == ""


@pytest.mark.parametrize(("most", "unit", "matters"), [(0.005, 1.0, False), (3.0, 1000.0, False),
                                                       (0.02, 1.0, True)])  # fmt: skip
def test_what_hardly_moves_the_prediction_is_not_coloured(
    most: float, unit: float, matters: bool
) -> None:
    built = build_text({"spans": [["good", 1.0]], "most": most}, unit)
    assert built["matters"] is matters
    assert (built["parts"][0]["side"] != "") is matters


def test_texts_are_cut_where_they_are_too_long_only() -> None:
    assert truncate("abc", 3) == "abc"
    assert truncate("ab cd", 3) == "ab" + ELLIPSIS
    assert truncate("ab cd", 2) == "ab" + ELLIPSIS
    assert truncate("a bcdefgh", 6) == "a bcde" + ELLIPSIS
    assert truncate(None, 3) is None


def test_each_kind_of_column_has_its_interval_and_an_honest_verdict(
    report_data: ReportData,
) -> None:
    text_ = render_report(report_data)
    table = text_.split("What each kind of column contributes")[1].split("</table>")[0]
    verdicts = {
        kind: table.split(f"<td>{kind}</td>")[1].split("</tr>")[0].rpartition("<td>")[2]
        for kind in ("text", "image", "number")
    }
    assert verdicts["text"].startswith("adds something")
    assert verdicts["number"].startswith("adds nothing that is surely there")
    assert describe_contribution({"low": -0.2, "high": -0.1}) == "harms"
    assert describe_contribution({"low": None, "high": None}) == "cannot be told"


def test_a_table_of_one_kind_has_no_such_table(report_data: ReportData) -> None:
    report_data.kind_importance.clear()
    assert "What each kind of column contributes" not in render_report(report_data)
