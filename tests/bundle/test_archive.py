"""An archive unpacks to the bundle that was packed, and to nothing else."""

from __future__ import annotations

import random
import shutil
import stat
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fieldcraft.bundle import archive
from fieldcraft.bundle.archive import pack_bundle, unpacked_bundle
from fieldcraft.bundle.manifest import MANIFEST_FILE, read_manifest
from fieldcraft.bundle.runtime import load_bundle
from fieldcraft.core import files
from fieldcraft.core.errors import BundleError

Entry = tuple[str | zipfile.ZipInfo, bytes]


@pytest.fixture
def packed(linear_bundle: Path, tmp_path: Path) -> Path:
    path = tmp_path / "bundle.zip"
    pack_bundle(linear_bundle, path)
    return path


@pytest.fixture
def temporary_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary folders during a test."""
    place = tmp_path / "room"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def make_archive(path: Path, *entries: Entry, method: int = zipfile.ZIP_STORED) -> Path:
    """An archive with a manifest and some entries."""
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as made:
        warnings.filterwarnings("ignore", "Duplicate name")
        for name, data in ((MANIFEST_FILE, b"{}"), *entries):
            made.writestr(name, data)
    return path


def entry_with_mode(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def test_an_unpacked_bundle_is_unchanged_and_temporary(
    packed: Path, linear_bundle: Path, temporary_root: Path
) -> None:
    with unpacked_bundle(packed) as folder:
        assert folder.parent == temporary_root
        assert read_manifest(folder) == read_manifest(linear_bundle)
    assert list(temporary_root.iterdir()) == []


def test_packing_is_reproducible(packed: Path, linear_bundle: Path, tmp_path: Path) -> None:
    again = Path(shutil.copytree(linear_bundle, tmp_path / "again", copy_function=shutil.copyfile))
    pack_bundle(again, tmp_path / "deep" / "again.zip")
    assert (tmp_path / "deep" / "again.zip").read_bytes() == packed.read_bytes()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["again.zip"]


def test_content_is_synced_before_the_rename_and_the_folder_after(
    linear_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash leaves the complete archive under its name, or nothing."""
    path, synced = tmp_path / "bundle.zip", list[tuple[str, bool]]()
    monkeypatch.setattr(files, "fsync_path", lambda what: synced.append((what.name, path.exists())))
    pack_bundle(linear_bundle, path)
    assert synced == [("bundle.zip", False), (tmp_path.name, True)]


def test_an_invalid_bundle_is_not_packed(bundle: Path, tmp_path: Path) -> None:
    (bundle / "extra.json").write_text("{}", encoding="utf-8")
    with pytest.raises(BundleError, match="does not belong"):
        pack_bundle(bundle, tmp_path / "bundle.zip")
    assert not (tmp_path / "bundle.zip").exists()


def test_an_archive_packed_by_other_tools_is_read(linear_bundle: Path, tmp_path: Path) -> None:
    path = shutil.make_archive(str(tmp_path / "other"), "zip", linear_bundle)  # with its folders
    assert load_bundle(path).model_id == load_bundle(linear_bundle).model_id


@pytest.mark.parametrize(
    "name",
    [
        "../evil.json", "members/../../evil.json", "/tmp/evil.json", "C:evil.json", "a\\b.json",
        "\\\\host\\evil.json", "a//b.json", "./a.json", ".hidden.json", "a/.json", "a./b.json",
        "a .json/", "a\x00b.json", "a\nb.json", "x" * 300 + ".json", "é.json", " ",
    ],
)  # fmt: skip
def test_an_unsafe_name_is_refused(name: str, tmp_path: Path, temporary_root: Path) -> None:
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(MANIFEST_FILE, b"{}")
        info = zipfile.ZipInfo("harmless")
        info.filename = name  # as it is, for the constructor would mend it
        made.writestr(info, b"{}")
    with pytest.raises(BundleError, match="cannot be trusted"), unpacked_bundle(path):
        pass
    assert list(temporary_root.iterdir()) == []
    assert not list(tmp_path.rglob("evil.json"))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([("a.json", b"1"), ("a.json", b"2")], "the same name as a.json"),
        ([("a.json", b"1"), ("A.json", b"2")], "the same name as "),
        ([("a/b.json", b"1"), ("A/c.json", b"2")], "the same name as "),
        ([("a", b"1"), ("a/b.json", b"2")], "the same name as "),
        ([(entry_with_mode("a.json", stat.S_IFLNK | 0o777), b"/etc/passwd")], "a link, a device"),
        ([(entry_with_mode("a.json", stat.S_IFCHR | 0o666), b"")], "a link, a device"),
        ([(entry_with_mode("a.json", stat.S_IFIFO | 0o666), b"")], "a link, a device"),
        ([(entry_with_mode("a.json", stat.S_IFDIR | 0o777), b"")], "a link, a device"),
        (
            [("a.json", b"1"), (entry_with_mode("a/", stat.S_IFLNK | 0o777), b"")],
            "a link, a device",
        ),
        ([("odd/", b"")], "a folder without files"),
    ],
)
def test_an_entry_that_no_bundle_has_is_refused(
    entries: list[Entry], message: str, tmp_path: Path
) -> None:
    path = make_archive(tmp_path / "odd.zip", *entries)
    with pytest.raises(BundleError, match=message), unpacked_bundle(path):
        pass


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_an_unsupported_compression_is_refused(method: int, tmp_path: Path) -> None:
    path = make_archive(tmp_path / "odd.zip", method=method)
    with (
        pytest.raises(BundleError, match="compressed with an unsupported method"),
        unpacked_bundle(path),
    ):
        pass


def test_an_encrypted_file_is_refused(packed: Path) -> None:
    whole = bytearray(packed.read_bytes())
    for mark, place in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        whole[whole.index(mark) + place] |= 1
    packed.write_bytes(whole)
    with pytest.raises(BundleError, match="encrypted"), unpacked_bundle(packed):
        pass


@pytest.mark.parametrize("flag", [0x1, 0x40, 0x2000])  # encrypted, strongly, its directory
def test_an_encrypted_entry_is_refused_before_it_is_read(flag: int) -> None:
    entry = zipfile.ZipInfo("a.json")
    archive.check_entry(entry, set())
    entry.flag_bits = flag
    with pytest.raises(BundleError, match="encrypted, or compressed with an unsupported method"):
        archive.check_entry(entry, set())


def test_more_than_ten_thousand_entries_are_refused() -> None:
    entries = [
        zipfile.ZipInfo(MANIFEST_FILE),
        *(zipfile.ZipInfo(f"{i}.json") for i in range(9_999)),
    ]
    archive.check_entries(entries)
    with pytest.raises(BundleError, match="10,001 entries"):
        archive.check_entries([*entries, zipfile.ZipInfo("more.json")])


def test_an_archive_without_a_manifest_at_the_top_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "around.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(f"bundle/{MANIFEST_FILE}", b"{}")
    with pytest.raises(BundleError, match=r"at the top, but bundle/manifest\.json") as caught:
        load_bundle(path)
    assert "without a folder around them" in caught.value.hint


def test_a_bomb_is_refused_before_it_fills_the_disk(
    tmp_path: Path, temporary_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MIN_UNPACKED_LIMIT_BYTES", 1 << 20)
    path = make_archive(
        tmp_path / "bomb.zip", ("a.json", bytes(50 << 20)), method=zipfile.ZIP_DEFLATED
    )
    assert path.stat().st_size * archive.MAX_COMPRESSION_RATIO < 50 << 20
    with pytest.raises(BundleError, match="unpacks to more than"), unpacked_bundle(path):
        pass
    assert list(temporary_root.iterdir()) == []


@pytest.mark.parametrize(
    ("min_limit", "max_limit", "size", "fits"),
    [
        (0, 10**6, 998, True), (0, 10**6, 999, False),  # a hundred times the 10 bytes packed
        (2_000, 10**6, 1_998, True), (2_000, 10**6, 1_999, False),  # or the fixed minimum
        (2_000, 500, 498, True), (2_000, 500, 499, False),  # and never more than the maximum
    ],
)  # fmt: skip
def test_the_unpacked_size_is_limited_by_the_packed_size(
    min_limit: int,
    max_limit: int,
    size: int,
    fits: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(archive, "MIN_UNPACKED_LIMIT_BYTES", min_limit)
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", max_limit)
    (tmp_path / "out").mkdir()
    path = make_archive(tmp_path / "a.zip", ("a.json", bytes(size)))  # beside a manifest of 2 bytes
    with zipfile.ZipFile(path) as made:
        if fits:
            archive.extract_safely(made, tmp_path / "out", 10)
            assert (tmp_path / "out" / "a.json").stat().st_size == size
        else:
            with pytest.raises(BundleError, match="unpacks to more than"):
                archive.extract_safely(made, tmp_path / "out", 10)


def test_a_name_may_have_two_hundred_characters(tmp_path: Path) -> None:
    with unpacked_bundle(make_archive(tmp_path / "a.zip", ("a" * 200, b"1"))) as folder:
        assert (folder / ("a" * 200)).exists()
    with (
        pytest.raises(BundleError, match="a name that may point outside"),
        unpacked_bundle(make_archive(tmp_path / "b.zip", ("a" * 201, b"1"))),
    ):
        pass


def test_an_archive_with_wrong_sizes_is_refused(tmp_path: Path) -> None:
    path = make_archive(
        tmp_path / "lie.zip", ("a.json", bytes(1 << 20)), method=zipfile.ZIP_DEFLATED
    )
    real = (1 << 20).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(real, (10).to_bytes(4, "little")))
    with pytest.raises(BundleError, match="cannot be trusted"), unpacked_bundle(path):
        pass


def test_files_that_are_not_in_the_manifest_are_refused(packed: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(packed, "a") as made:
        made.writestr("members/model.pkl", b"cos\nsystem\n")
    with pytest.raises(BundleError, match=r"model\.pkl(.|\n)*does not belong"):
        load_bundle(packed)


def truncate(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data))]


def flip_bit(data: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << draw.randrange(8))]) + data[place + 1 :]


@pytest.mark.parametrize("damage", [truncate, flip_bit])
def test_a_damaged_archive_is_refused_or_holds_the_same_bundle(
    damage: Callable[[bytes, random.Random], bytes], packed: Path, linear_bundle: Path
) -> None:
    whole, draw = packed.read_bytes(), random.Random(0)
    expected = read_manifest(linear_bundle)
    refused = 0
    for _ in range(60):
        packed.write_bytes(damage(whole, draw))
        try:
            with unpacked_bundle(packed) as folder:
                assert read_manifest(folder) == expected  # a moment or the like was hit
        except BundleError:
            refused += 1
    assert refused > 40


@pytest.mark.parametrize("content", [b"", b"PK", b"nothing of the kind"])
def test_a_file_that_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "none.zip").write_bytes(content)
    with pytest.raises(BundleError, match="archive cannot be trusted: none"):
        load_bundle(tmp_path / "none.zip")
