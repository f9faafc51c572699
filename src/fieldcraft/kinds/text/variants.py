"""Other ways to say training texts: with typos, or as a function of the user's says them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.contracts import Array
from fieldcraft.core.errors import DataError
from fieldcraft.kinds.text.deep import PAD, Reading
from fieldcraft.kinds.text.tokens import SIGNS_A_TOKEN
from fieldcraft.kinds.text.typos import mistyped

TYPOS = 3  # mistyped ways to say a text
MOST = 8  # ways to say a text that are kept
MOST_NUMBERS = 100_000_000  # of tokens of all of them, 400 MB

Ways = Callable[[list[str]], list[list[str]]]


def variants(reading: Reading, columns: Sequence[pl.Series], ways: Sequence[Ways]) -> Array:
    """Token numbers of other ways to say texts, as `Reading.encode` gives those of the texts.

    Args:
        reading: how texts become tokens.
        columns: training texts.
        ways: each from different texts to other ways to say each of them.

    Returns:
        Shape (rows, columns, ways, length), 32-bit integers; a text that has fewer ways than
        others has -1 for the rest.
    """
    cells = [column.to_list() for column in columns]
    texts = list(dict.fromkeys(text for column in cells for text in column if text))
    room = MOST_NUMBERS // max(sum(map(len, cells)) * reading.tokens.length, 1)
    found = [way(texts) for way in ways]
    others = {
        text: list(dict.fromkeys(other for said in every for other in said if other.strip()))
        for text, *every in zip(texts, *found, strict=True)
    }
    most = max(1, min(room, MOST, max(map(len, others.values()), default=1)))
    flat = [other for text in texts for other in others[text][:most]]
    read = dict(zip(flat, reading.rows(flat), strict=True))
    length = max(map(len, read.values()), default=1)
    array = np.full((len(cells[0]), len(cells), most, length), PAD, dtype=np.int32)
    for i, column in enumerate(cells):
        for row, text in enumerate(column):
            for k, other in enumerate(others.get(text, ())[:most]):
                array[row, i, k, : len(read[other])] = read[other]
    return array


def with_typos(reading: Reading) -> Ways:
    """Mistyped ways to say texts, of which only what may be read is looked at."""
    most = reading.tokens.length * SIGNS_A_TOKEN
    return lambda texts: [[mistyped(t[:most], i) for i in range(TYPOS)] for t in texts]


def from_function(name: str) -> Ways:
    """Ways to say texts from a function of the user's.

    Args:
        name: ``package.module:function``; it takes all texts and returns for each a list of others.

    Raises:
        DataError: it cannot be imported.
    """
    module, _, function = name.partition(":")
    try:
        asked: Any = getattr(importlib.import_module(module), function)
    except Exception as error:
        raise DataError(
            f"the function {name} that says texts in other ways cannot be imported",
            seen=f"{type(error).__name__}: {error}",
            way_out="set augment to package.module:function, of a package that is installed or "
            "whose folder is named in PYTHONPATH",
        ) from error

    def ask(texts: list[str]) -> list[list[str]]:
        try:
            found = asked(list(texts))
        except Exception as error:
            raise unfit(name, f"{type(error).__name__}: {error}") from error
        return checked(name, found, len(texts))

    return ask


def checked(name: str, found: Any, count: int) -> list[list[str]]:
    """What the user's function returned, if that is a list of texts for each text.

    Raises:
        DataError: it is not.
    """
    if not isinstance(found, list | tuple) or len(found) != count:
        size = f" of {len(found):,}" if isinstance(found, list | tuple) else ""
        raise unfit(name, f"a {type(found).__name__}{size} for {count:,} texts")
    for number, others in enumerate(found):
        if not isinstance(others, list | tuple):
            raise unfit(name, f"a {type(others).__name__} for text {number + 1}")
        odd = next((other for other in others if not isinstance(other, str)), None)
        if odd is not None:
            raise unfit(name, f"a {type(odd).__name__} among the ways to say text {number + 1}")
    # Halves of signs, which Python lets stand alone, cannot be read.
    return [[other.encode(errors="replace").decode() for other in others] for others in found]


def unfit(name: str, seen: str) -> DataError:
    """The error for what a user's function did."""
    return DataError(
        f"the function {name} does not say texts in other ways",
        seen=seen,
        way_out="let it take a list of texts and return a list as long: for each text a list of "
        "other ways to say it, which may be empty",
    )
