"""Add typos to texts: neighboring keys, and characters left out, doubled or swapped.

Belinkov & Bisk, *Synthetic and Natural Noise Both Break Neural Machine Translation*, ICLR 2018.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping

TYPO_WORD_PATTERN = re.compile(r"\w{4,}")  # a typo turns shorter words into other words
TYPO_WORD_FRACTION = 0.1
KEYBOARD_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def build_keyboard_neighbors() -> Mapping[str, str]:
    """Return the keys to the left and right of each key of a QWERTY keyboard.

    >>> build_keyboard_neighbors()["s"], build_keyboard_neighbors()["q"]
    ('ad', 'w')
    """
    return {
        key: row[max(position - 1, 0) : position] + row[position + 1 : position + 2]
        for row in KEYBOARD_ROWS
        for position, key in enumerate(row)
    }


KEYBOARD_NEIGHBORS = build_keyboard_neighbors()


def add_typos(text: str, seed: int) -> str:
    """Add typos to about a tenth of the longer words of a text, at least to one.

    Args:
        text: the original text.
        seed: the same text and seed give the same typos.
    """
    # Seeded by the text, so that its typos do not depend on other rows.
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
    """Add one typo to a word, never to its first character."""
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
    # Swapping two equal letters changes nothing.
    return rng.choice([candidate for candidate in candidates if candidate != word])
