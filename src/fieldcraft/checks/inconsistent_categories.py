"""Levels of a category with the same meaning and different spellings."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.formatting import pluralize, truncated_list
from fieldcraft.data.cell_parser import parse_booleans
from fieldcraft.data.column_names import strip_accents
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.ledger.records import Finding, single_column

MAX_LEVELS = 3_000
SEPARATOR_PATTERN = re.compile(r"[\s_\-./']+")
MIN_TYPO_LETTERS = 6  # shorter words that differ by one letter are often different words
MIN_TWO_TYPO_LETTERS = 10  # from here on, two typos are allowed
# In longer levels only one typo is searched for: pairs of letters to delete grow with the square.
MAX_TWO_TYPO_LETTERS = 24
MAX_LEVEL_LETTERS = 80  # longer cells are free text, not levels
MIN_COMMON_ROWS = 20  # rows of the common spelling, absolutely and per row of the variant
WARNING_FRACTION = 0.01


@dataclass(frozen=True)
class SpellingVariant:
    """A level that seems to be a misspelling of another, and how many rows have it."""

    column: str
    variant: str
    common_spelling: str
    rows: int


class InconsistentCategories:
    """Reports categories with levels that differ only in spelling."""

    code = "inconsistent_categories"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Compare the levels of each category, and the classes of the target."""
        names = [column.name for column in context.schema.columns_of_kind("category")]
        variants: list[SpellingVariant] = []
        typos: list[SpellingVariant] = []
        for name in [*names, *context.targets]:
            profile = context.column_profiles.get(name)
            if profile is None or not profile.is_text or not 2 <= profile.n_unique <= MAX_LEVELS:
                continue
            if (
                name in names
                and profile.n_unique > 2
                and not parse_booleans(profile.value_counts["value"]).null_count()
            ):
                yield self._report_boolean_words(
                    profile, has_no_options=not has_options(context, name)
                )
                continue
            variants += find_variants(profile)
            typos += find_typos(profile)
        rows = max(len(context.row_numbers), 1)
        yield from self._report_variants(
            variants, "in case, spaces, accents or punctuation", WARNING_FRACTION * rows
        )
        # Two levels that differ by a letter may both be right, so typos are never a warning.
        yield from self._report_variants(typos, "by a letter or two", float("inf"))

    def _report_boolean_words(self, profile: ColumnProfile, has_no_options: bool) -> Finding:
        words = [repr(word) for word, _ in profile.most_common(8)]
        return Finding(
            self.code,
            "warning",
            f"{profile.name} is a boolean written in {profile.n_unique} ways: "
            f"{truncated_list(words)}",
            profile.name,
            {"words": dict(profile.most_common(20))},
            "read it as a boolean",
            (ConfigEdit(("data", "columns", profile.name, "kind"), "boolean"),)
            if has_no_options
            else (),
        )

    def _report_variants(
        self, variants: list[SpellingVariant], difference: str, warning_rows: float
    ) -> Iterator[Finding]:
        if not variants:
            return
        columns = list(dict.fromkeys(variant.column for variant in variants))
        descriptions = [
            f"{variant.column} {variant.variant!r} and {variant.common_spelling!r}"
            for variant in variants
        ]
        is_warning = sum(variant.rows for variant in variants) >= warning_rows
        yield Finding(
            self.code,
            "warning" if is_warning else "info",
            f"{pluralize(len(variants), 'level differs', 'levels differ')} from another only "
            f"{difference}: {truncated_list(descriptions, 4)}",
            single_column(columns),
            {
                "levels": [
                    {
                        "column": variant.column,
                        "variant": variant.variant,
                        "common_spelling": variant.common_spelling,
                        "rows": variant.rows,
                    }
                    for variant in variants[:50]
                ]
            },
            "if they mean the same, use one spelling in the file or in a derived column "
            "(data.derived_columns); to a model they are different levels",
        )


def has_options(context: CheckContext, name: str) -> bool:
    """Whether the project file sets options of a column beside its kind."""
    return any(column.options for column in context.schema.columns if column.name == name)


def normalize_level(text: str) -> str:
    """Text without case, accents and word separators."""
    return SEPARATOR_PATTERN.sub(" ", strip_accents(text).casefold()).strip()


def find_variants(profile: ColumnProfile) -> list[SpellingVariant]:
    """Levels that are equal up to case, spaces, accents and word separators."""
    spelling_by_key: dict[str, str] = {}
    variants = []
    # Most common first, so that the first spelling of a key is the one to keep.
    for value, count in profile.most_common(MAX_LEVELS):
        key = normalize_level(value)
        if not any(letter.isalpha() for letter in key):
            continue  # "-5" is not "5"
        common_spelling = spelling_by_key.setdefault(key, value)
        if common_spelling != value:
            variants.append(SpellingVariant(profile.name, value, common_spelling, count))
    return variants


def find_typos(profile: ColumnProfile) -> list[SpellingVariant]:
    """Rare levels that are a common level with a letter or two wrong, missing, added or swapped."""
    levels = [
        (normalize_level(value), value, count) for value, count in profile.most_common(MAX_LEVELS)
    ]
    # An index by deletions finds candidates without comparing all pairs of up to 3,000 levels.
    positions_by_deletion: dict[str, list[int]] = defaultdict(list)
    typos = []
    for position, (key, value, count) in enumerate(levels):
        if not MIN_TYPO_LETTERS <= len(key) <= MAX_LEVEL_LETTERS:
            continue
        key_deletions = delete_letters(key)
        common_spelling = next(
            (
                levels[i][1]
                for deletion in key_deletions
                for i in positions_by_deletion.get(deletion, ())
                if levels[i][2] >= MIN_COMMON_ROWS * count and is_typo(key, levels[i][0])
            ),
            None,
        )
        if common_spelling is not None:
            typos.append(SpellingVariant(profile.name, value, common_spelling, count))
        elif count >= MIN_COMMON_ROWS:
            for deletion in key_deletions:
                positions_by_deletion[deletion].append(position)
    return typos


def delete_letters(text: str) -> list[str]:
    """A text, and all its remainders without one letter, or without two if it is long.

    Two texts within that edit distance share such a remainder (Garbe's symmetric delete algorithm,
    SymSpell, 2012).
    """
    max_deletions = 2 if MIN_TWO_TYPO_LETTERS <= len(text) <= MAX_TWO_TYPO_LETTERS else 1
    results = {text}
    for count in range(1, max_deletions + 1):
        for deleted in combinations(range(len(text)), count):
            results.add("".join(letter for i, letter in enumerate(text) if i not in deleted))
    return sorted(results)


def is_typo(variant: str, common_spelling: str) -> bool:
    """Whether a text is a likely typo of another; digits and the number of words must agree."""
    if variant == common_spelling or re.sub(r"\D", "", variant) != re.sub(
        r"\D", "", common_spelling
    ):
        return False
    if len(variant.split()) != len(common_spelling.split()) or variant[:-1] == common_spelling[:-1]:
        return False  # "type A" and "type B": the last letter often distinguishes levels
    if len(variant) == len(common_spelling) == MIN_TYPO_LETTERS and sorted(variant) != sorted(
        common_spelling
    ):
        return False  # "island" and "inland": in short words only swapped letters are typos
    return damerau_levenshtein(variant, common_spelling) <= (
        2 if min(len(variant), len(common_spelling)) >= MIN_TWO_TYPO_LETTERS else 1
    )


def damerau_levenshtein(a: str, b: str) -> int:
    """Letters to change, add, remove or swap with a neighbor (restricted Damerau-Levenshtein)."""
    previous_row: list[int] = []
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        previous_row, row_before_previous, row = row, previous_row, [i]
        for j, other_letter in enumerate(b, 1):
            row.append(
                min(
                    previous_row[j] + 1, row[-1] + 1, previous_row[j - 1] + (letter != other_letter)
                )
            )
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other_letter:
                row[-1] = min(row[-1], row_before_previous[j - 2] + 1)
    return row[-1]


CHECK = InconsistentCategories()
