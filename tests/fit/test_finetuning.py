"""Loading of pretrained networks, and settings to fine-tune them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from fieldcraft.core.errors import DataError
from fieldcraft.fit.finetuning import (
    add_lora_adapters,
    build_backbone_module,
    finetuning_settings,
    linear_decay_settings,
    load_backbone_module,
    set_layer_lr,
)
from fieldcraft.fit.settings import TrainingSettings

CONFIG = {
    "model_type": "bert", "vocab_size": 9, "hidden_size": 16, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 8, "max_position_embeddings": 12, "ours": 3,
}  # fmt: skip


def make_error(detail: str) -> DataError:
    return DataError("it cannot be used", detail=detail, hint="use another")


@pytest.mark.parametrize(
    ("rows", "steps", "epochs"),
    [
        (64, 10, 5),  # two steps of 32 rows an epoch
        (65, 10, 3),  # three
        (64, 1, 3),
        (64, 10**6, 20),
        (1_000_000, 10, 3),
    ],
)
def test_finetuning_takes_about_the_target_steps_in_three_to_twenty_epochs(
    rows: int, steps: int, epochs: int
) -> None:
    settings = finetuning_settings(rows, steps)
    assert (settings.epochs, settings.batch_size, settings.learning_rate) == (epochs, 32, 1e-3)


def test_linear_decay_follows_a_warmup_and_never_stops_early() -> None:
    settings = linear_decay_settings(20, learning_rate=0.5, batch_size=8)
    assert settings == TrainingSettings(
        optimizer="adamw", learning_rate=0.5, lr_schedule="linear", warmup_epochs=2.0,
        weight_decay=0.01,
        batch_size=8, epochs=20, patience=20, patience_fraction=0.0,
        min_relative_improvement=0.0, ema_decay=0.99,
    )  # fmt: skip
    assert settings.learning_rate_at(20) == 0
    assert settings.patience_at(20) == 20


@pytest.mark.parametrize(("layers_above", "lr_scale"), [(0, 0.1), (1, 0.09), (3, 0.0729)])
def test_lower_layers_have_lower_learning_rates(layers_above: int, lr_scale: float) -> None:
    parameter = nn.Parameter(torch.zeros(1))
    set_layer_lr(parameter, layers_above)
    assert parameter.lr_scale == pytest.approx(lr_scale)  # type: ignore[attr-defined]


def test_a_network_loads_only_if_all_its_weights_are_there(tmp_path: Path) -> None:
    torch.manual_seed(0)
    body = build_backbone_module(CONFIG, ["ours"])
    assert not body.training
    body.save_pretrained(tmp_path)  # type: ignore[operator]
    weights = load_file(tmp_path / "model.safetensors")
    for name in [name for name in weights if name.startswith("pooler")]:
        del weights[name]  # nothing reads the pooler
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    loaded = load_backbone_module(tmp_path, make_error).state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in weights.items())
    del weights["encoder.layer.1.output.dense.bias"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match=r"1 weights are not in its files, such as .*dense\.bias"):
        load_backbone_module(tmp_path, make_error)
    with pytest.raises(DataError, match="it cannot be used"):
        load_backbone_module(tmp_path / "elsewhere", make_error)


def test_only_lora_adapters_train_at_half_the_learning_rate() -> None:
    network = nn.Module()
    network.body = build_backbone_module(CONFIG, ["ours"])
    before = {name for name, _ in network.named_parameters()}
    add_lora_adapters(network)
    trainable = {n: p for n, p in network.named_parameters() if p.requires_grad}
    assert trainable
    assert all("lora_" in name and p.lr_scale == 0.5 for name, p in trainable.items())  # type: ignore[attr-defined]
    assert {min(p.shape) for p in trainable.values()} == {8}
    assert sum("lora_" not in name for name, _ in network.named_parameters()) == len(before)
