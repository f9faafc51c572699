"""Examples of augmented training texts for the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fieldcraft.contracts import Tensors
from fieldcraft.kinds.text.augment.paraphrases import N_TYPO_VARIANTS
from fieldcraft.kinds.text.augment.typos import add_typos
from fieldcraft.kinds.text.detokenize import decode_tokens
from fieldcraft.kinds.text.tokenization import PAD_ID

if TYPE_CHECKING:
    from fieldcraft.fit.network import FusedNetwork

KIND, INPUT_NAME, PARAPHRASES_NAME = "text", "tokens", "variants"


def render_augmented_texts(network: FusedNetwork, rows: Tensors) -> list[list[str]]:
    """Render the texts of each column as one epoch of training may read them.

    Args:
        network: one of its inputs is ``tokens``.
        rows: encoded rows; those encoded by `fit_transform` hold their paraphrases.

    Returns:
        The augmented texts of each column, empty for columns that no token-level network reads; no
        columns at all without augmentation.
    """
    # Imported here, as the kind imports this module and bundles must predict without torch.
    import torch

    from fieldcraft.kinds.text.net import TextNet

    net = network.nets[KIND] if INPUT_NAME in rows else None
    if not isinstance(net, TextNet) or not net.augmentations:
        return []
    # A fixed seed in a forked generator: the report is the same each time, and the random state of
    # training does not change.
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        tokens = net.augment_tokens({name: torch.as_tensor(array) for name, array in rows.items()})
    token_ids = tokens.view(*rows[INPUT_NAME].shape[:2], -1).numpy()
    texts_by_column: list[list[str]] = [[] for _ in range(net.n_columns)]
    for i, column_index in enumerate(net.column_indices):
        texts = [
            decode_tokens(net.tokenizer_json, row_ids[row_ids != PAD_ID])
            for row_ids in token_ids[:, i]
        ]
        # Rows encoded by `transform` have no paraphrases, so typos are made here, for the
        # fraction of texts for which training would draw one.
        if "typos" in net.augmentations and PARAPHRASES_NAME not in rows:
            seeded_texts = ((text, row % (1 + N_TYPO_VARIANTS)) for row, text in enumerate(texts))
            texts = [add_typos(text, seed) if seed else text for text, seed in seeded_texts]
        texts_by_column[column_index] = texts
    return texts_by_column
