"""A target that hardly varies, is cut off, rounded, or has a long tail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.core.words import figure, listed
from fieldcraft.evidence.association import each_target
from fieldcraft.evidence.records import Finding, sole

FEWEST = 50
HEAP = 0.01  # share of the rows at one end of the range
HIGHER = 5.0  # times as many rows as at any value near the end
MOSTLY_ONE = 0.3  # of the rows at one value, of a target that is a number
FAR = 8.0  # interquartile ranges
FEW = 0.01  # a tail with more rows than this is a shape
TAIL = 0.25  # of the sum that the largest 1 % of the rows hold
ROUND = (0.2, 0.99)  # share of multiples of ten times the usual step: some rows are rounded


class Target:
    """Reports targets that need another look before they are predicted."""

    code = "target"
    looks_at: Sight = "split"

    def run(self, view: View) -> Iterable[Finding]:
        """Look at the training targets by themselves."""
        if view.task is None or view.y is None or not len(view.y):
            return
        targets = each_target(view.y, view.targets)
        yield from self._constant([name for name, y in targets if np.all(y == y[0])])
        if view.task.output == "value":
            for name, y in targets:
                if len(y) >= FEWEST and np.ptp(y) > 0:
                    yield from self._ends(name, y)
                    yield from self._mostly_one(name, y)
                    yield from self._far(name, y, view)
                    yield from self._tail(name, y)
                    yield from self._rounded(name, y)

    def _constant(self, names: list[str]) -> Iterator[Finding]:
        if names:
            yield Finding(
                self.code,
                "warn",
                f"{listed(names)} {'is' if len(names) == 1 else 'are'} the same in every training "
                "row",
                sole(names),
                {"targets": names},
                "nothing can be learned of it; give rows that differ, or split in another way",
            )

    def _ends(self, name: str, y: Array) -> Iterator[Finding]:
        """Many rows at the very end of the range: values beyond were cut off."""
        values, counts = np.unique(y, return_counts=True)
        if len(values) < FEWEST:
            return
        for word, at, near in (("largest", -1, counts[-21:-1]), ("smallest", 0, counts[1:21])):
            count = int(counts[at])
            if values[at] != 0 and count >= HEAP * len(y) and count >= HIGHER * near.max():
                yield Finding(
                    self.code,
                    "tip",
                    f"{name}: {count:,} of {len(y):,} rows ({count / len(y):.1%}) have the "
                    f"{word} value, {figure(float(values[at]))}; values beyond seem to be cut off",
                    name,
                    {"value": float(values[at]), "rows": count},
                    "a model learns the limit, not what lies beyond it; say so where it is used, "
                    "or leave these rows out with data.filter",
                )

    def _mostly_one(self, name: str, y: Array) -> Iterator[Finding]:
        values, counts = np.unique(y, return_counts=True)
        most = int(counts.argmax())
        share = counts[most] / len(y)
        if len(values) >= FEWEST and share >= MOSTLY_ONE:
            yield Finding(
                self.code,
                "tip",
                f"{name} is {figure(float(values[most]))} in {share:.0%} of the rows",
                name,
                {"value": float(values[most]), "rows": int(counts[most])},
                "two questions may be easier than one: whether it is that value, and how much if "
                "it is not",
            )

    def _far(self, name: str, y: Array, view: View) -> Iterator[Finding]:
        low, high = np.quantile(y, [0.25, 0.75])
        far = (y < low - FAR * (high - low)) | (y > high + FAR * (high - low))
        if high > low and 0 < far.sum() <= max(1, FEW * len(y)):
            where = np.flatnonzero(far)
            yield Finding(
                self.code,
                "tip",
                f"{name}: {len(where):,} training rows lie far from the rest "
                f"({listed([figure(float(y[i])) for i in where], 4)})",
                name,
                {"values": y[where[:20]].tolist(), "rows": [view.rows[i] for i in where[:20]]},
                "look at these rows: mistakes in the target cost more than mistakes elsewhere",
            )

    def _tail(self, name: str, y: Array) -> Iterator[Finding]:
        if y.min() < 0 or y.sum() == 0:
            return
        largest = np.sort(y)[-max(1, len(y) // 100) :].sum() / y.sum()
        if largest >= TAIL:
            yield Finding(
                self.code,
                "tip",
                f"{name}: the largest 1% of the rows hold {largest:.0%} of the sum",
                name,
                {"share": float(largest)},
                "a squared error looks at these rows only; consider mean absolute error as metric, "
                "or the logarithm as target",
            )

    def _rounded(self, name: str, y: Array) -> Iterator[Finding]:
        """Some rows are round numbers and some are not: the round ones were guessed."""
        if not np.array_equal(y, np.round(y)) or len(np.unique(y)) < FEWEST:
            return
        for step in (1_000, 100, 10):
            share = float((y % step == 0).mean())
            if share >= ROUND[0] + 1 / step and share <= ROUND[1]:
                yield Finding(
                    self.code,
                    "tip",
                    f"{name}: {share:.0%} of the rows are multiples of {step:,}",
                    name,
                    {"step": step, "share": share},
                    "these were rounded by people; no model can be more exact than they were",
                )
                return


CHECK = Target()
