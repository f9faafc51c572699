"""Some training rows as they are, and as training changes them, for people to look at.

What a network is to take for the same thing is only as good as the changes: a digit that is turned
round, or a text that lost its "not", is another one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Json, Kind
from fieldcraft.core import catalogue
from fieldcraft.develop.members import Member
from fieldcraft.develop.rows import Development

ROWS, FORMS = 6, 4  # rows that are shown, and how often each is changed
MOST_SIGNS = 240  # of a text
CUT = "…"


def augmented(member: Member, rows: Development, seed: int) -> list[Json]:
    """Of each column that training changes some rows of the first fold, each in several forms.

    Args:
        member: of that fold.
        rows: the rows that it was developed on.
        seed: of the changes.

    Returns:
        For each such column its name, ``pictures`` (whether photos are shown, or texts) and
        ``rows``: the ``original`` and its ``forms``. Nothing if the model is no network, or a
        network that learns from rows as they are.
    """
    network = getattr(member.fitted, "network", None)
    if network is None:
        return []
    from fieldcraft.fit.process import seeded

    values = rows.values[complete(rows.values, rows.folds[0].train)]
    tensors = member.encoders.transform(member.encoders.read(values)).tensors()
    again = np.tile(np.arange(values.height), FORMS)
    repeated = {name: array[again] for name, array in tensors.items()}
    found = []
    for name in member.encoders.encoders:
        kind: Kind = catalogue.load("kinds", name)
        with seeded(seed):
            changed = kind.augmented(network, repeated)
        columns = [column.name for column in rows.schema.of_kind(name)]
        for column, forms in zip(columns, changed, strict=False):
            found.append(sheet(kind, values[column], forms))
    return [item for item in found if item["rows"]]


def complete(values: pl.DataFrame, train: Array) -> Array:
    """The positions of some training rows, far from each other, of those that miss the least."""
    gaps = values[train].select(pl.sum_horizontal(pl.all().is_null())).to_series().to_numpy()
    there = train[gaps == gaps.min()]
    chosen = np.linspace(0, len(there) - 1, min(ROWS, len(there))).astype(int)
    return np.asarray(there[chosen])


def sheet(kind: Kind, values: pl.Series, forms: Sequence[str]) -> Json:
    """The cells of a column as they are, each with its forms; those without any are left out.

    Args:
        kind: of the column.
        values: one for each row.
        forms: of the first row, of the second, and so on, and then of the first row once more.
    """
    drawn = [kind.picture(value) for value in values.to_list()]
    pictures, shown = any(drawn), []
    for number, value in enumerate(values.to_list()):
        own = list(forms[number :: len(values)])
        if value is None or not own or (pictures and drawn[number] is None):
            continue
        if not pictures:
            own = [short(form) for form in own]
        shown.append({"original": drawn[number] or short(str(value)), "forms": own})
    return {"column": values.name, "pictures": pictures, "rows": shown}


def short(text: str) -> str:
    """The start of a text, with a mark where it was cut."""
    return text if len(text) <= MOST_SIGNS else text[:MOST_SIGNS].rstrip() + CUT
