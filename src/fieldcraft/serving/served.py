"""A model by name: its queue, the processes that run it, and its change to another version."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fieldcraft.bundle.manifest import NAME
from fieldcraft.core.errors import BundleError, FieldcraftError
from fieldcraft.serving.counters import Counters
from fieldcraft.serving.crew import Crew, Post
from fieldcraft.serving.line import Line

LOOK_EVERY = 1.0  # seconds between looks whether the bundle is another one


class Served:
    """A model that is served; its bundle may be replaced while it works."""

    def __init__(self, post: Post, counters: Counters) -> None:
        """Nobody works yet; `start` puts the model to work."""
        self.post = post
        self.name = post.name
        self.manners = post.manners
        self.counters = counters
        self.line = Line(post.limits)
        self.crew: Crew | None = None
        self.workers = 1
        self.stamp: Any = None
        self.looking: asyncio.Task[None] | None = None

    @property
    def about(self) -> dict[str, Any]:
        """What the model says of itself."""
        return self.crew.about if self.crew else {}

    @property
    def metadata(self) -> dict[str, Any]:
        """What a client of the open protocol may ask."""
        found: dict[str, Any] = json.loads(self.about["metadata"])
        return found

    @property
    def ready(self) -> bool:
        """Whether it answers."""
        return self.crew is not None and self.crew.ready

    async def start(self, workers: int) -> None:
        """Put the model to work, and look after its bundle from now on.

        Raises:
            BundleError: the bundle cannot be run.
        """
        self.workers = workers
        self.stamp = stamp(self.post.folder)
        self.crew = await self.fresh_crew()
        self.looking = asyncio.create_task(self.look_after())

    async def fresh_crew(self) -> Crew:
        """Processes with the bundle as it is now.

        Raises:
            BundleError: it cannot be run.
        """
        crew = Crew(self.post, self.line, lambda tally: self.counters.tally(self.name, tally))
        await crew.start(self.workers)
        self.counters.version.labels(self.name, crew.about["version"]).set(1)
        return crew

    async def look_after(self) -> None:
        """Change to another version whenever the bundle is replaced by one."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            found = stamp(self.post.folder)
            if found is not None and found != self.stamp:
                self.stamp = found
                await self.change()

    async def change(self) -> None:
        """Put the new bundle to work, then let the old processes go; if it is broken, they stay."""
        try:
            crew = await self.fresh_crew()
        except FieldcraftError as error:
            self.counters.swaps.labels(self.name, "refused").inc()
            print(f"the new bundle is not put to work: {error}", flush=True)  # noqa: T201
            return
        before, self.crew = self.crew, crew
        self.counters.swaps.labels(self.name, "done").inc()
        if before is not None:
            if before.about["version"] != crew.about["version"]:
                self.counters.version.remove(self.name, before.about["version"])
            await before.stop()

    def refresh(self) -> None:
        """Bring the gauges up to date."""
        self.counters.queue.labels(self.name).set(len(self.line.waiting))
        self.counters.dropped.labels(self.name).set(self.line.dropped)
        if self.crew is not None:
            self.counters.deaths.labels(self.name).set(self.crew.deaths)

    async def stop(self) -> None:
        """Answer what waits, then end the processes."""
        if self.looking is not None:
            self.looking.cancel()
        while self.line.waiting and self.ready:
            await asyncio.sleep(0.01)
        if self.crew is not None:
            await self.crew.stop()


def stamp(folder: Path) -> tuple[int, int] | None:
    """What changes with the manifest of a bundle; None while there is none."""
    try:
        found = (folder / NAME).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def named(paths: Sequence[str]) -> dict[str, Path]:
    """Bundles by name: ``NAME=PATH``, or a path whose folder, or project, gives the name.

    Raises:
        BundleError: two have the same name.
    """
    found: dict[str, Path] = {}
    for given in paths:
        name, mark, place = given.rpartition("=")
        path = Path(place if mark else given)
        folder = path.resolve()
        chosen = name or (folder.parent.name if folder.name == "bundle" else folder.stem)
        if chosen in found:
            raise BundleError(
                f"two bundles have the name {chosen!r}",
                seen=f"{found[chosen]} and {path}",
                way_out="name them: fieldcraft serve first=PATH second=PATH",
            )
        found[chosen] = path
    return found
