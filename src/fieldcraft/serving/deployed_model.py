"""A model by name: its queue, the processes that run it, and its change to another version."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fieldcraft.bundle.manifest import MANIFEST_FILE
from fieldcraft.core.errors import BundleError, FieldcraftError
from fieldcraft.serving.metrics import ServerMetrics
from fieldcraft.serving.pool import WorkerConfig, WorkerPool
from fieldcraft.serving.queue import RequestQueue

BUNDLE_POLL_SECONDS = 1.0  # seconds between looks whether the bundle is another one


class DeployedModel:
    """A model that is served; its bundle may be replaced while it works."""

    def __init__(self, config: WorkerConfig, metrics: ServerMetrics) -> None:
        """Nobody works yet; `start` puts the model to work."""
        self.config = config
        self.name = config.model_name
        self.policy = config.policy
        self.metrics = metrics
        self.queue = RequestQueue(config.limits)
        self.pool: WorkerPool | None = None
        self.n_workers = 1
        self.signature: Any = None
        self.watch_task: asyncio.Task[None] | None = None

    @property
    def info(self) -> dict[str, Any]:
        """What the model says of itself."""
        return self.pool.model_info if self.pool else {}

    @property
    def metadata(self) -> dict[str, Any]:
        """What a client of the open protocol may ask."""
        metadata_json: dict[str, Any] = json.loads(self.info["metadata"])
        return metadata_json

    @property
    def is_ready(self) -> bool:
        """Whether it answers."""
        return self.pool is not None and self.pool.is_ready

    async def start(self, n_workers: int) -> None:
        """Put the model to work, and look after its bundle from now on.

        Raises:
            BundleError: the bundle cannot be run.
        """
        self.n_workers = n_workers
        self.signature = file_signature(self.config.folder)
        self.pool = await self.start_pool()
        self.watch_task = asyncio.create_task(self.watch_bundle())

    async def start_pool(self) -> WorkerPool:
        """Processes with the bundle as it is now.

        Raises:
            BundleError: it cannot be run.
        """
        pool = WorkerPool(
            self.config, self.queue, lambda tally: self.metrics.add_tally(self.name, tally)
        )
        await pool.start(self.n_workers)
        self.metrics.model_info.labels(self.name, pool.model_info["version"]).set(1)
        return pool

    async def watch_bundle(self) -> None:
        """Change to another version whenever the bundle is replaced by one."""
        while True:
            await asyncio.sleep(BUNDLE_POLL_SECONDS)
            signature = file_signature(self.config.folder)
            if signature is not None and signature != self.signature:
                self.signature = signature
                await self.reload()

    async def reload(self) -> None:
        """Put the new bundle to work, then let the old processes go; if it is broken, they stay."""
        try:
            pool = await self.start_pool()
        except FieldcraftError as error:
            self.metrics.model_reloads.labels(self.name, "refused").inc()
            print(f"the new bundle is not put to work: {error}", flush=True)  # noqa: T201
            return
        previous_pool, self.pool = self.pool, pool
        self.metrics.model_reloads.labels(self.name, "done").inc()
        if previous_pool is not None:
            if previous_pool.model_info["version"] != pool.model_info["version"]:
                self.metrics.model_info.remove(self.name, previous_pool.model_info["version"])
            await previous_pool.stop()

    def update_gauges(self) -> None:
        """Bring the gauges up to date."""
        self.metrics.queue_depth.labels(self.name).set(len(self.queue.pending))
        self.metrics.dropped_requests.labels(self.name).set(self.queue.n_dropped)
        if self.pool is not None:
            self.metrics.worker_restarts.labels(self.name).set(self.pool.n_restarts)

    async def stop(self) -> None:
        """Answer what waits, then end the processes."""
        if self.watch_task is not None:
            self.watch_task.cancel()
        while self.queue.pending and self.is_ready:
            await asyncio.sleep(0.01)
        if self.pool is not None:
            await self.pool.stop()


def file_signature(folder: Path) -> tuple[int, int] | None:
    """What changes with the manifest of a bundle; None while there is none."""
    try:
        status = (folder / MANIFEST_FILE).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


def name_bundles(paths: Sequence[str]) -> dict[str, Path]:
    """Bundles by name: ``NAME=PATH``, or a path whose folder, or project, gives the name.

    Raises:
        BundleError: two have the same name.
    """
    bundles: dict[str, Path] = {}
    for argument in paths:
        name, separator, location = argument.rpartition("=")
        path = Path(location if separator else argument)
        folder = path.resolve()
        bundle_name = name or (folder.parent.name if folder.name == "bundle" else folder.stem)
        if bundle_name in bundles:
            raise BundleError(
                f"two bundles have the name {bundle_name!r}",
                detail=f"{bundles[bundle_name]} and {path}",
                hint="name them: fieldcraft serve first=PATH second=PATH",
            )
        bundles[bundle_name] = path
    return bundles
