"""Pretrained networks are found by name, folder or hub; digests depend on their content."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.data.pretrained_weights import (
    content_digest,
    find_backbone_folder,
    has_linear_layers,
    packaged_folder,
    resolve_path,
    use_base_folder,
    weights_digest,
    weights_stamps,
)
from fieldcraft.kinds.image.transfer import find_bundle

NONE: dict[str, tuple[str, str]] = {}


def make_backbone_folder(root: Path, weights: bytes = b"weights") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "config.json").write_text("{}", "utf-8")
    (root / "model.safetensors").write_bytes(weights)
    return root


def test_an_existing_folder_is_used(tmp_path: Path) -> None:
    folder = make_backbone_folder(tmp_path / "own")
    assert find_backbone_folder(str(folder), NONE) == folder


def test_a_packaged_network_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_backbone_folder(tmp_path / "some_package" / "model")
    (tmp_path / "some_package" / "__init__.py").write_text("raise RuntimeError", "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert packaged_folder("some_package", "model") == tmp_path / "some_package" / "model"
    assert packaged_folder("some_package", "other") is None
    assert packaged_folder("no_such_package", "model") is None
    packaged = {"own": ("some_package", "model")}
    assert find_backbone_folder("own", packaged) == tmp_path / "some_package" / "model"


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("own", "the package no_such_package is not installed"),
        ("./nowhere", "no such folder"),
        ("nowhere", "no such folder"),
        ("a/b/c", "no such folder"),
    ],
)
def test_an_unavailable_network_is_an_error(name: str, seen: str) -> None:
    with pytest.raises(DataError, match=seen):
        find_backbone_folder(name, {"own": ("no_such_package", "model")})


def test_a_folder_without_a_network_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no config\.json"):
        find_backbone_folder(str(tmp_path), NONE)


def test_without_the_hub_the_error_lists_available_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("huggingface_hub")
    make_backbone_folder(tmp_path / "some_package" / "model")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(DataError, match="not available from the hub") as caught:
        find_backbone_folder("nobody/nothing", {"own": ("some_package", "model")})
    assert "use own, which is installed" in caught.value.hint


def test_different_weights_have_different_digests(tmp_path: Path) -> None:
    first, same, different = (
        make_backbone_folder(tmp_path / name, data)
        for name, data in (("first", b"a"), ("same", b"a"), ("different", b"b"))
    )
    assert weights_digest(first) == weights_digest(same) != weights_digest(different)


def test_relative_folders_start_at_the_base_folder(tmp_path: Path) -> None:
    folder = make_backbone_folder(tmp_path / "project" / "networks" / "own")
    with pytest.raises(DataError, match="networks/own"):
        find_backbone_folder("./networks/own", {})
    with use_base_folder(tmp_path / "project"):
        assert find_backbone_folder("networks/own", {}) == folder
        assert find_backbone_folder(str(folder), {}) == folder
        with use_base_folder(tmp_path):
            assert resolve_path("project/networks/own") == folder
        assert resolve_path("networks/own") == folder
    assert resolve_path("networks/own") == Path("networks/own")


def test_relative_bundles_start_at_the_base_folder(tmp_path: Path) -> None:
    (tmp_path / "other" / "bundle").mkdir(parents=True)
    (tmp_path / "other" / "bundle" / "manifest.json").write_text("{}", "utf-8")
    assert find_bundle("other") is None
    with use_base_folder(tmp_path):
        assert find_bundle("other") == tmp_path / "other" / "bundle"


def test_the_content_digest_of_files_networks_and_bundles(tmp_path: Path) -> None:
    folder = make_backbone_folder(tmp_path / "own")
    bundle = tmp_path / "other" / "bundle"
    bundle.mkdir(parents=True)
    (bundle / "manifest.json").write_text("{}", "utf-8")
    (tmp_path / "b.zip").write_bytes(b"zip")
    with use_base_folder(tmp_path):
        assert content_digest("own") == weights_digest(folder)
        assert content_digest("other") == content_digest("other/bundle") is not None
        assert content_digest("b.zip") is not None
        before = content_digest("own")
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text("{}", "utf-8")
        assert content_digest("own") != before
        for name in ("minilm", "nobody/nothing", "no\0thing"):
            assert content_digest(name) is None


def test_a_changed_network_has_another_stamp(tmp_path: Path) -> None:
    folder = make_backbone_folder(tmp_path / "own")
    before = weights_stamps(folder)
    assert weights_stamps(folder) == before
    make_backbone_folder(tmp_path / "own", b"others")
    assert weights_stamps(folder) != before


def test_linear_layers_are_2d_weights_of_the_backbone(tmp_path: Path) -> None:
    numpy = pytest.importorskip("safetensors.numpy")
    shapes: dict[str, dict[str, tuple[int, ...]]] = {
        "head": {"conv.weight": (2, 3, 1, 1), "classifier.weight": (5, 2), "fc.weight": (5, 2)},
        "body": {"conv.weight": (2, 3, 1, 1), "query.weight": (2, 2)},
    }
    for name, layers in shapes.items():
        (tmp_path / name).mkdir()
        arrays = {key: np.zeros(shape, np.float32) for key, shape in layers.items()}
        numpy.save_file(arrays, tmp_path / name / "model.safetensors")
    assert not has_linear_layers(tmp_path / "head")
    assert has_linear_layers(tmp_path / "body")
    (tmp_path / "head" / "model.safetensors").write_bytes(b"stray_quote")
    assert has_linear_layers(tmp_path / "head")  # loading it says what is wrong
