"""What a network says of a text is traced back to its words, as the network reads them."""

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
from fieldcraft.kinds.text.token_encoder import PAD_ID, TEXT_NETWORKS_FROM_SCRATCH
from fieldcraft.modeling.feature_importance import WeightedEnsemble
from fieldcraft.modeling.local_explanations import ExplainedOutput, network_attributions
from tests.encoding import encode, fit_and_encode
from tests.kinds.text.sentences import make_texts
from tests.kinds.text.tiny_backbone import write_tiny_backbone

NETWORKS_WITH_ATTENTION = ("rnn", "lstm", "gru", "transformer")
ROWS = pl.DataFrame({"a": [*make_texts(30), None, ""], "b": make_texts(32, 1, seed=2)})


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The folder of a small pretrained encoder; what is exported goes beside it."""
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
        lambda chunks, width: MLP(chunks, width, hidden_sizes=(), dropout=0.0),
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
def test_spans_are_the_text_as_it_is_read(name: str) -> None:
    encoders, network = build_for_column({"encoder": name})
    text = "The lamp 💥 broke 灯は at last"
    (found,) = KIND.attributions(network, encode_row(encoders, text), 1, "probabilities")
    assert set(found) == {"gradients", *({"attention"} if name in NETWORKS_WITH_ATTENTION else ())}
    for how, drawn in found.items():
        assert "".join(word for word, _ in drawn["spans"]) == text.lower()
        weights = [weight for _, weight in drawn["spans"]]
        assert max(map(abs, weights)) == 1
        assert how == "gradients" or min(weights) >= 0
    assert not network.nets["text"].in_order


@pytest.mark.parametrize("options", [{"tune": True}, {"tune": "lora"}])
def test_a_tuned_encoder_has_both_maps(options: dict[str, Any], tiny: str) -> None:
    encoders, network = build_for_column({"encoder": tiny, **options})
    (found,) = KIND.attributions(
        network, encode_row(encoders, "The lamp broke."), 0, "probabilities"
    )
    assert {how: len(drawn["spans"]) for how, drawn in found.items()} == {
        "gradients": 3, "attention": 3,
    }  # fmt: skip


class SingleTokenCounter(nn.Module):
    """Counts one token, with the sign that the class wants; knows nothing else."""

    def __init__(self, count: int, token: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(count, 1)
        nn.init.zeros_(self.embed.weight)
        self.embed.weight.data[token] = 5.0

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        found = (self.embed(tokens) * mask[..., None]).sum(1)
        return torch.cat([found, -found], dim=1)


def find_token_id(encoders: EncoderSet, word: str) -> int:
    encoder: Any = encoders.by_kind["text"]
    (number,) = encoder.reading.tokens.tokenizer.encode(word).ids
    return int(number)


@pytest.mark.parametrize(("output", "sign"), [("probabilities", 1), ("value", 1), ("labels", -1)])
def test_gradients_lead_to_the_word_that_counts(output: Any, sign: int) -> None:
    encoders, network = build_for_column({"encoder": "cnn"})
    net: Any = network.nets["text"]
    tensors = encode_row(encoders, "the saddle shone and the mirror fell")
    spelt = find_token_id(encoders, "shone")
    net.body, net.width = SingleTokenCounter(9_000, spelt), 2
    network.trunk = LastFeatureHead(sign)
    (found,) = KIND.attributions(network, tensors, 0, output)
    weights = {word.strip(): weight for word, weight in found["gradients"]["spans"]}
    assert weights.pop("shone") == sign
    assert set(weights.values()) == {0.0}
    assert "attention" not in found


class LastFeatureHead(nn.Module):
    """Says the last number of what is joined."""

    def __init__(self, sign: int) -> None:
        super().__init__()
        self.sign = sign

    def forward(self, joined: Tensor) -> Tensor:
        said = -self.sign * joined[:, -1:]
        return torch.cat([said, -said], dim=1)[:, None]


def test_gradients_add_up_to_what_the_text_changes() -> None:
    """Integrated gradients are complete: that is what sets them apart from plain ones."""
    encoders, network = build_for_column({"encoder": "transformer"})
    net: Any = network.nets["text"]
    given = {k: torch.as_tensor(v) for k, v in encode_row(encoders, make_texts(1)[0]).items()}
    layers = find_embedding_layers(net.body)
    (own,) = lookup_embeddings(net, layers, given["tokens"][0])
    with override_embeddings(net, layers, [torch.zeros_like(own)]), torch.no_grad():
        nothing = network.logits(given)[0, 0, 1]
    with torch.no_grad():
        whole = network.logits(given)[0, 0, 1]
    found = compute_token_gradients(network, net, given, 1, "value")
    assert float(found.sum()) == pytest.approx(float(whole - nothing), abs=0.05)


@pytest.mark.parametrize("name", NETWORKS_WITH_ATTENTION)
def test_attention_is_shared_among_the_tokens_that_are_there(name: str) -> None:
    encoders, network = build_network(
        Schema(tuple(Column(c, "text", {"encoder": name}) for c in "ab"))
    )
    net = network.nets["text"]
    assert isinstance(net, TextNet)
    tokens = torch.as_tensor(encode_row(encoders, "a lamp", make_texts(1)[0])["tokens"][0])
    found = compute_attention(net, tokens)
    assert found is not None
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    assert (found[0, tokens[0].numpy() == PAD_ID] < 1e-6).all()


def test_each_column_has_its_own_maps_and_what_is_empty_has_none() -> None:
    schema = Schema((Column("a", "text", {"encoder": "gru"}), Column("b", "text")))
    encoders, network = build_network(schema)
    first, second = KIND.attributions(
        network, encode_row(encoders, "a lamp", "a saddle"), 0, "value"
    )
    assert "".join(word for word, _ in first["gradients"]["spans"]) == "a lamp"
    assert second == {}
    for cell in (None, "", "  "):
        assert KIND.attributions(network, encode_row(encoders, cell, "a saddle"), 0, "value") == [
            {},
            {},
        ]
    both = Schema(tuple(Column(c, "text", {"encoder": "bag"}) for c in "ab"))
    encoders, network = build_network(both)
    found = KIND.attributions(
        network, encode_row(encoders, "a lamp", "the red saddle broke"), 0, "value"
    )
    assert ["".join(word for word, _ in item["gradients"]["spans"]) for item in found] == [
        "a lamp", "the red saddle broke",
    ]  # fmt: skip


def test_a_network_that_reads_no_tokens_has_no_maps() -> None:
    encoders, network = build_for_column({})
    assert KIND.attributions(network, encode_row(encoders, "a lamp"), 0, "value") == []


def test_the_champions_network_is_traced() -> None:
    encoders, network = build_for_column({"encoder": "lstm"})
    member = SimpleNamespace(fitted=SimpleNamespace(network=network), encoders=encoders)
    model: Any = WeightedEnsemble([[(member, 1.0)]], {})  # type: ignore[list-item]
    rows: Any = SimpleNamespace(schema=encoders.schema, task=SimpleNamespace(output="value"))
    found = network_attributions(model, rows, ROWS[:1].select("a"), ExplainedOutput(1, None, 1.0))
    assert set(found) == {"a"}
    assert set(found["a"]) == {"gradients", "attention"}
