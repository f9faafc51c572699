"""Image options of the project file are validated before any image is read."""

from __future__ import annotations

from typing import Any

import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.data.schema import Column
from fieldcraft.kinds.image.options import ImageOptions, parse_image_options


def build_columns(*options: dict[str, Any]) -> list[Column]:
    return [Column("pq"[i], "image", column_options) for i, column_options in enumerate(options)]


@pytest.mark.parametrize(
    "options",
    [
        {"image_size": "big"}, {"image_size": 8}, {"image_size": True},
        {"horizontal_flip": "maybe"}, {"encoder": 3},
        {"encoder": " "}, {"encoder": "a/b", "finetune": "some"}, {"encoder": "a/b", "finetune": 1},
        {"encoder": "vit", "finetune": True}, {"finetune": "lora"},
        {"augment": "horizontal_flip"}, {"augment": []},
        {"augment": ["horizontal_flip", "horizontal_flip"]}, {"augment": 1},
        {"augment": ["horizontal_flip", "shrink"]}, {"augment": [["horizontal_flip"]]},
    ],
)  # fmt: skip
def test_invalid_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="is invalid") as error:
        parse_image_options(build_columns(options))
    assert "data.columns.p." in error.value.hint


@pytest.mark.parametrize(
    "options",
    [({"encoder": "cnn"}, {"encoder": "vit"}),
     ({"encoder": "a/b", "finetune": True}, {"finetune": "lora"}),
     ({"augment": ["horizontal_flip"]}, {"augment": False})],
)  # fmt: skip
def test_all_columns_share_one_network(options: tuple[dict[str, Any], ...]) -> None:
    with pytest.raises(DataError, match="one network reads them all"):
        parse_image_options(build_columns(*options))


def test_options_of_one_column_apply_to_all() -> None:
    result = parse_image_options(
        build_columns({"image_size": 48}, {"encoder": "a/b", "finetune": "lora", "image_size": 64})
    )
    assert result == ImageOptions(64, None, "a/b", "lora", True, "q")
    assert result.has_pretrained_weights
    assert not parse_image_options(build_columns({}, {})).has_pretrained_weights


def test_the_order_of_augmentations_does_not_matter() -> None:
    result = parse_image_options(
        build_columns(
            {"augment": ["random_resized_crop", "horizontal_flip"]},
            {"augment": ["horizontal_flip", "random_resized_crop"]},
        )
    )
    assert result.augment == ("horizontal_flip", "random_resized_crop")
    assert parse_image_options(build_columns({"augment": False})).augment is False
