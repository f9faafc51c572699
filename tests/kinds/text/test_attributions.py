"""Outputs of a token-level network are attributed to the words of a text."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

from fieldcraft.bundle.encoder_set import EncoderSet
from fieldcraft.core.types import Array
from fieldcraft.data.schema import Column, Schema
from fieldcraft.fit.network import FusedNetwork
from fieldcraft.fit.trunk import MLP
from fieldcraft.kinds.text import KIND
from fieldcraft.kinds.text.attributions import (
    compute_attention,
    compute_token_gradients,
    lookup_embeddings,
    override_embeddings,
)
from fieldcraft.kinds.text.net import TextNet, find_embedding_layers
from fieldcraft.kinds.text.options import TEXT_NETWORKS_FROM_SCRATCH
from fieldcraft.kinds.text.tokenization import PAD_ID
from fieldcraft.modeling.feature_importance import WeightedEnsemble
from fieldcraft.modeling.local_explanations import ExplainedOutput, network_attributions
from tests.encoding import encode, fit_and_encode
from tests.kinds.text.sentences import make_texts
from tests.kinds.text.tiny_backbone import write_tiny_backbone

NETWORKS_WITH_ATTENTION = ("rnn", "lstm", "gru", "transformer")
ROWS = pl.DataFrame({"a": [*make_texts(30), None, ""], "b": make_texts(32, 1, seed=2)})


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The folder of a small pretrained encoder; the cache is next to it."""
    root = tmp_path_factory.mktemp("tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIELDCRAFT_CACHE", str(root / "cache"))
        yield str(write_tiny_backbone(root / "encoder"))


def build_network(schema: Schema, rows: pl.DataFrame = ROWS) -> tuple[EncoderSet, FusedNetwork]:
    torch.manual_seed(0)
    encoders = EncoderSet(schema)
    fit_and_encode(encoders, rows, np.zeros((len(rows), 1)))
    network = FusedNetwork(
        encoders.build_nets(),
        lambda feature_widths, width: MLP(feature_widths, width, hidden_sizes=(), dropout=0.0),
        2,
        lambda raw: raw.softmax(-1),
    )
    return encoders, network.eval()


def build_for_column(options: dict[str, Any]) -> tuple[EncoderSet, FusedNetwork]:
    return build_network(Schema((Column("a", "text", options),)))


def encode_row(encoders: EncoderSet, *cells: str | None) -> dict[str, Array]:
    names = [column.name for column in encoders.schema.columns]
    rows = pl.DataFrame(dict(zip(names, ([c] for c in cells), strict=True)),
                        schema=dict.fromkeys(names, pl.String))  # fmt: skip
    return encode(encoders, rows).tensors()


@pytest.mark.parametrize("name", TEXT_NETWORKS_FROM_SCRATCH)
def test_joined_spans_are_the_text_that_is_read(name: str) -> None:
    encoders, network = build_for_column({"encoder": name})
    text = "The lamp 💥 broke 灯は at last"
    (maps,) = KIND.attributions(network, encode_row(encoders, text), 1, "probabilities")
    assert set(maps) == {
        "integrated_gradients",
        *({"attention"} if name in NETWORKS_WITH_ATTENTION else ()),
    }
    for method, attribution in maps.items():
        assert "".join(word for word, _ in attribution["spans"]) == text.lower()
        weights = [weight for _, weight in attribution["spans"]]
        assert max(map(abs, weights)) == 1
        assert method == "integrated_gradients" or min(weights) >= 0
    assert not network.nets["text"].keep_order


@pytest.mark.parametrize("options", [{"finetune": True}, {"finetune": "lora"}])
def test_finetuned_encoder_has_both_methods(options: dict[str, Any], tiny: str) -> None:
    encoders, network = build_for_column({"encoder": tiny, **options})
    (maps,) = KIND.attributions(
        network, encode_row(encoders, "The lamp broke."), 0, "probabilities"
    )
    assert {method: len(attribution["spans"]) for method, attribution in maps.items()} == {
        "integrated_gradients": 3, "attention": 3,
    }  # fmt: skip


class SingleTokenCounter(nn.Module):
    """Counts one token, as the first of two features; the second is its negative."""

    def __init__(self, vocabulary_size: int, token_id: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, 1)
        nn.init.zeros_(self.embedding.weight)
        self.embedding.weight.data[token_id] = 5.0

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        count = (self.embedding(tokens) * mask[..., None]).sum(1)
        return torch.cat([count, -count], dim=1)


def find_token_id(encoders: EncoderSet, word: str) -> int:
    encoder: Any = encoders.by_kind["text"]
    (token_id,) = encoder.token_encoder.tokenizer.backend_tokenizer.encode(word).ids
    return int(token_id)


@pytest.mark.parametrize(("output", "sign"), [("probabilities", 1), ("value", 1), ("labels", -1)])
def test_integrated_gradients_find_the_word_that_counts(output: Any, sign: int) -> None:
    encoders, network = build_for_column({"encoder": "cnn"})
    net: Any = network.nets["text"]
    tensors = encode_row(encoders, "the saddle shone and the mirror fell")
    token_id = find_token_id(encoders, "shone")
    net.body, net.embedding_width = SingleTokenCounter(9_000, token_id), 2
    network.trunk = LastFeatureHead(sign)
    (maps,) = KIND.attributions(network, tensors, 0, output)
    weights = {word.strip(): weight for word, weight in maps["integrated_gradients"]["spans"]}
    assert weights.pop("shone") == sign
    assert set(weights.values()) == {0.0}
    assert "attention" not in maps


class LastFeatureHead(nn.Module):
    """Returns the last feature, with a sign, and its negative."""

    def __init__(self, sign: int) -> None:
        super().__init__()
        self.sign = sign

    def forward(self, joined: Tensor) -> Tensor:
        logit = -self.sign * joined[:, -1:]
        return torch.cat([logit, -logit], dim=1)[:, None]


def test_integrated_gradients_are_complete() -> None:
    """They sum to the difference of the output to the baseline, unlike plain gradients."""
    encoders, network = build_for_column({"encoder": "transformer"})
    net: Any = network.nets["text"]
    inputs = {k: torch.as_tensor(v) for k, v in encode_row(encoders, make_texts(1)[0]).items()}
    layers = find_embedding_layers(net.body)
    (embeddings,) = lookup_embeddings(net, layers, inputs["tokens"][0])
    with override_embeddings(net, layers, [torch.zeros_like(embeddings)]), torch.no_grad():
        baseline_logit = network.logits(inputs)[0, 0, 1]
    with torch.no_grad():
        logit = network.logits(inputs)[0, 0, 1]
    attributions = compute_token_gradients(network, net, inputs, 1, "value")
    assert float(attributions.sum()) == pytest.approx(float(logit - baseline_logit), abs=0.05)


@pytest.mark.parametrize("name", NETWORKS_WITH_ATTENTION)
def test_attention_sums_to_one_over_tokens(name: str) -> None:
    encoders, network = build_network(
        Schema(tuple(Column(c, "text", {"encoder": name}) for c in "ab"))
    )
    net = network.nets["text"]
    assert isinstance(net, TextNet)
    tokens = torch.as_tensor(encode_row(encoders, "a lamp", make_texts(1)[0])["tokens"][0])
    attention = compute_attention(net, tokens)
    assert attention is not None
    np.testing.assert_allclose(attention.sum(1), 1, atol=1e-5)
    assert (attention[0, tokens[0].numpy() == PAD_ID] < 1e-6).all()


def test_each_column_has_its_own_attributions_and_empty_texts_have_none() -> None:
    schema = Schema((Column("a", "text", {"encoder": "gru"}), Column("b", "text")))
    encoders, network = build_network(schema)
    first, second = KIND.attributions(
        network, encode_row(encoders, "a lamp", "a saddle"), 0, "value"
    )
    assert "".join(word for word, _ in first["integrated_gradients"]["spans"]) == "a lamp"
    assert second == {}
    for cell in (None, "", "  "):
        assert KIND.attributions(network, encode_row(encoders, cell, "a saddle"), 0, "value") == [
            {},
            {},
        ]
    both_columns = Schema(tuple(Column(c, "text", {"encoder": "bag"}) for c in "ab"))
    encoders, network = build_network(both_columns)
    maps = KIND.attributions(
        network, encode_row(encoders, "a lamp", "the red saddle broke"), 0, "value"
    )
    texts = ["".join(word for word, _ in m["integrated_gradients"]["spans"]) for m in maps]
    assert texts == ["a lamp", "the red saddle broke"]


def test_network_without_tokens_has_no_attributions() -> None:
    encoders, network = build_for_column({})
    assert KIND.attributions(network, encode_row(encoders, "a lamp"), 0, "value") == []


def test_network_of_a_model_is_attributed() -> None:
    encoders, network = build_for_column({"encoder": "lstm"})
    member = SimpleNamespace(fitted=SimpleNamespace(network=network), encoders=encoders)
    model: Any = WeightedEnsemble([[(member, 1.0)]], {})  # type: ignore[list-item]
    rows: Any = SimpleNamespace(schema=encoders.schema, task=SimpleNamespace(output="value"))
    maps = network_attributions(model, rows, ROWS[:1].select("a"), ExplainedOutput(1, None, 1.0))
    assert set(maps) == {"a"}
    assert set(maps["a"]) == {"integrated_gradients", "attention"}
