"""Faulty images (FAULTS.md, row 36) in table, audit and split are handled or reported."""

from __future__ import annotations

import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from fieldcraft.core.errors import DataError
from fieldcraft.data import file_cells
from fieldcraft.kinds.image import KIND
from fieldcraft.kinds.image.checks import UnreadableImages
from fieldcraft.kinds.image.pixel_cache import PixelCache
from fieldcraft.ledger.records import Finding
from fieldcraft.stages import _pipeline, _workflows
from tests.checks.contexts import data_context, run_check
from tests.conftest import create_project, set_settings
from tests.images import draw_image, save_image
from tests.kinds.image.test_decode import encode_image, write_png_header

FILL_COLOR = np.zeros(3, dtype=np.uint8)


def build_odd_files(folder: Path) -> dict[str, tuple[bytes, str]]:
    """Return unusual files by name: their bytes, and the fault in the audit ("" if readable)."""
    complete = encode_image(draw_image(1, size=(200, 200)), "JPEG")
    frames = [draw_image(i) for i in range(3)]
    animation = {"save_all": True, "append_images": frames[1:]}
    exif = Image.Exif()
    exif[0x0112] = 8
    sixteen_bit = Image.fromarray(np.arange(900, dtype=np.uint16).reshape(30, 30))
    compressed = zlib.compress(b"\0" * 50_000_000, 9)
    bomb = build_png_chunk(b"IDAT", compressed) + build_png_chunk(b"IEND", b"")
    return {
        "truncated.jpg": (complete[: len(complete) // 2], "truncated"),
        "cmyk.jpg": (encode_image(draw_image(2).convert("CMYK"), "JPEG"), ""),
        "turned.jpg": (encode_image(draw_image(3), "JPEG", exif=exif), ""),
        "one_bit.png": (encode_image(draw_image(4).convert("1")), ""),
        "sixteen.png": (encode_image(sixteen_bit), ""),
        "animated.gif": (encode_image(frames[0], "GIF", **animation), ""),
        "animated.webp": (encode_image(frames[0], "WEBP", **animation), ""),
        "claim.png": (write_png_header(60_000, 60_000), "not a photo"),  # has only a header
        "bomb.png": (write_png_header(60_000, 60_000) + bomb, "too large"),
        "empty.jpg": (b"", "empty"),
        "page.jpg": (b"<!doctype html><p>404</p>", "not a photo"),
        "really_png.jpg": (encode_image(draw_image(5)), ""),
        "really_jpg.png": (encode_image(draw_image(6), "JPEG"), ""),
        "really_zip.jpg": (b"PK\x03\x04" + bytes(200), "not a photo"),
    }  # fmt: skip


def build_png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def find_unreadable(paths: list[str]) -> Finding:
    (finding,) = run_check(UnreadableImages(), data_context({"photo": paths}, photo="image"))
    return finding


def test_unusual_files_are_read_or_reported(tmp_path: Path) -> None:
    odd = build_odd_files(tmp_path)
    for name, (body, _) in odd.items():
        (tmp_path / name).write_bytes(body)
    paths = [str(tmp_path / name) for name in odd]
    finding = find_unreadable(paths)
    torn = [str(tmp_path / name) for name, (_, fault) in odd.items() if fault]
    assert finding.evidence["cells"] == torn
    assert finding.evidence["faults"] == {
        "not a photo": 3, "too large": 1, "truncated": 1, "empty": 1,
    }  # fmt: skip
    pixels = PixelCache(16).get_pixels(paths, FILL_COLOR)
    text = {name: bool(square.any()) for name, square in zip(odd, pixels, strict=True)}
    assert text == {name: not fault for name, (_, fault) in odd.items()}


def test_an_image_with_a_giant_header_takes_no_memory(tmp_path: Path) -> None:
    for name in ("claim.png", "bomb.png"):
        (tmp_path / name).write_bytes(build_odd_files(tmp_path)[name][0])
    code = (
        "import resource, sys\n"
        "from fieldcraft.kinds.image.pixel_cache import PixelCache\n"
        "import numpy as np\n"
        "cache = PixelCache(16)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "assert all(cache.find_broken(sys.argv[1:]))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    paths = [str(tmp_path / name) for name in ("claim.png", "bomb.png")]
    grown = subprocess.run(
        [sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True
    )
    assert int(grown.stdout) < 100_000  # kilobytes; their pixels would be 10 GB


def test_a_zip_bomb_is_refused_before_decompression(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_cells, "MAX_FILE_BYTES", 1 << 20)
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.jpg", bytes(64 << 20))
        archive.writestr("good.png", encode_image(draw_image(1)))
    assert path.stat().st_size < 100_000
    with pytest.raises(DataError, match="too large"):
        file_cells.read_content(f"{path}/bomb.jpg")
    cells = pl.Series("photo", [f"{path}/bomb.jpg", f"{path}/good.png"])
    assert KIND.parse(cells, {}).is_not_null().to_list() == [False, True]


def test_a_class_with_one_image_is_reported(tmp_path: Path) -> None:
    for i in range(48):
        shape = ("disc", "square")[i % 2]
        save_image(tmp_path / "photos" / shape / f"{i}.png", i, shape)
    save_image(tmp_path / "photos" / "star" / "lonely.png", 99)
    project = create_project(tmp_path / "p", tmp_path / "photos", "label", edits=())
    set_settings(project, {"model": {"learner": "linear"}, "data.columns.image.image_size": 32})
    outcome = _pipeline.run_steps(project, _workflows.NullCallbacks(), until="baseline", fix=True)
    text = [
        f
        for f in outcome.findings
        if f.code in ("class_imbalance", "small_sample", "target_distribution")
    ]
    assert any("star" in finding.title for finding in text), [f.title for f in outcome.findings]
