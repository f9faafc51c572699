"""Print how challenger and champion compare, and which versions there were, for 80 columns."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any, TextIO

WIDTH = 80
SHOWN = 12  # characters of a model's id
Json = dict[str, Any]
HEADS = {
    "promoted": "promoted: the challenger is the champion now",
    "refused": "refused: the champion stays",
    "blocked": "blocked: nothing was trained",
    "waiting": "nothing to do yet",
    "running": "nothing done",
}


def retrained(result: Json, as_json: bool, to: TextIO | None = None) -> None:
    """What came of a retraining, gate by gate."""
    with redirect_stdout(to or sys.stdout):
        print(json.dumps(result)) if as_json else told(result)


def told(result: Json) -> None:
    """The same for a person."""
    print(HEADS[result["outcome"]])
    for gate in result["gates"]:
        line(f"{'ok ' if gate['passed'] else 'NOT'} {gate['gate']}: {gate['text']}")
    if not result["gates"]:
        for reason in result["reasons"]:
            line(reason)
    if "judge_rows" in result:
        line(f"{result['new']:,} new rows, {result['rows']:,} in all; the judge rows were used "
             f"for the {ordinal(result['judge_rows']['use'])} time")  # fmt: skip
    if result["outcome"] == "promoted":
        line("back to the old one: fieldcraft rollback")


def rolled_back(result: Json, as_json: bool) -> None:
    """Which version is the current one again."""
    if as_json:
        print(json.dumps(result))
        return
    print(f"{result['model_id'][:SHOWN]} is the current bundle again, {result['before'][:SHOWN]} "
          f"no more; it took {1e3 * result['seconds']:.0f} ms")  # fmt: skip


def listed(versions: Sequence[Json], as_json: bool) -> None:
    """Each time that a bundle became the current one."""
    if as_json:
        print(json.dumps(versions))
        return
    if not versions:
        print("no version yet: fieldcraft run makes one")
    for found in versions:
        by = f"by {found['by']}, {found['who']}" + (f", {found['why']}" if found["why"] else "")
        line(f"{found['at'][:16]}  {found['model_id'][:SHOWN]}  {by}")


def line(text: str) -> None:
    """A line that is told below another."""
    print(textwrap.fill(text, WIDTH, initial_indent="  ", subsequent_indent="      "))


def ordinal(number: int) -> str:
    """A number as it counts things.

    >>> ordinal(1), ordinal(2), ordinal(12), ordinal(23)
    ('1st', '2nd', '12th', '23rd')
    """
    teen = number % 100 in (11, 12, 13)
    return f"{number}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"
