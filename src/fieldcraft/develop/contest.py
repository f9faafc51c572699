"""Compare models by paired tests on the same resamples, and say in words who won."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fieldcraft.contracts import Array, Json
from fieldcraft.core.words import figure, joined
from fieldcraft.develop.candidate import Candidate
from fieldcraft.develop.rows import Development
from fieldcraft.evidence.bootstrap import Comparison, compare
from fieldcraft.evidence.metrics import Metric

Drawn = Mapping[tuple[str, str], Array]  # by learner and metric


@dataclass(frozen=True)
class Contest:
    """Models, the simplest first, with their metrics on the same resamples."""

    candidates: Sequence[Candidate]
    drawn: Drawn
    metric: Metric

    def paired(self, a: Candidate, b: Candidate) -> Comparison:
        """How much better A is than B."""
        one, other = (self.drawn[found.name, self.metric.name] for found in (a, b))
        return compare(one, other, self.metric.greater_is_better)

    def value(self, found: Candidate) -> float:
        """The metric of a model on the rows as they are."""
        return float(self.drawn[found.name, self.metric.name][0])

    def goodness(self, found: Candidate) -> float:
        """The metric of a model, turned so that more is better; least where there is none."""
        sign = 1 if self.metric.greater_is_better else -1
        return float(np.nan_to_num(sign * self.value(found), nan=-np.inf))

    def champion(self) -> Candidate:
        """The best model, or the simplest of those that are not significantly worse.

        A model whose figure is not defined, as is the precision of a guess that calls no row
        positive, is level with none.
        """
        best = max(self.candidates, key=self.goodness)
        level = [
            found
            for found in self.candidates
            if found is best
            or (np.isfinite(self.value(found)) and self.paired(best, found).verdict != "better")
        ]
        return min(level, key=simplicity)

    def against_all(self, champion: Candidate) -> list[Json]:
        """The champion against each of the others."""
        found = []
        for other in self.candidates:
            if other is champion:
                continue
            result = self.paired(champion, other)
            found.append(
                {
                    "a": champion.name,
                    "b": other.name,
                    "title": other.about["title"],
                    "metric": self.metric.name,
                    "difference": finite(result.difference),
                    "low": finite(result.low),
                    "high": finite(result.high),
                    "p_value": finite(result.p_value),
                    "verdict": result.verdict,
                }
            )
        return found

    def without_files(self, names: Sequence[str]) -> Json | None:
        """The best model against the best of those that do without columns of files, if any do.

        Args:
            names: of all columns.
        """
        without = [c for c in self.candidates if "columns" in c.about]
        if not without:
            return None
        least = min(c.about["complexity"] for c in without)  # simpler ones have no such twin
        rivals = [c for c in self.candidates if c.about["complexity"] >= least]
        others = [c for c in rivals if "columns" not in c.about]
        if not others:
            return None
        whole, less = (max(side, key=self.goodness) for side in (others, without))
        found = self.paired(whole, less)
        return {
            "with": whole.about["title"], "without": less.about["title"],
            "left_out": [name for name in names if name not in less.about["columns"]],
            "verdict": found.verdict,
            "difference": finite(found.difference), "low": finite(found.low),
            "high": finite(found.high),
        }  # fmt: skip

    def sentence(self, champion: Candidate, rows: int) -> str:
        """The comparison with the baselines in words, the bad news first."""
        simplest = self.candidates[0]
        if champion is simplest:
            return (
                f"No model is better than a {simplest.about['title']} by {self.metric.title} "
                f"on {rows:,} judge rows: there is nothing here to deploy yet."
            )
        rivals = [c for c in self.candidates if c is not champion and c is not simplest]
        better = [c for c in rivals if self.paired(champion, c).verdict == "better"]
        level = [c for c in rivals if c not in better]
        text = (
            f"Champion: {champion.about['title']}, {self.metric.title} "
            f"{figure(self.value(champion))} on {rows:,} judge rows "
            f"({simplest.about['title']}: {figure(self.value(simplest))})."
        )
        if better:
            text += f" Significantly better than {named(better)}."
        if level:
            simpler = all(simplicity(c) > simplicity(champion) for c in level)
            text += f" Level with {named(level)}" + (", but simpler." if simpler else ".")
        return text


def simplicity(found: Candidate) -> tuple[int, bool]:
    """What goes up with all that it takes to run a model: its form, and columns of files."""
    return found.about["complexity"], "columns" not in found.about


def named(candidates: Sequence[Candidate]) -> str:
    """The titles of learners, joined for a sentence."""
    return joined([found.about["title"] for found in candidates])


def finite(value: float) -> float | None:
    """A number that JSON can carry, None for what is not one."""
    return float(value) if np.isfinite(value) else None


def main_metric(rows: Development, wanted: str | None) -> Metric:
    """The metric by which models are compared."""
    return next((m for m in rows.task.metrics if m.name == wanted), rows.task.metrics[0])
