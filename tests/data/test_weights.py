"""Pretrained networks are found by name, folder or hub, and told apart by their content."""

from __future__ import annotations

from pathlib import Path

import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.data.weights import packaged_folder, weights_digest, weights_folder

NONE: dict[str, tuple[str, str]] = {}


def folder_of(root: Path, weights: bytes = b"weights") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "config.json").write_text("{}", "utf-8")
    (root / "model.safetensors").write_bytes(weights)
    return root


def test_a_folder_is_itself(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "own")
    assert weights_folder(str(folder), NONE) == folder


def test_a_package_brings_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_of(tmp_path / "some_package" / "model")
    (tmp_path / "some_package" / "__init__.py").write_text("raise RuntimeError", "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert packaged_folder("some_package", "model") == tmp_path / "some_package" / "model"
    assert packaged_folder("some_package", "other") is None
    assert packaged_folder("no_such_package", "model") is None
    packaged = {"own": ("some_package", "model")}
    assert weights_folder("own", packaged) == tmp_path / "some_package" / "model"


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("own", "the package no_such_package is not installed"),
        ("./nowhere", "no such folder"),
        ("nowhere", "no such folder"),
        ("a/b/c", "no such folder"),
    ],
)
def test_what_is_not_there_is_told(name: str, seen: str) -> None:
    with pytest.raises(DataError, match=seen):
        weights_folder(name, {"own": ("no_such_package", "model")})


def test_a_folder_without_a_network_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no config\.json"):
        weights_folder(str(tmp_path), NONE)


def test_without_the_hub_a_name_is_told_with_what_is_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("huggingface_hub")
    folder_of(tmp_path / "some_package" / "model")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(DataError, match="not from the hub") as told:
        weights_folder("nobody/nothing", {"own": ("some_package", "model")})
    assert "use own, which is at hand" in told.value.way_out


def test_other_weights_have_another_digest(tmp_path: Path) -> None:
    one, same, other = (
        folder_of(tmp_path / name, data)
        for name, data in (("one", b"a"), ("same", b"a"), ("other", b"b"))
    )
    assert weights_digest(one) == weights_digest(same) != weights_digest(other)
