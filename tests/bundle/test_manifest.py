"""A bundle that was changed is refused, and the changed file is named."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from fieldcraft.bundle.manifest import FORMAT_VERSION, MANIFEST_FILE, read_manifest, write_manifest
from fieldcraft.core import digest, files
from fieldcraft.core.errors import BundleError
from tests.bundle.manifests import rewrite_manifest


def test_a_copied_bundle_is_accepted(bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "elsewhere")
    assert read_manifest(tmp_path / "elsewhere") == read_manifest(bundle)


def test_one_flipped_bit_in_any_file_is_refused(bundle: Path) -> None:
    for path in sorted(p for p in bundle.rglob("*") if p.is_file()):
        whole = path.read_bytes()
        middle = len(whole) // 2
        path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
        with pytest.raises(BundleError, match=path.name):
            read_manifest(bundle)
        path.write_bytes(whole)
    read_manifest(bundle)


def test_a_missing_file_is_refused(bundle: Path) -> None:
    next(bundle.rglob("scale.json")).unlink()
    with pytest.raises(BundleError, match=r"scale.json(.|\n)*missing"):
        read_manifest(bundle)


@pytest.mark.parametrize("name", ["extra.json", "members/linear-0/model.pkl", "weights.pt"])
def test_a_file_that_does_not_belong_to_it_is_refused(bundle: Path, name: str) -> None:
    (bundle / name).write_bytes(b"x")
    with pytest.raises(BundleError, match="does not belong"):
        read_manifest(bundle)


def test_a_file_that_could_hold_code_is_refused_even_with_its_checksum(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(b"cos\nsystem\n")
    empty: dict[str, object] = {
        "target_spec": {},
        "schema": {},
        "calibration": {},
        "members": [],
        "tables": [],
    }
    write_manifest(tmp_path, {"task": "binary", **empty})
    with pytest.raises(BundleError, match="data files only"):
        read_manifest(tmp_path)


def test_a_member_outside_the_bundle_is_refused_even_with_its_checksum(
    bundle: Path, tmp_path: Path
) -> None:
    shutil.copytree(bundle / "members" / "linear-0", tmp_path / "elsewhere")
    inside = read_manifest(bundle)["members"][0]
    rewrite_manifest(bundle, members=[{**inside, "folder": "../../elsewhere"}])
    with pytest.raises(BundleError, match="a file outside the bundle"):
        read_manifest(bundle)


@pytest.mark.parametrize("name", ["../table.parquet", "/etc/passwd"])
def test_a_table_outside_the_bundle_is_refused_even_with_its_checksum(
    bundle: Path, name: str
) -> None:
    rewrite_manifest(bundle, tables=[{"file": name, "keys": ["city"]}])
    with pytest.raises(BundleError, match="a file outside the bundle"):
        read_manifest(bundle)


def test_a_link_out_of_the_bundle_is_refused(bundle: Path, tmp_path: Path) -> None:
    path = next(bundle.rglob("scale.json"))
    shutil.move(path, tmp_path / "scale.json")
    path.symlink_to(tmp_path / "scale.json")
    with pytest.raises(BundleError, match=r"scale.json"):
        read_manifest(bundle)


def test_a_folder_in_the_bundle_that_is_a_link_is_refused(bundle: Path, tmp_path: Path) -> None:
    member = bundle / "members" / "linear-0"
    shutil.move(member, tmp_path / "elsewhere")
    member.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(BundleError, match="linear-0"):
        read_manifest(bundle)


def test_a_link_to_a_bundle_is_a_bundle(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(bundle, target_is_directory=True)
    assert read_manifest(tmp_path / "current") == read_manifest(bundle)


def test_a_manifest_that_is_a_link_is_refused(bundle: Path, tmp_path: Path) -> None:
    shutil.move(bundle / MANIFEST_FILE, tmp_path / MANIFEST_FILE)
    (bundle / MANIFEST_FILE).symlink_to(tmp_path / MANIFEST_FILE)
    with pytest.raises(BundleError, match="no bundle here"):
        read_manifest(bundle)


def test_a_pipe_in_place_of_a_file_is_refused_without_waiting_on_it(bundle: Path) -> None:
    path = next(bundle.rglob("scale.json"))
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(BundleError, match=r"scale\.json(.|\n)*regular data files"):
        read_manifest(bundle)


@pytest.mark.parametrize(
    ("version", "message", "hint"),
    [
        (FORMAT_VERSION + 1, "a newer format", "or a newer one"),
        (1, "an older format", "package its"),
    ],
)
def test_another_format_version_is_refused_with_a_hint(
    bundle: Path, version: int, message: str, hint: str
) -> None:
    manifest = json.loads((bundle / MANIFEST_FILE).read_text(encoding="utf-8"))
    (bundle / MANIFEST_FILE).write_text(
        json.dumps({**manifest, "format": version}), encoding="utf-8"
    )
    with pytest.raises(BundleError, match=message) as caught:
        read_manifest(bundle)
    assert hint in caught.value.hint


@pytest.mark.parametrize("content", ["", "{", "[]", '"text"', "{}", "[" * 100_000])
def test_an_invalid_manifest_is_refused(bundle: Path, content: str) -> None:
    (bundle / MANIFEST_FILE).write_text(content, encoding="utf-8")
    with pytest.raises(BundleError, match=r"cannot be trusted: manifest\.json"):
        read_manifest(bundle)


@pytest.mark.parametrize(
    "wrong", [{"files": []}, {"members": [{}]}, {"tables": None}, {"tables": [3]}]
)
def test_a_manifest_of_another_shape_is_refused_even_with_its_checksum(
    bundle: Path, wrong: dict[str, object]
) -> None:
    manifest = {**read_manifest(bundle), **wrong}
    manifest["digest"] = digest.of_json(manifest)
    files.atomic_write_json(bundle / MANIFEST_FILE, manifest)
    with pytest.raises(BundleError, match=r"cannot be trusted: manifest\.json|does not belong"):
        read_manifest(bundle)


def test_the_model_id_depends_on_the_model_and_not_on_the_card(bundle: Path) -> None:
    before = read_manifest(bundle)["model_id"]
    (bundle / "tables").mkdir()
    (bundle / "tables" / "0.parquet").write_bytes(b"rows to join")
    rewrite_manifest(bundle)
    assert read_manifest(bundle)["model_id"] != before
    before = read_manifest(bundle)["model_id"]
    (bundle / "card.md").write_text("another card", encoding="utf-8")
    rewrite_manifest(bundle)
    assert read_manifest(bundle)["model_id"] == before
    rewrite_manifest(bundle, calibration={"temperature": 3.0})
    assert read_manifest(bundle)["model_id"] != before
