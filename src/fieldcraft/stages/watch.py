"""Watch a model at work: what is broken, what has drifted, and who is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.contracts import Json, Stage
from fieldcraft.core import files
from fieldcraft.core.errors import DataError, ProjectError
from fieldcraft.project.settings import Watch
from fieldcraft.serving import alerts, gauges
from fieldcraft.serving.model import VERSION
from fieldcraft.serving.vitals import Vitals, vitals_of
from fieldcraft.serving.watcher import Watcher
from fieldcraft.serving.windows import Span, alone, windows

FORMAT = 2  # of the state


@dataclass(frozen=True)
class Request:
    """What is watched, and how.

    Attributes:
        bundle: whose rows they are.
        source: folder of the prediction log, or rows: see `read_table`.
        out: folder for the state, ``state.json``, the report, ``report.html``, and gauges for
            Prometheus, ``metrics.prom``.
        rows, every: of a window, instead of what the project file said.
        season: with which windows are compared: see `Watch`.
        tell: whom alerts are told and which server is asked, as the project file says it; a
            bundle cannot say so.
        report: whether to write the report.
        now: the time.
    """

    bundle: Path
    source: str
    out: Path
    rows: int | None = None
    every: float | None = None
    season: str | None = None
    tell: Watch = field(default_factory=Watch)
    report: bool = True
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))


def watch(request: Request) -> Json:
    """Look at the windows that came since the last time, and tell new alerts.

    Returns:
        ``new`` alerts and those that ``stand``, the ``windows`` that were looked at now, and what
        could not be told.

    Raises:
        BundleError: the bundle cannot be trusted.
        DataError: the rows cannot be read, the state is damaged, or another watch is at work.
        ProjectError: rows cannot be cut into the windows that are asked for.
    """
    bundle = load_bundle(request.bundle)
    wishes = wishes_of(bundle, request)
    with alone(request.out):
        return looked_at(request, bundle, wishes)


def looked_at(request: Request, bundle: Bundle, wishes: Watch) -> Json:
    """Look at new windows, keep the state, tell alerts, write the report."""
    path = request.out / "state.json"
    state = state_of(path, bundle, request.source)
    watcher = Watcher(bundle, wishes)
    if "watcher" in state:
        watcher.restore(state["watcher"])
    waiting, new, count, few = list(state.get("waiting", [])), list[Json](), 0, 0
    ways = list(alerts.senders(request.tell))
    span = Span(wishes.rows, wishes.every)
    for window, mark in windows(request.source, bundle, span, state["mark"], request.now()):
        found = watcher.look(window)
        new, state["mark"], count = [*new, *found], mark, count + 1
        few += window.rows < wishes.least
    waiting += [{"alert": alert, "ways": ways} for alert in new if ways]
    server, counted = server_since(request.tell.server, bundle, state.get("server", {}))
    state |= {"watcher": watcher.state(), "waiting": waiting, "server": counted}
    files.write_json(
        path, state
    )  # before they are sent: a crash tells them twice, never not at all
    state["waiting"], failed = alerts.deliver(waiting, request.tell)
    files.write_json(path, state)
    result = {
        "model_id": bundle.model_id, "windows": count, "few": few, "least": wishes.least,
        "new": new, "stand": list(watcher.alerts.values()), "failed": failed,
        "reference": bundle.profile["rows"], "expected": watcher.expects(),
        "not_watched": not_watched(watcher, bundle), "server": server,
    }  # fmt: skip
    gauges.write(request.out / "metrics.prom", watcher)
    if request.report:
        write_report(request, watcher, result)
    return result


def server_since(source: str | None, bundle: Bundle, before: Json) -> tuple[Json | None, Json]:
    """How the server fares since the last look, and what it has counted; a dead one is told of."""
    if source is None:
        return None, before
    try:
        now = vitals_of(source, bundle.model_id[:VERSION])
    except DataError as error:
        return {"trouble": f"{error.what} ({error.seen})"}, before
    known = Vitals(**before) if before else Vitals()
    return now.since(known).told(), asdict(now)


def write_report(request: Request, watcher: Watcher, result: Json) -> None:
    """Write the page, where the libraries that draw are installed."""
    try:
        from fieldcraft.report.watched import write
    except ImportError:
        return  # an image that only serves
    about = request.out / "performance.json"  # of labels that came: see stages/labels.py
    known = files.read_json(about) if about.exists() else {}
    labelled = known if known.get("rows") and known["model_id"] == result["model_id"] else None
    write(request.out / "report.html", watcher, {**result, "performance": labelled})
    result["report"] = str(request.out / "report.html")


def wishes_of(bundle: Bundle, request: Request) -> Watch:
    """How the project wanted its model watched, and what is asked now.

    Raises:
        ProjectError: the two do not go together.
    """
    wishes = Watch.model_validate(bundle.manifest.get("watch", {}))
    asked = {
        name: value
        for name in ("rows", "every", "season")
        if (value := getattr(request, name)) is not None
    }
    if request.rows is not None and request.every is None:
        asked |= {"every": None, "season": None}
    try:
        return Watch.model_validate(wishes.model_dump() | asked)
    except ValidationError as error:
        said = error.errors()[0]
        raise ProjectError(
            "rows cannot be cut into such windows",
            seen=", ".join(f"{name} {value}" for name, value in asked.items()),
            way_out=said["msg"].removeprefix("Value error, "),
        ) from error


def state_of(path: Path, bundle: Bundle, source: str) -> Json:
    """What was kept the last time; of another model or source there is nothing to go on from.

    Raises:
        DataError: the file is damaged.
    """
    place = str(Path(source).resolve()) if Path(source).exists() else source
    fresh: Json = {"format": FORMAT, "model": bundle.model_id, "source": place, "mark": {}}
    if not path.exists():
        return fresh
    try:
        state: Json = files.read_json(path)
        same = {name: state[name] for name in ("format", "model", "source")}
        mark = dict(state["mark"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            "what was kept of earlier windows cannot be read",
            seen=f"{path}: {error!r}"[:200],
            way_out="delete the file to start anew, or pass another folder with --out",
        ) from error
    if same == {name: fresh[name] for name in same}:
        return state
    if same["format"] == FORMAT and same["source"] == place:
        return {**fresh, "mark": mark, "waiting": state.get("waiting", [])}  # a new model
    return {**fresh, "waiting": state.get("waiting", []) if same["format"] == FORMAT else []}


def not_watched(watcher: Watcher, bundle: Bundle) -> list[str]:
    """Columns of the model of which no window had anything to look at."""
    seen = {key.split("|")[0] for item in watcher.history for key in item["levels"]}
    broken = {name for item in watcher.history for name in item["faults"]}
    watched = {one.column for one in watcher.measures.values()} & (seen | broken)
    used = [column.name for column in bundle.schema.columns]
    judged = any(not item["note"] for item in watcher.history)
    return [name for name in used if name not in watched] if judged else []


STAGE = Stage("watch", "Tell what is broken and what drifts at work.", watch)  # type: ignore[arg-type]
