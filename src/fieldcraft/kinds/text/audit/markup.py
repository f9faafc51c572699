"""Signs of a web page among the words: tags, entities, Markdown, addresses of pages."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from fieldcraft.contracts import Sight, View
from fieldcraft.core.words import joined
from fieldcraft.evidence.records import Finding
from fieldcraft.kinds.text.audit.written import Written, share, texts_of

FEW = 0.01  # of the texts; fewer do no harm
# Tags by name: <grin>, <stdio.h> and <me@home.org> are none.
TAG = (
    r"(?i)</?(a|b|i|u|p|em|hr|h[1-6]|ul|ol|li|br|td|tr|th|tbody|thead|table|div|span|img|font|code|"
    r"pre|strong|center|blockquote|script|style|html|head|body|title|meta|link|iframe|form|input|"
    r"sub|sup|small|section|article|header|footer|nav)(\s[^<>]{0,500})?\s*/?>|<!--|<!doctype|"
    r"\[/(b|i|u|url|img|quote|code)\]"  # as web forums write them
)
ENTITY = (
    r"&(amp|lt|gt|quot|apos|nbsp|hellip|[lr][sd]quo|[mn]dash|bull|copy|#[0-9]{2,6}|"
    r"#x[0-9a-fA-F]{2,5});"
)
ADDRESS = r"(?i)\bhttps?://[^\s<>]{3,}|\bwww\.[^\s<>]{3,}"
MARKDOWN = r"(?m)\[[^\]\n]{1,200}\]\(https?://|^ {0,3}```"  # *words* are written by hand too
SIGNS = {"tags": TAG, "entities": ENTITY, "Markdown": MARKDOWN, "addresses of pages": ADDRESS}
SPELT = {
    "tags": "such as <br>",
    "entities": "such as &amp;",
    "Markdown": "links and blocks of code",
    "addresses of pages": "URLs",
    "next to nothing else": "URLs longer than the rest",
}


class Markup:
    """Texts with HTML tags, HTML entities or addresses of web pages."""

    code = "markup"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Count the texts of each column that have each of them."""
        for written in texts_of(view):
            held = {what: written.texts.str.contains(sign) for what, sign in SIGNS.items()}
            held["next to nothing else"] = mostly_addresses(written.texts)
            found = {what: which for what, there in held.items()
                     if len(which := written.of(there.to_numpy()))
                     >= max(FEW * len(written), 1)}  # fmt: skip
            if found:
                yield self._finding(written, found)

    def _finding(self, written: Written, found: dict[str, Written]) -> Finding:
        parts = [
            f"{what} ({SPELT[what]}) in {share(len(which), len(written))}, {which.where()}"
            for what, which in found.items()
        ]
        return Finding(
            self.code,
            "tip",
            f"{written.name} has {joined(parts)}",
            written.name,
            {what: {"texts": len(which), "rows": which.rows()} for what, which in found.items()},
            "a model reads them as words: take them out of the file, or be sure that texts to "
            "predict have them in the same way",
        )


def mostly_addresses(texts: pl.Series) -> pl.Series:
    """Whether more than half of the signs of each text are addresses of pages.

    >>> mostly_addresses(pl.Series(["see www.example.org", "read it on www.a.org"])).to_list()
    [True, False]
    """
    rest = texts.str.replace_all(ADDRESS, "")
    return rest.str.len_chars() * 2 < texts.str.len_chars()
