"""Texts as they are mistyped: a key beside the right one, signs left out, doubled or swapped.

After Belinkov and Bisk, *Synthetic and Natural Noise Both Break Neural Machine Translation*, 2018.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping

TYPO_WORD_PATTERN = re.compile(
    r"\w{4,}"
)  # words of three signs are too short to be told when mistyped
TYPO_WORD_FRACTION = 0.1  # share of the words
KEYBOARD_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def build_keyboard_neighbors() -> Mapping[str, str]:
    """The keys to the left and to the right of each on an English keyboard.

    >>> beside()["s"], beside()["q"]
    ('ad', 'w')
    """
    return {
        key: row[max(position - 1, 0) : position] + row[position + 1 : position + 2]
        for row in KEYBOARD_ROWS
        for position, key in enumerate(row)
    }


KEYBOARD_NEIGHBORS = build_keyboard_neighbors()


def add_typos(text: str, seed: int) -> str:
    """A text with a typo in about a tenth of its longer words, at least in one.

    The same text and number give the same typos.

    Args:
        text: as it was written.
        seed: another one gives other typos.
    """
    rng = random.Random(f"{seed} {text}")
    words = list(TYPO_WORD_PATTERN.finditer(text))
    if not words:
        return text
    chosen_words = [word for word in words if rng.random() < TYPO_WORD_FRACTION] or [
        rng.choice(words)
    ]
    parts, end = [], 0
    for word in chosen_words:
        parts += [text[end : word.start()], add_typo(word[0], rng)]
        end = word.end()
    return "".join([*parts, text[end:]])


def add_typo(word: str, rng: random.Random) -> str:
    """A word with one typo, never in its first sign."""
    position = rng.randrange(1, len(word) - 1)
    before, character, after = word[:position], word[position], word[position + 1 :]
    candidates = [
        before + after,
        before + 2 * character + after,
        before + after[0] + character + after[1:],
    ]
    neighbor_keys = KEYBOARD_NEIGHBORS.get(character.lower(), "")
    if neighbor_keys:
        neighbor_key = rng.choice(neighbor_keys)
        candidates.append(
            before + (neighbor_key.upper() if character.isupper() else neighbor_key) + after
        )
    return rng.choice([candidate for candidate in candidates if candidate != word])
