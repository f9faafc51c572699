"""Pretrained networks for photos small enough for tests, with random weights, as folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

SIDE = 32
PREPROCESSOR_CONFIG = {
    "do_center_crop": True, "crop_size": {"height": SIDE, "width": SIDE},
    "size": {"shortest_edge": 40}, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.25, 0.3],
}  # fmt: skip
TRANSFORMER_CONFIG: dict[str, Any] = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": SIDE,
    "patch_size": 8,
}  # fmt: skip


def write_tiny_backbone(folder: Path, name: str, seed: int = 0) -> str:
    """Write the folder of a small network; its path."""
    import transformers as known

    torch.manual_seed(seed)
    builders: dict[str, Any] = {
        "resnet": lambda: known.ResNetModel(
            known.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1],
                               layer_type="basic")),
        "convnext": lambda: known.ConvNextModel(
            known.ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1],
                                 layer_scale_init_value=0.5)),
        "vit": lambda: known.ViTModel(known.ViTConfig(intermediate_size=32, **TRANSFORMER_CONFIG)),
        "dinov2": lambda: known.Dinov2Model(  # learned from larger photos, as the real one
            known.Dinov2Config(mlp_ratio=2, **{**TRANSFORMER_CONFIG, "image_size": 2 * SIDE})),
    }  # fmt: skip
    model = builders[name]()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
    model.save_pretrained(folder / name)
    (folder / name / "preprocessor_config.json").write_text(
        json.dumps(PREPROCESSOR_CONFIG), "utf-8"
    )
    return str(folder / name)
