"""Tokens are told as the text that they are, whatever their tokenizer and whatever the signs."""

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
from fieldcraft.kinds.text.token_encoder import train_tokenizer
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
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    names = [*marks, "the", "lamp", "##s", ",", "broke", "!"]
    vocabulary = {name: number for number, name in enumerate(names)}
    found = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    found.add_special_tokens(marks)
    found.normalizer = normalizers.BertNormalizer(lowercase=True)
    found.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    found.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return str(found.to_str())


def train_unigram() -> str:
    found = Tokenizer(models.Unigram())
    found.pre_tokenizer = pre_tokenizers.Metaspace()
    found.train_from_iterator(
        [*make_texts(50), *ODD_TEXTS],
        trainers.UnigramTrainer(vocab_size=200, special_tokens=["<s>", "<unk>"], unk_token="<unk>"),
    )
    return str(found.to_str())


def encode_ids(tokenizer_json: str, text: str) -> list[int]:
    return list(Tokenizer.from_str(tokenizer_json).encode(text).ids)


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_a_byte_level_tokenizer_loses_nothing(text: str) -> None:
    rule = train_byte_level()
    assert decode_tokens(rule, encode_ids(rule, text)) == text.lower()


def test_signs_that_are_cut_into_bytes_are_told_whole() -> None:
    rule = train_tokenizer([pl.Series(make_texts(50))])  # which has seen no such sign
    found = decode_pieces(rule, encode_ids(rule, "💥灯"))
    assert [piece for piece in found if piece] == ["💥", "灯"]
    assert len(found) == 8
    cut = encode_ids(rule, "lamp 💥")[:-1]
    assert decode_tokens(rule, cut) == "lamp \ufffd"


def test_word_pieces_are_joined_and_marks_say_nothing() -> None:
    rule = build_word_piece()
    found = decode_pieces(rule, encode_ids(rule, "The lamps, broke 灯!"))
    assert found[0] is found[-1] is None
    assert "".join(piece or "" for piece in found) == "the lamps, broke [UNK]!"
    words = merge_into_words(found, [1.0] * len(found))
    assert [word.strip() for word, _ in words] == ["the", "lamps,", "broke", "[UNK]!"]
    assert sum(weight for _, weight in words) == len(found) - 2


def test_unigrams_mark_blanks() -> None:
    rule = train_unigram()
    assert decode_tokens(rule, [0, *encode_ids(rule, "The lamp broke.")]) == "The lamp broke."
    assert decode_tokens(rule, encode_ids(rule, "The \u16a0 broke.")) == "The <unk> broke."


def test_bytes_of_unknown_signs_are_read_together() -> None:
    rule = json.dumps({"model": {"type": "BPE", "vocab": {"<0xC3>": 0, "<0xA9>": 1, "\u2581a": 2}}})
    assert decode_pieces(rule, [2, 0, 1]) == ["a", "", "é"]
    assert merge_into_words(decode_pieces(rule, [2, 0, 1]), [1.0, 2.0, 4.0]) == [("aé", 7.0)]


@pytest.mark.parametrize("given", [[], [0], [0, 0], [-1, 10**9]])
def test_where_no_token_says_anything_there_is_no_word(given: list[int]) -> None:
    rule = train_byte_level()
    assert decode_tokens(rule, given) == ""
    assert merge_into_words(decode_pieces(rule, given), [1.0] * len(given)) == []


def test_in_scripts_without_blanks_each_sign_is_a_word_if_its_token_is() -> None:
    found: Any = merge_into_words(["灯", "は", " ", "good", "ness"], [1.0, 2.0, 3.0, 4.0, 5.0])
    assert found == [("灯", 1.0), ("は", 2.0), (" ", 3.0), ("goodness", 9.0)]


def test_every_token_of_a_tokenizer_but_its_marks_is_spelt() -> None:
    rule = train_byte_level()
    count = Tokenizer.from_str(rule).get_vocab_size()
    assert set(load_token_bytes(rule)) == set(range(1, count))
