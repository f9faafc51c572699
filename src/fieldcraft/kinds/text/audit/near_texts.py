"""Texts that are the same up to case, blanks and punctuation, or nearly the same."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.core.words import plural
from fieldcraft.data.table import row_digests
from fieldcraft.evidence.records import Finding
from fieldcraft.evidence.ties import tied_groups
from fieldcraft.kinds.text.audit.minhash import near_pairs
from fieldcraft.kinds.text.audit.written import Written, plain, share, texts_of

MANY = 0.01
SHORTEST = 5  # words; two people may both say fewer
MOST = 100_000  # different texts that are looked at; of more an even sample
SHOWN = 5


class NearTexts:
    """Texts that say (nearly) the same in the same words, in rows that are not quite equal."""

    code = "near_texts"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Compare the texts of each column with each other; equal rows count as one."""
        columns = list(texts_of(view))
        if not columns:
            return
        features = view.values.drop(*view.targets, strict=False)
        digests = row_digests(features, features.columns)
        first = dict(zip(reversed(digests), range(len(digests) - 1, -1, -1), strict=True))
        once = np.zeros(len(digests), dtype=bool)
        once[list(first.values())] = True
        for column in columns:
            written = column.of(once[column.places])
            words = plain(written.texts)
            long = long_enough(words)
            written, words = written.of(long), words.filter(pl.Series(long))
            groups = groups_of(words)
            if groups:
                yield self._finding(written, groups, len(column), view)

    def _finding(self, written: Written, groups: list[Array], texts: int, view: View) -> Finding:
        count = sum(map(len, groups))
        largest = max(groups, key=len)
        many = count - len(groups) >= MANY * texts and view.entity is None
        sample = " in a sample" if len(written) > MOST else ""
        return Finding(
            self.code,
            "warn" if many else "tip",
            f"{written.name}: {share(count, texts)}{sample} say nearly the same as a text of "
            f"another row ({plural(len(groups), 'group')}, the largest of {len(largest):,}), such "
            f"as {written.of(largest).where()}",
            written.name,
            {
                "texts": count,
                "groups": len(groups),
                "rows": [written.of(group).rows(SHOWN) for group in groups[:20]],
            },
            "copies can go; versions of one text are kept on one side of the split unless a group "
            "is very large (split.near: together); a column that tells what belongs together does "
            "it better: name it in data.entity and set split.rule: entity",
        )


def alike_rows(values: pl.Series) -> list[Array]:
    """Groups of rows whose texts say nearly the same, largest first; short ones are in none."""
    there = np.flatnonzero(values.is_not_null().to_numpy())
    words = plain(values.drop_nulls())
    long = long_enough(words)
    places = there[long]
    return [places[group] for group in groups_of(words.filter(pl.Series(long)))]


def long_enough(words: pl.Series) -> Array:
    """Which texts have so many words that no two people would say them by chance."""
    return (words.str.count_matches(" ") >= SHORTEST - 1).to_numpy()


def groups_of(words: pl.Series) -> list[Array]:
    """Numbers of texts that belong together, largest group first.

    Args:
        words: texts from `plain`.
    """
    same = words.rank("min").to_numpy().astype(np.int64) - 1 if len(words) else np.zeros(0, int)
    different, first, place = np.unique(same, return_index=True, return_inverse=True)
    chosen = np.linspace(0, len(different) - 1, min(MOST, len(different)), dtype=int)
    looked_at = np.sort(first[chosen])
    pairs = looked_at[near_pairs(words[looked_at.tolist()])]
    alike = np.stack([first[place], np.arange(len(words))], axis=1)
    return tied_groups(len(words), np.concatenate([pairs, alike[alike[:, 0] != alike[:, 1]]]))
