"""Decode token IDs to the text that a network reads, piece by piece."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from fieldcraft.kinds.text.explain import UNSPACED_SCRIPTS

UNSPACED_CHARACTER = re.compile(f"[{UNSPACED_SCRIPTS}]")  # each is a word by itself
BYTE_TOKEN = re.compile("<0x([0-9A-F]{2})>")  # byte fallback of SentencePiece
CLOSING_PUNCTUATION = frozenset(".,!?;:)]}%")  # without a space before it
# Bytes that GPT-2's byte-level alphabet keeps as they are: its `bytes_to_unicode`.
PRINTABLE_BYTES = (*range(33, 127), *range(161, 173), *range(174, 256))


def decode_pieces(tokenizer_json: str, token_ids: Iterable[int]) -> list[str | None]:
    """Decode each token of a text; None for special tokens.

    The pieces joined are the text as the network reads it. A token that ends within a character
    is an empty piece; the token that completes the character gets all of it.

    Args:
        tokenizer_json: the tokenizer in the JSON format of the library `tokenizers`.
        token_ids: token IDs of one text.
    """
    # The decoders of `tokenizers` return the whole text only, not the piece of each token.
    bytes_by_id = load_token_bytes(tokenizer_json)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    token_bytes = [bytes_by_id.get(int(token_id)) for token_id in token_ids]
    texts = [
        None if piece_bytes is None else decoder.decode(piece_bytes) for piece_bytes in token_bytes
    ]
    text_indices = [i for i, piece in enumerate(texts) if piece is not None]
    # A text that is cut within a character ends with the first bytes of it, shown as U+FFFD.
    if text_indices:
        texts[text_indices[-1]] = f"{texts[text_indices[-1]]}{decoder.decode(b'', final=True)}"
    # Tokenizers put a space before the first word, which the text does not have.
    first = next((i for i in text_indices if texts[i]), None)
    if first is not None:
        texts[first] = str(texts[first]).lstrip(" ")
    return texts


def decode_tokens(tokenizer_json: str, token_ids: Iterable[int]) -> str:
    """Decode the tokens of a text."""
    return "".join(piece or "" for piece in decode_pieces(tokenizer_json, token_ids))


def merge_into_words(
    token_texts: Sequence[str | None], weights: Sequence[float]
) -> list[tuple[str, float]]:
    """Merge the pieces of each word and add up their weights; special tokens are left out.

    >>> merge_into_words([None, "lamp", "s", " bro", "ke", None], [9.0, 1.0, 2.0, 3.0, 4.0, 9.0])
    [('lamps', 3.0), (' broke', 7.0)]
    """
    words: list[tuple[str, float]] = []
    weight_sum = 0.0
    for piece, weight in zip(token_texts, weights, strict=True):
        if piece is None:
            continue
        weight_sum += weight
        if not piece:
            continue
        if words and not is_word_boundary(words[-1][0], piece):
            before, previous_weight = words.pop()
            piece, weight_sum = before + piece, previous_weight + weight_sum
        words.append((piece, weight_sum))
        weight_sum = 0.0
    return words


def is_word_boundary(before: str, after: str) -> bool:
    """Whether a new word begins between two consecutive pieces."""
    pair = before[-1] + after[0]
    return (
        any(character.isspace() for character in pair)
        or UNSPACED_CHARACTER.search(pair) is not None
    )


@lru_cache(maxsize=4)
def load_token_bytes(tokenizer_json: str) -> Mapping[int, bytes]:
    """Return the bytes of each token by its ID, special tokens left out."""
    tokenizer = json.loads(tokenizer_json)
    names, unknown = parse_token_names(tokenizer["model"])
    added = tokenizer.get("added_tokens") or ()
    names |= {token["id"]: token["content"] for token in added}
    # The unknown token stands for characters of the text, unlike other special tokens.
    special_ids = {
        added_token["id"]
        for added_token in added
        if added_token["special"] and added_token["content"] != unknown
    }
    is_byte_level = '"ByteLevel"' in json.dumps(
        [tokenizer.get("pre_tokenizer"), tokenizer.get("decoder")]
    )
    return {
        token_id: byte_level_to_bytes(name)
        if is_byte_level
        else token_to_bytes(name, tokenizer["model"])
        for token_id, name in names.items()
        if token_id not in special_ids
    }


def parse_token_names(model: Mapping[str, Any]) -> tuple[dict[int, str], str | None]:
    """Return token names by ID, and the name of the unknown token."""
    vocabulary = model["vocab"]
    if isinstance(vocabulary, list):  # Unigram: pairs of a token and its log probability
        names = {token_id: str(entry[0]) for token_id, entry in enumerate(vocabulary)}
        return names, names.get(model.get("unk_id"))  # type: ignore[arg-type]
    return {token_id: name for name, token_id in vocabulary.items()}, model.get("unk_token")


def byte_level_to_bytes(name: str) -> bytes:
    """Return the bytes of a token of a byte-level tokenizer."""
    alphabet = build_byte_alphabet()
    if all(character in alphabet for character in name):
        return bytes(alphabet[character] for character in name)
    # Added tokens are stored as plain text, not in the byte alphabet.
    return name.encode()


@lru_cache(maxsize=1)
def build_byte_alphabet() -> Mapping[str, int]:
    """Return the byte of each character of GPT-2's byte-level alphabet."""
    unprintable = [byte for byte in range(256) if byte not in PRINTABLE_BYTES]
    alphabet = {chr(byte): byte for byte in PRINTABLE_BYTES}
    return alphabet | {chr(256 + offset): byte for offset, byte in enumerate(unprintable)}


def token_to_bytes(name: str, model: Mapping[str, Any]) -> bytes:
    """Return the bytes of a token of a WordPiece, SentencePiece or Unigram tokenizer."""
    byte = BYTE_TOKEN.fullmatch(name)
    if byte:
        return bytes.fromhex(byte[1])
    if model.get("type") != "WordPiece":
        # SentencePiece writes a space as U+2581.
        return name.replace("\u2581", " ").encode()
    # WordPiece drops spaces, and marks the pieces that continue a word instead.
    prefix = str(model.get("continuing_subword_prefix", "##"))
    if name.startswith(prefix) and name != prefix:
        return name.removeprefix(prefix).encode()
    return (name if name in CLOSING_PUNCTUATION else f" {name}").encode()
