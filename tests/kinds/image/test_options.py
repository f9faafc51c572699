"""What the project file asks of photos is checked before anything is read."""

from __future__ import annotations

from typing import Any

import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.data.schema import Column
from fieldcraft.kinds.image.options import ImageOptions, parse_image_options


def build_columns(*options: dict[str, Any]) -> list[Column]:
    return [Column("pq"[i], "image", said) for i, said in enumerate(options)]


@pytest.mark.parametrize(
    "options",
    [
        {"size": "big"}, {"size": 8}, {"size": True}, {"mirror": "maybe"}, {"encoder": 3},
        {"encoder": " "}, {"encoder": "a/b", "tune": "some"}, {"encoder": "a/b", "tune": 1},
        {"encoder": "vit", "tune": True}, {"tune": "lora"},
        {"augment": "flip"}, {"augment": []}, {"augment": ["flip", "flip"]}, {"augment": 1},
        {"augment": ["flip", "shrink"]}, {"augment": [["flip"]]},
    ],
)  # fmt: skip
def test_options_that_make_no_sense_are_told(options: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="does not fit") as told:
        parse_image_options(build_columns(options))
    assert "data.columns.p." in told.value.hint


@pytest.mark.parametrize(
    "options",
    [({"encoder": "cnn"}, {"encoder": "vit"}),
     ({"encoder": "a/b", "tune": True}, {"tune": "lora"}),
     ({"augment": ["flip"]}, {"augment": False})],
)  # fmt: skip
def test_one_network_reads_all_columns(options: tuple[dict[str, Any], ...]) -> None:
    with pytest.raises(DataError, match="one network reads them all"):
        parse_image_options(build_columns(*options))


def test_what_one_column_asks_holds_for_all() -> None:
    found = parse_image_options(
        build_columns({"size": 48}, {"encoder": "a/b", "tune": "lora", "size": 64})
    )
    assert found == ImageOptions(64, None, "a/b", "lora", True, "q")
    assert found.has_pretrained_weights
    assert not parse_image_options(build_columns({}, {})).has_pretrained_weights


def test_names_of_changes_may_stand_in_any_order() -> None:
    found = parse_image_options(
        build_columns({"augment": ["zoom", "flip"]}, {"augment": ["flip", "zoom"]})
    )
    assert found.augment == ("flip", "zoom")
    assert parse_image_options(build_columns({"augment": False})).augment is False
