"""Tell how good predictions were, from labels that came later."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

import polars as pl

from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.contracts import Json, Stage
from fieldcraft.core import files
from fieldcraft.core.errors import BundleError, DataError
from fieldcraft.data.read import read_table
from fieldcraft.evidence.performance import LEAST, harmed
from fieldcraft.project.settings import Watch
from fieldcraft.serving import alerts
from fieldcraft.serving.labels import KEPT, join
from fieldcraft.serving.windows import alone, log_in


@dataclass(frozen=True)
class Request:
    """Labels, and the predictions that they are of.

    Attributes:
        bundle: which made the predictions.
        labels: a table of them: see `read_table`.
        log: folder of the prediction log.
        out: folder for ``labels.parquet`` and ``performance.json``, that of the watch.
        tell: whom an alert is told.
    """

    bundle: Path
    labels: str
    log: str
    out: Path
    tell: Watch = field(default_factory=Watch)


def labels(request: Request) -> Json:
    """Join labels to predictions, once each, and tell whether the loss is higher than it was.

    Raises:
        BundleError: the bundle cannot be trusted, or does not know its loss.
        DataError: the labels or the log cannot be read, or a watch is at work.
    """
    bundle = load_bundle(request.bundle)
    if not bundle.manifest.get("performance"):
        raise BundleError(
            "the bundle does not say how good it was",
            seen=bundle.model_id[:16],
            way_out="package the project again: fieldcraft run; models of many labels cannot yet",
        )
    log = log_in(request.log, bundle.model_id)
    if log is None:
        raise DataError(
            "there is no prediction log of this model",
            seen=request.log,
            way_out="pass the folder that `fieldcraft serve --log` writes to",
        )
    with alone(request.out):
        return joined(request, bundle, log)


def joined(request: Request, bundle: Bundle, log: Path) -> Json:
    """Join, keep, measure and tell."""
    path, about = request.out / "labels.parquet", request.out / "performance.json"
    before = pl.DataFrame(schema=KEPT)
    if path.exists():  # an older one may lack columns
        before = pl.concat([before, pl.read_parquet(path)], how="diagonal")
    given = read_table(request.labels).frame
    found = join(given, log, bundle, before)
    keep(found.rows, path)
    mine = found.rows.filter(pl.col("model") == bundle.model_id)
    harm = harmed(mine["loss"].to_numpy(), bundle.manifest["performance"])
    told = files.read_json(about) if about.exists() else {}
    waiting = list(told.get("waiting", []))
    same = told.get("model_id") == bundle.model_id and told.get("since") == harm.since
    new = harm.alarmed and not (same and told.get("alarmed"))
    groups = by_groups(mine, bundle)
    stood = {(one["column"], one["group"], one["since"]) for one in told.get("groups", [])
             if one["alarmed"] and told.get("model_id") == bundle.model_id}  # fmt: skip
    told_now = [alert("", harm.loss or 0.0, harm.allowed, bundle, mine.height)] if new else []
    told_now += [
        alert(f"{one['column']}: {one['group']}", one["loss"], one["allowed"], bundle, one["rows"])
        for one in groups
        if one["alarmed"] and (one["column"], one["group"], one["since"]) not in stood
    ]
    ways = list(alerts.senders(request.tell))
    waiting += [{"alert": one, "ways": ways} for one in told_now]
    left, failed = alerts.deliver([item for item in waiting if item["ways"]], request.tell)
    result = {
        "model_id": bundle.model_id, "reference": bundle.manifest["performance"]["loss"],
        "right": mine["right"].mean(),
        "coverage": mine.height / max(found.counts["predictions"], 1),
        "enough": mine.height >= LEAST, "new": bool(told_now), "failed": failed, "groups": groups,
        **found.counts, **asdict(harm),
    }  # fmt: skip
    files.write_json(about, {**result, "waiting": left})
    return result


def keep(rows: pl.DataFrame, path: Path) -> None:
    """Write joined labels, whole or not at all."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        rows.write_parquet(aside)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def by_groups(mine: pl.DataFrame, bundle: Bundle) -> list[Json]:
    """How each group fares that the model was judged on and that has enough labels."""
    known = bundle.manifest["performance"].get("groups", {})
    streams = sum(len(about["groups"]) for about in known.values())
    texts = mine["groups"].fill_null("{}").str.json_decode(
        pl.Struct(dict.fromkeys(known, pl.String))
    ) if known else None  # fmt: skip
    found = []
    for name, about in known.items():
        assert texts is not None
        groups = texts.struct.field(name)
        for group, reference in about["groups"].items():
            losses = mine.filter((groups == group).fill_null(False))["loss"].to_numpy()
            if len(losses) >= LEAST:
                harm = harmed(losses, reference, streams=streams)
                about_it = {"column": name, "group": group, "reference": reference["loss"]}
                found.append({**about_it, **asdict(harm)})
    return found


def alert(group: str, loss: float, allowed: float, bundle: Bundle, rows: int) -> Json:
    """The alert of predictions that have become worse, of all rows or of a group."""
    whom = f" for {group}" if group else ""
    return {
        "id": f"performance|{group}|loss", "kind": "performance", "column": "", "what": "loss",
        "model": bundle.model_id, "rows": rows,
        "text": f"predictions have become worse{whom}: loss {loss:.4f} over {rows:,} labels, "
        f"lately higher than the {allowed:.4f} that would be no harm",
    }  # fmt: skip


STAGE = Stage("labels", "Tell how good predictions were, once labels are there.", labels)  # type: ignore[arg-type]
