"""Networks of the library `transformers`: loaded, built, and how they are trained further."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from fieldcraft.core.errors import DataError
from fieldcraft.fit.settings import Training

POOLER = "pooler"  # most files of pretrained networks have no weights for it
BODY = 0.1  # of the learning rate: a pretrained network moves less than what comes after it
DECAY = 0.9  # ... and a layer less than the one above
ADAPTED = 0.5  # of the learning rate, for LoRA
RANK = 8
STEP = 32  # rows a step of tuning
FEWEST, MOST = 3, 20  # epochs of it


def load_body(folder: Path, unusable: Callable[[str], DataError]) -> nn.Module:
    """The network in a folder, with 32-bit weights; nothing is asked of the network.

    Args:
        folder: with its configuration and its weights as safetensors.
        unusable: makes an error of what was seen.

    Raises:
        DataError: the folder holds no network that can be loaded, or not all of its weights.
    """
    from transformers import AutoModel
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        # Eager attention, as it can be exported and its weights can be shown.
        body, about = AutoModel.from_pretrained(
            folder, attn_implementation="eager", local_files_only=True, use_safetensors=True,
            output_loading_info=True,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise unusable(f"{type(error).__name__}: {error}") from error
    absent = sorted(key for key in about["missing_keys"] if not key.startswith(POOLER))
    if absent:  # the library would take numbers of chance
        raise unusable(f"{len(absent)} weights are not in its files, such as {absent[0]}")
    found: nn.Module = body.float().eval()
    return found


def build_body(config: Mapping[str, Any], own: Collection[str]) -> nn.Module:
    """A network without learned weights: to be trained, or for those that were learned further.

    Args:
        config: as in a folder of such a network.
        own: entries that are ours, of which the library knows nothing.
    """
    from transformers import AutoConfig, AutoModel

    said = {key: value for key, value in config.items() if key not in ("model_type", *own)}
    built = AutoConfig.for_model(config["model_type"], **said)
    body = AutoModel.from_config(built, attn_implementation="eager")  # type: ignore[no-untyped-call]
    found: nn.Module = body.float().eval()
    return found


def add_lora(network: nn.Module) -> None:
    """Keep the weights of a network's ``body``; thin matrices beside its linear layers learn.

    Hu et al., *LoRA: Low-Rank Adaptation of Large Language Models*, 2022.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that the two libraries will give up
        network.body = get_peft_model(network.body, config)  # type: ignore[arg-type]
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.rate = ADAPTED  # type: ignore[attr-defined]


def slow_down(parameter: nn.Parameter, above: int) -> None:
    """Let a pretrained parameter learn less, the less the more layers are above its own.

    Howard and Ruder, *Universal Language Model Fine-tuning for Text Classification*, 2018.
    """
    parameter.rate = BODY * DECAY**above  # type: ignore[attr-defined]


def tuning(rows: int, steps: int) -> Training:
    """AdamW in a few epochs; while the rate rises, it is mostly the new layers that learn.

    Args:
        rows: training rows.
        steps: about how many, if that is neither too few epochs nor too many.
    """
    epochs = min(max(round(steps / math.ceil(rows / STEP)), FEWEST), MOST)
    return falling(epochs, learning_rate=1e-3, batch_size=STEP)


def falling(epochs: int, *, learning_rate: float, batch_size: int) -> Training:
    """AdamW with a rate that rises for a tenth of the time and then falls to nothing."""
    return Training(
        optimizer="adamw",
        learning_rate=learning_rate,
        schedule="linear",
        warmup=0.1 * epochs,
        weight_decay=0.01,
        batch_size=batch_size,
        epochs=epochs,
        patience=epochs,
        patience_share=0.0,
        worth=0.0,
        ema=0.99,
    )
