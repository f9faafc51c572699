"""What all kinds have in common whose columns no model sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import polars as pl


class PlainValueKind:
    """The part of a kind whose values are what they say: no picture, no parts, alike if equal."""

    packages: tuple[str, ...] = ()

    def near_duplicate_groups(self, values: pl.Series) -> Sequence[Any] | None:
        """Nothing: equal rows are found without the kind."""
        return None

    def thumbnail(self, value: Any) -> str | None:
        """Nothing is drawn: the value itself says it."""
        return None

    def explain(self, value: Any, prediction: Any) -> dict[str, Any] | None:
        """Nothing is explained: a value has no parts."""
        return None

    def attributions(
        self, network: Any, row: Any, output_index: int, output_name: Any
    ) -> Sequence[dict[str, Any]]:
        """Nothing is traced back to a value that has no parts."""
        return ()

    def augmentation_examples(self, network: Any, rows: Any) -> Sequence[Sequence[str]]:
        """Nothing: values are learned from as they are."""
        return ()


class ExcludedKind(PlainValueKind):
    """The part of a kind that is the same for all columns that are set aside."""

    is_feature = False
    storage: Literal["values", "files"] = "values"
    options: tuple[str, ...] = ()

    def parse(self, cells: pl.Series, options: Mapping[str, Any]) -> pl.Series:
        """Cells as text."""
        return cells.cast(pl.String)

    def encoder(self, columns: Sequence[Any]) -> Any:
        """Nothing: no model sees these columns."""
        return None

    def net(self, encoder: Any, use_embeddings: bool) -> Any:
        """Nothing: no model sees these columns."""
        return None
