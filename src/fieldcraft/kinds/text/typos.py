"""Texts as they are mistyped: a key beside the right one, signs left out, doubled or swapped.

After Belinkov and Bisk, *Synthetic and Natural Noise Both Break Neural Machine Translation*, 2018.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping

WORD = re.compile(r"\w{4,}")  # words of three signs are too short to be told when mistyped
MISTYPED = 0.1  # share of the words
KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def beside() -> Mapping[str, str]:
    """The keys to the left and to the right of each on an English keyboard.

    >>> beside()["s"], beside()["q"]
    ('ad', 'w')
    """
    return {
        key: row[max(place - 1, 0) : place] + row[place + 1 : place + 2]
        for row in KEYS
        for place, key in enumerate(row)
    }


BESIDE = beside()


def mistyped(text: str, number: int) -> str:
    """A text with a typo in about a tenth of its longer words, at least in one.

    The same text and number give the same typos.

    Args:
        text: as it was written.
        number: another one gives other typos.
    """
    draw = random.Random(f"{number} {text}")
    words = list(WORD.finditer(text))
    if not words:
        return text
    chosen = [word for word in words if draw.random() < MISTYPED] or [draw.choice(words)]
    found, end = [], 0
    for word in chosen:
        found += [text[end : word.start()], slip(word[0], draw)]
        end = word.end()
    return "".join([*found, text[end:]])


def slip(word: str, draw: random.Random) -> str:
    """A word with one typo, never in its first sign."""
    place = draw.randrange(1, len(word) - 1)
    before, sign, after = word[:place], word[place], word[place + 1 :]
    ways = [before + after, before + 2 * sign + after, before + after[0] + sign + after[1:]]
    keys = BESIDE.get(sign.lower(), "")
    if keys:
        other = draw.choice(keys)
        ways.append(before + (other.upper() if sign.isupper() else other) + after)
    return draw.choice([way for way in ways if way != word])
