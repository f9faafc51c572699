"""Keys of persons or things with several rows each, while rows are split at random."""

from __future__ import annotations

from collections.abc import Iterable

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.formatting import pluralize, truncated_list
from fieldcraft.data.column_names import split_words
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.ledger.records import Finding, single_column

ENTITY_WORDS = frozenset({
    "customer", "client", "patient", "user", "member", "person", "subject", "student", "pupil",
    "employee", "worker", "driver", "player", "participant", "respondent", "applicant",
    "borrower", "donor", "visitor", "subscriber", "passenger", "household", "family", "child",
    "mother", "animal", "specimen", "device", "machine", "engine", "unit", "vehicle", "sensor",
    "equipment", "asset", "battery", "turbine", "meter", "account", "card", "speaker", "author",
    "reviewer", "farm", "plot", "well", "kunde", "kunden", "patienten", "nutzer", "maschine",
    "cliente", "paciente", "usuario", "utilisateur", "paziente", "mrn", "msno", "cust",
})  # fmt: skip
KEY_WORDS = frozenset({
    "id", "ids", "no", "nr", "num", "number", "nummer", "key", "code", "uuid", "guid", "hash",
    "ref", "name", "identifier",
})  # fmt: skip
BARE_KEY_WORDS = frozenset({"id", "uuid", "guid", "key"})  # do not say what they identify
MIN_DISTINCT_VALUES = 20
MIN_REPEATED_FRACTION = 0.3  # of the rows, which share their value with another row
MAX_RUNS_PER_VALUE = 2  # runs of consecutive rows with the same number, on average
# Of keys whose name does not say what they identify: with fewer rows per value they may repeat by
# accident, with more they may be categories.
ROWS_PER_VALUE_RANGE = (2.0, 50.0)


class GroupLeakage:
    """Reports keys whose rows belong together and should stay on one side of the split."""

    code = "group_leakage"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Find repeated keys by name and by how often their values occur."""
        if context.group_column:
            return
        excluded = {*context.targets, context.time_column}
        keys = [
            profile
            for name, profile in context.column_profiles.items()
            if name not in excluded and is_repeated_key(profile)
        ]
        entity_profiles = [
            profile for profile in keys if set(split_words(profile.name)) & ENTITY_WORDS
        ]
        # Under a split by time, later rows of known entities may be what is to be predicted.
        # Between two keys, a person must choose.
        has_fix = len(entity_profiles) == 1 and not context.time_column
        yield from (self._report_entity(profile, context, has_fix) for profile in entity_profiles)
        if keys and not entity_profiles:
            yield self._report_bare_keys(keys)

    def _report_bare_keys(self, keys: list[ColumnProfile]) -> Finding:
        names = [profile.name for profile in keys]
        return Finding(
            self.code,
            "info",
            f"{pluralize(len(names), 'key has', 'keys have')} several rows for each value: "
            f"{truncated_list(names)}",
            single_column(names),
            {"rows_per_value": {profile.name: mean_rows_per_value(profile) for profile in keys}},
            "if rows with the same value belong together, set data.group to it and split.strategy "
            "to group",
        )

    def _report_entity(
        self, profile: ColumnProfile, context: CheckContext, has_fix: bool
    ) -> Finding:
        is_used = profile.name in {column.name for column in context.schema.columns}
        drop = (ConfigEdit(("data", "drop"), profile.name, append=True),) if is_used else ()
        split_fixes = (
            ConfigEdit(("data", "group"), profile.name),
            ConfigEdit(("split", "strategy"), "group"),
        )
        return Finding(
            self.code,
            "info" if context.time_column else "warning",
            f"{profile.name} has {mean_rows_per_value(profile):.1f} rows for each of "
            f"{profile.n_unique:,} values",
            profile.name,
            {"distinct": profile.n_unique, "rows": profile.n_rows},
            "keep rows with the same value on one side of the split (data.group, split.strategy: "
            "group); otherwise the model is evaluated on values that it was trained on",
            (*split_fixes, *drop) if has_fix else (),
        )


def mean_rows_per_value(profile: ColumnProfile) -> float:
    """The mean number of rows per value."""
    return len(profile.present_values) / max(profile.n_unique, 1)


def is_repeated_key(profile: ColumnProfile) -> bool:
    """Whether a column is a key of things that have several rows each."""
    words = split_words(profile.name)
    if not is_named_as_key(words):
        return False
    if profile.n_unique < MIN_DISTINCT_VALUES or (
        profile.numeric_fraction == 1.0 and not is_numeric_key(profile, words)
    ):
        return False
    counts = profile.value_counts["count"]
    repeated_fraction = counts.filter(counts > 1).sum() / len(profile.present_values)
    low, high = ROWS_PER_VALUE_RANGE
    return bool(
        repeated_fraction >= MIN_REPEATED_FRACTION
        and (set(words) & ENTITY_WORDS or low <= mean_rows_per_value(profile) <= high)
    )


def is_named_as_key(words: tuple[str, ...]) -> bool:
    """Whether a column's name is that of a key: customer_id, or an id alone."""
    if set(words) & ENTITY_WORDS:  # customer_segment is a property of a customer, not its key
        return set(words) - ENTITY_WORDS <= KEY_WORDS
    return bool(words) and words[-1] in BARE_KEY_WORDS


def is_numeric_key(profile: ColumnProfile, words: tuple[str, ...]) -> bool:
    """Whether numbers are keys.

    Under a bare word such as "unit" they may be a count; they are keys if the rows of each number
    are consecutive in the file.
    """
    n_runs = int((profile.present_values != profile.present_values.shift(1)).sum()) + 1
    is_contiguous = n_runs <= MAX_RUNS_PER_VALUE * profile.n_unique
    return profile.is_integer and (bool(set(words) & KEY_WORDS) or is_contiguous)


CHECK = GroupLeakage()
