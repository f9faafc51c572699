from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fieldcraft.contracts import CheckContext
from fieldcraft.core.types import Array
from fieldcraft.data import file_cells
from fieldcraft.kinds.image import checks
from fieldcraft.kinds.image.checks import (
    LowQualityImages,
    NearDuplicateImages,
    ShortcutFeatures,
    UnreadableImages,
    find_quality_faults,
    image_metadata,
    is_truncated_jpeg,
    iter_image_samples,
)
from fieldcraft.kinds.image.decode import ImageHeader
from tests.checks.contexts import data_context, run_check, split_context
from tests.images import draw_image, save_image
from tests.kinds.image.test_near_duplicates import draw_scene

ROWS = 80


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    return [save_image(tmp_path / f"{i}.png", i, ("disc", "square")[i % 2]) for i in range(ROWS)]


def test_valid_images_are_not_reported(paths: list[str]) -> None:
    view = data_context({"photo": paths}, photo="image")
    for check in (UnreadableImages(), NearDuplicateImages(), LowQualityImages()):
        assert run_check(check, view) == []


def test_all_kinds_of_unreadable_images_are_listed(paths: list[str], tmp_path: Path) -> None:
    bodies = {
        "empty.jpg": b"",
        "text.png": b"this is no photo",
        "short.png": Path(paths[0]).read_bytes()[:400],
    }
    for name, body in bodies.items():
        (tmp_path / name).write_bytes(body)
    odd = [str(tmp_path / name) for name in (*bodies, "absent.jpg")]
    (finding,) = run_check(
        UnreadableImages(), data_context({"photo": [*paths, *odd, None]}, photo="image")
    )
    assert finding.severity == "warning"
    assert finding.evidence["images"] == 4
    assert finding.evidence["cells"] == odd
    assert finding.evidence["faults"] == {
        "empty": 1, "not a photo": 1, "truncated": 1, "not found": 1,
    }  # fmt: skip
    assert "1 truncated" in finding.title
    assert " more" not in finding.title
    assert "row 81 (empty.jpg)" in finding.title


def test_copies_in_another_format_are_reported(paths: list[str], tmp_path: Path) -> None:
    draw_image(4).save(tmp_path / "again.jpg", quality=95, subsampling=0)
    (finding,) = run_check(
        NearDuplicateImages(),
        data_context({"photo": [*paths, str(tmp_path / "again.jpg")]}, photo="image"),
    )
    assert (finding.severity, finding.evidence["images"]) == ("warning", 2)
    assert "row 5 (4.png), row 81 (again.jpg)" in finding.title


def test_blank_dark_and_oversized_images_are_reported(paths: list[str], tmp_path: Path) -> None:
    Image.new("RGB", (40, 32), "white").save(tmp_path / "blank.png")
    draw_image(3, size=(400, 300)).save(tmp_path / "large.png")
    dark = np.asarray(draw_image(5)) // 20
    Image.fromarray(dark).save(tmp_path / "dark.png")
    names = ("blank", "large", "dark")
    odd = [str(tmp_path / f"{name}.png") for name in names]
    (finding,) = run_check(
        LowQualityImages(), data_context({"photo": [*paths, *odd]}, photo="image")
    )
    assert finding.evidence == {
        "of a single color": [odd[0]], "far larger than the rest": [odd[1]], "very dark": [odd[2]],
    }  # fmt: skip


def test_a_class_of_another_size_is_a_shortcut(tmp_path: Path) -> None:
    y = [("cat", "dog")[i % 2] for i in range(ROWS)]
    draw = np.random.default_rng(0)
    paths = []
    for i in range(ROWS):
        width = int(draw.integers(40, 50) if y[i] == "cat" else draw.integers(60, 70))
        draw_image(i, size=(width, 32)).save(tmp_path / f"{i}.png")
        paths.append(str(tmp_path / f"{i}.png"))
    (finding,) = run_check(
        ShortcutFeatures(), split_context({"photo": paths, "y": y}, "binary", photo="image")
    )
    assert finding.severity == "warning"
    assert finding.evidence["association_strength"]["the number of pixels"] > 0.9


def test_image_content_is_no_shortcut(tmp_path: Path) -> None:
    y = [("disc", "square")[i % 2] for i in range(ROWS)]
    paths = [save_image(tmp_path / f"{i}.bmp", i, shape) for i, shape in enumerate(y)]
    view = split_context({"photo": paths, "y": y}, "binary", photo="image")
    assert run_check(ShortcutFeatures(), view) == []


def test_images_truncated_at_the_bottom_are_reported(paths: list[str], tmp_path: Path) -> None:
    draw_scene(1).resize((160, 120)).save(tmp_path / "whole.jpg", quality=90)
    whole = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "lost.jpg").write_bytes(whole[: len(whole) // 2] + b"\xff\xd9")
    added = [str(tmp_path / name) for name in ("whole.jpg", "lost.jpg")]
    (finding,) = run_check(
        LowQualityImages(), data_context({"photo": [*paths, *added]}, photo="image")
    )
    assert finding.evidence["of a single color at the bottom, as if truncated"] == [added[1]]
    assert (
        run_check(UnreadableImages(), data_context({"photo": [*paths, *added]}, photo="image"))
        == []
    )


@dataclass
class FakePixelCache:
    """A pixel cache with the given headers and pixels of 32 by 32."""

    squares: Array
    heads: list[ImageHeader | None]

    def get_pixels(self, addresses: Sequence[str], fill: Array) -> Array:
        return self.squares

    def find_broken(self, addresses: Sequence[str]) -> list[bool]:
        return [False for _ in addresses]


def use_images(
    monkeypatch: pytest.MonkeyPatch, squares: Array, heads: list[ImageHeader | None] | None = None
) -> list[str]:
    """Replace the pixel cache by these images and return their addresses."""
    photos = FakePixelCache(squares, heads or [ImageHeader(64, 64, "PNG", "RGB")] * len(squares))
    monkeypatch.setattr(checks, "get_pixel_cache", lambda side: photos)
    monkeypatch.setattr(checks, "read_image_headers", lambda addresses: photos.heads)
    return [f"{i}.png" for i in range(len(squares))]


def readable(view: CheckContext) -> CheckContext:
    """Return the context with the cells as valid addresses."""
    return replace(
        view, values=view.values.with_columns(photo=view.column_profiles["photo"].column)
    )


def square(mean: float, spread: float) -> Array:
    """Return pixels with two alternating row values."""
    pixels = np.full((32, 32, 3), mean - spread)
    pixels[::2] += 2 * spread
    return pixels


def test_thresholds_of_brightness_and_contrast(monkeypatch: pytest.MonkeyPatch) -> None:
    squares = np.stack([
        square(100, 1.9), square(100, 2.1),
        square(17.9, 5), square(18.1, 5), square(10, 1),
        square(245.1, 5), square(244.9, 5), square(250, 1),
    ])  # fmt: skip
    faults = find_quality_faults(use_images(monkeypatch, squares))
    assert {what: np.flatnonzero(mask).tolist() for what, mask in faults.items() if mask.any()} == {
        "of a single color": [0, 4, 7], "very dark": [2], "very bright": [5],
    }  # fmt: skip


def test_thresholds_of_size(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [(40, 40)] * 5 + [(160, 160), (160, 161), (10, 10), (10, 9)]
    heads: list[ImageHeader | None] = [ImageHeader(w, h, "PNG", "RGB") for w, h in sizes]
    faults = find_quality_faults(use_images(monkeypatch, np.stack([square(100, 9)] * 9), heads))
    assert np.flatnonzero(faults["far larger than the rest"]).tolist() == [6]
    assert np.flatnonzero(faults["far smaller than the rest"]).tolist() == [8]


def test_truncated_jpegs_end_in_one_color_unlike_frames() -> None:
    squares = np.stack([square(100, 9)] * 7).astype(np.uint8)
    squares[1:, -4:] = 128
    squares[2, -4, 5, 1] = 129  # not all of one color
    squares[3, -4:] = (8, 3, 0)  # black, as a frame
    squares[4, -4:] = (9, 3, 0)
    squares[5, -4:] = (247, 255, 250)  # white, as a page
    heads: list[ImageHeader | None] = [ImageHeader(64, 64, "JPEG", "RGB")] * 7
    assert np.flatnonzero(is_truncated_jpeg(heads, squares)).tolist() == [1, 4, 6]
    heads[6], heads[4] = None, ImageHeader(64, 64, "PNG", "RGB")
    assert np.flatnonzero(is_truncated_jpeg(heads, squares)).tolist() == [1]


def test_image_metadata_are_from_headers_and_borders(monkeypatch: pytest.MonkeyPatch) -> None:
    squares = np.full((3, 32, 32, 3), 200.0)
    squares[:, 2:-2, 2:-2] = 17  # what a photo shows counts for nothing
    squares[1, 0] = 40
    squares[2] = (0, 100, 255)
    heads: list[ImageHeader | None] = [
        ImageHeader(60, 30, "PNG", "RGB", "Acme"), ImageHeader(20, 40, "JPEG", "L"), None,
    ]  # fmt: skip
    monkeypatch.setattr(file_cells, "read_content", lambda address: b"x" * (1 + int(address[0])))
    facts = image_metadata(use_images(monkeypatch, squares, heads))
    assert facts["the number of pixels"].tolist() == [1_800, 800, 0]
    assert facts["the aspect ratio"].tolist() == [2, 0.5, 0]
    assert facts["the file size"].tolist() == [1, 2, 3]
    assert facts["the camera"].tolist() == [1, 0, 0]
    assert facts["the file format"].tolist() == [2, 1, 0]
    edge = 32**2 - 28**2
    dark = (32 * 40 + (edge - 32) * 200) / edge
    np.testing.assert_allclose(
        facts["the brightness of the border"], [200, dark, 355 / 3], rtol=1e-6
    )
    spread = 160 * (32 / edge * (1 - 32 / edge)) ** 0.5
    np.testing.assert_allclose(facts["the contrast of the border"], [0, spread, 0], rtol=1e-5)
    # Thirds of each color: (2, 2, 2), (2, 2, 2) and (0, 1, 2), the last one counting most.
    assert facts["the color of the border"].tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("photos", "entity", "severity"),
    [(200, None, "warning"), (201, None, "info"), (200, "person", "info")],
)
def test_one_percent_of_near_duplicates_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, photos: int, entity: str | None, severity: str
) -> None:
    squares = np.random.default_rng(0).integers(0, 255, (photos, 32, 32, 3))
    squares[7] = squares[3]
    cells = use_images(monkeypatch, squares)
    view = data_context({"photo": cells}, photo="image")
    view = replace(view, row_numbers=range(901, 901 + photos), group_column=entity)
    (finding,) = run_check(NearDuplicateImages(), readable(view))
    assert (finding.severity, finding.fixes) == (severity, ())
    assert finding.evidence == {"images": 2, "groups": 1, "examples": [["3.png", "7.png"]]}
    assert "row 904 (3.png), row 908 (7.png)" in finding.title
    assert finding.title.startswith("2 photos of photo are near-duplicates (1 group, the")


@pytest.mark.parametrize(("rows", "reported"), [(50, True), (49, False)])
def test_shortcuts_need_fifty_images(
    monkeypatch: pytest.MonkeyPatch, rows: int, reported: bool
) -> None:
    y = [("cat", "dog")[i % 2] for i in range(rows)]
    heads: list[ImageHeader | None] = [
        ImageHeader(60 + 9 * (k == "cat"), 60, "PNG", "RGB") for k in y
    ]
    monkeypatch.setattr(file_cells, "read_content", lambda address: b"x")
    cells = use_images(monkeypatch, np.full((rows, 32, 32, 3), 90.0), heads)
    view = split_context({"photo": cells, "y": y}, "binary", photo="image")
    findings = run_check(ShortcutFeatures(), readable(view))
    assert [set(f.evidence["association_strength"]) for f in findings] == (
        [{"the number of pixels", "the aspect ratio"}] * reported
    )


@pytest.mark.parametrize(("wrong", "reported"), [(110, True), (130, False)])
def test_shortcuts_have_an_association_of_one_half(
    monkeypatch: pytest.MonkeyPatch, wrong: int, reported: bool
) -> None:
    # Goodman and Kruskal's lambda of two even classes is 1 - 2 e: .56 and .48.
    row = np.arange(1_000)
    wide = np.where(row < 2 * wrong, 1 - row % 2, row % 2)
    heads: list[ImageHeader | None] = [
        ImageHeader(60, 30 + 30 * int(w), "PNG", "RGB") for w in wide
    ]
    monkeypatch.setattr(file_cells, "read_content", lambda address: b"x")
    cells = use_images(monkeypatch, np.full((1_000, 32, 32, 3), 90.0), heads)
    y = [("cat", "dog")[i % 2] for i in row]
    view = split_context({"photo": cells, "y": y}, "binary", photo="image")
    assert bool(run_check(ShortcutFeatures(), readable(view))) is reported


def test_many_images_are_sampled_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = use_images(monkeypatch, np.zeros((9, 32, 32, 3)))
    view = data_context({"photo": [None, *cells]}, photo="image")
    ((name, seen),) = iter_image_samples(view, 3)
    assert (name, seen.row_positions.tolist(), seen.cells) == (
        "photo",
        [1, 5, 9],
        ["0.png", "4.png", "8.png"],
    )
    assert seen.sample_note == " (in a sample of 3 of 9)"
    ((_, seen),) = iter_image_samples(view, None)
    assert (seen.row_positions.tolist(), seen.sample_note) == (list(range(1, 10)), "")
