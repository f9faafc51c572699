"""Compare models by paired bootstrap tests, choose the champion and summarize the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fieldcraft.core.formatting import format_number, join_names
from fieldcraft.core.types import Array, Json
from fieldcraft.modeling.candidate import Candidate
from fieldcraft.modeling.dataset import ModelingDataset
from fieldcraft.statistics.bootstrap import PairedComparison, paired_comparison
from fieldcraft.statistics.metrics import Metric

BootstrapMetrics = Mapping[tuple[str, str], Array]  # by model and metric, (1 + n_resamples,)


@dataclass(frozen=True)
class ModelComparison:
    """Models, simplest first, with their metrics on the same resamples."""

    candidates: Sequence[Candidate]
    bootstrap_metrics: BootstrapMetrics
    metric: Metric

    def compare_pair(self, a: Candidate, b: Candidate) -> PairedComparison:
        """The improvement of A over B."""
        metric_a, metric_b = (
            self.bootstrap_metrics[candidate.name, self.metric.name] for candidate in (a, b)
        )
        return paired_comparison(metric_a, metric_b, self.metric.greater_is_better)

    def metric_value(self, candidate: Candidate) -> float:
        """The metric of a model on the evaluation rows."""
        return float(self.bootstrap_metrics[candidate.name, self.metric.name][0])

    def selection_score(self, candidate: Candidate) -> float:
        """The metric of a model, negated if smaller is better; -inf if undefined."""
        sign = 1 if self.metric.greater_is_better else -1
        return float(np.nan_to_num(sign * self.metric_value(candidate), nan=-np.inf))

    def choose_champion(self) -> Candidate:
        """The simplest of the models that are not significantly worse than the best one.

        A model with an undefined metric, such as the precision if no row is predicted positive,
        ties with no other model.
        """
        best = max(self.candidates, key=self.selection_score)
        ties = [
            candidate
            for candidate in self.candidates
            if candidate is best
            or (
                np.isfinite(self.metric_value(candidate))
                and self.compare_pair(best, candidate).verdict != "better"
            )
        ]
        return min(ties, key=complexity_key)

    def compare_champion_with_all(self, champion: Candidate) -> list[Json]:
        """The paired comparisons of the champion with each other model."""
        comparisons = []
        for challenger in self.candidates:
            if challenger is champion:
                continue
            comparison = self.compare_pair(champion, challenger)
            comparisons.append(
                {
                    "model_a": champion.name,
                    "model_b": challenger.name,
                    "title": challenger.metadata["title"],
                    "metric": self.metric.name,
                    "difference": finite_or_none(comparison.difference),
                    "low": finite_or_none(comparison.low),
                    "high": finite_or_none(comparison.high),
                    "p_value": finite_or_none(comparison.p_value),
                    "verdict": comparison.verdict,
                }
            )
        return comparisons

    def compare_without_files(self, column_names: Sequence[str]) -> Json | None:
        """Compare the best models with and without file columns (images); None if there are none.

        Args:
            column_names: names of all columns.
        """
        file_free = [candidate for candidate in self.candidates if "columns" in candidate.metadata]
        if not file_free:
            return None
        # Simpler baselines are not fitted without files, so they have no counterpart.
        min_complexity = min(candidate.metadata["complexity"] for candidate in file_free)
        rivals = [
            candidate
            for candidate in self.candidates
            if candidate.metadata["complexity"] >= min_complexity
        ]
        with_files = [candidate for candidate in rivals if "columns" not in candidate.metadata]
        if not with_files:
            return None
        best_with_files, best_file_free = (
            max(candidates, key=self.selection_score) for candidates in (with_files, file_free)
        )
        comparison = self.compare_pair(best_with_files, best_file_free)
        return {
            "with_files": best_with_files.metadata["title"],
            "without_files": best_file_free.metadata["title"],
            "excluded_columns": [
                name for name in column_names if name not in best_file_free.metadata["columns"]
            ],
            "verdict": comparison.verdict,
            "difference": finite_or_none(comparison.difference),
            "low": finite_or_none(comparison.low),
            "high": finite_or_none(comparison.high),
        }  # fmt: skip

    def summarize(self, champion: Candidate, n_rows: int) -> str:
        """The champion and the result of the comparison, in a few sentences."""
        simplest = self.candidates[0]
        if champion is simplest:
            return (
                f"No model is significantly better than the {simplest.metadata['title']} "
                f"({self.metric.title}, {n_rows:,} evaluation rows): not ready to deploy."
            )
        rivals = [
            candidate
            for candidate in self.candidates
            if candidate is not champion and candidate is not simplest
        ]
        significantly_worse = [
            candidate
            for candidate in rivals
            if self.compare_pair(champion, candidate).verdict == "better"
        ]
        ties = [candidate for candidate in rivals if candidate not in significantly_worse]
        text = (
            f"Champion: {champion.metadata['title']}, {self.metric.title} "
            f"{format_number(self.metric_value(champion))} on {n_rows:,} evaluation rows "
            f"({simplest.metadata['title']}: {format_number(self.metric_value(simplest))})."
        )
        if significantly_worse:
            text += f" Significantly better than {join_titles(significantly_worse)}."
        if ties:
            is_simpler = all(
                complexity_key(candidate) > complexity_key(champion) for candidate in ties
            )
            text += f" No significant difference from {join_titles(ties)}"
            text += ", and simpler." if is_simpler else "."
        return text


def complexity_key(candidate: Candidate) -> tuple[int, bool]:
    """Sort key, simplest model first: complexity of the learner, then use of file columns."""
    return candidate.metadata["complexity"], "columns" not in candidate.metadata


def join_titles(candidates: Sequence[Candidate]) -> str:
    """The titles of models, joined for a sentence."""
    return join_names([candidate.metadata["title"] for candidate in candidates])


def finite_or_none(value: float) -> float | None:
    """A finite number, else None, since JSON has no NaN."""
    return float(value) if np.isfinite(value) else None


def choose_metric(dataset: ModelingDataset, metric_name: str | None) -> Metric:
    """The task's metric with a name; its first metric if there is none."""
    return next(
        (metric for metric in dataset.task.metrics if metric.name == metric_name),
        dataset.task.metrics[0],
    )
