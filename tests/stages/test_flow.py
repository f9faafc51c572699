"""The way from a table to a report and a bundle."""

from __future__ import annotations

from fieldcraft.project.folder import Folder
from fieldcraft.stages import _flow


def test_a_run_ends_in_report_and_bundle(finished: Folder) -> None:
    story = _flow.latest(finished)
    assert story.evaluation["champion"] in {"linear", "lightgbm", "network"}
    assert finished.report.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert (finished.bundle / "manifest.json").exists()
