"""A single word that tells (nearly) all of the target: the mark of a source, not of a meaning."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.core.words import listed
from fieldcraft.evidence.association import each_target, some
from fieldcraft.evidence.records import Finding
from fieldcraft.kinds.text.audit.label_words import members_of, phrase_of
from fieldcraft.kinds.text.audit.written import Written, plain, texts_of

FEWEST = 30  # texts on either side
MOST_TEXTS = 20_000
SUSPECT = 0.9  # between the shares of texts that say it, as for any column that tells that much


class TellingWords:
    """A word that stands in nearly all texts of one class and in nearly none of the other."""

    code = "telling_words"
    looks_at: Sight = "split"

    def run(self, view: View) -> Iterable[Finding]:
        """Compare, in training rows, how often each word is said on the two sides of a target."""
        targets = sides_of(view)
        names = {part for name in members_of(view) for part in phrase_of(name).split()}
        for written in texts_of(view) if targets else ():
            written = written.of(some(len(written), MOST_TEXTS))
            text, word, spelt = words_said(written.texts)
            for name, y in targets.items():
                here = y[written.places]
                if min(here.sum(), (~here).sum()) < FEWEST:
                    continue
                shares = [np.bincount(word[side[text]], minlength=len(spelt)) / side.sum()
                          for side in (here, ~here)]  # fmt: skip
                apart = np.abs(shares[0] - shares[1])
                apart[np.isin(spelt, list(names))] = 0  # of which `label_words` tells
                found = np.flatnonzero(apart >= SUSPECT)
                if len(found):
                    yield self._finding(written, name, shares, found[np.argsort(-apart[found])],
                                        spelt)  # fmt: skip

    def _finding(
        self, written: Written, target: str, shares: list[Array], found: Array, spelt: list[str]
    ) -> Finding:
        told = {spelt[i]: sorted([float(side[i]) for side in shares])[::-1] for i in found}
        shown = [f"{word!r} ({high:.0%} and {low:.1%} of the texts)"
                 for word, (high, low) in told.items()]  # fmt: skip
        return Finding(
            self.code,
            "warn",
            f"{written.name}: one word tells nearly all of the target {target}: {listed(shown, 3)}",
            written.name,
            {"words": dict(list(told.items())[:20]), "texts": len(written)},
            "ask where it comes from: the name of a source, a form or a label that only one class "
            "has says nothing of texts to come; then take it out. If it is what the class means, "
            "a rule does as well as a model",
        )


def sides_of(view: View) -> dict[str, Array]:
    """Which training rows are of the second of two classes, or have each label."""
    if view.y is None or view.task is None or view.task.output == "value" or not len(view.y):
        return {}
    targets = each_target(view.y, view.targets)
    return {name: y == 1 for name, y in targets if y.max() <= 1}


def words_said(texts: pl.Series) -> tuple[Array, Array, list[str]]:
    """For each different word of each text the number of the text and of the word, and all words.

    Words that too few texts say to tell them apart are left out.
    """
    lists = plain(texts).str.split(" ").list.unique(maintain_order=True)
    said = pl.DataFrame({"text": np.arange(len(texts)), "word": lists.alias("word")}).explode(
        "word"
    )
    counts = said.group_by("word", maintain_order=True).len()
    spelt = counts.filter((pl.col("len") >= FEWEST) & (pl.col("word") != ""))["word"]
    kept = said.filter(pl.col("word").is_in(spelt.to_list()))
    word = kept["word"].cast(pl.Enum(spelt)).to_physical().to_numpy().astype(np.int64)
    return kept["text"].to_numpy(), word, spelt.to_list()
