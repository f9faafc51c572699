"""Images are preprocessed as configured by the files of a network."""

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
    ("preprocessor", "side"),
    [
        (None, 224), ({"size": 160}, 160), ({"size": {"height": 96, "width": 96}}, 96),
        ({"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": 192}, 192),
        ({"size": {"shortest_edge": 256}, "do_center_crop": False, "crop_size": 192}, 256),
        ({"size": {"longest_edge": 99}}, 224), ({"size": 9_999}, 224),
    ],
)  # fmt: skip
def test_the_side_is_read_from_the_preprocessor_config(
    preprocessor: Any, side: int, tmp_path: Path
) -> None:
    assert read_preprocessor_config(write_folder(tmp_path, preprocessor)) == PreprocessorConfig(
        side, IMAGENET_MEAN, IMAGENET_STD
    )


def test_the_side_defaults_to_the_model_config(tmp_path: Path) -> None:
    assert read_preprocessor_config(write_folder(tmp_path, None, {"image_size": 112})).side == 112


def test_a_given_side_takes_precedence(tmp_path: Path) -> None:
    assert read_preprocessor_config(write_folder(tmp_path, {"size": 160}), 48).side == 48


def test_mean_and_std_are_read_from_the_preprocessor_config(tmp_path: Path) -> None:
    preprocessor = {"image_mean": [0.5, 0.5, 0.4], "image_std": [0.2, 0.2, 0.3]}
    result = read_preprocessor_config(write_folder(tmp_path, preprocessor))
    assert (result.mean, result.std) == ((0.5, 0.5, 0.4), (0.2, 0.2, 0.3))
    plain = read_preprocessor_config(
        write_folder(tmp_path, {**preprocessor, "do_normalize": False})
    )
    assert (plain.mean, plain.std) == ((0, 0, 0), (1, 1, 1))
