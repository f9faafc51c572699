"""The test set is opened once, on the record; again only with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

import fieldcraft
from fieldcraft.bundle.manifest import read_manifest
from fieldcraft.core.errors import SealError
from fieldcraft.evidence.ledger import Ledger
from fieldcraft.project.folder import Folder
from fieldcraft.report.story import seal_state
from fieldcraft.stages import _flow, _seal

SOURCE = Path(fieldcraft.__file__).parent


def test_opening_gives_figures_with_intervals_on_test_rows(finished: Folder) -> None:
    story = _flow.final_evaluation(finished, _flow.Unwatched(), None)
    measures = story.final["measures"]
    assert {m["part"] for m in measures} == {"test"}
    auc = next(m for m in measures if m["metric"] == "roc_auc")
    assert auc["low"] <= auc["value"] <= auc["high"]
    assert auc["rows"] == story.split["counts"]["test"]
    assert auc["model_digest"] == read_manifest(finished.bundle)["model_id"]


def test_a_second_opening_needs_a_reason(finished: Folder) -> None:
    _flow.final_evaluation(finished, _flow.Unwatched(), None)
    for reason in (None, "", "  "):
        with pytest.raises(SealError, match="opened before"):
            _flow.final_evaluation(finished, _flow.Unwatched(), reason)
    story = _flow.final_evaluation(finished, _flow.Unwatched(), "the prices were wrong")
    assert [o["reason"] for o in story.openings] == ["final evaluation", "the prices were wrong"]
    assert "Opened 2 times" in seal_state(story)


def test_an_opening_is_on_record_before_a_row_is_read(
    finished: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError("the disk failed")

    monkeypatch.setattr("fieldcraft.stages._seal.pl.read_parquet", broken)
    with pytest.raises(OSError, match="disk"):
        _seal.open_seal(finished, _flow.latest(finished).folders["split"], None)
    assert len(Ledger(finished.ledger).entries(kind="opening")) == 1


def test_report_and_model_card_tell_of_the_opening_and_the_model_stays_the_same(
    finished: Folder,
) -> None:
    before = read_manifest(finished.bundle)["model_id"]
    assert "Opening 1" not in (finished.bundle / "card.md").read_text(encoding="utf-8")
    _flow.final_evaluation(finished, _flow.Unwatched(), None)
    assert read_manifest(finished.bundle)["model_id"] == before
    assert "Opening 1" in (finished.bundle / "card.md").read_text(encoding="utf-8")
    assert "The sealed test set" in finished.report.read_text(encoding="utf-8")


def test_running_again_keeps_the_card_that_tells_of_the_opening(finished: Folder) -> None:
    _flow.final_evaluation(finished, _flow.Unwatched(), None)
    _flow.run_project(finished, _flow.Unwatched())
    assert "Opening 1" in (finished.bundle / "card.md").read_text(encoding="utf-8")


def test_no_other_module_reads_the_sealed_rows() -> None:
    readers = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if '"sealed" / "test.parquet"' in path.read_text(encoding="utf-8")
    }
    # One writes, one reads, one hands them on as they lie.
    assert readers == {"stages/split.py", "stages/_seal.py", "develop/fresh.py"}


def test_without_test_rows_there_is_nothing_to_open(finished: Folder) -> None:
    split = _flow.latest(finished).folders["split"]
    about = (split / "about.json").read_text(encoding="utf-8")
    (split / "about.json").write_text(about.replace('"test": 36', '"test": 0'), encoding="utf-8")
    with pytest.raises(SealError, match="no test rows"):
        _seal.open_seal(finished, split, None)
