"""Pretrained networks are loaded whole or not at all, and tuned gently."""

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


def unusable(seen: str) -> DataError:
    return DataError("it cannot be used", detail=seen, hint="use another")


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
def test_tuning_takes_about_some_steps_in_three_to_twenty_epochs(
    rows: int, steps: int, epochs: int
) -> None:
    found = finetuning_settings(rows, steps)
    assert (found.epochs, found.batch_size, found.learning_rate) == (epochs, 32, 1e-3)


def test_a_rate_rises_for_a_tenth_of_the_epochs_and_falls_to_nothing_without_patience() -> None:
    found = linear_decay_settings(20, learning_rate=0.5, batch_size=8)
    assert found == TrainingSettings(
        optimizer="adamw", learning_rate=0.5, lr_schedule="linear", warmup_epochs=2.0, weight_decay=0.01,
        batch_size=8, epochs=20, patience=20, patience_fraction=0.0, min_relative_improvement=0.0, ema_decay=0.99,
    )  # fmt: skip
    assert found.learning_rate_at(20) == 0
    assert found.patience_at(20) == 20


@pytest.mark.parametrize(("above", "rate"), [(0, 0.1), (1, 0.09), (3, 0.0729)])
def test_the_lower_a_layer_the_less_it_learns(above: int, rate: float) -> None:
    parameter = nn.Parameter(torch.zeros(1))
    set_layer_lr(parameter, above)
    assert parameter.rate == pytest.approx(rate)  # type: ignore[attr-defined]


def test_a_network_is_loaded_as_it_was_saved_if_all_its_weights_are_there(tmp_path: Path) -> None:
    torch.manual_seed(0)
    body = build_backbone_module(CONFIG, ["ours"])
    assert not body.training
    body.save_pretrained(tmp_path)  # type: ignore[operator]
    weights = load_file(tmp_path / "model.safetensors")
    for name in [name for name in weights if name.startswith("pooler")]:
        del weights[name]  # nothing reads the pooler
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    loaded = load_backbone_module(tmp_path, unusable).state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in weights.items())
    del weights["encoder.layer.1.output.dense.bias"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match=r"1 weights are not in its files, such as .*dense\.bias"):
        load_backbone_module(tmp_path, unusable)
    with pytest.raises(DataError, match="it cannot be used"):
        load_backbone_module(tmp_path / "elsewhere", unusable)


def test_thin_matrices_learn_at_half_the_rate_and_the_network_beside_them_stays() -> None:
    network = nn.Module()
    network.body = build_backbone_module(CONFIG, ["ours"])
    before = {name for name, _ in network.named_parameters()}
    add_lora_adapters(network)
    learning = {n: p for n, p in network.named_parameters() if p.requires_grad}
    assert learning
    assert all("lora_" in name and p.rate == 0.5 for name, p in learning.items())  # type: ignore[attr-defined]
    assert {min(p.shape) for p in learning.values()} == {8}
    assert sum("lora_" not in name for name, _ in network.named_parameters()) == len(before)
