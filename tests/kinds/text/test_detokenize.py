"""Tokens are decoded to their text, whatever the tokenizer and the characters."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from fieldcraft.kinds.text.detokenize import (
    decode_pieces,
    decode_tokens,
    load_token_bytes,
    merge_into_words,
)
from fieldcraft.kinds.text.tokenization import train_tokenizer
from tests.kinds.text.sentences import make_texts

ODD_TEXTS = [
    "The lamp broke, at last!",
    "灯は とても良いです",
    "so 💥 and 👩🏽‍🚀 é",
    "a\n\tb  c",
    "x\x00y\u202e",
]


def train_byte_level() -> str:
    return train_tokenizer([pl.Series([*make_texts(50), *ODD_TEXTS])])


def build_word_piece() -> str:
    special_tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    names = [*special_tokens, "the", "lamp", "##s", ",", "broke", "!"]
    vocabulary = {name: token_id for token_id, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.add_special_tokens(special_tokens)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return str(tokenizer.to_str())


def train_unigram() -> str:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(
        [*make_texts(50), *ODD_TEXTS],
        trainers.UnigramTrainer(vocab_size=200, special_tokens=["<s>", "<unk>"], unk_token="<unk>"),
    )
    return str(tokenizer.to_str())


def encode_ids(tokenizer_json: str, text: str) -> list[int]:
    return list(Tokenizer.from_str(tokenizer_json).encode(text).ids)


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_byte_level_round_trip(text: str) -> None:
    tokenizer_json = train_byte_level()
    assert decode_tokens(tokenizer_json, encode_ids(tokenizer_json, text)) == text.lower()


def test_characters_split_into_bytes_are_decoded_whole() -> None:
    tokenizer_json = train_tokenizer([pl.Series(make_texts(50))])  # without such characters
    pieces = decode_pieces(tokenizer_json, encode_ids(tokenizer_json, "💥灯"))
    assert [piece for piece in pieces if piece] == ["💥", "灯"]
    assert len(pieces) == 8
    cut = encode_ids(tokenizer_json, "lamp 💥")[:-1]
    assert decode_tokens(tokenizer_json, cut) == "lamp \ufffd"


def test_word_pieces_are_joined_without_special_tokens() -> None:
    tokenizer_json = build_word_piece()
    pieces = decode_pieces(tokenizer_json, encode_ids(tokenizer_json, "The lamps, broke 灯!"))
    assert pieces[0] is pieces[-1] is None
    assert "".join(piece or "" for piece in pieces) == "the lamps, broke [UNK]!"
    words = merge_into_words(pieces, [1.0] * len(pieces))
    assert [word.strip() for word, _ in words] == ["the", "lamps,", "broke", "[UNK]!"]
    assert sum(weight for _, weight in words) == len(pieces) - 2


def test_unigram_spaces_are_restored() -> None:
    tokenizer_json = train_unigram()
    assert (
        decode_tokens(tokenizer_json, [0, *encode_ids(tokenizer_json, "The lamp broke.")])
        == "The lamp broke."
    )
    assert (
        decode_tokens(tokenizer_json, encode_ids(tokenizer_json, "The \u16a0 broke."))
        == "The <unk> broke."
    )


def test_byte_fallback_tokens_are_decoded_together() -> None:
    tokenizer_json = json.dumps(
        {"model": {"type": "BPE", "vocab": {"<0xC3>": 0, "<0xA9>": 1, "\u2581a": 2}}}
    )
    assert decode_pieces(tokenizer_json, [2, 0, 1]) == ["a", "", "é"]
    assert merge_into_words(decode_pieces(tokenizer_json, [2, 0, 1]), [1.0, 2.0, 4.0]) == [
        ("aé", 7.0)
    ]


@pytest.mark.parametrize("token_ids", [[], [0], [0, 0], [-1, 10**9]])
def test_special_and_unknown_ids_give_no_words(token_ids: list[int]) -> None:
    tokenizer_json = train_byte_level()
    assert decode_tokens(tokenizer_json, token_ids) == ""
    assert merge_into_words(decode_pieces(tokenizer_json, token_ids), [1.0] * len(token_ids)) == []


def test_words_in_scripts_without_spaces_are_single_characters() -> None:
    words: Any = merge_into_words(["灯", "は", " ", "good", "ness"], [1.0, 2.0, 3.0, 4.0, 5.0])
    assert words == [("灯", 1.0), ("は", 2.0), (" ", 3.0), ("goodness", 9.0)]


def test_every_token_except_special_ones_has_bytes() -> None:
    tokenizer_json = train_byte_level()
    count = Tokenizer.from_str(tokenizer_json).get_vocab_size()
    assert set(load_token_bytes(tokenizer_json)) == set(range(1, count))
