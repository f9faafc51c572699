"""A bundle that is not what was packaged is refused, and the file is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from fieldcraft.bundle.manifest import FORMAT, NAME, read_manifest, write_manifest
from fieldcraft.core.errors import BundleError
from fieldcraft.project.folder import Folder


@pytest.fixture
def bundle(finished: Folder) -> Path:
    return finished.bundle


def test_an_untouched_bundle_is_accepted_also_elsewhere(bundle: Path, tmp_path: Path) -> None:
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


@pytest.mark.parametrize("name", ["extra.json", "members/0/model.pkl", "weights.pt"])
def test_a_file_that_does_not_belong_to_it_is_refused(bundle: Path, name: str) -> None:
    (bundle / name).write_bytes(b"x")
    with pytest.raises(BundleError, match="does not belong"):
        read_manifest(bundle)


def test_a_file_that_could_hold_code_is_refused_even_with_its_checksum(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(b"cos\nsystem\n")
    write_manifest(
        tmp_path, {"task": "binary", "about": {}, "schema": {}, "calibration": {}, "members": []}
    )
    with pytest.raises(BundleError, match="data only"):
        read_manifest(tmp_path)


def test_a_member_outside_the_bundle_is_refused_even_with_its_checksum(
    bundle: Path, tmp_path: Path
) -> None:
    about = {k: v for k, v in read_manifest(bundle).items() if k not in ("files", "model_id")}
    shutil.copytree(bundle / "members" / "0", tmp_path / "elsewhere")
    outside = [{**about["members"][0], "folder": "../../../elsewhere"}]
    write_manifest(bundle, {**about, "members": outside})
    with pytest.raises(BundleError, match="member outside the bundle"):
        read_manifest(bundle)


def test_a_link_out_of_the_bundle_is_refused(bundle: Path, tmp_path: Path) -> None:
    path = next(bundle.rglob("scale.json"))
    shutil.move(path, tmp_path / "scale.json")
    path.symlink_to(tmp_path / "scale.json")
    with pytest.raises(BundleError, match=r"scale.json"):
        read_manifest(bundle)


def test_a_newer_format_says_what_to_install(bundle: Path) -> None:
    manifest = json.loads((bundle / NAME).read_text(encoding="utf-8"))
    (bundle / NAME).write_text(json.dumps({**manifest, "format": FORMAT + 1}), encoding="utf-8")
    with pytest.raises(BundleError, match="format that this version cannot read"):
        read_manifest(bundle)


@pytest.mark.parametrize("content", ["", "{", "[]", '"text"', "{}"])
def test_a_manifest_that_is_none_is_refused(bundle: Path, content: str) -> None:
    (bundle / NAME).write_text(content, encoding="utf-8")
    with pytest.raises(BundleError, match=r"cannot be trusted: manifest\.json"):
        read_manifest(bundle)


def test_the_model_id_follows_what_predicts_and_not_the_card(bundle: Path) -> None:
    about = {k: v for k, v in read_manifest(bundle).items() if k not in ("files", "model_id")}
    before = read_manifest(bundle)["model_id"]
    (bundle / "card.md").write_text("another card", encoding="utf-8")
    assert write_manifest(bundle, about)["model_id"] == before
    assert (
        write_manifest(bundle, {**about, "calibration": {"temperature": 3.0}})["model_id"] != before
    )
