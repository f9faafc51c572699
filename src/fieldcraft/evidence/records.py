"""What the ledger holds: measures with their intervals, findings with their fixes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeVar

from fieldcraft.core.edit import Edit

Item = TypeVar("Item")
Severity = Literal["stop", "warn", "tip"]
SEVERITIES: tuple[Severity, ...] = ("stop", "warn", "tip")
ALONE = 3  # so many like findings are told one by one, more of them in one


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
    fixes: tuple[Edit, ...] = ()

    @property
    def name(self) -> str:
        """The name under which the finding is accepted in the project file."""
        return f"{self.code}:{self.column}" if self.column else self.code

    def as_json(self) -> dict[str, Any]:
        """The finding as a JSON value."""
        return {**asdict(self), "name": self.name}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Finding:
        """The finding that `as_json` described."""
        fields = {key: item for key, item in value.items() if key not in ("name", "fixes")}
        fixes = (Edit(tuple(fix["path"]), fix["value"], fix["add"]) for fix in value["fixes"])
        return cls(**fields, fixes=tuple(fixes))


def sole(names: Iterable[str]) -> str | None:
    """The column that a finding is about, if it is about one alone.

    >>> sole(["age"]), sole(["age", "sex"])
    ('age', None)
    """
    first, *more = names
    return None if more else first


def told_together(items: Collection[Item]) -> list[list[Item]]:
    """Groups of like things that make one finding each: one by one if they are few, else all.

    >>> told_together(["a", "b"]), told_together(["a", "b", "c", "d"])
    ([['a'], ['b']], [['a', 'b', 'c', 'd']])
    """
    return [[item] for item in items] if len(items) <= ALONE else [list(items)]


@dataclass(frozen=True)
class Measure:
    """A figure that can be vouched for: value, interval, rows, and what it was taken on.

    Attributes:
        metric: name of the metric.
        part: the rows it was taken on, ``judge`` or ``test``.
        model: name of the learner.
        value: the figure on the rows as they are.
        low: lower end of the interval, None where it is not defined.
        high: upper end of the interval, None where it is not defined.
        level: of the interval.
        rows: how many rows.
        data: digest of the rows.
        model_digest: digest of the model.
    """

    metric: str
    part: str
    model: str
    value: float | None
    low: float | None
    high: float | None
    level: float
    rows: int
    data: str
    model_digest: str

    def as_json(self) -> dict[str, Any]:
        """The measure as a JSON value."""
        return asdict(self)
