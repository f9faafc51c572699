"""Numbers that are names of categories: codes, classes, postal codes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fieldcraft.checks._names import find_known_words
from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.formatting import truncated_list
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.ledger.records import Finding, single_column

POSTAL_CODE_WORDS = frozenset({
    "zip", "zipcode", "postcode", "postalcode", "postal", "plz", "postleitzahl", "fips", "areacode",
    "codigopostal", "codepostal", "cap",
})  # fmt: skip
CODE_WORDS = POSTAL_CODE_WORDS | {
    "code", "codes", "class", "subclass", "type", "category", "kategorie", "categorie", "kind",
    "region", "district", "county", "state", "branch", "segment", "cluster", "group", "channel",
    "department", "dept", "sector", "sic", "naics", "icd", "cpt", "occupation", "reason", "status",
    "method", "station", "route", "color", "colour", "brand", "make", "store", "shop", "product",
    "sku", "item", "country", "city", "language", "currency", "marriage", "marital", "race",
    "ethnicity", "religion", "label", "diagnosis", "browser", "os", "platform", "industry", "typ",
    "klasse", "gruppe", "filiale",
}  # fmt: skip
# "income_class" or "age_group" have an order, which a category would lose.
ORDINAL_WORDS = frozenset({"age", "income", "size", "level", "grade", "number", "count"})
MAX_DISTINCT_CODES = 100  # of codes other than postal codes
MIN_DISTINCT_CODES = 3
MIN_ROWS_PER_CODE = 5


class NumericCodes:
    """Reports integer columns whose name suggests that they are codes."""

    code = "numeric_codes"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Propose the kind `category` for numbers without an order."""
        profiles = [
            context.column_profiles[column.name]
            for column in context.schema.columns_of_kind("number")
            if not column.options and is_numeric_code(context.column_profiles[column.name])
        ]
        if profiles:
            yield self._build_finding(profiles)

    def _build_finding(self, profiles: Sequence[ColumnProfile]) -> Finding:
        descriptions = [f"{profile.name} ({profile.n_unique:,} values)" for profile in profiles]
        names = [profile.name for profile in profiles]
        title = f"the numbers of {descriptions[0]} may be codes without an order"
        if len(profiles) > 1:
            title = (
                f"{len(profiles)} columns of numbers may be codes without an order: "
                f"{truncated_list(descriptions)}"
            )
        return Finding(
            self.code,
            "info",
            title,
            single_column(names),
            {"distinct": {profile.name: profile.n_unique for profile in profiles}},
            "if the numbers have no order (3 is not more than 2), read them as categories",
            tuple(ConfigEdit(("data", "columns", name, "kind"), "category") for name in names),
        )


def is_numeric_code(profile: ColumnProfile) -> bool:
    """Whether a numeric column has the name and the values of a code."""
    words = find_known_words(profile.name, CODE_WORDS)
    if not words or find_known_words(profile.name, ORDINAL_WORDS) or not profile.is_integer:
        return False
    has_few_codes = profile.n_unique <= MAX_DISTINCT_CODES or bool(set(words) & POSTAL_CODE_WORDS)
    has_enough_rows_per_code = (
        MIN_DISTINCT_CODES <= profile.n_unique <= len(profile.present_values) / MIN_ROWS_PER_CODE
    )
    return has_few_codes and has_enough_rows_per_code and profile.value_range[0] >= 0


CHECK = NumericCodes()
