"""Sentinel values that stand for a missing value: ?, -999, 9999, unknown, 1900-01-01."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.formatting import truncated_list
from fieldcraft.core.types import Array
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.ledger.records import Finding, Severity, single_column

# Codes of survey software (-1, -7 to -9, 77, 88, 99), and all-nines fields of fixed width.
SENTINEL_NUMBERS = (
    -1.0, -2.0, -7.0, -8.0, -9.0, -77.0, -88.0, -99.0, -777.0, -888.0, -999.0, -9999.0, -99999.0,
    -999999.0, 77.0, 88.0, 99.0, 777.0, 888.0, 999.0, 7777.0, 8888.0, 9999.0, 99999.0, 999999.0,
    9999999.0,
)  # fmt: skip
MISSING_WORDS = frozenset({
    "unknown", "none", "missing", "not available", "not applicable", "not known", "not stated",
    "no data", "n.a.", "n.d.", "tbd", "nil", "blank", "(blank)", "empty", "(empty)", "unspecified",
    "undisclosed", "refused", "no answer", "no response", "unbekannt", "keine angabe", "k.a.",
    "inconnu", "desconocido", "sconosciuto", "desconhecido", "onbekend", "xx", "xxx", "??",
})  # fmt: skip
# What spreadsheets, databases, JavaScript and forums write in place of a value.
ERROR_WORDS = frozenset({
    "#null!", "#ref!", "#value!", "#div/0!", "#name?", "#num!", "(null)", "<null>", "undefined",
    "[object object]", "\\n", "<none>", "nan%", "[deleted]", "[removed]",
})  # fmt: skip
# The first days of .NET, SQL Server, Excel and Unix, and the last ones that databases accept.
SENTINEL_DATES = frozenset({
    "0001-01-01", "1753-01-01", "1899-12-30", "1899-12-31", "1900-01-01", "1901-01-01",
    "1970-01-01", "1999-09-09", "2099-12-31", "2999-12-31", "2100-01-01", "9999-12-31",
})  # fmt: skip
MIN_ROW_FRACTION = 0.005  # of the rows must have a sentinel; a single one may be a real value
MIN_DISTANCE_IN_IQR = 3.0  # of a sentinel number from the rest
MIN_OTHER_VALUES = 10
MIN_DISTANCE_DAYS = 300  # of a sentinel date from the rest
# A zero stands for a missing value if the next larger value is this many median steps away, and
# above this fraction of the median.
MIN_ZERO_GAP_STEPS = 10
MIN_ZERO_GAP_MEDIAN_FRACTION = 0.3


@dataclass(frozen=True)
class SentinelValue:
    """A value that may stand for a missing one: its column, number of rows, and spellings."""

    column: str
    value: str
    rows: int
    texts: tuple[str, ...]
    severity: Severity
    fix_obstacle: str = ""  # why data.na_values cannot list it, if so


class SentinelValues:
    """Reports markers of missing values that are read as values."""

    code = "sentinel_values"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Report markers such as ``?``, isolated extreme numbers and dates, and words."""
        sentinels_by_value: dict[tuple[str, Severity], list[SentinelValue]] = {}
        for sentinel in iter_sentinels(context):
            sentinels_by_value.setdefault((sentinel.value, sentinel.severity), []).append(sentinel)
        yield from (self._build_finding(sentinels) for sentinels in sentinels_by_value.values())
        yield from self._report_zeros(context)

    def _build_finding(self, sentinels: list[SentinelValue]) -> Finding:
        first, names = sentinels[0], [sentinel.column for sentinel in sentinels]
        rows = sum(sentinel.rows for sentinel in sentinels)
        texts = list(dict.fromkeys(text for sentinel in sentinels for text in sentinel.texts))
        column_text = (
            names[0] if len(names) == 1 else f"{len(names)} columns ({truncated_list(names, 5)})"
        )
        fix_obstacle = next((s.fix_obstacle for s in sentinels if s.fix_obstacle), "")
        return Finding(
            self.code,
            first.severity,
            f"{column_text}: {first.value!r} occurs in {rows:,} "
            f"{'rows' if len(names) == 1 else 'cells'} and may mean a missing value",
            single_column(names),
            {"value": first.value, "rows": rows, "columns": names},
            f"if it does, leave these cells empty in the file, as {fix_obstacle}"
            if fix_obstacle
            else "if it does, read it as missing",
            tuple(
                ConfigEdit(("data", "na_values"), text, append=True)
                for text in texts
                if not fix_obstacle
            ),
        )

    def _report_zeros(self, context: CheckContext) -> Iterator[Finding]:
        """Report columns in which zero is far below all other values."""
        zeros = {}
        for column in context.schema.columns_of_kind("number"):
            values = context.column_profiles[column.name].numbers.drop_nulls().to_numpy()
            nonzero = values[values != 0]
            count = len(values) - len(nonzero)
            if count < max(2, MIN_ROW_FRACTION * len(values)) or len(nonzero) < max(
                MIN_OTHER_VALUES, len(values) / 3
            ):
                continue
            if has_gap_above_zero(nonzero):
                zeros[column.name] = count
        if zeros:
            descriptions = [f"{name} ({count:,} rows)" for name, count in zeros.items()]
            yield Finding(
                self.code,
                "info",
                "zero is far below all other values and may mean a missing value: "
                f"{truncated_list(descriptions, 5)}",
                single_column(zeros),
                {"zeros": zeros},
                "if so, leave these cells empty in the file",
            )


def iter_sentinels(context: CheckContext) -> Iterator[SentinelValue]:
    """Values that may be sentinels, column by column."""
    kind_by_column = {column.name: column.kind for column in context.schema.columns}
    number_profiles = [
        context.column_profiles[name] for name, kind in kind_by_column.items() if kind == "number"
    ]
    for name in [
        *kind_by_column,
        *(name for name in context.targets if name in context.column_profiles),
    ]:
        profile = context.column_profiles[name]
        for marker, count in profile.missing_marker_counts.items():
            if marker not in context.schema.missing_markers:
                yield SentinelValue(name, marker, count, (marker,), "warning")
        kind = kind_by_column.get(name, "category")
        if kind == "number":
            yield from find_sentinel_numbers(profile, number_profiles)
        elif kind == "datetime":
            yield from find_sentinel_dates(profile, context.values[name])
        elif profile.is_text:
            yield from find_missing_words(profile)


def find_missing_words(profile: ColumnProfile) -> Iterator[SentinelValue]:
    """Words such as ``unknown``, and those that programs write for an error."""
    for value, count in profile.most_common(50):
        word = value.strip().lower()
        if word in ERROR_WORDS:
            yield SentinelValue(profile.name, value, count, (value,), "warning")
        elif word in MISSING_WORDS and count >= MIN_ROW_FRACTION * profile.n_rows:
            yield SentinelValue(profile.name, value, count, (value,), "info")


def find_sentinel_numbers(
    profile: ColumnProfile, profiles: Sequence[ColumnProfile]
) -> Iterator[SentinelValue]:
    """Common sentinel numbers at an end of the range, far from all other values."""
    values = profile.numbers.drop_nulls().to_numpy()
    is_sentinel = np.isin(values, SENTINEL_NUMBERS)
    other_values = values[~is_sentinel]
    if not is_sentinel.any() or len(other_values) < MIN_OTHER_VALUES:
        return
    low, high = np.quantile(other_values, [0.25, 0.75])
    # The standard deviation counts where most values are equal and the IQR is 0.
    spread = max(float(high - low), float(other_values.std()), 1e-12)
    for sentinel, count in zip(*np.unique(values[is_sentinel], return_counts=True), strict=True):
        distance = max(float(other_values.min()) - sentinel, sentinel - float(other_values.max()))
        # A code such as -99 among positive numbers need not be far away; a -1 may be a real value.
        is_only_negative = sentinel <= -77 and other_values.min() >= 0
        is_far = distance > MIN_DISTANCE_IN_IQR * spread or is_only_negative
        if count < max(2, MIN_ROW_FRACTION * profile.n_rows) or not is_far:
            continue
        texts = [
            str(value) for value in profile.value_counts["value"] if parse_float(value) == sentinel
        ]
        # data.na_values applies to all columns, so the fix would delete real values of others.
        is_real_elsewhere = any(
            is_real_value(other_profile, sentinel)
            for other_profile in profiles
            if other_profile is not profile
        )
        fix_obstacle = "other columns have it as a real value" if is_real_elsewhere else ""
        yield SentinelValue(
            profile.name, texts[0], int(count), tuple(texts), "warning", fix_obstacle
        )


def is_real_value(profile: ColumnProfile, value: float) -> bool:
    """Whether a column has a number that lies between the 1 % and 99 % quantiles of its others."""
    low, high = profile.value_range
    values = profile.numbers.drop_nulls()
    others = values.filter(values != value)
    if not low <= value <= high or len(others) == len(values) or not len(others):
        return False
    return bool(others.quantile(0.01) <= value <= others.quantile(0.99))  # type: ignore[operator]


def find_sentinel_dates(profile: ColumnProfile, datetimes: pl.Series) -> Iterator[SentinelValue]:
    """Dates that programs write for a missing one, at an end of the range and far from the rest."""
    days = pl.DataFrame({"text": profile.column.cast(pl.String), "day": datetimes.dt.date()})
    iso_dates = days["day"].cast(pl.String)
    other_days = days.filter(~iso_dates.is_in(list(SENTINEL_DATES)).fill_null(True))["day"]
    if len(other_days) < MIN_OTHER_VALUES:
        return
    for day in sorted(SENTINEL_DATES & set(iso_dates.drop_nulls())):
        matching_rows = days.filter(iso_dates == day)
        sentinel_day = matching_rows["day"][0]
        distance_days = max(
            (other_days.min() - sentinel_day).days, (sentinel_day - other_days.max()).days
        )
        if (
            matching_rows.height >= max(2, MIN_ROW_FRACTION * profile.n_rows)
            and distance_days >= MIN_DISTANCE_DAYS
        ):
            texts = matching_rows["text"].unique(maintain_order=True).to_list()
            yield SentinelValue(
                profile.name,
                day,
                matching_rows.height,
                tuple(texts),
                "warning",
                "" if profile.is_text else "data.na_values lists text and not dates",
            )


def has_gap_above_zero(values: Array) -> bool:
    """Whether the gap between zero and the positive values is wide against their median step."""
    distinct_values = np.unique(values)
    if len(distinct_values) <= MIN_OTHER_VALUES or distinct_values[
        0
    ] <= MIN_ZERO_GAP_MEDIAN_FRACTION * np.median(values):
        return False
    return bool(distinct_values[0] >= MIN_ZERO_GAP_STEPS * np.median(np.diff(distinct_values)))


def parse_float(value: object) -> float | None:
    """A cell as a number, or None."""
    try:
        return float(str(value))
    except ValueError:
        return None


CHECK = SentinelValues()
