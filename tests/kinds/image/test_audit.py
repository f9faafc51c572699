from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fieldcraft.kinds.image.audit import NearPhotos, PoorPhotos, Shortcuts, Unreadable
from tests.checks.views import data_view, found, split_view
from tests.drawing import draw_photo, picture
from tests.kinds.image.test_near import scene

ROWS = 80


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    return [draw_photo(tmp_path / f"{i}.png", i, ("disc", "square")[i % 2]) for i in range(ROWS)]


def test_sound_photos_are_passed(paths: list[str]) -> None:
    view = data_view({"photo": paths}, photo="image")
    for check in (Unreadable(), NearPhotos(), PoorPhotos()):
        assert found(check, view) == []


def test_every_sort_of_unreadable_photo_is_listed(paths: list[str], tmp_path: Path) -> None:
    bodies = {
        "empty.jpg": b"",
        "text.png": b"this is no photo",
        "short.png": Path(paths[0]).read_bytes()[:400],
    }
    for name, body in bodies.items():
        (tmp_path / name).write_bytes(body)
    odd = [str(tmp_path / name) for name in (*bodies, "absent.jpg")]
    (finding,) = found(Unreadable(), data_view({"photo": [*paths, *odd, None]}, photo="image"))
    assert finding.severity == "warn"
    assert finding.evidence["photos"] == 4
    assert finding.evidence["cells"] == odd
    assert finding.evidence["faults"] == {
        "empty": 1, "no photo": 1, "cut short": 1, "not there": 1,
    }  # fmt: skip
    assert "1 cut short" in finding.title
    assert "row 81 (empty.jpg)" in finding.title


def test_copies_in_another_form_are_told(paths: list[str], tmp_path: Path) -> None:
    picture(4).save(tmp_path / "again.jpg", quality=95, subsampling=0)
    (finding,) = found(
        NearPhotos(), data_view({"photo": [*paths, str(tmp_path / "again.jpg")]}, photo="image")
    )
    assert (finding.severity, finding.evidence["photos"]) == ("warn", 2)
    assert "row 5 (4.png), row 81 (again.jpg)" in finding.title


def test_photos_that_show_nothing_or_are_of_an_odd_size(paths: list[str], tmp_path: Path) -> None:
    Image.new("RGB", (40, 32), "white").save(tmp_path / "blank.png")
    picture(3, size=(400, 300)).save(tmp_path / "large.png")
    dark = np.asarray(picture(5)) // 20
    Image.fromarray(dark).save(tmp_path / "dark.png")
    names = ("blank", "large", "dark")
    odd = [str(tmp_path / f"{name}.png") for name in names]
    (finding,) = found(PoorPhotos(), data_view({"photo": [*paths, *odd]}, photo="image"))
    assert finding.evidence == {
        "of one colour": [odd[0]], "far larger than the rest": [odd[1]], "very dark": [odd[2]],
    }  # fmt: skip


def test_a_class_of_another_size_is_a_shortcut(tmp_path: Path) -> None:
    y = [("cat", "dog")[i % 2] for i in range(ROWS)]
    draw = np.random.default_rng(0)
    paths = []
    for i in range(ROWS):
        width = int(draw.integers(40, 50) if y[i] == "cat" else draw.integers(60, 70))
        picture(i, size=(width, 32)).save(tmp_path / f"{i}.png")
        paths.append(str(tmp_path / f"{i}.png"))
    (finding,) = found(Shortcuts(), split_view({"photo": paths, "y": y}, "binary", photo="image"))
    assert finding.severity == "warn"
    assert finding.evidence["power"]["the number of pixels"] > 0.9


def test_what_is_shown_is_no_shortcut(tmp_path: Path) -> None:
    y = [("disc", "square")[i % 2] for i in range(ROWS)]
    paths = [draw_photo(tmp_path / f"{i}.bmp", i, shape) for i, shape in enumerate(y)]
    view = split_view({"photo": paths, "y": y}, "binary", photo="image")
    assert found(Shortcuts(), view) == []


def test_a_photo_of_which_the_foot_was_lost_is_named(paths: list[str], tmp_path: Path) -> None:
    scene(1).resize((160, 120)).save(tmp_path / "whole.jpg", quality=90)
    whole = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "lost.jpg").write_bytes(whole[: len(whole) // 2] + b"\xff\xd9")
    added = [str(tmp_path / name) for name in ("whole.jpg", "lost.jpg")]
    (finding,) = found(PoorPhotos(), data_view({"photo": [*paths, *added]}, photo="image"))
    assert finding.evidence["of one colour at the foot, as if cut short"] == [added[1]]
    assert found(Unreadable(), data_view({"photo": [*paths, *added]}, photo="image")) == []
