"""Texts that have no letter: marks, numbers, faces."""

from __future__ import annotations

from collections.abc import Iterable

from fieldcraft.contracts import Sight, View
from fieldcraft.evidence.records import Finding
from fieldcraft.kinds.text.audit.written import share, texts_of

MANY = 0.05


class WithoutLetters:
    """Texts without a letter of any script."""

    code = "without_letters"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Count such texts of each column."""
        for written in texts_of(view):
            bare = written.of(~written.texts.str.contains(r"\p{L}").to_numpy())
            if not len(bare):
                continue
            yield Finding(
                self.code,
                "warn" if len(bare) >= MANY * len(written) else "tip",
                f"{written.name}: {share(len(bare), len(written))} "
                f"{'has' if len(bare) == 1 else 'have'} no letter, {bare.where()}",
                written.name,
                {"texts": len(bare), "rows": bare.rows()},
                "look at them: marks that stand for no text belong in data.missing, rows that "
                "say nothing can go; a number is better told in a column of its own",
            )
