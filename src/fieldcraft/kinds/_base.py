"""Defaults that the kinds of columns share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import polars as pl

from fieldcraft.contracts import Check, Output, ScoreFunction, Tensors
from fieldcraft.core.types import Array, Json


class BaseKind:
    """Defaults of a kind: a feature with opaque values, near-duplicates only where equal."""

    is_feature = True
    storage: Literal["values", "files"] = "values"
    options: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()

    def checks(self) -> Sequence[Check]:
        """No checks that only this kind needs."""
        return ()

    def drift_statistics(self, values: pl.Series) -> Mapping[str, pl.Series]:
        """The values as text."""
        return {"value": values.cast(pl.String)}

    def near_duplicate_groups(self, values: pl.Series) -> Sequence[Array] | None:
        """None: equal rows are found without the kind."""
        return None

    def thumbnail(self, value: Any) -> str | None:
        """None: the report shows the value itself."""
        return None

    def explain(self, value: Any, score: ScoreFunction) -> Json | None:
        """None: the value has no parts that could be explained one by one."""
        return None

    def attributions(
        self, network: Any, row: Tensors, output_index: int, output: Output
    ) -> Sequence[Json]:
        """No maps: the value has no parts that could be attributed one by one."""
        return ()

    def augmentation_examples(self, network: Any, rows: Tensors) -> Sequence[Sequence[str]]:
        """No examples: training does not change the values."""
        return ()


class ExcludedKind(BaseKind):
    """Defaults of a kind whose columns are not used as features."""

    is_feature = False

    def parse(self, cells: pl.Series, options: Mapping[str, Any]) -> pl.Series:
        """Cells as text."""
        return cells.cast(pl.String)

    def encoder(self, columns: Sequence[Any]) -> Any:
        """None: no model reads these columns."""
        return None

    def net(self, encoder: Any, without_embeddings: bool) -> Any:
        """None: no model reads these columns."""
        return None
