"""Check for placeholders of removed or missing content in texts, such as @user, [NAME], {city}."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.formatting import truncated_list
from fieldcraft.kinds.text.checks._base import ColumnTexts, format_fraction, iter_text_columns
from fieldcraft.ledger.records import Finding

MIN_TEXT_FRACTION = 0.01  # per placeholder
PLACEHOLDER_WORDS = (
    "user|username|mention|name|firstname|lastname|fullname|person|per|loc|location|place|city|"
    "org|organi[sz]ation|company|date|time|url|link|website|email|e-mail|phone|number|num|money|"
    "amount|price|address|account|age|id|redacted|removed|deleted|anonymi[sz]ed|masked?|unk"
)
PLACEHOLDER_PATTERN = (
    rf"(?i)[<\[]_?(?:(?:first|last|full|user|customer|product|order|company)[ _-])?"
    # <URL>, [PERSON_1]
    rf"(?:{PLACEHOLDER_WORDS})(?:[ _-]?(?:id|name|number|no|address|\d{{1,2}}))?_?[>\]]"
    r"|\{\{[^{}\n]{1,40}\}\}|\$\{[a-z_][\w.]{0,40}\}|%\([a-z_]\w{0,40}\)s"  # {{name}}, ${name}
    rf"|\{{(?:{PLACEHOLDER_WORDS})\}}|\{{[a-z]+_[a-z_]+\}}"  # {name}, {first_name}
    r"|@(?:user|username|mention)\b|\bhttpurl\b|\bhttps?(?:[\s,.!?)]|$)|(?-i:\bX{4,}\b)"
)


class PlaceholderTexts:
    """Finds texts with placeholders for names, addresses or numbers."""

    code = "placeholder_texts"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Count the texts of each column with each placeholder."""
        for text_column in iter_text_columns(context):
            counts = count_placeholders(text_column.texts)
            counts = counts.filter(pl.col("count") >= max(2, MIN_TEXT_FRACTION * len(text_column)))
            if counts.height:
                yield self._build_finding(text_column, dict(counts.iter_rows()))

    def _build_finding(self, text_column: ColumnTexts, counts: dict[str, int]) -> Finding:
        descriptions = [
            f"{token} in {format_fraction(count, len(text_column))}"
            for token, count in counts.items()
        ]
        return Finding(
            self.code,
            "info",
            f"{text_column.name} has placeholders for what was removed or not filled in: "
            f"{truncated_list(descriptions, 4)}",
            text_column.name,
            {"texts": counts, "n_total": len(text_column)},
            "texts to predict must have the same placeholders: mask them in the same way, or the "
            "model meets names and addresses that it was not trained on",
        )


def count_placeholders(texts: pl.Series) -> pl.DataFrame:
    """Count the texts with each placeholder, most frequent first.

    >>> count_placeholders(pl.Series(["@user hi @USER", "hi @user {{name}}"])).rows()
    [('@user', 2), ('{{name}}', 1)]
    """
    matching_texts = texts.filter(texts.str.contains(PLACEHOLDER_PATTERN)).alias("word")
    # Spellings are merged: case, the punctuation that follows, and the number of X in "XXXX".
    tokens = matching_texts.str.extract_all(PLACEHOLDER_PATTERN).list.eval(
        pl.element().str.to_lowercase().str.strip_chars(" \t\r\n,.!?)").str.replace("^x+$", "xxxx")
    )
    counts = tokens.list.unique().explode().value_counts(name="count")
    return counts.sort(["count", "word"], descending=[True, False])
