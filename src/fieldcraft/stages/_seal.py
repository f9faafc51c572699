"""Open the sealed test set: on the record, and again only with a reason."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import polars as pl

from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.contracts import Json
from fieldcraft.core import digest, files, seeds
from fieldcraft.core.errors import SealError
from fieldcraft.core.words import plural
from fieldcraft.develop.rows import parse_target, units_of, weights_of
from fieldcraft.evidence.bootstrap import Draw, interval, resample
from fieldcraft.evidence.ledger import Entry, Ledger
from fieldcraft.evidence.records import Measure
from fieldcraft.project.folder import Folder


def openings(project: Folder, test: str | None = None) -> list[Entry]:
    """Every opening of the project's test set on record; of one test set if its digest is given."""
    entries = Ledger(project.ledger).entries(kind="opening")
    return [entry for entry in entries if test in (None, entry.body["test"])]


def open_seal(project: Folder, split: Path, again: str | None) -> Json:
    """Measure the current bundle on the test rows.

    The opening is written into the ledger before the rows are read, so it cannot go unseen.

    Raises:
        SealError: the test set was opened before and no reason is given, or it has no rows.
    """
    about = files.read_json(split / "about.json")
    test = about["digests"]["test"]
    before = openings(project, test)
    if before and not (again and again.strip()):
        model = before[-1].body["model_id"]
        raise SealError(
            "the test set has been opened before",
            seen=f"{plural(len(before), 'time')}, last {before[-1].at[:16]} for model {model[:12]}",
            way_out="judge rows serve for choosing models; if the test set must be used again, "
            'say why: fieldcraft evaluate --final --again "why"',
        )
    if not about["counts"].get("test"):
        raise SealError(
            "there are no test rows",
            seen=f"parts of the split: {about['counts']}",
            way_out="set split.test above 0, or give a test file with --test",
        )
    bundle = load_bundle(project.bundle)
    ledger = Ledger(project.ledger)
    reason = again.strip() if again else "final evaluation"
    body = {"test": test, "model_id": bundle.model_id, "reason": reason, "number": len(before) + 1}
    ledger.append([("opening", "evaluate", test, body)])
    measures = measure(project, bundle, split, digest.of_json([test, "test"]))
    titles = {metric.name: metric.title for metric in bundle.task.metrics}
    result = {
        **body,
        "rows": measures[0].rows,
        "measures": [{**found.as_json(), "title": titles[found.metric]} for found in measures],
    }
    records = [("measure", "evaluate", test, found.as_json()) for found in measures]
    ledger.append([*records, ("final", "evaluate", test, result)])
    return result


def measure(project: Folder, bundle: Bundle, split: Path, data: str) -> list[Measure]:
    """Every metric of the bundle on the sealed rows, with its interval."""
    settings = project.settings()
    rows = pl.read_parquet(split / "sealed" / "test.parquet")
    y = bundle.task.encode(parse_target(rows, settings), bundle.about)
    said = bundle.read(rows)
    seed = seeds.derive(settings.train.seed, "bootstrap")
    draw = Draw(len(y), seed, units_of(rows, settings), weights_of(rows, settings))
    metrics = bundle.task.metrics
    drawn = resample({metric.name: partial(metric.values, y, said) for metric in metrics}, draw)
    found = []
    for metric in metrics:
        at = interval(drawn[metric.name], inflated=metric.inflated)
        value, low, high = (v if v == v else None for v in (at.value, at.low, at.high))
        found.append(
            Measure(
                metric.name, "test", bundle.manifest["learner"], value, low, high, at.level,
                len(y), data, bundle.model_id,
            )
        )  # fmt: skip
    return found
