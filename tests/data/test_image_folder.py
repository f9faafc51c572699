from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.data.image_folder import image_table
from fieldcraft.data.read import read_table, table_digest


def test_folders_give_the_label() -> None:
    frame = image_table(["cat/10.jpg", "cat/9.JPG", "dog/1.png"], [], "photos").frame
    assert frame.columns == ["image", "label"]
    assert frame.rows() == [("cat/9.JPG", "cat"), ("cat/10.jpg", "cat"), ("dog/1.png", "dog")]


def test_folders_named_like_parts_define_a_split() -> None:
    result = image_table(["all/train/cat/1.jpg", "all/Test/dog/2.jpg"], [], "photos")
    assert result.split_column == "split"
    assert result.frame.select("split", "label").rows() == [("test", "dog"), ("train", "cat")]


def test_folders_above_the_label_are_kept_where_they_differ() -> None:
    names = ["images/crack/1.jpg", "masks/crack/1.png", "images/free/2.jpg"]
    result = image_table(names, ["readme.txt"], "tiles.zip")
    assert result.split_column is None
    assert set(result.frame["folder"]) == {"images", "masks"}
    assert "readme.txt" in result.notes[1]


def test_photos_without_folders_have_no_label() -> None:
    result = image_table(["1.jpg", "2.jpg"], [], "photos")
    assert result.frame.columns == ["image"]
    assert "no labels from folder names" in result.notes[0]


def test_a_folder_or_an_archive_of_photos_is_a_table(tmp_path: Path) -> None:
    for name in ("cat/1.jpg", "dog/2.jpg", "dog/.hidden.jpg", ".git/3.jpg"):
        path = tmp_path / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (tmp_path / "pets" / "readme.txt.md").write_text("x", "utf-8")
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        for name in ("cat/1.jpg", "dog/2.jpg", "__MACOSX/dog/2.jpg"):
            archive.writestr(name, name)
    expected = [("cat/1.jpg", "cat"), ("dog/2.jpg", "dog")]
    assert read_table(tmp_path / "pets").frame.rows() == expected
    assert read_table(tmp_path / "pets.zip").frame.rows() == expected
    assert read_table(f"{tmp_path}/pets/*/*.jpg").frame.rows() == expected
    before = table_digest(tmp_path / "pets")
    (tmp_path / "pets" / "cat" / "1.jpg").write_bytes(b"another")
    assert table_digest(tmp_path / "pets") != before


def test_a_table_among_photos_wins(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"x")
    (tmp_path / "labels.csv").write_text("image,label\n1.jpg,cat\n", "utf-8")
    assert read_table(tmp_path).frame.rows() == [("1.jpg", "cat")]


def test_a_folder_without_tables_and_photos_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "readme.md").write_text("x", "utf-8")
    with pytest.raises(DataError, match="no table"):
        read_table(tmp_path)


def test_a_folder_named_like_a_part_is_neither_label_nor_folder() -> None:
    names = ["all/Train/cat/10.jpg", "all/Train/cat/9.jpg", "all/test/dog/1.jpg"]
    result = image_table(names, [f"{i}.txt" for i in range(7)], "all.zip")
    assert result.frame.columns == ["image", "split", "label"]
    assert result.frame.rows() == [
        ("all/Train/cat/9.jpg", "train", "cat"),
        ("all/Train/cat/10.jpg", "train", "cat"),
        ("all/test/dog/1.jpg", "test", "dog"),
    ]
    assert result.split_column == "split"
    shown = "0.txt, 1.txt, 2.txt, 3.txt, 4.txt, ..."
    assert result.notes[1] == f"ignored, not a photo: {shown}"
