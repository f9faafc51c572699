"""The model card goes with the bundle and says what it is good for."""

from __future__ import annotations

from fieldcraft.bundle.manifest import read_manifest
from fieldcraft.project.folder import Folder
from fieldcraft.report import card
from fieldcraft.stages import _flow


def test_both_forms_say_the_same_essentials(finished: Folder) -> None:
    story = _flow.latest(finished)
    model_id = read_manifest(finished.bundle)["model_id"]
    for name in ("card.md", "card.html"):
        text = (finished.bundle / name).read_text(encoding="utf-8")
        for part in (
            model_id,
            "Intended use",
            "Limits",
            "bought",
            story.champion["title"],
            "has not been examined",
            "have not been told apart by groups",
            "Predict bought from the other columns of table.csv.",
            "36 test rows have never been looked at",
        ):
            assert part in text, (name, part)


def test_an_unchanged_card_leaves_the_bundle_as_it_is(finished: Folder) -> None:
    before = (finished.bundle / "manifest.json").read_bytes()
    card.refresh(finished.bundle, _flow.latest(finished))
    assert (finished.bundle / "manifest.json").read_bytes() == before


def test_markdown_tables_have_no_empty_lines_inside(finished: Folder) -> None:
    lines = (finished.bundle / "card.md").read_text(encoding="utf-8").splitlines()
    for before, line, after in zip(lines, lines[1:], lines[2:], strict=False):
        assert not (before.startswith("|") and line == "" and after.startswith("|"))
