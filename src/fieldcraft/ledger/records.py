"""The records of the ledger: metrics with their intervals, findings with their fixes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeVar

from fieldcraft.core.config_edit import ConfigEdit

Item = TypeVar("Item")
Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")  # worst first
MAX_SEPARATE_FINDINGS = 3  # similar findings reported one by one; more are grouped into one


@dataclass(frozen=True)
class Finding:
    """A problem that a check found, with its severity, evidence and fixes.

    Attributes:
        code: code of the check.
        severity: ``error`` stops the run, ``warning`` is listed first, ``info`` is advice.
        title: one sentence with the figures that matter.
        column: the column with the problem, if it is a single one.
        evidence: the figures behind the title, as JSON values.
        advice: what to do, in words.
        fixes: edits of the project file that fix the problem; empty if a person must decide.
    """

    code: str
    severity: Severity
    title: str
    column: str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    advice: str = ""
    fixes: tuple[ConfigEdit, ...] = ()

    @property
    def accept_key(self) -> str:
        """The name under which ``audit.accept`` of the project file lists the finding."""
        return f"{self.code}:{self.column}" if self.column else self.code

    def to_json(self) -> dict[str, Any]:
        """Return the finding as a JSON value."""
        return {**asdict(self), "name": self.accept_key}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Finding:
        """Build a finding from the value that `to_json` returned."""
        fields = {key: item for key, item in data.items() if key not in ("name", "fixes")}
        fixes = (
            ConfigEdit(tuple(fix["path"]), fix["value"], fix["append"]) for fix in data["fixes"]
        )
        return cls(**fields, fixes=tuple(fixes))


def single_column(names: Iterable[str]) -> str | None:
    """Return the only one of some columns, or None if there are several.

    >>> single_column(["age"]), single_column(["age", "sex"])
    ('age', None)
    """
    column, *further_columns = names
    return None if further_columns else column


def group_findings(items: Collection[Item]) -> list[list[Item]]:
    """Group similar problems, one finding for each group: one by one if few, else all in one.

    >>> group_findings(["a", "b"]), group_findings(["a", "b", "c", "d"])
    ([['a'], ['b']], [['a', 'b', 'c', 'd']])
    """
    return [[item] for item in items] if len(items) <= MAX_SEPARATE_FINDINGS else [list(items)]


@dataclass(frozen=True)
class MetricRecord:
    """A metric value with its confidence interval, sample size and provenance digests.

    Attributes:
        metric: name of the metric.
        part: the rows it was computed on, ``evaluation`` or ``test``.
        model: name of the model.
        value: the metric on the rows themselves, without resampling.
        low: lower end of the interval, None if it is not defined.
        high: upper end of the interval, None if it is not defined.
        confidence_level: probability that the interval covers the metric, such as 0.95.
        n_rows: number of rows.
        data_digest: digest of the rows.
        model_digest: digest of the model.
    """

    metric: str
    part: str
    model: str
    value: float | None
    low: float | None
    high: float | None
    confidence_level: float
    n_rows: int
    data_digest: str
    model_digest: str

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON value."""
        return asdict(self)
