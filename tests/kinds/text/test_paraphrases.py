"""Other ways to say training texts: where they come from, and who reads them."""

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
from fieldcraft.kinds.text.token_encoder import (
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
def reading() -> TokenEncoder:
    column = pl.Series(TEXTS)
    return fit_token_encoder([column], train_tokenizer([column]), 64, has_fixed_length=False)


def install_module(name: str, patch: pytest.MonkeyPatch, **functions: Any) -> None:
    found = ModuleType(name)
    found.__dict__.update(functions)
    patch.setitem(sys.modules, name, found)


def build_encoders(**options: Any) -> EncoderSet:
    return EncoderSet(Schema((Column("a", "text", options), Column("b", "text", options))))


def encode_training_rows(encoders: EncoderSet, rows: pl.DataFrame) -> dict[str, Array]:
    return fit_and_encode(encoders, rows, np.zeros((len(rows), 1))).tensors()


def test_each_text_has_its_own_ways_and_no_more(reading: TokenEncoder) -> None:
    columns = [pl.Series(["a lamp", None, "a lamp"]), pl.Series(["", "so it is", "a saddle"])]
    others = {"a lamp": ["the light", "one lamp"], "so it is": [], "a saddle": ["a saddle fell"]}

    def ways(texts: list[str]) -> list[list[str]]:
        assert texts == list(others)
        return list(others.values())

    found = encode_paraphrases(reading, columns, [ways, lambda texts: [["  "]] * len(texts)])
    assert found.dtype == np.int32
    assert found.shape[:3] == (3, 2, 2)

    def read(row: int, column: int) -> list[str]:
        rows = [ids[ids != PAD_ID] for ids in found[row, column]]
        return [decode_tokens(reading.tokenizer.tokenizer_json, ids) for ids in rows if len(ids)]

    assert read(0, 0) == read(2, 0) == others["a lamp"]
    assert read(2, 1) == others["a saddle"]
    assert read(1, 0) == read(0, 1) == read(1, 1) == []


def test_of_many_ways_some_are_kept_and_fewer_of_many_texts(
    reading: TokenEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = [pl.Series(TEXTS)]

    def ways(texts: list[str]) -> list[list[str]]:
        return [[f"{text} {number}" for number in range(99)] for text in texts]

    assert encode_paraphrases(reading, columns, [ways]).shape[2] == MAX_PARAPHRASES_PER_TEXT
    room = 2 * len(TEXTS) * reading.tokenizer.window_length
    monkeypatch.setattr("fieldcraft.kinds.text.augment.paraphrases.MOST_NUMBERS", room)
    assert encode_paraphrases(reading, columns, [ways]).shape[2] == 2
    none = encode_paraphrases(reading, [pl.Series([None, ""], dtype=pl.String)], [ways])
    assert none.tolist() == [[[[PAD_ID]]]] * 2


def test_typos_are_read_as_any_text(reading: TokenEncoder) -> None:
    found = encode_paraphrases(reading, [pl.Series(TEXTS)], [build_typo_paraphraser(reading)])
    ids = found[5, 0, 0]
    text = decode_tokens(reading.tokenizer.tokenizer_json, ids[ids != PAD_ID])
    assert text != TEXTS[5].lower()
    assert abs(len(text) - len(TEXTS[5])) <= 3


def test_only_training_rows_have_variants_and_they_are_always_the_same() -> None:
    rows = pl.DataFrame({"a": TEXTS, "b": [None, *TEXTS[1:]]})
    first = encode_training_rows(build_encoders(encoder="bag", augment=["typos"]), rows)
    encoders = build_encoders(encoder="bag", augment=["typos"])
    again = encode_training_rows(encoders, rows)
    assert first["variants"].shape[:3] == (40, 2, 3)
    np.testing.assert_array_equal(first["variants"], again["variants"])
    assert set(encode(encoders, rows).tensors()) == {"text", "tokens"}
    assert "variants" not in encode_training_rows(build_encoders(encoder="bag", augment=True), rows)


def test_the_users_function_sees_training_texts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def again(texts: list[str]) -> list[list[str]]:
        seen.append(texts)
        return [[text + " \ud83d!"] for text in texts]  # with half a sign

    install_module("my_ways", monkeypatch, again=again)
    encoders = build_encoders(encoder="cnn", augment="my_ways:again")
    rows = pl.DataFrame({"a": TEXTS, "b": TEXTS[::-1]})
    encoded = fit_and_encode(encoders, rows, np.zeros((len(rows), 1)))
    for _ in range(2):
        assert encoded.tensors()["variants"].shape[:3] == (40, 2, 1)
    encode(encoders, pl.DataFrame({"a": ["new"], "b": ["newer"]})).tensors()
    assert seen == [TEXTS]
    EncoderSet(encoders.schema)  # where it is not installed, as where a bundle predicts


def test_a_network_reads_them_in_training_only() -> None:
    encoders = build_encoders(encoder="bag", augment="typos")
    rows = pl.DataFrame({"a": TEXTS, "b": TEXTS})
    given = {k: torch.as_tensor(v) for k, v in encode_training_rows(encoders, rows).items()}
    net = encoders.build_nets()["text"]
    assert isinstance(net, TextNet)
    plain = {name: tensor for name, tensor in given.items() if name != "variants"}
    torch.manual_seed(5)
    read = net.train().augment_tokens(given)
    torch.manual_seed(5)
    assert torch.equal(read, net.augment_tokens(given))
    assert not torch.equal(read, net.augment_tokens(given))
    own = (read[:, : given["tokens"].shape[2]] == given["tokens"].flatten(0, 1)).all(1)
    assert 0.1 < float(own.float().mean()) < 0.45  # the text itself is one of four
    net.eval()
    assert torch.equal(net(given), net(plain))


def test_the_example_in_the_docs_trains_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    (code,) = [block for block in blocks if "def again" in block]
    (tmp_path / "ways.py").write_text(code, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    y = np.arange(40) % 2
    options = {"encoder": "bag", "augment": ["drop", "typos", "ways:again"]}
    encoders, model, values, _ = fit_column(
        Column("a", "text", options), pl.DataFrame({"a": TEXTS}), y
    )
    assert model.outputs(encode(encoders, values)).shape == (40, 2)
    assert load_paraphraser("ways:again")(["a lamp", "so"]) == [["a light"], []]
    del sys.modules["ways"]


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (None, "a NoneType for 2 texts"),
        ([[]], "a list of 1 for 2 texts"),
        ("ab", "a str for 2 texts"),
        ([["x"], "y"], "a str for text 2"),
        ([["x", 3], []], "a int among the ways to say text 1"),
    ],
)
def test_what_is_no_list_of_ways_is_told(found: Any, told: str) -> None:
    with pytest.raises(DataError, match=told) as error:
        validate_paraphrases("mine:ways", found, 2)
    assert "mine:ways" in str(error.value)
    assert "return a list as long" in str(error.value)


def test_errors_of_the_users_function_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(texts: list[str]) -> list[list[str]]:
        return [[texts[len(texts)]]]

    install_module("my_ways", monkeypatch, broken=broken)
    with pytest.raises(DataError, match="IndexError"):
        load_paraphraser("my_ways:broken")(["a"])
