"""The champion becomes the current bundle; a failed export keeps the old one."""

from __future__ import annotations

import pytest

from fieldcraft.bundle.manifest import FORMAT_VERSION, read_manifest
from fieldcraft.core import files
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.errors import BundleError
from fieldcraft.ledger.store import Ledger
from fieldcraft.project import project_file
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages import _versions, _workflows, package
from tests.conftest import set_settings


def test_a_damaged_bundle_is_repaired_by_the_next_run(finished_project: ProjectFolder) -> None:
    before = read_manifest(finished_project.bundle_path)["model_id"]
    next(finished_project.bundle_path.rglob("*.onnx")).unlink()
    _workflows.run_project(finished_project, _workflows.NullCallbacks())
    assert read_manifest(finished_project.bundle_path)["model_id"] == before


def test_a_failed_export_keeps_the_old_bundle(
    finished_project: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_manifest(finished_project.bundle_path)
    project_file.apply_edits(
        finished_project.file_path, [ConfigEdit(("problem", "description"), "Another question?")]
    )

    def differs(*_: object) -> float:
        raise BundleError("it predicts otherwise", detail="0.1", hint="use another learner")

    monkeypatch.setattr(package, "check_parity", differs)
    with pytest.raises(BundleError, match="predicts otherwise"):
        _workflows.run_project(finished_project, _workflows.NullCallbacks())
    assert read_manifest(finished_project.bundle_path) == before


def test_the_manifest_has_the_lineage(finished_project: ProjectFolder) -> None:
    manifest = read_manifest(finished_project.bundle_path)
    report_data = _workflows.load_latest_report_data(finished_project)
    assert manifest["lineage"]["data_digest"] == report_data.split["digests"]["development"]
    hashes = {e.hash for e in Ledger(finished_project.ledger_path).entries()}
    assert manifest["lineage"]["ledger_head"] in hashes
    assert manifest["model"] == report_data.evaluation["champion"]


def test_a_project_contains_only_data_files(finished_project: ProjectFolder) -> None:
    known = {".json", ".parquet", ".safetensors", ".onnx", ".yaml", ".html", ".md", ".sqlite"}
    endings = {
        p.suffix for p in finished_project.root.rglob("*") if p.is_file() and p.name != ".lock"
    }
    assert endings - {".sqlite-wal", ".sqlite-shm"} <= known
    assert (
        len(list(finished_project.root.rglob("manifest.json"))) == 2
    )  # the packaged one and the current one
    assert (
        files.read_json(finished_project.bundle_path / "manifest.json")["format"] == FORMAT_VERSION
    )


def test_the_bundle_is_replaced_only_if_settings_change(
    finished_project: ProjectFolder,
) -> None:
    before = read_manifest(finished_project.bundle_path)
    folders = _workflows.load_latest_report_data(finished_project).folders
    inode = finished_project.bundle_path.stat().st_ino
    assert not _versions.publish(finished_project, folders, "run")
    assert finished_project.bundle_path.stat().st_ino == inode
    set_settings(finished_project, {"deploy.monitor": {"window_rows": 77}})
    _workflows.run_project(finished_project, _workflows.NullCallbacks())
    after = read_manifest(finished_project.bundle_path)
    assert after["monitor"]["window_rows"] == 77
    assert after["model_id"] == before["model_id"]
    assert after["files"].keys() == before["files"].keys()
