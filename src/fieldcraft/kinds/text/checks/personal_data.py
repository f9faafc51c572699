"""Texts with what names a person or a purse."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.formatting import join_names, pluralize
from fieldcraft.core.types import Array
from fieldcraft.data.pii import PII_TYPES, PiiType, mask
from fieldcraft.kinds.text.checks._base import TextColumn, format_fraction, iter_text_columns
from fieldcraft.ledger.records import Finding

MIN_CHECKSUM_RATIO = 3  # times as many right check digits as chance gives
WARNING_TEXTS = (
    3  # texts below which it may well be an example, or an address that is meant for all
)


class PersonalData:
    """Texts with what looks like personal data; it is counted, never shown."""

    code = "personal_data"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Count the texts of each column that have each sort of it."""
        for text_column in iter_text_columns(context):
            matches_by_type = {
                pii_type.plural: matches
                for pii_type in PII_TYPES
                if (matches := find_personal_data(text_column.texts, pii_type))
            }
            if matches_by_type:
                yield self._build_finding(text_column, matches_by_type)

    def _build_finding(
        self, text_column: TextColumn, matches_by_type: dict[str, dict[int, list[str]]]
    ) -> Finding:
        singular = {pii_type.plural: pii_type.singular for pii_type in PII_TYPES}
        parts = []
        for plural_name, matches in matches_by_type.items():
            count = sum(map(len, matches.values()))
            location, example = (
                text_column.select(text_indexes(matches)[:1]).format_rows(),
                next(iter(matches.values()))[0],
            )
            parts.append(
                f"{pluralize(count, singular[plural_name], plural_name)} (such as {mask(example)}, {location})"
            )
        n_texts = len(set().union(*matches_by_type.values()))
        return Finding(
            self.code,
            "warn" if n_texts >= WARNING_TEXTS else "tip",
            f"{text_column.name}: {format_fraction(n_texts, len(text_column))} "
            f"{'has' if n_texts == 1 else 'have'} what looks like personal data: {join_names(parts)}",
            text_column.name,
            {
                plural_name: {
                    "texts": len(matches),
                    "rows": text_column.select(text_indexes(matches)).first_row_numbers(),
                }
                for plural_name, matches in matches_by_type.items()
            },
            "make sure that you may use it; else put a word such as EMAIL in its place, in the "
            "file and in texts to predict: a model needs none of it, and may learn persons by "
            "heart",
        )


def text_indexes(matches: dict[int, list[str]]) -> Array:
    """Numbers of the texts that hold something."""
    return np.array(list(matches), dtype=np.int64)


def find_personal_data(texts: pl.Series, pii_type: PiiType) -> dict[int, list[str]]:
    """What of one sort each text holds, by the number of the text; texts without are left out.

    Nothing, where check digits are right no more often than those of order numbers would be.
    """
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
