"""Values that stand for "no value" without saying so: ?, -999, 9999, unknown, 1900-01-01."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.core.edit import Edit
from fieldcraft.core.words import listed
from fieldcraft.data.look import Look
from fieldcraft.evidence.records import Finding, Severity, sole

NUMBERS = (
    -1.0, -2.0, -7.0, -8.0, -9.0, -77.0, -88.0, -99.0, -777.0, -888.0, -999.0, -9999.0, -99999.0,
    -999999.0, 77.0, 88.0, 99.0, 777.0, 888.0, 999.0, 7777.0, 8888.0, 9999.0, 99999.0, 999999.0,
    9999999.0,
)  # fmt: skip
WORDS = frozenset({
    "unknown", "none", "missing", "not available", "not applicable", "not known", "not stated",
    "no data", "n.a.", "n.d.", "tbd", "nil", "blank", "(blank)", "empty", "(empty)", "unspecified",
    "undisclosed", "refused", "no answer", "no response", "unbekannt", "keine angabe", "k.a.",
    "inconnu", "desconocido", "sconosciuto", "desconhecido", "onbekend", "xx", "xxx", "??",
})  # fmt: skip
BROKEN = frozenset({
    "#null!", "#ref!", "#value!", "#div/0!", "#name?", "#num!", "(null)", "<null>", "undefined",
    "[object object]", "\\n", "<none>", "nan%", "[deleted]", "[removed]",
})  # fmt: skip
DAYS = frozenset({
    "0001-01-01", "1753-01-01", "1899-12-30", "1899-12-31", "1900-01-01", "1901-01-01",
    "1970-01-01", "1999-09-09", "2099-12-31", "2999-12-31", "2100-01-01", "9999-12-31",
})  # fmt: skip
OFTEN = 0.005  # share of the rows that a placeholder takes at least
APART = 3.0  # interquartile ranges between a placeholder number and the rest
FEWEST = 10  # other values
DAYS_APART = 300  # days between a placeholder date and the rest
STEPS = 10  # usual steps between values, that are empty above a zero that stands for nothing
POSITIVE = 0.3  # of the median, below which nothing but zero lies if zero stands for nothing


@dataclass(frozen=True)
class Found:
    """A value that may be a placeholder: in which column, in how many rows, how it is written."""

    column: str
    value: str
    rows: int
    texts: tuple[str, ...]
    severity: Severity
    honest: bool = False  # whether other columns have it as a real value


class Placeholders:
    """Reports markers of missing values that are read as values."""

    code = "placeholders"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Report marks such as ``?``, lonely extreme numbers and dates, and words for nothing."""
        found: dict[tuple[str, Severity], list[Found]] = {}
        for item in placeholders(view):
            found.setdefault((item.value, item.severity), []).append(item)
        yield from (self._finding(items) for items in found.values())
        yield from self._zeros(view)

    def _finding(self, items: list[Found]) -> Finding:
        first, names = items[0], [item.column for item in items]
        rows = sum(item.rows for item in items)
        texts = list(dict.fromkeys(text for item in items for text in item.texts))
        where = names[0] if len(names) == 1 else f"{len(names)} columns ({listed(names, 5)})"
        safe = not any(item.honest for item in items)
        return Finding(
            self.code,
            first.severity,
            f"{where}: {first.value!r} stands in {rows:,} {'rows' if len(names) == 1 else 'cells'} "
            "and may mean that there is no value",
            sole(names),
            {"value": first.value, "rows": rows, "columns": names},
            "if it does, read it as missing"
            if safe
            else "if it does, correct it in the file; other columns have it as a value",
            tuple(Edit(("data", "missing"), text, add=True) for text in texts if safe),
        )

    def _zeros(self, view: View) -> Iterator[Finding]:
        """Columns in which zero lies far below everything else."""
        zeros = {}
        for column in view.schema.of_kind("number"):
            values = view.looks[column.name].numbers.drop_nulls().to_numpy()
            rest = values[values != 0]
            count = len(values) - len(rest)
            if count < max(2, OFTEN * len(values)) or len(rest) < max(FEWEST, len(values) / 3):
                continue
            if is_far_from_zero(rest):
                zeros[column.name] = count
        if zeros:
            shown = [f"{name} ({count:,} rows)" for name, count in zeros.items()]
            yield Finding(
                self.code,
                "tip",
                f"zero lies far below all other values and may mean that there is none: "
                f"{listed(shown, 5)}",
                sole(zeros),
                {"zeros": zeros},
                "if so, leave these cells empty in the file",
            )


def placeholders(view: View) -> Iterator[Found]:
    """Everything that may be a placeholder, column by column."""
    used = {column.name: column.kind for column in view.schema.columns}
    numbers = [view.looks[name] for name, kind in used.items() if kind == "number"]
    for name in [*used, *(name for name in view.targets if name in view.looks)]:
        look = view.looks[name]
        for mark, count in look.marks.items():
            if mark not in view.schema.missing:
                yield Found(name, mark, count, (mark,), "warn")
        kind = used.get(name, "category")
        if kind == "number":
            yield from lonely_extremes(look, numbers)
        elif kind == "datetime":
            yield from lonely_days(look, view.values[name])
        elif look.is_text:
            yield from words_for_nothing(look)


def words_for_nothing(look: Look) -> Iterator[Found]:
    """Words such as ``unknown``, and what spreadsheets and programs write for an error."""
    for value, count in look.top(50):
        word = value.strip().lower()
        if word in BROKEN:
            yield Found(look.name, value, count, (value,), "warn")
        elif word in WORDS and count >= OFTEN * look.rows:
            yield Found(look.name, value, count, (value,), "tip")


def lonely_extremes(look: Look, columns: Sequence[Look]) -> Iterator[Found]:
    """Numbers often used as placeholders that stand at the end of the range, far from the rest."""
    values = look.numbers.drop_nulls().to_numpy()
    marked = np.isin(values, NUMBERS)
    rest = values[~marked]
    if not marked.any() or len(rest) < FEWEST:
        return
    low, high = np.quantile(rest, [0.25, 0.75])
    spread = max(float(high - low), float(rest.std()), 1e-12)
    for mark, count in zip(*np.unique(values[marked], return_counts=True), strict=True):
        gap = max(float(rest.min()) - mark, mark - float(rest.max()))
        alone = mark <= -77 and rest.min() >= 0  # the only negative number
        far = gap > APART * spread or alone
        if count < max(2, OFTEN * look.rows) or not far:
            continue
        texts = [str(value) for value in look.counts["value"] if as_number(value) == mark]
        honest = any(is_honest(other, mark) for other in columns if other is not look)
        yield Found(look.name, texts[0], int(count), tuple(texts), "warn", honest)


def is_honest(look: Look, mark: float) -> bool:
    """Whether a column has a number within the range of its other values."""
    low, high = look.span
    values = look.numbers.drop_nulls()
    others = values.filter(values != mark)
    if not low <= mark <= high or len(others) == len(values) or not len(others):
        return False
    return bool(others.quantile(0.01) <= mark <= others.quantile(0.99))  # type: ignore[operator]


def lonely_days(look: Look, moments: pl.Series) -> Iterator[Found]:
    """Days that programs write for nothing, at the end of the range and far from the rest."""
    days = pl.DataFrame({"text": look.column.cast(pl.String), "day": moments.dt.date()})
    spelt = days["day"].cast(pl.String)
    rest = days.filter(~spelt.is_in(list(DAYS)).fill_null(True))["day"]
    if len(rest) < FEWEST:
        return
    for day in sorted(DAYS & set(spelt.drop_nulls())):
        same = days.filter(spelt == day)
        at = same["day"][0]
        apart = max((rest.min() - at).days, (at - rest.max()).days)
        if same.height >= max(2, OFTEN * look.rows) and apart >= DAYS_APART:
            texts = same["text"].unique(maintain_order=True).to_list()
            yield Found(look.name, day, same.height, tuple(texts), "warn", honest=not look.is_text)


def is_far_from_zero(values: Array) -> bool:
    """Whether there is an empty stretch between zero and positive values, many of their steps."""
    different = np.unique(values)
    if len(different) <= FEWEST or different[0] <= POSITIVE * np.median(values):
        return False
    return bool(different[0] >= STEPS * np.median(np.diff(different)))


def as_number(value: object) -> float | None:
    """A cell as a number, or None."""
    try:
        return float(str(value))
    except ValueError:
        return None


CHECK = Placeholders()
