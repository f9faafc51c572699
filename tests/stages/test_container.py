"""The container folder has all files that the image is built from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from fieldcraft.bundle.manifest import read_manifest
from fieldcraft.core.errors import BundleError
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages._container import write_container


def test_the_folder_has_all_files_of_the_image(
    finished_project: ProjectFolder, tmp_path: Path
) -> None:
    model = read_manifest(finished_project.bundle_path)["model_id"][:16]
    dockerfile = write_container(finished_project.bundle_path, tmp_path / "box", "My Shop")
    text = dockerfile.read_text(encoding="utf-8")
    assert "torch" not in text.lower().replace("pytorch", "")
    assert re.search(r'"fieldcraft\[serve\]==\d', text)
    copied = re.findall(r"^COPY (\S+)", text, re.M)
    assert all((tmp_path / "box" / name).is_dir() for name in copied)
    assert read_manifest(tmp_path / "box" / "bundle")["model_id"].startswith(model)
    assert "FIELDCRAFT_BUNDLES=my-shop=/opt/bundle" in text
    service = YAML().load((tmp_path / "box" / "kserve.yaml").read_text(encoding="utf-8"))
    (container,) = service["spec"]["predictor"]["containers"]
    assert container["image"] == f"my-shop:{model}"
    assert container["ports"][0]["containerPort"] == 8080
    assert service["metadata"]["name"] == "my-shop"


def test_a_container_folder_is_replaced_but_other_folders_are_not(
    finished_project: ProjectFolder, tmp_path: Path
) -> None:
    write_container(finished_project.bundle_path, tmp_path / "box", "shop")
    write_container(finished_project.bundle_path, tmp_path / "box", "shop")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.txt").touch()
    with pytest.raises(BundleError, match="holds other files"):
        write_container(finished_project.bundle_path, tmp_path / "thesis", "shop")
    assert (tmp_path / "thesis" / "thesis.txt").exists()
