"""The model card of a bundle has all sections and changes only with its text."""

from __future__ import annotations

from fieldcraft.bundle.manifest import read_manifest
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.report import card
from fieldcraft.stages import _workflows


def test_html_and_markdown_have_the_same_content(finished_project: ProjectFolder) -> None:
    report_data = _workflows.load_latest_report_data(finished_project)
    model_id = read_manifest(finished_project.bundle_path)["model_id"]
    for name in ("card.md", "card.html"):
        text = (finished_project.bundle_path / name).read_text(encoding="utf-8")
        for part in (
            model_id,
            "Intended use",
            "Limitations",
            "Feature importance",
            "bought",
            report_data.champion["title"],
            "has not been examined",
            "were not computed by groups",
            "Predict bought from the other columns of table.csv.",
            "36 test rows have never been used",
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
