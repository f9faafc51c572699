"""Columns about who a person is, by which a model may treat people unlike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import polars as pl

from fieldcraft.contracts import Sight, View
from fieldcraft.core.edit import Edit
from fieldcraft.core.words import listed, plural
from fieldcraft.data.look import Look
from fieldcraft.data.names import sounds_sensitive
from fieldcraft.evidence.association import variance_told
from fieldcraft.evidence.records import Finding, sole

FEW = 50  # rows of a group, below which its figures have wide intervals
MOST_GROUPS = 30  # levels that can be told apart as groups
UNEQUAL = 0.01  # of the variance of having a target that the group explains
CHANCE = 15.0  # chi-square of one degree of freedom: 1 in 10,000


class Sensitive:
    """Reports sensitive columns that are not declared, and groups that are hard to be fair to."""

    code = "sensitive"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Go by names, and count the rows and the missing targets of each group."""
        suspected = [
            name
            for name, look in view.looks.items()
            if look.distinct > 1 and name not in view.targets and sounds_sensitive(name)
        ]
        yield from self._undeclared([name for name in suspected if name not in view.groups])
        for name in dict.fromkeys([*view.groups, *suspected]):
            if name in view.looks and 1 < view.looks[name].distinct <= MOST_GROUPS:
                yield from self._small(view.looks[name], name in view.groups)
                yield from self._unlabelled(view.looks[name], view)

    def _undeclared(self, names: list[str]) -> Iterator[Finding]:
        if names:
            yield Finding(
                self.code,
                "tip",
                f"{plural(len(names), 'column')} may say who a person is: {listed(names)}",
                sole(names),
                {"words": {name: sounds_sensitive(name) for name in names}},
                "declare those that matter as problem.groups, so that figures are told by group",
                tuple(Edit(("problem", "groups"), name, add=True) for name in names),
            )

    def _small(self, look: Look, declared: bool) -> Iterator[Finding]:
        small = look.counts.filter(pl.col("count") < FEW)
        if small.height:
            shown = [f"{value} ({count:,})" for value, count in small.iter_rows()]
            yield Finding(
                self.code,
                "warn" if declared else "tip",
                f"{look.name}: {small.height} of {look.distinct} groups have fewer than {FEW} "
                f"rows: {listed(shown, 5)}",
                look.name,
                {"rows": {str(value): int(count) for value, count in small.iter_rows()}},
                "collect more rows of them; until then nobody can say how well they are served",
            )

    def _unlabelled(self, look: Look, view: View) -> Iterator[Finding]:
        """Groups whose rows have a target more seldom than others'."""
        for name in view.targets:
            target = view.looks.get(name)
            if target is None or not target.missing:
                continue
            gone = pl.DataFrame({"group": look.column, "gone": target.column.is_null()})
            gone = gone.drop_nulls("group")
            codes = gone["group"].rank("dense").to_numpy().astype("int64") - 1
            told = variance_told(codes, gone["gone"].cast(pl.Float64).to_numpy()[:, None])
            if told < UNEQUAL or told * len(codes) < CHANCE:
                continue
            shares = gone.group_by("group").agg(pl.col("gone").mean()).sort("gone", "group")
            first, last = shares.row(0), shares.row(-1)
            yield Finding(
                self.code,
                "warn" if look.name in view.groups else "tip",
                f"{name} is missing in {last[1]:.0%} of the rows of {look.name} {last[0]}, in "
                f"{first[1]:.0%} of those of {first[0]}",
                look.name,
                {"missing": {str(group): float(share) for group, share in shares.iter_rows()}},
                "find out who decides which rows get a target; a model learns from the others",
            )


CHECK = Sensitive()
