"""Load and build networks of the `transformers` library, and settings to fine-tune them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from fieldcraft.core.errors import DataError
from fieldcraft.fit.settings import TrainingSettings

POOLER_PREFIX = "pooler"  # most files of pretrained networks have no weights for it
BACKBONE_LR_SCALE = 0.1  # pretrained weights should change less than the new layers after them
LAYER_LR_DECAY = 0.9  # per layer from the top: lower layers are more general
LORA_LR_SCALE = 0.5  # adapters start from zero and cannot damage the backbone
LORA_RANK = 8
FINETUNING_BATCH_SIZE = 32
MIN_FINETUNING_EPOCHS, MAX_FINETUNING_EPOCHS = 3, 20


def load_backbone_module(folder: Path, make_error: Callable[[str], DataError]) -> nn.Module:
    """Load a pretrained network from a folder, with 32-bit weights and without downloads.

    Args:
        folder: contains the configuration, and the weights as safetensors.
        make_error: makes an error from its detail.

    Raises:
        DataError: the folder has no network that can be loaded, or not all of its weights.
    """
    from transformers import AutoModel
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        # Eager attention can be exported to ONNX and returns its weights for attributions.
        backbone, loading_info = AutoModel.from_pretrained(
            folder, attn_implementation="eager", local_files_only=True, use_safetensors=True,
            output_loading_info=True,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise make_error(f"{type(error).__name__}: {error}") from error
    missing_keys = sorted(
        key for key in loading_info["missing_keys"] if not key.startswith(POOLER_PREFIX)
    )
    if missing_keys:  # transformers would initialize them at random with a mere warning
        raise make_error(
            f"{len(missing_keys)} weights are not in its files, such as {missing_keys[0]}"
        )
    module: nn.Module = backbone.float().eval()
    return module


def build_backbone_module(config: Mapping[str, Any], own_keys: Collection[str]) -> nn.Module:
    """Build a network with random weights, to be trained or to load fine-tuned weights into.

    Args:
        config: the network's `config.json`.
        own_keys: entries of `config` that are Fieldcraft's and unknown to transformers.
    """
    from transformers import AutoConfig, AutoModel

    model_config = {
        key: value for key, value in config.items() if key not in ("model_type", *own_keys)
    }
    hf_config = AutoConfig.for_model(config["model_type"], **model_config)
    backbone = AutoModel.from_config(hf_config, attn_implementation="eager")  # type: ignore[no-untyped-call]
    module: nn.Module = backbone.float().eval()
    return module


def add_lora_adapters(network: nn.Module) -> None:
    """Freeze a network's ``body`` and add trainable LoRA adapters to its linear layers.

    Hu et al., *LoRA: Low-Rank Adaptation of Large Language Models*, 2022.
    """
    from peft import LoraConfig, get_peft_model

    # alpha = 2 r is the usual choice: the update is scaled by alpha / r = 2.
    config = LoraConfig(r=LORA_RANK, lora_alpha=2 * LORA_RANK, target_modules="all-linear")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated names between the two libraries
        network.body = get_peft_model(network.body, config)  # type: ignore[arg-type]
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.lr_scale = LORA_LR_SCALE  # type: ignore[attr-defined]


def set_layer_lr(parameter: nn.Parameter, n_layers_above: int) -> None:
    """Scale the learning rate of a pretrained parameter by the number of layers above it.

    Howard and Ruder, *Universal Language Model Fine-tuning for Text Classification*, 2018.
    """
    parameter.lr_scale = BACKBONE_LR_SCALE * LAYER_LR_DECAY**n_layers_above  # type: ignore[attr-defined]


def finetuning_settings(n_rows: int, target_steps: int) -> TrainingSettings:
    """Settings to fine-tune with AdamW in a few epochs, with warm-up and linear decay.

    Args:
        n_rows: number of training rows.
        target_steps: approximate number of steps, within the limits of the number of epochs.
    """
    epochs = min(
        max(round(target_steps / math.ceil(n_rows / FINETUNING_BATCH_SIZE)), MIN_FINETUNING_EPOCHS),
        MAX_FINETUNING_EPOCHS,
    )
    return linear_decay_settings(epochs, learning_rate=1e-3, batch_size=FINETUNING_BATCH_SIZE)


def linear_decay_settings(
    epochs: int, *, learning_rate: float, batch_size: int
) -> TrainingSettings:
    """AdamW settings with warm-up over a tenth of the epochs and linear decay to 0."""
    return TrainingSettings(
        optimizer="adamw",
        learning_rate=learning_rate,
        lr_schedule="linear",
        warmup_epochs=0.1 * epochs,
        weight_decay=0.01,
        batch_size=batch_size,
        epochs=epochs,
        # No early stop: the schedule is made for exactly these epochs, and the gain often comes at
        # its end, where the learning rate is small.
        patience=epochs,
        patience_fraction=0.0,
        min_relative_improvement=0.0,
        ema_decay=0.99,  # averages over about 100 steps, as there are only some hundreds
    )
