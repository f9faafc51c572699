from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageEnhance

from fieldcraft.core.errors import DataError
from fieldcraft.data.table import Column
from fieldcraft.data.weights import has_linear_layers
from fieldcraft.kinds.image.audit import Shortcuts
from fieldcraft.kinds.image.audit_classes import ClassShots, OneSource, UnfitTuning, shots_of
from fieldcraft.kinds.image.encode import ImageEncoder
from tests.checks.views import data_view, found, split_view
from tests.kinds.image.test_near import scene
from tests.kinds.image.tiny import tiny_network

ROWS = 90
ANIMALS = ("cat", "dog", "owl")
Y = [ANIMALS[i % 3] for i in range(ROWS)]


def photo(path: Path, image: Image.Image, camera: str = "") -> str:
    """Save a photo, taken by a camera."""
    marks = Image.Exif()
    if camera:
        marks[0x010F], marks[0x0110] = camera, "one"
    image.save(path, exif=marks)
    return str(path)


def test_a_class_of_few_shots_is_named_with_their_number(tmp_path: Path) -> None:
    paths = []
    for i, animal in enumerate(Y):
        image = scene(1_000 + i % 4 if animal == "dog" else i)
        image = ImageEnhance.Brightness(image).enhance(0.8 + 0.3 * (i % 11) / 11)
        paths.append(photo(tmp_path / f"{i}.png", image))
    view = split_view({"photo": paths, "y": Y}, "multiclass", photo="image")
    (finding,) = found(ClassShots(), view)
    assert finding.severity == "warn"
    assert finding.evidence["classes"] == {"dog": {"photos": 30, "shots": 4}}
    assert "dog (30 photos, 4 shots)" in finding.title
    assert "more things" in finding.advice


@pytest.mark.parametrize("check", [ClassShots(), OneSource()])
def test_photos_of_many_things_from_many_places_are_passed(
    tmp_path: Path, check: ClassShots | OneSource
) -> None:
    paths = [
        photo(tmp_path / f"{i}.jpg", scene(i), ("Acme", "Bolt")[i // 3 % 2]) for i in range(ROWS)
    ]
    assert found(check, split_view({"photo": paths, "y": Y}, "multiclass", photo="image")) == []


def test_a_class_from_a_camera_of_its_own_is_named(tmp_path: Path) -> None:
    paths = []
    for i, animal in enumerate(Y):
        camera = "Coyote" if animal == "owl" else ("Acme", "Bolt")[i // 3 % 2]
        paths.append(photo(tmp_path / f"{i}.jpg", scene(i), camera))
    view = split_view({"photo": paths, "y": Y}, "multiclass", photo="image")
    (finding,) = found(OneSource(), view)
    assert set(finding.evidence["power"]) == {"owl"}
    assert finding.evidence["power"]["owl"]["the camera"] > 0.9
    assert "owl by the camera" in finding.title


def test_a_class_on_a_background_of_its_own_is_named(tmp_path: Path) -> None:
    paths = []
    for i, animal in enumerate(Y):
        image = scene(i)
        if animal == "cat":  # in a studio
            studio = Image.new("RGB", (96, 96), (40, 160, 60))
            studio.paste(image.resize((48, 48)), (24, 24))
            image = studio
        paths.append(photo(tmp_path / f"{i}.png", image))
    view = split_view({"photo": paths, "y": Y}, "multiclass", photo="image")
    (finding,) = found(OneSource(), view)
    assert set(finding.evidence["power"]) == {"cat"}
    assert "the evenness of the edge" in finding.evidence["power"]["cat"]


def test_cameras_that_tell_two_classes_are_a_shortcut(tmp_path: Path) -> None:
    y = [ANIMALS[i % 2] for i in range(ROWS)]
    paths = [
        photo(tmp_path / f"{i}.jpg", scene(i), {"cat": "Acme", "dog": "Bolt"}[animal])
        for i, animal in enumerate(y)
    ]
    view = split_view({"photo": paths, "y": y}, "binary", photo="image")
    (finding,) = found(Shortcuts(), view)
    assert finding.evidence["power"]["the camera"] > 0.9
    assert found(OneSource(), view) == []  # not told twice


def test_shots_are_counted_for_each_class_alone() -> None:
    of_class = np.arange(30) < 20
    groups = [np.arange(0, 16), np.arange(16, 18), np.arange(20, 30)]
    assert shots_of(of_class, groups) == (20, 4)
    assert shots_of(~of_class, groups) == (10, 1)
    assert shots_of(of_class, []) is None
    assert shots_of(np.arange(30) < 9, groups) is None


@pytest.mark.parametrize(
    ("network", "fits"), [("resnet", False), ("vit", True), ("convnext", True)]
)
def test_lora_of_a_network_without_linear_layers_is_told_before_anything_is_built(
    tmp_path: Path, network: str, fits: bool
) -> None:
    folder = tiny_network(tmp_path, network)
    assert has_linear_layers(Path(folder)) is fits
    column = Column("photo", "image", {"encoder": folder, "tune": "lora"})
    findings = found(UnfitTuning(), data_view({"photo": ["a.png"]}, photo=column))
    assert [f.severity for f in findings] == ([] if fits else ["stop"])
    if not fits:
        assert findings[0].fixes[0].in_words() == "data.columns.photo.tune: True"
        with pytest.raises(DataError, match="does not fit") as told:
            ImageEncoder([column]).read(pl.DataFrame({"photo": ["a.png"]}))
        assert "convolutions only" in told.value.way_out
