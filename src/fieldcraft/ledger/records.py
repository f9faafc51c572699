"""What the ledger holds: measures with their intervals, findings with their fixes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeVar

from fieldcraft.core.config_edit import ConfigEdit

Item = TypeVar("Item")
Severity = Literal["stop", "warn", "tip"]
SEVERITIES: tuple[Severity, ...] = ("stop", "warn", "tip")
MAX_SEPARATE_FINDINGS = 3  # so many like findings are told one by one, more of them in one


@dataclass(frozen=True)
class Finding:
    """Something a check saw: what, how bad, on what evidence, and the way to mend it.

    Attributes:
        code: of the check.
        severity: ``stop`` holds the run, ``warn`` is shown first, ``tip`` is advice.
        title: one sentence with the figures that matter.
        column: the column it is about, if it is about one.
        evidence: the figures behind the title, JSON.
        advice: what to do, in words.
        fixes: edits of the project file that mend it; empty where a person must decide.
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
        """The name under which the finding is accepted in the project file."""
        return f"{self.code}:{self.column}" if self.column else self.code

    def to_json(self) -> dict[str, Any]:
        """The finding as a JSON value."""
        return {**asdict(self), "name": self.accept_key}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Finding:
        """The finding that `as_json` described."""
        fields = {key: item for key, item in data.items() if key not in ("name", "fixes")}
        fixes = (ConfigEdit(tuple(fix["path"]), fix["value"], fix["add"]) for fix in data["fixes"])
        return cls(**fields, fixes=tuple(fixes))


def single_column(names: Iterable[str]) -> str | None:
    """The column that a finding is about, if it is about one alone.

    >>> sole(["age"]), sole(["age", "sex"])
    ('age', None)
    """
    column, *further_columns = names
    return None if further_columns else column


def group_findings(items: Collection[Item]) -> list[list[Item]]:
    """Groups of like things that make one finding each: one by one if they are few, else all.

    >>> told_together(["a", "b"]), told_together(["a", "b", "c", "d"])
    ([['a'], ['b']], [['a', 'b', 'c', 'd']])
    """
    return [[item] for item in items] if len(items) <= MAX_SEPARATE_FINDINGS else [list(items)]


@dataclass(frozen=True)
class MetricRecord:
    """A figure that can be vouched for: value, interval, rows, and what it was taken on.

    Attributes:
        metric: name of the metric.
        part: the rows it was taken on, ``judge`` or ``test``.
        model: name of the learner.
        value: the figure on the rows as they are.
        low: lower end of the interval, None where it is not defined.
        high: upper end of the interval, None where it is not defined.
        confidence_level: of the interval.
        n_rows: how many rows.
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
        """The measure as a JSON value."""
        return asdict(self)
