"""What the project file asks of photos is checked before anything is read."""

from __future__ import annotations

from typing import Any

import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.data.table import Column
from fieldcraft.kinds.image.options import Asked, asked_of


def columns(*options: dict[str, Any]) -> list[Column]:
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
        asked_of(columns(options))
    assert "data.columns.p." in told.value.way_out


@pytest.mark.parametrize(
    "options",
    [({"encoder": "cnn"}, {"encoder": "vit"}),
     ({"encoder": "a/b", "tune": True}, {"tune": "lora"}),
     ({"augment": ["flip"]}, {"augment": False})],
)  # fmt: skip
def test_one_network_reads_all_columns(options: tuple[dict[str, Any], ...]) -> None:
    with pytest.raises(DataError, match="one network reads them all"):
        asked_of(columns(*options))


def test_what_one_column_asks_holds_for_all() -> None:
    found = asked_of(columns({"size": 48}, {"encoder": "a/b", "tune": "lora", "size": 64}))
    assert found == Asked(64, None, "a/b", "lora", True, "q")
    assert found.learned
    assert not asked_of(columns({}, {})).learned


def test_names_of_changes_may_stand_in_any_order() -> None:
    found = asked_of(columns({"augment": ["zoom", "flip"]}, {"augment": ["flip", "zoom"]}))
    assert found.augment == ("flip", "zoom")
    assert asked_of(columns({"augment": False})).augment is False
