"""What a network says of a text is traced back to its words, as the network reads them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

from fieldcraft.bundle.encoders import EncoderSet
from fieldcraft.contracts import Array
from fieldcraft.data.table import Column, Schema
from fieldcraft.develop.importance import Model
from fieldcraft.develop.reasons import Score, traced
from fieldcraft.fit.network import FusedNetwork
from fieldcraft.fit.trunk import Mlp
from fieldcraft.kinds.text import KIND
from fieldcraft.kinds.text.deep import PAD, SCRATCH
from fieldcraft.kinds.text.gradients import attention, by_token, looked_up, reading
from fieldcraft.kinds.text.net import TextNet, tables_of
from tests.encoding import encode, fit_encode
from tests.kinds.text.prose import prose
from tests.kinds.text.tiny import tiny_encoder

ATTEND = ("rnn", "lstm", "gru", "transformer")
ROWS = pl.DataFrame({"a": [*prose(30), None, ""], "b": prose(32, 1, seed=2)})


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The folder of a small pretrained encoder; what is exported goes beside it."""
    root = tmp_path_factory.mktemp("tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIELDCRAFT_CACHE", str(root / "cache"))
        yield str(tiny_encoder(root / "encoder"))


def built(schema: Schema, rows: pl.DataFrame = ROWS) -> tuple[EncoderSet, FusedNetwork]:
    torch.manual_seed(0)
    encoders = EncoderSet(schema)
    fit_encode(encoders, rows, np.zeros((len(rows), 1)))
    network = FusedNetwork(
        encoders.nets(),
        lambda chunks, width: Mlp(chunks, width, layers=(), dropout=0.0),
        2,
        lambda raw: raw.softmax(-1),
    )
    return encoders, network.eval()


def one(options: dict[str, Any]) -> tuple[EncoderSet, FusedNetwork]:
    return built(Schema((Column("a", "text", options),)))


def row_of(encoders: EncoderSet, *cells: str | None) -> dict[str, Array]:
    names = [column.name for column in encoders.schema.columns]
    rows = pl.DataFrame(dict(zip(names, ([c] for c in cells), strict=True)),
                        schema=dict.fromkeys(names, pl.String))  # fmt: skip
    return encode(encoders, rows).tensors()


@pytest.mark.parametrize("name", SCRATCH)
def test_spans_are_the_text_as_it_is_read(name: str) -> None:
    encoders, network = one({"encoder": name})
    text = "The lamp 💥 broke 灯は at last"
    (found,) = KIND.trace(network, row_of(encoders, text), 1, "probabilities")
    assert set(found) == {"gradients", *({"attention"} if name in ATTEND else ())}
    for how, drawn in found.items():
        assert "".join(word for word, _ in drawn["spans"]) == text.lower()
        weights = [weight for _, weight in drawn["spans"]]
        assert max(map(abs, weights)) == 1
        assert how == "gradients" or min(weights) >= 0
    assert not network.nets["text"].in_order


@pytest.mark.parametrize("options", [{"tune": True}, {"tune": "lora"}])
def test_a_tuned_encoder_has_both_maps(options: dict[str, Any], tiny: str) -> None:
    encoders, network = one({"encoder": tiny, **options})
    (found,) = KIND.trace(network, row_of(encoders, "The lamp broke."), 0, "probabilities")
    assert {how: len(drawn["spans"]) for how, drawn in found.items()} == {
        "gradients": 3, "attention": 3,
    }  # fmt: skip


class Planted(nn.Module):
    """Counts one token, with the sign that the class wants; knows nothing else."""

    def __init__(self, count: int, token: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(count, 1)
        nn.init.zeros_(self.embed.weight)
        self.embed.weight.data[token] = 5.0

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        found = (self.embed(tokens) * mask[..., None]).sum(1)
        return torch.cat([found, -found], dim=1)


def number_of(encoders: EncoderSet, word: str) -> int:
    encoder: Any = encoders.encoders["text"]
    (number,) = encoder.reading.tokens.tokenizer.encode(word).ids
    return int(number)


@pytest.mark.parametrize(("output", "sign"), [("probabilities", 1), ("value", 1), ("labels", -1)])
def test_gradients_lead_to_the_word_that_counts(output: Any, sign: int) -> None:
    encoders, network = one({"encoder": "cnn"})
    net: Any = network.nets["text"]
    tensors = row_of(encoders, "the saddle shone and the mirror fell")
    spelt = number_of(encoders, "shone")
    net.body, net.width = Planted(9_000, spelt), 2
    network.trunk = Last(sign)
    (found,) = KIND.trace(network, tensors, 0, output)
    weights = {word.strip(): weight for word, weight in found["gradients"]["spans"]}
    assert weights.pop("shone") == sign
    assert set(weights.values()) == {0.0}
    assert "attention" not in found


class Last(nn.Module):
    """Says the last number of what is joined."""

    def __init__(self, sign: int) -> None:
        super().__init__()
        self.sign = sign

    def forward(self, joined: Tensor) -> Tensor:
        said = -self.sign * joined[:, -1:]
        return torch.cat([said, -said], dim=1)[:, None]


def test_gradients_add_up_to_what_the_text_changes() -> None:
    """Integrated gradients are complete: that is what sets them apart from plain ones."""
    encoders, network = one({"encoder": "transformer"})
    net: Any = network.nets["text"]
    given = {k: torch.as_tensor(v) for k, v in row_of(encoders, prose(1)[0]).items()}
    layers = tables_of(net.body)
    (own,) = looked_up(net, layers, given["tokens"][0])
    with reading(net, layers, [torch.zeros_like(own)]), torch.no_grad():
        nothing = network.raw(given)[0, 0, 1]
    with torch.no_grad():
        whole = network.raw(given)[0, 0, 1]
    found = by_token(network, net, given, 1, "value")
    assert float(found.sum()) == pytest.approx(float(whole - nothing), abs=0.05)


@pytest.mark.parametrize("name", ATTEND)
def test_attention_is_shared_among_the_tokens_that_are_there(name: str) -> None:
    encoders, network = built(Schema(tuple(Column(c, "text", {"encoder": name}) for c in "ab")))
    net = network.nets["text"]
    assert isinstance(net, TextNet)
    tokens = torch.as_tensor(row_of(encoders, "a lamp", prose(1)[0])["tokens"][0])
    found = attention(net, tokens)
    assert found is not None
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    assert (found[0, tokens[0].numpy() == PAD] < 1e-6).all()


def test_each_column_has_its_own_maps_and_what_is_empty_has_none() -> None:
    schema = Schema((Column("a", "text", {"encoder": "gru"}), Column("b", "text")))
    encoders, network = built(schema)
    first, second = KIND.trace(network, row_of(encoders, "a lamp", "a saddle"), 0, "value")
    assert "".join(word for word, _ in first["gradients"]["spans"]) == "a lamp"
    assert second == {}
    for cell in (None, "", "  "):
        assert KIND.trace(network, row_of(encoders, cell, "a saddle"), 0, "value") == [{}, {}]
    both = Schema(tuple(Column(c, "text", {"encoder": "bag"}) for c in "ab"))
    encoders, network = built(both)
    found = KIND.trace(network, row_of(encoders, "a lamp", "the red saddle broke"), 0, "value")
    assert ["".join(word for word, _ in item["gradients"]["spans"]) for item in found] == [
        "a lamp", "the red saddle broke",
    ]  # fmt: skip


def test_a_network_that_reads_no_tokens_has_no_maps() -> None:
    encoders, network = one({})
    assert KIND.trace(network, row_of(encoders, "a lamp"), 0, "value") == []


def test_the_champions_network_is_traced() -> None:
    encoders, network = one({"encoder": "lstm"})
    member = SimpleNamespace(fitted=SimpleNamespace(network=network), encoders=encoders)
    model: Any = Model([[(member, 1.0)]], {})  # type: ignore[list-item]
    rows: Any = SimpleNamespace(schema=encoders.schema, task=SimpleNamespace(output="value"))
    found = traced(model, rows, ROWS[:1].select("a"), Score(1, None, 1.0))
    assert set(found) == {"a"}
    assert set(found["a"]) == {"gradients", "attention"}
