from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageEnhance

from fieldcraft.core.errors import DataError
from fieldcraft.data.pretrained_weights import has_linear_layers, use_base_folder
from fieldcraft.data.schema import Column
from fieldcraft.kinds.image import class_checks
from fieldcraft.kinds.image.checks import ShortcutFeatures
from fieldcraft.kinds.image.class_checks import (
    ClassSourceBias,
    FewDistinctImages,
    UnsupportedLora,
    count_distinct_images,
    iter_classes,
    iter_separable_classes,
)
from fieldcraft.kinds.image.encode import ImageEncoder
from tests.checks.contexts import data_context, run_check, split_context
from tests.kinds.image.test_near_duplicates import draw_scene
from tests.kinds.image.tiny_backbones import write_tiny_backbone

ROWS = 90
ANIMALS = ("cat", "dog", "owl")
Y = [ANIMALS[i % 3] for i in range(ROWS)]


def save_photo(path: Path, image: Image.Image, camera: str = "") -> str:
    """Save an image with the camera in its EXIF data."""
    exif = Image.Exif()
    if camera:
        exif[0x010F], exif[0x0110] = camera, "one"
    image.save(path, exif=exif)
    return str(path)


def test_classes_with_few_distinct_images_are_reported(tmp_path: Path) -> None:
    paths = []
    for i, animal in enumerate(Y):
        image = draw_scene(1_000 + i % 4 if animal == "dog" else i)
        image = ImageEnhance.Brightness(image).enhance(0.8 + 0.3 * (i % 11) / 11)
        paths.append(save_photo(tmp_path / f"{i}.png", image))
    view = split_context({"photo": paths, "y": Y}, "multiclass", photo="image")
    (finding,) = run_check(FewDistinctImages(), view)
    assert finding.severity == "warning"
    assert finding.evidence["classes"] == {"dog": {"images": 30, "distinct_images": 4}}
    assert "dog (30 photos, 4 distinct)" in finding.title
    assert "more objects" in finding.advice


@pytest.mark.parametrize("check", [FewDistinctImages(), ClassSourceBias()])
def test_diverse_images_are_not_reported(
    tmp_path: Path, check: FewDistinctImages | ClassSourceBias
) -> None:
    paths = [
        save_photo(tmp_path / f"{i}.jpg", draw_scene(i), ("Acme", "Bolt")[i // 3 % 2])
        for i in range(ROWS)
    ]
    assert (
        run_check(check, split_context({"photo": paths, "y": Y}, "multiclass", photo="image")) == []
    )


def test_a_class_with_its_own_camera_is_reported(tmp_path: Path) -> None:
    paths = []
    for i, animal in enumerate(Y):
        camera = "Coyote" if animal == "owl" else ("Acme", "Bolt")[i // 3 % 2]
        paths.append(save_photo(tmp_path / f"{i}.jpg", draw_scene(i), camera))
    view = split_context({"photo": paths, "y": Y}, "multiclass", photo="image")
    (finding,) = run_check(ClassSourceBias(), view)
    assert set(finding.evidence["association_strength"]) == {"owl"}
    assert finding.evidence["association_strength"]["owl"]["the camera"] > 0.9
    assert "owl by the camera" in finding.title


def test_a_class_with_its_own_background_is_reported(tmp_path: Path) -> None:
    paths = []
    for i, animal in enumerate(Y):
        image = draw_scene(i)
        if animal == "cat":  # in a studio
            studio = Image.new("RGB", (96, 96), (40, 160, 60))
            studio.paste(image.resize((48, 48)), (24, 24))
            image = studio
        paths.append(save_photo(tmp_path / f"{i}.png", image))
    view = split_context({"photo": paths, "y": Y}, "multiclass", photo="image")
    (finding,) = run_check(ClassSourceBias(), view)
    assert set(finding.evidence["association_strength"]) == {"cat"}
    assert "the contrast of the border" in finding.evidence["association_strength"]["cat"]


def test_cameras_that_separate_two_classes_are_a_shortcut(tmp_path: Path) -> None:
    y = [ANIMALS[i % 2] for i in range(ROWS)]
    paths = [
        save_photo(tmp_path / f"{i}.jpg", draw_scene(i), {"cat": "Acme", "dog": "Bolt"}[animal])
        for i, animal in enumerate(y)
    ]
    view = split_context({"photo": paths, "y": y}, "binary", photo="image")
    (finding,) = run_check(ShortcutFeatures(), view)
    assert finding.evidence["association_strength"]["the camera"] > 0.9
    assert run_check(ClassSourceBias(), view) == []  # not reported twice


def test_distinct_images_are_counted_by_class() -> None:
    of_class = np.arange(30) < 20
    groups = [np.arange(0, 16), np.arange(16, 18), np.arange(20, 30)]
    assert count_distinct_images(of_class, groups) == (20, 4)
    assert count_distinct_images(~of_class, groups) == (10, 1)
    assert count_distinct_images(of_class, []) is None
    assert count_distinct_images(np.arange(30) < 9, groups) is None


@pytest.mark.parametrize(
    ("network", "fits"), [("resnet", False), ("vit", True), ("convnext", True)]
)
def test_lora_without_linear_layers_is_an_error_before_training(
    tmp_path: Path, network: str, fits: bool
) -> None:
    folder = write_tiny_backbone(tmp_path, network)
    assert has_linear_layers(Path(folder)) is fits
    column = Column("photo", "image", {"encoder": folder, "finetune": "lora"})
    findings = run_check(UnsupportedLora(), data_context({"photo": ["a.png"]}, photo=column))
    assert [f.severity for f in findings] == ([] if fits else ["error"])
    if not fits:
        assert findings[0].fixes[0].describe() == "data.columns.photo.finetune: True"
        with pytest.raises(DataError, match="is invalid") as error:
            ImageEncoder([column]).precompute(pl.DataFrame({"photo": ["a.png"]}))
        assert "linear layers" in error.value.hint


def test_lora_is_checked_in_a_folder_relative_to_the_project(tmp_path: Path) -> None:
    name = Path(write_tiny_backbone(tmp_path, "resnet")).name
    column = Column("photo", "image", {"encoder": f"./{name}", "finetune": "lora"})
    with use_base_folder(tmp_path):
        findings = run_check(UnsupportedLora(), data_context({"photo": ["a.png"]}, photo=column))
        assert [finding.severity for finding in findings] == ["error"]
        with pytest.raises(DataError, match="is invalid"):
            ImageEncoder([column]).precompute(pl.DataFrame({"photo": ["a.png"]}))


@pytest.mark.parametrize(
    ("photos", "alike", "expected"),
    [(30, 21, (30, 10)), (30, 20, None), (10, 8, (10, 3)), (9, 9, None)],
    ids=["a third", "more", "ten photos", "nine photos"],
)
def test_thresholds_of_few_distinct_images(
    photos: int, alike: int, expected: tuple[int, int] | None
) -> None:
    assert count_distinct_images(np.ones(photos, dtype=bool), [np.arange(alike)]) == expected


@pytest.mark.parametrize(("wrong", "is_separable"), [(85, True), (105, False)])
def test_separable_classes_have_an_association_of_three_fifths(
    wrong: int, is_separable: bool
) -> None:
    # Goodman and Kruskal's lambda of two even classes is 1 - 2 e: .66 and .58.
    owl = np.arange(1_000) % 2 == 0
    camera = np.where(np.arange(1_000) < 2 * wrong, ~owl, owl).astype(np.int64)
    facts = {"the camera": camera, "the size": np.arange(1_000) % 3}
    expected = {"owl": ["the camera"]} if is_separable else {}
    assert {label: list(f) for label, f in iter_separable_classes(facts, {"owl": owl})} == expected


@pytest.mark.parametrize(("photos", "is_separable"), [(10, True), (9, False)])
def test_separable_classes_have_ten_images(photos: int, is_separable: bool) -> None:
    owl = np.arange(100) < photos
    assert (
        bool(dict(iter_separable_classes({"the camera": owl.astype(np.int64)}, {"owl": owl})))
        is is_separable
    )


@pytest.mark.parametrize(("classes", "count"), [(100, 100), (101, 0)])
def test_up_to_a_hundred_classes_are_checked(classes: int, count: int) -> None:
    cells = {"photo": ["a.png"] * 202, "y": [f"c{i % classes:03}" for i in range(202)]}
    classes_with_rows = list(iter_classes(split_context(cells, "multiclass", photo="image")))
    assert len(classes_with_rows) == count
    for i, (label, rows) in enumerate(classes_with_rows):
        assert label == f"c{i:03}"
        assert np.flatnonzero(rows).tolist() == list(range(i, 202, classes))


def test_each_label_is_a_class_and_regression_has_none() -> None:
    cells = {"photo": ["a.png"] * 4, "wet": [1, 0, 0, 1], "cold": [0, 0, 0, 1]}
    view = split_context(cells, "labels", ("wet", "cold"), photo="image")
    assert {name: rows.tolist() for name, rows in iter_classes(view)} == {
        "wet": [True, False, False, True], "cold": [False, False, False, True],
    }  # fmt: skip
    cells = {"photo": ["a.png"] * 4, "y": [1, 0, 0, 1]}
    assert list(iter_classes(split_context(cells, "regression", photo="image"))) == []


@pytest.mark.parametrize(("cameras", "expected"), [((0, 1, 2), []), ((0, 0, 1), ["owl"])])
def test_metadata_of_all_classes_are_left_to_the_shortcut_check(
    monkeypatch: pytest.MonkeyPatch, cameras: tuple[int, int, int], expected: list[str]
) -> None:
    codes = np.array([cameras[i % 3] for i in range(ROWS)])
    monkeypatch.setattr(class_checks, "image_metadata", lambda addresses: {"the camera": codes})
    cells = [f"{i}.png" for i in range(ROWS)]
    view = split_context({"photo": cells, "y": Y}, "multiclass", photo="image")
    findings = run_check(ClassSourceBias(), replace(view, values=pl.DataFrame({"photo": cells})))
    assert [
        label for finding in findings for label in finding.evidence["association_strength"]
    ] == expected
