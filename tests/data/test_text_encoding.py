"""The encoding of text is detected; binary data is refused with its format."""

from __future__ import annotations

import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.data.text_encoding import SAMPLE_BYTES, DecodedText, decode_text, detect_utf16

TEXT = "name;price\nZoë;5 €\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_the_encoding_is_detected_and_its_bom_dropped(encoding: str) -> None:
    assert decode_text(TEXT.encode(encoding), "t.csv") == DecodedText(TEXT, encoding)


def test_big_endian_boms_are_detected() -> None:
    assert decode_text(b"\xfe\xff" + "aé".encode("utf-16-be"), "t.csv").text == "aé"
    assert decode_text(b"\x00\x00\xfe\xff" + "aé".encode("utf-32-be"), "t.csv").text == "aé"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_bom_is_detected_by_its_zeros(encoding: str) -> None:
    assert decode_text(TEXT.encode(encoding), "t.csv") == DecodedText(TEXT, encoding)


def test_a_byte_undefined_in_cp1252_is_latin_1() -> None:
    assert decode_text(b"a\x81\xe9", "t.csv") == DecodedText("a\x81é", "latin-1")


def test_lines_in_two_encodings_are_decoded_separately() -> None:
    lines = ["Zoë,Zürich", "Ann,Rome", "Zoë,Köln"]
    encodings = ["utf-8", "utf-8", "cp1252"]
    data = b"\n".join(line.encode(e) for line, e in zip(lines, encodings, strict=True))
    result = decode_text(data, "t.csv")
    assert result.text.split("\n") == lines
    assert result.encoding == "utf-8 and cp1252"
    assert result.note == "not valid UTF-8, read as Windows-1252: line 3"


def test_a_stray_byte_changes_no_other_character() -> None:
    data = "Zoë\n".encode() * 30 + b"caf\xe9 Zo\xc3\xab\n" + b"\x81\n"
    result = decode_text(data, "t.csv")
    assert result.text == "Zoë\n" * 30 + "café Zoë\n\x81\n"
    assert result.note.endswith("lines 31, 32")


def test_a_utf_8_bom_before_cp1252_bytes_loses_no_character() -> None:
    assert decode_text(b"\xef\xbb\xbfcaf\xe9", "t.csv").text == "café"


def test_one_valid_utf_8_line_does_not_make_a_mixed_text() -> None:
    text = "é\n" * 40 + "CAFÉ’S\n"
    assert decode_text(text.encode("cp1252"), "t.csv") == DecodedText(text, "cp1252")


@pytest.mark.parametrize(
    ("data", "description"),
    [
        (b"PK\x03\x04\x00\x00", "ZIP archive"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "PNG image"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"a,b\n1,\x00\x00\x00\n", "control characters"),
        (bytes(range(1, 32)) * 9, "control characters"),
    ],
)
def test_binary_data_is_refused_with_its_format(data: bytes, description: str) -> None:
    with pytest.raises(DataError, match=r"t\.csv is not a text file") as caught:
        decode_text(data, "t.csv")
    assert description in caught.value.detail


def test_a_few_control_characters_are_allowed() -> None:
    text = "a,b\n" + "1,2\n" * 100 + "3,\0\n"
    assert decode_text(text.encode() + b"\0" * 400, "t.csv").text == text + "\0" * 400


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"a\0" * 8, "utf-16-le"),
        (b"\0a" * 8 + b"\0", "utf-16-be"),
        (b"a\0" * 7, None),  # too short to be sure
        (b"a\0" * 81 + b"aa" * 19, "utf-16-le"),
        (b"a\0" * 80 + b"aa" * 20, None),  # a fifth of the letters is of no European script
        (b"a\0" * 99 + b"\0\0", "utf-16-le"),
        (b"a\0" * 98 + b"\0\0" * 2, None),
    ],
)
def test_utf_16_without_a_bom_has_zeros_in_every_second_byte_only(
    data: bytes, encoding: str | None
) -> None:
    assert detect_utf16(data) == encoding


@pytest.mark.parametrize(("controls", "is_text"), [(2, True), (3, False)])
def test_two_percent_of_control_characters_are_allowed(controls: int, is_text: bool) -> None:
    data = b"\1" * controls + b"a" * (100 - controls)
    if is_text:
        assert decode_text(data, "t.csv").text == data.decode()
    else:
        with pytest.raises(DataError, match="not a text file") as caught:
            decode_text(data, "t.csv")
        assert caught.value.detail.startswith(
            "3 control characters, such as NUL, among its first 100"
        )


def test_the_start_of_a_file_decides_whether_it_is_text() -> None:
    noise = b"\1" * SAMPLE_BYTES
    assert SAMPLE_BYTES >= 1 << 16
    assert decode_text(b"a" * SAMPLE_BYTES + noise, "t.csv").text.endswith("\1")
    with pytest.raises(DataError, match="not a text file"):
        decode_text(b"a" * 10 + noise, "t.csv")


@pytest.mark.parametrize(("old", "encoding"), [(19, "utf-8 and cp1252"), (20, "cp1252")])
def test_five_percent_of_utf_8_lines_make_a_mixed_text(old: int, encoding: str) -> None:
    data = "é\n".encode() + b"plain\n" * 99 + b"\xe9\n" * old
    assert decode_text(data, "t.csv").encoding == encoding
