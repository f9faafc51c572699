"""Augmented training texts are rendered as text."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from fieldcraft.bundle.encoder_set import EncoderSet
from fieldcraft.core.types import Array
from fieldcraft.data.schema import Column, Schema
from fieldcraft.fit.network import FusedNetwork
from fieldcraft.fit.trunk import MLP
from fieldcraft.kinds.text import KIND
from tests.encoding import encode, fit_and_encode
from tests.kinds.text.sentences import make_texts

ROWS = pl.DataFrame({"a": [None, *make_texts(11)], "b": make_texts(12, 1, seed=1)})


def build_network(*columns: Column) -> tuple[FusedNetwork, dict[str, Array], dict[str, Array]]:
    """Return a network, encoded training rows, and the same rows encoded by `transform`."""
    encoders = EncoderSet(Schema(columns))
    values = ROWS.select([column.name for column in columns])
    tensors = fit_and_encode(encoders, values, np.zeros((len(ROWS), 1))).tensors()
    network = FusedNetwork(
        encoders.build_nets(),
        lambda feature_widths, width: MLP(feature_widths, width, hidden_sizes=(), dropout=0.0),
        2,
        lambda raw: raw,
    )
    return network, tensors, encode(encoders, values).tensors()


def build_options(*augmentations: str) -> dict[str, Any]:
    return {"encoder": "bag", "augment": list(augmentations)}


def test_dropped_tokens_are_missing_from_the_text() -> None:
    network, rows, _ = build_network(Column("a", "text", build_options("token_dropout")))
    (texts,) = KIND.augmentation_examples(network, rows)
    assert texts[0] == ""
    for text, before in zip(texts[1:], ROWS["a"][1:].to_list(), strict=True):
        remaining = iter(before.lower())
        assert all(character in remaining for character in text)  # in this order
    assert sum(map(len, texts)) < 0.97 * sum(map(len, ROWS["a"][1:]))


@pytest.mark.parametrize("training", [True, False])
def test_typos_are_shown_for_training_and_other_rows(training: bool) -> None:
    network, *rows = build_network(Column("b", "text", build_options("typos")))
    (texts,) = KIND.augmentation_examples(network, rows[0] if training else rows[1])
    is_same = [text == before.lower() for text, before in zip(texts, ROWS["b"], strict=True)]
    assert 0 < sum(is_same) < 8


def test_examples_are_deterministic_and_leave_the_random_state_alone() -> None:
    network, rows, _ = build_network(
        Column("a", "text", build_options("token_dropout", "token_swap", "typos"))
    )
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = KIND.augmentation_examples(network, rows)
    assert torch.equal(torch.rand(3), expected)
    assert KIND.augmentation_examples(network, rows) == first


def test_columns_without_token_level_network_have_no_examples() -> None:
    network, rows, _ = build_network(
        Column("a", "text"), Column("b", "text", build_options("token_swap"))
    )
    examples = KIND.augmentation_examples(network, rows)
    assert [len(texts) for texts in examples] == [0, 12]


def test_without_augmentation_there_are_no_examples() -> None:
    for column in (Column("a", "text"), Column("a", "text", {"encoder": "bag"})):
        network, rows, _ = build_network(column)
        assert KIND.augmentation_examples(network, rows) == []
