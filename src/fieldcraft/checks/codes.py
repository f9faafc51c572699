"""Numbers that are names of categories: codes, classes, postcodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fieldcraft.contracts import Sight, View
from fieldcraft.core.edit import Edit
from fieldcraft.core.words import listed
from fieldcraft.data.look import Look
from fieldcraft.data.names import words_within
from fieldcraft.evidence.records import Finding, sole

PLACES = frozenset({
    "zip", "zipcode", "postcode", "postalcode", "postal", "plz", "postleitzahl", "fips", "areacode",
    "codigopostal", "codepostal", "cap",
})  # fmt: skip
CODED = PLACES | {
    "code", "codes", "class", "subclass", "type", "category", "kategorie", "categorie", "kind",
    "region", "district", "county", "state", "branch", "segment", "cluster", "group", "channel",
    "department", "dept", "sector", "sic", "naics", "icd", "cpt", "occupation", "reason", "status",
    "method", "station", "route", "color", "colour", "brand", "make", "store", "shop", "product",
    "sku", "item", "country", "city", "language", "currency", "marriage", "marital", "race",
    "ethnicity", "religion", "label", "diagnosis", "browser", "os", "platform", "industry", "typ",
    "klasse", "gruppe", "filiale",
}  # fmt: skip
ORDERED = frozenset({"age", "income", "size", "level", "grade", "number", "count"})
MOST = 100  # different values; of places, any number
FEWEST = 3
ROWS_A_VALUE = 5


class Codes:
    """Reports columns of whole numbers whose name says that they are codes."""

    code = "codes"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Propose the kind `category` for numbers without an order."""
        found = [
            view.looks[column.name]
            for column in view.schema.of_kind("number")
            if not column.options and is_code(view.looks[column.name])
        ]
        if found:
            yield self._finding(found)

    def _finding(self, found: Sequence[Look]) -> Finding:
        shown = [f"{look.name} ({look.distinct:,} values)" for look in found]
        names = [look.name for look in found]
        title = f"the numbers of {shown[0]} may be codes without an order"
        if len(found) > 1:
            title = (
                f"{len(found)} columns of numbers may be codes without an order: {listed(shown)}"
            )
        return Finding(
            self.code,
            "tip",
            title,
            sole(names),
            {"distinct": {look.name: look.distinct for look in found}},
            "if 3 is not more than 2 there, read it as a category",
            tuple(Edit(("data", "columns", name, "kind"), "category") for name in names),
        )


def is_code(look: Look) -> bool:
    """Whether a column of numbers is named as a code and has the values of one."""
    words = words_within(look.name, CODED)
    if not words or words_within(look.name, ORDERED) or not look.whole_numbers:
        return False
    few = look.distinct <= MOST or bool(set(words) & PLACES)
    enough = FEWEST <= look.distinct <= len(look.values) / ROWS_A_VALUE
    return few and enough and look.span[0] >= 0


CHECK = Codes()
