"""The worst errors are shown with what speaks for and against them, whatever the cells hold."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from fieldcraft.project.folder import Folder
from fieldcraft.report.html import page, verdict
from fieldcraft.report.story import Story
from fieldcraft.report.worst import CUT, MOST_OF_A_PART, MOST_SIGNS, cut, text, worst_rows
from fieldcraft.stages import _flow
from tests.offers import HOSTILE, start_offers


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project on offers that has run to the end."""
    root = tmp_path_factory.mktemp("offers")
    _flow.run_project(start_offers(root), _flow.Unwatched())
    return root


@pytest.fixture
def story(once: Path, tmp_path: Path) -> Story:
    shutil.copytree(once / "p", tmp_path / "p")
    return _flow.latest(Folder(tmp_path / "p"))


def section(story: Story) -> str:
    return page(story).split("<h3>The worst errors</h3>")[1].split("</section>")[0]


class Marked(HTMLParser):
    """Gathers what stands in marks, by their class, and all text."""

    def __init__(self) -> None:
        super().__init__()
        self.marks: list[tuple[str, str]] = []
        self.inside = ""
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.inside = str(dict(attrs)["class"]) if tag == "mark" else ""

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.inside:
            self.marks.append((self.inside, data))


def read(text_: str) -> Marked:
    parser = Marked()
    parser.feed(text_)
    return parser


def test_words_are_marked_for_and_against_and_told_in_a_legend(story: Story) -> None:
    found = read(section(story))
    assert ("for", "blue") in found.marks
    assert ("against", "orange") in found.marks
    assert {side for side, _ in found.marks[2:]} == {"for", "against"}
    assert "speaks for what was predicted" in found.text


def test_the_words_that_tell_are_the_heaviest(story: Story) -> None:
    """Of the texts with a planted word most have it among their three heaviest."""
    hits = total = 0
    for item in story.explained:
        spans = item["columns"].get("words", {}).get("spans", [])
        if not 10 < len(spans) < 60:
            continue
        words = [piece.strip(". ") for piece, _ in sorted(spans, key=lambda s: -abs(s[1]))]
        if {"shone", "broke"} & set(words):
            total += 1
            hits += bool({"shone", "broke"} & set(words[:3]))
    assert total >= 3
    assert hits >= 0.6 * total


def test_hostile_texts_stay_texts(story: Story) -> None:
    spans = [[word + " ", (-1) ** i * 0.9] for i, word in enumerate(HOSTILE.split())]
    first = story.evaluation["worst"][0]
    first["cells"]["words"] = HOSTILE
    first["prediction"] = '"><img src=x onerror=alert(1)>'
    item = next(i for i in story.explained if i["position"] == first["position"])
    item["columns"] = {"words": {"spans": spans, "most": 0.4}}
    item["of"] = "<i>of</i>"
    found = section(story)
    assert "<script>" not in found
    assert "<img src=x" not in found
    assert {"script", "b", "i"} & read(found).tags == set()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in found
    assert "<bdi>" in found  # signs that turn the direction of writing end with the text


def test_a_photo_stands_beside_its_map_and_one_that_does_not_matter_alone(story: Story) -> None:
    why = {item["position"]: item for item in story.explained}
    rows = [r for r in story.evaluation["worst"][:8] if "photo" in r["pictures"]]
    assert len(rows) >= 2
    found = why[rows[0]["position"]]["columns"]["photo"]
    found["most"] = 0.3
    why[rows[1]["position"]]["columns"]["photo"]["most"] = 0.001
    text_ = section(story)
    assert f'src="{found["picture"]}"' in text_
    assert "no place of it matters" in text_
    assert why[rows[1]["position"]]["columns"]["photo"]["picture"] not in text_


def test_maps_of_the_network_stand_beside_and_the_legend_names_them(story: Story) -> None:
    assert "Grad-CAM" not in section(story)
    why = {item["position"]: item for item in story.explained}
    row = next(r for r in story.evaluation["worst"][:8] if "photo" in r["pictures"])
    why[row["position"]]["columns"]["photo"]["network"] = {
        "Grad-CAM": {"picture": "data:image/jpeg;base64,AA"}
    }
    found = section(story)
    assert 'src="data:image/jpeg;base64,AA" alt="photo: Grad-CAM of the network"' in found
    assert "gradients of the network alone" in found
    assert "map of its attention" not in found
    why[row["position"]]["columns"]["photo"]["network"]["attention"] = {
        "picture": "data:image/jpeg;base64,BB"
    }
    found = section(story)
    assert 'src="data:image/jpeg;base64,BB" alt="photo: attention of the network"' in found
    assert "map of its attention" in found


def test_what_the_network_tells_of_a_text_stands_below_and_the_legend_names_it(
    story: Story,
) -> None:
    assert "of the network" not in section(story)
    item = story.explained[0]
    item["columns"]["words"] = {
        "spans": [["The lamp ", 0.3], ["broke", 1.0]], "most": 1e-9,
        "network": {
            "gradients": {"spans": [["the", 0.0], [" lamp", -0.5], [" broke", 1.0]]},
            "attention": {"spans": [["the", 0.01], [" <b>lamp", 1.0], [" broke", 0.3]]},
        },
    }  # fmt: skip
    found = section(story)
    assert found.index("(no word matters)") < found.index("gradients of the network")
    assert "attention of the network" in found
    assert "integrated gradients of the tokens" in found
    assert "where its attention lies" in found
    marks = read(found[found.index("gradients of the network") :]).marks[:4]
    assert marks == [("against", "lamp"), ("for", "broke"), ("for", "<b>lamp"), ("for", "broke")]
    del item["columns"]["words"]["network"]["attention"]
    assert "where its attention lies" not in section(story)


def test_rows_without_an_explanation_are_shown_as_they_are(story: Story) -> None:
    story.explained.clear()
    found = section(story)
    assert "<mark" not in found
    assert all(f">{row['line']:,}</td>" in found for row in story.evaluation["worst"][:8])


@pytest.mark.parametrize("missing", [None, ""])
def test_cells_that_are_empty_are_called_missing(story: Story, missing: str | None) -> None:
    story.evaluation["worst"][0]["cells"]["price"] = missing
    assert "price (missing)" in section(story)


def test_long_cells_are_cut_with_a_mark(story: Story) -> None:
    story.explained.clear()
    story.evaluation["worst"][0]["cells"]["words"] = "many " * 10_000
    (row, *_) = worst_rows(story)
    assert row["shown"]["words"].endswith(CUT)
    assert len(row["shown"]["words"]) < 130


def shown(found: dict[str, Any]) -> str:
    return "".join(p["before"] + p["core"] + p["after"] for p in found["parts"])


def test_of_a_long_text_the_heaviest_parts_are_shown_in_their_order() -> None:
    spans = [[f"part {i} " + "x" * 90 + " ", 0.1] for i in range(60)]
    spans[7][1], spans[50][1] = -0.8, 1.0
    found = text({"spans": spans, "most": 0.5}, 1.0)
    told = shown(found)
    assert told.index("part 7 ") < told.index("part 50 ")
    assert len(told) < MOST_SIGNS + 60
    assert CUT in told
    assert re.fullmatch(r"[\d,]+ signs", found["cut"])
    assert [p["side"] for p in found["parts"] if p["side"]] == ["against", "for"]


def test_one_endless_word_is_cut() -> None:
    found = text({"spans": [["x" * 50_000, 1.0]], "most": 0.5}, 1.0)
    assert shown(found) == "x" * MOST_OF_A_PART + CUT
    assert found["cut"] == "49,880 signs"


def test_a_short_text_is_whole_and_blanks_are_not_coloured() -> None:
    found = text({"spans": [["good ", 1.0], [" bad\n", -0.5], ["so", 0.05]], "most": 0.5}, 1.0)
    assert shown(found) == "good  bad\nso"
    assert [(p["core"], p["side"]) for p in found["parts"]] == [
        ("good", "for"), ("bad", "against"), ("so", ""),
    ]  # fmt: skip
    assert found["cut"] == ""


@pytest.mark.parametrize(("most", "unit", "matters"), [(0.005, 1.0, False), (3.0, 1000.0, False),
                                                       (0.02, 1.0, True)])  # fmt: skip
def test_what_hardly_moves_the_prediction_is_not_coloured(
    most: float, unit: float, matters: bool
) -> None:
    found = text({"spans": [["good", 1.0]], "most": most}, unit)
    assert found["matters"] is matters
    assert (found["parts"][0]["side"] != "") is matters


def test_texts_are_cut_where_they_are_too_long_only() -> None:
    assert cut("abc", 3) == "abc"
    assert cut("ab cd", 3) == "ab" + CUT
    assert cut("ab cd", 2) == "ab" + CUT
    assert cut("a bcdefgh", 6) == "a bcde" + CUT
    assert cut(None, 3) is None


def test_each_kind_of_column_has_its_interval_and_an_honest_verdict(story: Story) -> None:
    text_ = page(story)
    table = text_.split("What each kind of column contributes")[1].split("</table>")[0]
    verdicts = {
        kind: table.split(f"<td>{kind}</td>")[1].split("</tr>")[0].rpartition("<td>")[2]
        for kind in ("text", "image", "number")
    }
    assert verdicts["text"].startswith("adds something")
    assert verdicts["number"].startswith("adds nothing that is surely there")
    assert verdict({"low": -0.2, "high": -0.1}) == "harms"
    assert verdict({"low": None, "high": None}) == "cannot be told"


def test_a_table_of_one_kind_has_no_such_table(story: Story) -> None:
    story.kinds.clear()
    assert "What each kind of column contributes" not in page(story)
