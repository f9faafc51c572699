"""Paraphrases of training texts: their sources, their encoding, and who reads them."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from fieldcraft.bundle.encoder_set import EncoderSet
from fieldcraft.core.errors import DataError
from fieldcraft.core.types import Array
from fieldcraft.data.schema import Column, Schema
from fieldcraft.kinds.text.augment.paraphrases import (
    MAX_PARAPHRASES_PER_TEXT,
    build_typo_paraphraser,
    encode_paraphrases,
    load_paraphraser,
    validate_paraphrases,
)
from fieldcraft.kinds.text.detokenize import decode_tokens
from fieldcraft.kinds.text.net import TextNet
from fieldcraft.kinds.text.tokenization import (
    PAD_ID,
    TokenEncoder,
    fit_token_encoder,
    train_tokenizer,
)
from tests.column_networks import fit_column
from tests.encoding import encode, fit_and_encode
from tests.kinds.text.sentences import make_texts

DOCS = Path(__file__).parents[3] / "docs" / "project-file.md"
TEXTS = make_texts(40, 1)


@pytest.fixture
def token_encoder() -> TokenEncoder:
    column = pl.Series(TEXTS)
    return fit_token_encoder([column], train_tokenizer([column]), 64, has_fixed_length=False)


def install_module(name: str, patch: pytest.MonkeyPatch, **functions: Any) -> None:
    module = ModuleType(name)
    module.__dict__.update(functions)
    patch.setitem(sys.modules, name, module)


def build_encoders(**options: Any) -> EncoderSet:
    return EncoderSet(Schema((Column("a", "text", options), Column("b", "text", options))))


def encode_training_rows(encoders: EncoderSet, rows: pl.DataFrame) -> dict[str, Array]:
    return fit_and_encode(encoders, rows, np.zeros((len(rows), 1))).tensors()


def test_each_text_gets_its_own_paraphrases(token_encoder: TokenEncoder) -> None:
    columns = [pl.Series(["a lamp", None, "a lamp"]), pl.Series(["", "so it is", "a saddle"])]
    paraphrases = {
        "a lamp": ["the light", "one lamp"],
        "so it is": [],
        "a saddle": ["a saddle fell"],
    }

    def paraphraser(texts: list[str]) -> list[list[str]]:
        assert texts == list(paraphrases)
        return list(paraphrases.values())

    encoded = encode_paraphrases(
        token_encoder, columns, [paraphraser, lambda texts: [["  "]] * len(texts)]
    )
    assert encoded.dtype == np.int32
    assert encoded.shape[:3] == (3, 2, 2)

    def decode(row: int, column: int) -> list[str]:
        rows = [ids[ids != PAD_ID] for ids in encoded[row, column]]
        return [
            decode_tokens(token_encoder.tokenizer.tokenizer_json, ids) for ids in rows if len(ids)
        ]

    assert decode(0, 0) == decode(2, 0) == paraphrases["a lamp"]
    assert decode(2, 1) == paraphrases["a saddle"]
    assert decode(1, 0) == decode(0, 1) == decode(1, 1) == []


def test_number_of_paraphrases_is_limited_per_text_and_by_memory(
    token_encoder: TokenEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = [pl.Series(TEXTS)]

    def paraphraser(texts: list[str]) -> list[list[str]]:
        return [[f"{text} {number}" for number in range(99)] for text in texts]

    assert (
        encode_paraphrases(token_encoder, columns, [paraphraser]).shape[2]
        == MAX_PARAPHRASES_PER_TEXT
    )
    max_token_ids = 2 * len(TEXTS) * token_encoder.tokenizer.window_length
    monkeypatch.setattr("fieldcraft.kinds.text.augment.paraphrases.MAX_TOKEN_IDS", max_token_ids)
    assert encode_paraphrases(token_encoder, columns, [paraphraser]).shape[2] == 2
    empty = encode_paraphrases(
        token_encoder, [pl.Series([None, ""], dtype=pl.String)], [paraphraser]
    )
    assert empty.tolist() == [[[[PAD_ID]]]] * 2


def test_typos_are_encoded_like_any_text(token_encoder: TokenEncoder) -> None:
    encoded = encode_paraphrases(
        token_encoder, [pl.Series(TEXTS)], [build_typo_paraphraser(token_encoder)]
    )
    ids = encoded[5, 0, 0]
    text = decode_tokens(token_encoder.tokenizer.tokenizer_json, ids[ids != PAD_ID])
    assert text != TEXTS[5].lower()
    assert abs(len(text) - len(TEXTS[5])) <= 3


def test_only_training_rows_have_paraphrases_and_they_are_deterministic() -> None:
    rows = pl.DataFrame({"a": TEXTS, "b": [None, *TEXTS[1:]]})
    first = encode_training_rows(build_encoders(encoder="bag", augment=["typos"]), rows)
    encoders = build_encoders(encoder="bag", augment=["typos"])
    second = encode_training_rows(encoders, rows)
    assert first["variants"].shape[:3] == (40, 2, 3)
    np.testing.assert_array_equal(first["variants"], second["variants"])
    assert set(encode(encoders, rows).tensors()) == {"text", "tokens"}
    assert "variants" not in encode_training_rows(build_encoders(encoder="bag", augment=True), rows)


def test_user_function_is_called_once_with_distinct_training_texts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[list[str]] = []

    def exclaim(texts: list[str]) -> list[list[str]]:
        calls.append(texts)
        return [[text + " \ud83d!"] for text in texts]  # with a lone surrogate

    install_module("my_module", monkeypatch, exclaim=exclaim)
    encoders = build_encoders(encoder="cnn", augment="my_module:exclaim")
    rows = pl.DataFrame({"a": TEXTS, "b": TEXTS[::-1]})
    encoded = fit_and_encode(encoders, rows, np.zeros((len(rows), 1)))
    for _ in range(2):
        assert encoded.tensors()["variants"].shape[:3] == (40, 2, 1)
    encode(encoders, pl.DataFrame({"a": ["new"], "b": ["newer"]})).tensors()
    assert calls == [TEXTS]
    EncoderSet(encoders.schema)  # where it is not installed, as where a bundle predicts


def test_paraphrases_are_read_in_training_only() -> None:
    encoders = build_encoders(encoder="bag", augment="typos")
    rows = pl.DataFrame({"a": TEXTS, "b": TEXTS})
    tensors = {k: torch.as_tensor(v) for k, v in encode_training_rows(encoders, rows).items()}
    net = encoders.build_nets()["text"]
    assert isinstance(net, TextNet)
    without_paraphrases = {name: tensor for name, tensor in tensors.items() if name != "variants"}
    torch.manual_seed(5)
    tokens = net.train().augment_tokens(tensors)
    torch.manual_seed(5)
    assert torch.equal(tokens, net.augment_tokens(tensors))
    assert not torch.equal(tokens, net.augment_tokens(tensors))
    is_original = (tokens[:, : tensors["tokens"].shape[2]] == tensors["tokens"].flatten(0, 1)).all(
        1
    )
    assert 0.1 < float(is_original.float().mean()) < 0.45  # the text itself is one of four
    net.eval()
    assert torch.equal(net(tensors), net(without_paraphrases))


def test_the_example_in_the_docs_trains_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    (code,) = [block for block in blocks if "def paraphrase" in block]
    (tmp_path / "ways.py").write_text(code, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    y = np.arange(40) % 2
    options = {"encoder": "bag", "augment": ["token_dropout", "typos", "ways:paraphrase"]}
    encoders, model, values, _ = fit_column(
        Column("a", "text", options), pl.DataFrame({"a": TEXTS}), y
    )
    assert model.outputs(encode(encoders, values)).shape == (40, 2)
    assert load_paraphraser("ways:paraphrase")(["a lamp", "so"]) == [["a light"], []]
    del sys.modules["ways"]


@pytest.mark.parametrize(
    ("result", "detail"),
    [
        (None, "a NoneType for 2 texts"),
        ([[]], "a list of 1 for 2 texts"),
        ("ab", "a str for 2 texts"),
        ([["x"], "y"], "a str for text 2"),
        ([["x", 3], []], "a int among the paraphrases of text 1"),
    ],
)
def test_invalid_results_of_a_user_function_are_rejected(result: Any, detail: str) -> None:
    with pytest.raises(DataError, match=detail) as error:
        validate_paraphrases("module:function", result, 2)
    assert "module:function" in str(error.value)
    assert "return a list of the same length" in str(error.value)


def test_errors_of_a_user_function_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(texts: list[str]) -> list[list[str]]:
        return [[texts[len(texts)]]]

    install_module("my_module", monkeypatch, broken=broken)
    with pytest.raises(DataError, match="IndexError"):
        load_paraphraser("my_module:broken")(["a"])
