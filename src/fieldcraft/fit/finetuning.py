"""Networks of the library `transformers`: loaded, built, and how they are trained further."""

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
BACKBONE_LR_SCALE = (
    0.1  # of the learning rate: a pretrained network moves less than what comes after it
)
LAYER_LR_DECAY = 0.9  # ... and a layer less than the one above
LORA_LR_SCALE = 0.5  # of the learning rate, for LoRA
LORA_RANK = 8
FINETUNING_BATCH_SIZE = 32  # rows a step of tuning
MIN_FINETUNING_EPOCHS, MAX_FINETUNING_EPOCHS = 3, 20  # epochs of it


def load_backbone_module(folder: Path, make_error: Callable[[str], DataError]) -> nn.Module:
    """The network in a folder, with 32-bit weights; nothing is asked of the network.

    Args:
        folder: with its configuration and its weights as safetensors.
        make_error: makes an error of what was seen.

    Raises:
        DataError: the folder holds no network that can be loaded, or not all of its weights.
    """
    from transformers import AutoModel
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        # Eager attention, as it can be exported and its weights can be shown.
        backbone, loading_info = AutoModel.from_pretrained(
            folder, attn_implementation="eager", local_files_only=True, use_safetensors=True,
            output_loading_info=True,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise make_error(f"{type(error).__name__}: {error}") from error
    missing_keys = sorted(
        key for key in loading_info["missing_keys"] if not key.startswith(POOLER_PREFIX)
    )
    if missing_keys:  # the library would take numbers of chance
        raise make_error(
            f"{len(missing_keys)} weights are not in its files, such as {missing_keys[0]}"
        )
    module: nn.Module = backbone.float().eval()
    return module


def build_backbone_module(config: Mapping[str, Any], own_keys: Collection[str]) -> nn.Module:
    """A network without learned weights: to be trained, or for those that were learned further.

    Args:
        config: as in a folder of such a network.
        own_keys: entries that are ours, of which the library knows nothing.
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
    """Keep the weights of a network's ``body``; thin matrices beside its linear layers learn.

    Hu et al., *LoRA: Low-Rank Adaptation of Large Language Models*, 2022.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=LORA_RANK, lora_alpha=2 * LORA_RANK, target_modules="all-linear")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that the two libraries will give up
        network.body = get_peft_model(network.body, config)  # type: ignore[arg-type]
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.rate = LORA_LR_SCALE  # type: ignore[attr-defined]


def set_layer_lr(parameter: nn.Parameter, n_layers_above: int) -> None:
    """Let a pretrained parameter learn less, the less the more layers are above its own.

    Howard and Ruder, *Universal Language Model Fine-tuning for Text Classification*, 2018.
    """
    parameter.rate = BACKBONE_LR_SCALE * LAYER_LR_DECAY**n_layers_above  # type: ignore[attr-defined]


def finetuning_settings(n_rows: int, target_steps: int) -> TrainingSettings:
    """AdamW in a few epochs; while the rate rises, it is mostly the new layers that learn.

    Args:
        n_rows: training rows.
        target_steps: about how many, if that is neither too few epochs nor too many.
    """
    epochs = min(
        max(round(target_steps / math.ceil(n_rows / FINETUNING_BATCH_SIZE)), MIN_FINETUNING_EPOCHS),
        MAX_FINETUNING_EPOCHS,
    )
    return linear_decay_settings(epochs, learning_rate=1e-3, batch_size=FINETUNING_BATCH_SIZE)


def linear_decay_settings(
    epochs: int, *, learning_rate: float, batch_size: int
) -> TrainingSettings:
    """AdamW with a rate that rises for a tenth of the time and then falls to nothing."""
    return TrainingSettings(
        optimizer="adamw",
        learning_rate=learning_rate,
        lr_schedule="linear",
        warmup_epochs=0.1 * epochs,
        weight_decay=0.01,
        batch_size=batch_size,
        epochs=epochs,
        patience=epochs,
        patience_fraction=0.0,
        min_relative_improvement=0.0,
        ema_decay=0.99,
    )
