"""Words that stand for what was taken out of texts, or never filled in: @user, [NAME], {city}."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from fieldcraft.contracts import Sight, View
from fieldcraft.core.words import listed
from fieldcraft.evidence.records import Finding
from fieldcraft.kinds.text.audit.written import Written, share, texts_of

FEW = 0.01  # of the texts that hold the same one
WHAT = (
    "user|username|mention|name|firstname|lastname|fullname|person|per|loc|location|place|city|"
    "org|organi[sz]ation|company|date|time|url|link|website|email|e-mail|phone|number|num|money|"
    "amount|price|address|account|age|id|redacted|removed|deleted|anonymi[sz]ed|masked?|unk"
)
STAND_IN = (
    rf"(?i)[<\[]_?(?:(?:first|last|full|user|customer|product|order|company)[ _-])?"
    rf"(?:{WHAT})(?:[ _-]?(?:id|name|number|no|address|\d{{1,2}}))?_?[>\]]"  # <URL>, [PERSON_1]
    r"|\{\{[^{}\n]{1,40}\}\}|\$\{[a-z_][\w.]{0,40}\}|%\([a-z_]\w{0,40}\)s"  # {{name}}, ${name}
    rf"|\{{(?:{WHAT})\}}|\{{[a-z]+_[a-z_]+\}}"  # {name}, {first_name}
    r"|@(?:user|username|mention)\b|\bhttpurl\b|\bhttps?(?:[\s,.!?)]|$)|(?-i:\bX{4,}\b)"
)


class StandIns:
    """Texts with words that stand for a name, an address or a number that is not there."""

    code = "stand_ins"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Count in how many texts of each column each such word stands."""
        for written in texts_of(view):
            counts = counted(written.texts)
            counts = counts.filter(pl.col("count") >= max(2, FEW * len(written)))
            if counts.height:
                yield self._finding(written, dict(counts.iter_rows()))

    def _finding(self, written: Written, counts: dict[str, int]) -> Finding:
        shown = [f"{word} in {share(count, len(written))}" for word, count in counts.items()]
        return Finding(
            self.code,
            "tip",
            f"{written.name} has words that stand for what was taken out or not filled in: "
            f"{listed(shown, 4)}",
            written.name,
            {"texts": counts, "of": len(written)},
            "texts to predict must have the same words in these places: mask them in the same "
            "way, or a model meets names and addresses that it has never seen",
        )


def counted(texts: pl.Series) -> pl.DataFrame:
    """In how many texts each stand-in stands, commonest first.

    >>> counted(pl.Series(["@user hi @USER", "hi @user {{name}}"])).rows()
    [('@user', 2), ('{{name}}', 1)]
    """
    held = texts.filter(texts.str.contains(STAND_IN)).alias("word")
    found = held.str.extract_all(STAND_IN).list.eval(
        pl.element().str.to_lowercase().str.strip_chars(" \t\r\n,.!?)").str.replace("^x+$", "xxxx")
    )
    counts = found.list.unique().explode().value_counts(name="count")
    return counts.sort(["count", "word"], descending=[True, False])
