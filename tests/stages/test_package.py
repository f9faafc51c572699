"""The champion becomes the current bundle; a good one is never lost."""

from __future__ import annotations

import pytest

from fieldcraft.bundle.manifest import FORMAT, read_manifest
from fieldcraft.core import files
from fieldcraft.core.edit import Edit
from fieldcraft.core.errors import BundleError
from fieldcraft.evidence.ledger import Ledger
from fieldcraft.project import file
from fieldcraft.project.folder import Folder
from fieldcraft.stages import _flow, _versions, package
from tests.conftest import change


def test_a_damaged_bundle_is_put_right_by_the_next_run(finished: Folder) -> None:
    before = read_manifest(finished.bundle)["model_id"]
    next(finished.bundle.rglob("*.onnx")).unlink()
    _flow.run_project(finished, _flow.Unwatched())
    assert read_manifest(finished.bundle)["model_id"] == before


def test_a_failing_export_leaves_the_old_bundle(
    finished: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_manifest(finished.bundle)
    file.edit(finished.file, [Edit(("problem", "question"), "Another question?")])

    def differs(*_: object) -> float:
        raise BundleError("it predicts otherwise", seen="0.1", way_out="use another learner")

    monkeypatch.setattr(package, "check_parity", differs)
    with pytest.raises(BundleError, match="predicts otherwise"):
        _flow.run_project(finished, _flow.Unwatched())
    assert read_manifest(finished.bundle) == before


def test_the_bundle_knows_where_it_comes_from(finished: Folder) -> None:
    manifest = read_manifest(finished.bundle)
    story = _flow.latest(finished)
    assert manifest["lineage"]["data"] == story.split["digests"]["develop"]
    hashes = {e.hash for e in Ledger(finished.ledger).entries()}
    assert manifest["lineage"]["ledger"] in hashes
    assert manifest["learner"] == story.evaluation["champion"]


def test_only_data_is_written_anywhere_in_a_project(finished: Folder) -> None:
    known = {".json", ".parquet", ".safetensors", ".onnx", ".yaml", ".html", ".md", ".sqlite"}
    endings = {p.suffix for p in finished.root.rglob("*") if p.is_file() and p.name != ".lock"}
    assert endings - {".sqlite-wal", ".sqlite-shm"} <= known
    assert len(list(finished.root.rglob("manifest.json"))) == 2  # packaged, and current
    assert files.read_json(finished.bundle / "manifest.json")["format"] == FORMAT


def test_a_change_in_how_it_is_watched_reaches_the_bundle_and_nothing_else_replaces_it(
    finished: Folder,
) -> None:
    before = read_manifest(finished.bundle)
    folders = _flow.latest(finished).folders
    place = finished.bundle.stat().st_ino
    assert not _versions.publish(finished, folders, "run")
    assert finished.bundle.stat().st_ino == place
    change(finished, {"deploy.watch": {"rows": 77}})
    _flow.run_project(finished, _flow.Unwatched())
    after = read_manifest(finished.bundle)
    assert after["watch"]["rows"] == 77
    assert after["model_id"] == before["model_id"]
    assert after["files"].keys() == before["files"].keys()
