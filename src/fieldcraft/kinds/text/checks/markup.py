"""Check for markup in texts: HTML tags and entities, Markdown, URLs."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.formatting import join_names
from fieldcraft.kinds.text.checks._base import ColumnTexts, format_fraction, iter_text_columns
from fieldcraft.ledger.records import Finding

MIN_TEXT_FRACTION = 0.01  # fewer texts with markup do no harm
# Tags by name, since <grin>, <stdio.h> and <me@home.org> are not markup.
TAG_PATTERN = (
    r"(?i)</?(a|b|i|u|p|em|hr|h[1-6]|ul|ol|li|br|td|tr|th|tbody|thead|table|div|span|img|font|code|"
    r"pre|strong|center|blockquote|script|style|html|head|body|title|meta|link|iframe|form|input|"
    r"sub|sup|small|section|article|header|footer|nav)(\s[^<>]{0,500})?\s*/?>|<!--|<!doctype|"
    r"\[/(b|i|u|url|img|quote|code)\]"  # BBCode of web forums
)
ENTITY_PATTERN = (
    r"&(amp|lt|gt|quot|apos|nbsp|hellip|[lr][sd]quo|[mn]dash|bull|copy|#[0-9]{2,6}|"
    r"#x[0-9a-fA-F]{2,5});"
)
URL_PATTERN = r"(?i)\bhttps?://[^\s<>]{3,}|\bwww\.[^\s<>]{3,}"
# Links and code fences only: people write *words* without Markdown too.
MARKDOWN_PATTERN = r"(?m)\[[^\]\n]{1,200}\]\(https?://|^ {0,3}```"
MARKUP_PATTERNS = {
    "tags": TAG_PATTERN,
    "entities": ENTITY_PATTERN,
    "Markdown": MARKDOWN_PATTERN,
    "URLs": URL_PATTERN,
}
MARKUP_DESCRIPTIONS = {
    "tags": "such as <br>",
    "entities": "such as &amp;",
    "Markdown": "links and code blocks",
    "URLs": "web addresses",
    "mostly URLs": "URLs longer than the rest",
}


class Markup:
    """Finds texts with HTML tags, HTML entities, Markdown or URLs."""

    code = "markup"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Count the texts of each column with each type of markup."""
        for text_column in iter_text_columns(context):
            is_marked = {
                markup: text_column.texts.str.contains(pattern)
                for markup, pattern in MARKUP_PATTERNS.items()
            }
            is_marked["mostly URLs"] = is_mostly_urls(text_column.texts)
            min_texts = max(MIN_TEXT_FRACTION * len(text_column), 1)
            texts_by_markup = {
                markup: texts
                for markup, is_match in is_marked.items()
                if len(texts := text_column.select(is_match.to_numpy())) >= min_texts
            }
            if texts_by_markup:
                yield self._build_finding(text_column, texts_by_markup)

    def _build_finding(
        self, text_column: ColumnTexts, texts_by_markup: dict[str, ColumnTexts]
    ) -> Finding:
        parts = [
            f"{markup} ({MARKUP_DESCRIPTIONS[markup]}) in "
            f"{format_fraction(len(texts), len(text_column))}, {texts.format_rows()}"
            for markup, texts in texts_by_markup.items()
        ]
        return Finding(
            self.code,
            "info",
            f"{text_column.name} has {join_names(parts)}",
            text_column.name,
            {
                markup: {"texts": len(texts), "rows": texts.first_row_numbers()}
                for markup, texts in texts_by_markup.items()
            },
            "a model reads them as words: remove them from the file, or make sure that texts to "
            "predict have the same markup",
        )


def is_mostly_urls(texts: pl.Series) -> pl.Series:
    """Whether more than half of the characters of each text are URLs.

    >>> is_mostly_urls(pl.Series(["see www.example.org", "read it on www.a.org"])).to_list()
    [True, False]
    """
    without_urls = texts.str.replace_all(URL_PATTERN, "")
    return without_urls.str.len_chars() * 2 < texts.str.len_chars()
