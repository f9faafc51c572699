"""Tokens are told as the text that they are, whatever their tokenizer and whatever the signs."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from fieldcraft.kinds.text.deep import train_tokenizer
from fieldcraft.kinds.text.pieces import by_word, pieces, said, spelling
from tests.kinds.text.prose import prose

SIGNS = [
    "The lamp broke, at last!",
    "灯は とても良いです",
    "so 💥 and 👩🏽‍🚀 é",
    "a\n\tb  c",
    "x\x00y\u202e",
]


def byte_level() -> str:
    return train_tokenizer([pl.Series([*prose(50), *SIGNS])])


def word_pieces() -> str:
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


def unigrams() -> str:
    found = Tokenizer(models.Unigram())
    found.pre_tokenizer = pre_tokenizers.Metaspace()
    found.train_from_iterator(
        [*prose(50), *SIGNS],
        trainers.UnigramTrainer(vocab_size=200, special_tokens=["<s>", "<unk>"], unk_token="<unk>"),
    )
    return str(found.to_str())


def numbers(rule: str, text: str) -> list[int]:
    return list(Tokenizer.from_str(rule).encode(text).ids)


@pytest.mark.parametrize("text", SIGNS)
def test_a_byte_level_tokenizer_loses_nothing(text: str) -> None:
    rule = byte_level()
    assert said(rule, numbers(rule, text)) == text.lower()


def test_signs_that_are_cut_into_bytes_are_told_whole() -> None:
    rule = train_tokenizer([pl.Series(prose(50))])  # which has seen no such sign
    found = pieces(rule, numbers(rule, "💥灯"))
    assert [piece for piece in found if piece] == ["💥", "灯"]
    assert len(found) == 8
    cut = numbers(rule, "lamp 💥")[:-1]
    assert said(rule, cut) == "lamp \ufffd"


def test_word_pieces_are_joined_and_marks_say_nothing() -> None:
    rule = word_pieces()
    found = pieces(rule, numbers(rule, "The lamps, broke 灯!"))
    assert found[0] is found[-1] is None
    assert "".join(piece or "" for piece in found) == "the lamps, broke [UNK]!"
    words = by_word(found, [1.0] * len(found))
    assert [word.strip() for word, _ in words] == ["the", "lamps,", "broke", "[UNK]!"]
    assert sum(weight for _, weight in words) == len(found) - 2


def test_unigrams_mark_blanks() -> None:
    rule = unigrams()
    assert said(rule, [0, *numbers(rule, "The lamp broke.")]) == "The lamp broke."
    assert said(rule, numbers(rule, "The \u16a0 broke.")) == "The <unk> broke."


def test_bytes_of_unknown_signs_are_read_together() -> None:
    rule = json.dumps({"model": {"type": "BPE", "vocab": {"<0xC3>": 0, "<0xA9>": 1, "\u2581a": 2}}})
    assert pieces(rule, [2, 0, 1]) == ["a", "", "é"]
    assert by_word(pieces(rule, [2, 0, 1]), [1.0, 2.0, 4.0]) == [("aé", 7.0)]


@pytest.mark.parametrize("given", [[], [0], [0, 0], [-1, 10**9]])
def test_where_no_token_says_anything_there_is_no_word(given: list[int]) -> None:
    rule = byte_level()
    assert said(rule, given) == ""
    assert by_word(pieces(rule, given), [1.0] * len(given)) == []


def test_in_scripts_without_blanks_each_sign_is_a_word_if_its_token_is() -> None:
    found: Any = by_word(["灯", "は", " ", "good", "ness"], [1.0, 2.0, 3.0, 4.0, 5.0])
    assert found == [("灯", 1.0), ("は", 2.0), (" ", 3.0), ("goodness", 9.0)]


def test_every_token_of_a_tokenizer_but_its_marks_is_spelt() -> None:
    rule = byte_level()
    count = Tokenizer.from_str(rule).get_vocab_size()
    assert set(spelling(rule)) == set(range(1, count))
