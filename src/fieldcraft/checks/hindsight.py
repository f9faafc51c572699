"""Columns whose name says that they are known only after the event."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.core.edit import Edit
from fieldcraft.core.words import listed, plural
from fieldcraft.data.names import kin, sounds_later
from fieldcraft.evidence.association import each_target, levels_of, power_of, purest
from fieldcraft.evidence.records import Finding, sole

LEAK = 0.9  # from here on the check `leak` speaks
STRONG = 0.7  # of the target told by a column with such a name: not by a feature of the past
TELLING = 0.5
SAID = 0.1  # below, a name is only a name
ONE_SIDED = 0.8  # of the way to certainty that one value of the column goes for one class


@dataclass(frozen=True)
class Suspect:
    """A column with a telling name, and how much it tells."""

    name: str
    why: str
    power: float
    lift: float

    @property
    def tells(self) -> bool:
        """Whether it tells much of the target, not by its name alone."""
        return self.power >= TELLING or self.lift >= ONE_SIDED


class Hindsight:
    """Reports columns that sound and act as if they were written after the event."""

    code = "hindsight"
    looks_at: Sight = "split"

    def run(self, view: View) -> Iterable[Finding]:
        """Weigh names against how much the columns tell of the target on training rows."""
        if view.y is None or view.task is None or not len(view.y):
            return
        value = view.task.output == "value"
        mild: list[Suspect] = []
        for target, y in each_target(view.y, view.targets):
            for suspect in suspects(view, target, y, value):
                if suspect.tells:
                    yield self._telling(suspect, target)
                else:
                    mild.append(suspect)
        if mild:
            yield self._mild(mild)

    def _mild(self, suspects: list[Suspect]) -> Finding:
        names = list(dict.fromkeys(suspect.name for suspect in suspects))
        return Finding(
            self.code,
            "tip",
            f"{plural(len(names), 'column sounds', 'columns sound')} as if known only after "
            f"the event: {listed(names)}",
            sole(names),
            {"columns": {suspect.name: suspect.power for suspect in suspects}},
            "ask when they are written; drop those that are not known at prediction",
        )

    def _telling(self, suspect: Suspect, target: str) -> Finding:
        sure = suspect.power >= STRONG or suspect.lift >= ONE_SIDED
        share = max(suspect.power, suspect.lift)
        how = f"tells {share:.0%} of {target}"
        if suspect.lift > suspect.power:
            how = f"has a value that makes {target} {share:.0%} certain"
        return Finding(
            self.code,
            "warn",
            f"{suspect.name} {how}, and {suspect.why}",
            suspect.name,
            {"power": suspect.power, "lift": suspect.lift},
            "ask when it is written; drop it unless it is known at the moment of prediction",
            (Edit(("data", "drop"), suspect.name, add=True),) if sure else (),
        )


def suspects(view: View, target: str, y: Array, value: bool) -> Iterable[Suspect]:
    """Columns with a name that says "afterwards" or is kin to the target's, and their power."""
    for column in view.schema.columns:
        name = column.name
        later, shared = sounds_later(name), kin(name, target)
        if not later and (value or not shared):
            continue  # of a number, kin tell nothing: a list price is no leak of a sale price
        codes = levels_of(view.values[name])
        power = power_of(codes, y, value)
        lift = 0.0 if value else purest(codes, y).lift
        why = f"shares {shared!r} with the target" if shared else f"says {later!r}"
        found = Suspect(name, f"its name {why}", power, lift)
        if power < LEAK and (power >= SAID if later else found.tells):
            yield found


CHECK = Hindsight()
