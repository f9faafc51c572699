"""Check for personal data in texts: e-mail addresses, phone, card and account numbers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.formatting import join_names, pluralize
from fieldcraft.core.types import Array
from fieldcraft.data.pii import PII_TYPES, PiiType, mask
from fieldcraft.kinds.text.checks._base import ColumnTexts, format_fraction, iter_text_columns
from fieldcraft.ledger.records import Finding

# Order numbers of the right length pass a checksum by chance (Luhn: one in ten), so there must be
# three times as many valid numbers as expected by chance.
MIN_CHECKSUM_RATIO = 3
WARNING_TEXTS = 3  # fewer may be examples, or a public address


class PersonalData:
    """Finds texts with what looks like personal data, which is counted and never shown."""

    code = "personal_data"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Count the texts of each column with each type of personal data."""
        for text_column in iter_text_columns(context):
            matches_by_type = {
                pii_type.plural: matches
                for pii_type in PII_TYPES
                if (matches := find_personal_data(text_column.texts, pii_type))
            }
            if matches_by_type:
                yield self._build_finding(text_column, matches_by_type)

    def _build_finding(
        self, text_column: ColumnTexts, matches_by_type: dict[str, dict[int, list[str]]]
    ) -> Finding:
        singular = {pii_type.plural: pii_type.singular for pii_type in PII_TYPES}
        parts = []
        for plural_name, matches in matches_by_type.items():
            count = sum(map(len, matches.values()))
            location = text_column.select(text_indices(matches)[:1]).format_rows()
            example = mask(next(iter(matches.values()))[0])
            quantity = pluralize(count, singular[plural_name], plural_name)
            parts.append(f"{quantity} (such as {example}, {location})")
        n_texts = len(set().union(*matches_by_type.values()))
        return Finding(
            self.code,
            "warning" if n_texts >= WARNING_TEXTS else "info",
            f"{text_column.name}: {format_fraction(n_texts, len(text_column))} "
            f"{'has' if n_texts == 1 else 'have'} what looks like personal data: "
            f"{join_names(parts)}",
            text_column.name,
            {
                plural_name: {
                    "texts": len(matches),
                    "rows": text_column.select(text_indices(matches)).first_row_numbers(),
                }
                for plural_name, matches in matches_by_type.items()
            },
            "make sure that you may use it, or replace it by a word such as EMAIL, in the file and "
            "in texts to predict: a model does not need it, and may memorize it",
        )


def text_indices(matches: dict[int, list[str]]) -> Array:
    """Return the indices of texts with matches."""
    return np.array(list(matches), dtype=np.int64)


def find_personal_data(texts: pl.Series, pii_type: PiiType) -> dict[int, list[str]]:
    """Find the personal data of one type in each text, by the index of the text.

    Empty where checksums are valid no more often than by chance.
    """
    # Polars finds the few texts with a run of plausible characters; Python parses only those.
    runs = texts.str.extract_all(pii_type.run_pattern)
    candidate_texts = np.flatnonzero((runs.list.len() > 0).to_numpy()).tolist()
    candidates_by_text = {
        i: [values for run in runs[i] for values in pii_type.find_candidates(run)]
        for i in candidate_texts
    }
    matches = {
        i: list(filter(pii_type.is_valid, values)) for i, values in candidates_by_text.items()
    }
    matches = {i: values for i, values in matches.items() if values}
    count = sum(map(len, matches.values()))
    return (
        matches
        if count
        > MIN_CHECKSUM_RATIO
        * pii_type.false_positive_rate
        * sum(map(len, candidates_by_text.values()))
        else {}
    )
