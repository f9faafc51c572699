"""A column that names a person or a thing with several rows, while rows are split by lot."""

from __future__ import annotations

from collections.abc import Iterable

from fieldcraft.contracts import Sight, View
from fieldcraft.core.edit import Edit
from fieldcraft.core.words import listed, plural
from fieldcraft.data.look import Look
from fieldcraft.data.names import words_of
from fieldcraft.evidence.records import Finding, sole

WHO = frozenset({
    "customer", "client", "patient", "user", "member", "person", "subject", "student", "pupil",
    "employee", "worker", "driver", "player", "participant", "respondent", "applicant",
    "borrower", "donor", "visitor", "subscriber", "passenger", "household", "family", "child",
    "mother", "animal", "specimen", "device", "machine", "engine", "unit", "vehicle", "sensor",
    "equipment", "asset", "battery", "turbine", "meter", "account", "card", "speaker", "author",
    "reviewer", "farm", "plot", "well", "kunde", "kunden", "patienten", "nutzer", "maschine",
    "cliente", "paciente", "usuario", "utilisateur", "paziente", "mrn", "msno", "cust",
})  # fmt: skip
KEYS = frozenset({
    "id", "ids", "no", "nr", "num", "number", "nummer", "key", "code", "uuid", "guid", "hash",
    "ref", "name", "identifier",
})  # fmt: skip
UNSAID = frozenset({"id", "uuid", "guid", "key"})  # of what, the name does not say
FEWEST = 20  # different values
REPEATED = 0.3  # of the rows that share their value with another
STRETCHES = 2  # of rows with the same number, for each number
BETWEEN = (2.0, 50.0)  # rows a value, where the name does not say of what it is a key


class Entity:
    """Reports keys whose rows belong together and should stay on one side of the split."""

    code = "entity"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Look for repeated keys by name and by how often their values occur."""
        if view.entity:
            return
        elsewhere = {*view.targets, view.time}
        keys = [look for name, look in view.looks.items() if name not in elsewhere and is_key(look)]
        clear = [look for look in keys if set(words_of(look.name)) & WHO]
        # A split by time may follow the same entities on; of two keys a person must choose.
        sure = len(clear) == 1 and not view.time
        yield from (self._clear(look, view, sure) for look in clear)
        if keys and not clear:
            yield self._unsaid(keys)

    def _unsaid(self, keys: list[Look]) -> Finding:
        names = [look.name for look in keys]
        return Finding(
            self.code,
            "tip",
            f"{plural(len(names), 'key has', 'keys have')} several rows for each value: "
            f"{listed(names)}",
            sole(names),
            {"rows_a_value": {look.name: rows_a_value(look) for look in keys}},
            "if rows with the same value belong together, set data.entity to it and split.rule "
            "to entity",
        )

    def _clear(self, look: Look, view: View, sure: bool) -> Finding:
        used = look.name in {column.name for column in view.schema.columns}
        drop = (Edit(("data", "drop"), look.name, add=True),) if used else ()
        keep = (Edit(("data", "entity"), look.name), Edit(("split", "rule"), "entity"))
        return Finding(
            self.code,
            "tip" if view.time else "warn",
            f"{look.name} has {rows_a_value(look):.1f} rows for each of {look.distinct:,} values",
            look.name,
            {"distinct": look.distinct, "rows": look.rows},
            "rows of one should stay on one side of the split, or the model knows those it is "
            "judged on (data.entity, split.rule: entity)",
            (*keep, *drop) if sure else (),
        )


def rows_a_value(look: Look) -> float:
    """Rows for each value, on average."""
    return len(look.values) / max(look.distinct, 1)


def is_key(look: Look) -> bool:
    """Whether a column names things that have several rows each."""
    words = words_of(look.name)
    of_whom = set(words) & WHO
    if of_whom and not set(words) - WHO <= KEYS:
        return False  # such as customer_segment
    if not of_whom and not (words and words[-1] in UNSAID):
        return False
    if look.distinct < FEWEST or (look.numeric_share == 1.0 and not is_number_of(look, words)):
        return False
    counts = look.counts["count"]
    repeated = counts.filter(counts > 1).sum() / len(look.values)
    low, high = BETWEEN
    return bool(repeated >= REPEATED and (of_whom or low <= rows_a_value(look) <= high))


def is_number_of(look: Look, words: tuple[str, ...]) -> bool:
    """Whether numbers are names; under a bare word such as "unit" they may be a count.

    They are names if the rows of each stand together in the file.
    """
    stretches = int((look.values != look.values.shift(1)).sum()) + 1
    together = stretches <= STRETCHES * look.distinct
    return look.whole_numbers and (bool(set(words) & KEYS) or together)


CHECK = Entity()
