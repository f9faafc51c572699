"""Networks get photos as the files beside their weights say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fieldcraft.kinds.image.preprocessor_config import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    PreprocessorConfig,
    read_preprocessor_config,
)


def write_folder(folder: Path, preprocessor: Any, config: dict[str, Any] | None = None) -> Path:
    (folder / "config.json").write_text(json.dumps(config or {}), "utf-8")
    if preprocessor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor), "utf-8")
    return folder


@pytest.mark.parametrize(
    ("predictions", "side"),
    [
        (None, 224), ({"size": 160}, 160), ({"size": {"height": 96, "width": 96}}, 96),
        ({"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": 192}, 192),
        ({"size": {"shortest_edge": 256}, "do_center_crop": False, "crop_size": 192}, 256),
        ({"size": {"longest_edge": 99}}, 224), ({"size": 9_999}, 224),
    ],
)  # fmt: skip
def test_the_side_is_the_one_that_the_files_say(
    predictions: Any, side: int, tmp_path: Path
) -> None:
    assert read_preprocessor_config(write_folder(tmp_path, predictions)) == PreprocessorConfig(
        side, IMAGENET_MEAN, IMAGENET_STD
    )


def test_the_configuration_says_it_where_nothing_else_does(tmp_path: Path) -> None:
    assert read_preprocessor_config(write_folder(tmp_path, None, {"image_size": 112})).side == 112


def test_a_side_that_is_asked_for_goes_first(tmp_path: Path) -> None:
    assert read_preprocessor_config(write_folder(tmp_path, {"size": 160}), 48).side == 48


def test_light_is_scaled_as_the_files_say(tmp_path: Path) -> None:
    predictions = {"image_mean": [0.5, 0.5, 0.4], "image_std": [0.2, 0.2, 0.3]}
    result = read_preprocessor_config(write_folder(tmp_path, predictions))
    assert (result.mean, result.std) == ((0.5, 0.5, 0.4), (0.2, 0.2, 0.3))
    plain = read_preprocessor_config(write_folder(tmp_path, {**predictions, "do_normalize": False}))
    assert (plain.mean, plain.std) == ((0, 0, 0), (1, 1, 1))
