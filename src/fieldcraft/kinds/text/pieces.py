"""What tokens say: from their numbers back to the text that a network reads."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from fieldcraft.kinds.text.explain import ALONE

SIGN = re.compile(f"[{ALONE}]")  # a word by itself
BYTE = re.compile("<0x([0-9A-F]{2})>")  # how tokenizers spell a byte of a sign they do not know
CLOSING = frozenset(".,!?;:)]}%")  # no blank stands before them
PRINTED = (*range(33, 127), *range(161, 173), *range(174, 256))  # bytes that stand for themselves


def pieces(rule: str, numbers: Iterable[int]) -> list[str | None]:
    """What each token says, which together is the text as it is read; None for marks.

    A token that is a part of a sign says nothing; the one that completes it says the sign.

    Args:
        rule: the tokenizer, as JSON text.
        numbers: of the tokens of one text.
    """
    spelt, reader = spelling(rule), codecs.getincrementaldecoder("utf-8")("replace")
    parts = [spelt.get(int(number)) for number in numbers]
    found = [None if part is None else reader.decode(part) for part in parts]
    there = [i for i, piece in enumerate(found) if piece is not None]
    if there:
        found[there[-1]] = f"{found[there[-1]]}{reader.decode(b'', final=True)}"
    first = next((i for i in there if found[i]), None)
    if first is not None:
        found[first] = str(found[first]).lstrip(" ")
    return found


def said(rule: str, numbers: Iterable[int]) -> str:
    """The text that tokens are."""
    return "".join(piece or "" for piece in pieces(rule, numbers))


def by_word(said: Sequence[str | None], weights: Sequence[float]) -> list[tuple[str, float]]:
    """Words and what their tokens weigh together; the words are all that is said, in its order.

    >>> by_word([None, "lamp", "s", " bro", "ke", None], [9.0, 1.0, 2.0, 3.0, 4.0, 9.0])
    [('lamps', 3.0), (' broke', 7.0)]
    """
    found: list[tuple[str, float]] = []
    waiting = 0.0
    for piece, weight in zip(said, weights, strict=True):
        if piece is None:
            continue
        waiting += weight
        if not piece:
            continue
        if found and not parted(found[-1][0], piece):
            before, weighed = found.pop()
            piece, waiting = before + piece, weighed + waiting
        found.append((piece, waiting))
        waiting = 0.0
    return found


def parted(before: str, after: str) -> bool:
    """Whether a new word begins between two pieces of a text."""
    beside = before[-1] + after[0]
    return any(sign.isspace() for sign in beside) or SIGN.search(beside) is not None


@lru_cache(maxsize=4)
def spelling(rule: str) -> Mapping[int, bytes]:
    """How tokens are spelt, by their numbers, without those that are marks."""
    told = json.loads(rule)
    names, unknown = names_of(told["model"])
    added = told.get("added_tokens") or ()
    names |= {token["id"]: token["content"] for token in added}
    marks = {t["id"] for t in added if t["special"] and t["content"] != unknown}
    by_byte = '"ByteLevel"' in json.dumps([told.get("pre_tokenizer"), told.get("decoder")])
    return {
        number: of_bytes(name) if by_byte else of_signs(name, told["model"])
        for number, name in names.items()
        if number not in marks
    }


def names_of(model: Mapping[str, Any]) -> tuple[dict[int, str], str | None]:
    """The names of tokens by their numbers, and of the one that stands for what is not known."""
    vocabulary = model["vocab"]
    if isinstance(vocabulary, list):  # unigrams with their weights
        names = {number: str(entry[0]) for number, entry in enumerate(vocabulary)}
        return names, names.get(model.get("unk_id"))  # type: ignore[arg-type]
    return {number: name for name, number in vocabulary.items()}, model.get("unk_token")


def of_bytes(name: str) -> bytes:
    """What a token of a byte-level tokenizer says, whose signs stand for bytes."""
    alphabet = byte_alphabet()
    if all(sign in alphabet for sign in name):
        return bytes(alphabet[sign] for sign in name)
    return name.encode()


@lru_cache(maxsize=1)
def byte_alphabet() -> Mapping[str, int]:
    """The byte that each sign stands for in byte-level tokenizers, after GPT-2."""
    others = [byte for byte in range(256) if byte not in PRINTED]
    found = {chr(byte): byte for byte in PRINTED}
    return found | {chr(256 + place): byte for place, byte in enumerate(others)}


def of_signs(name: str, model: Mapping[str, Any]) -> bytes:
    """What a token of any other tokenizer says: WordPiece leaves out blanks, others mark them."""
    byte = BYTE.fullmatch(name)
    if byte:
        return bytes.fromhex(byte[1])
    if model.get("type") != "WordPiece":
        return name.replace("\u2581", " ").encode()
    follows = str(model.get("continuing_subword_prefix", "##"))
    if name.startswith(follows) and name != follows:
        return name.removeprefix(follows).encode()
    return (name if name in CLOSING else f" {name}").encode()
