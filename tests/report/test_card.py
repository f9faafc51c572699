"""The model card goes with the bundle and says what it is good for."""

from __future__ import annotations

from fieldcraft.bundle.manifest import read_manifest
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.report import card
from fieldcraft.stages import _workflows


def test_both_forms_say_the_same_essentials(finished_project: ProjectFolder) -> None:
    story = _workflows.load_latest_report_data(finished_project)
    model_id = read_manifest(finished_project.bundle_path)["model_id"]
    for name in ("card.md", "card.html"):
        text = (finished_project.bundle_path / name).read_text(encoding="utf-8")
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


def test_an_unchanged_card_leaves_the_bundle_as_it_is(finished_project: ProjectFolder) -> None:
    before = (finished_project.bundle_path / "manifest.json").read_bytes()
    card.update_model_card(
        finished_project.bundle_path, _workflows.load_latest_report_data(finished_project)
    )
    assert (finished_project.bundle_path / "manifest.json").read_bytes() == before


def test_markdown_tables_have_no_empty_lines_inside(finished_project: ProjectFolder) -> None:
    lines = (finished_project.bundle_path / "card.md").read_text(encoding="utf-8").splitlines()
    for before, line, after in zip(lines, lines[1:], lines[2:], strict=False):
        assert not (before.startswith("|") and line == "" and after.startswith("|"))
