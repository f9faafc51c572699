"""A deployed model: its queue, its worker processes, and the reload of its bundle."""

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

BUNDLE_POLL_SECONDS = 1.0


class DeployedModel:
    """A model that is served; its bundle may be replaced while it runs."""

    def __init__(self, config: WorkerConfig, metrics: ServerMetrics) -> None:
        """Prepare a model; `start` starts its workers."""
        self.config = config
        self.name = config.model_name
        self.policy = config.policy
        self.metrics = metrics
        # Created here, not in the pool: a Prometheus counter must not fall when a reload replaces
        # the pool, and it must exist from the start, with the value 0.
        self.worker_restarts = metrics.worker_restarts.labels(self.name)
        self.queue = RequestQueue(config.limits, metrics.dropped_requests.labels(self.name).inc)
        self.pool: WorkerPool | None = None
        self.n_workers = 1
        self.signature: Any = None
        self.watch_task: asyncio.Task[None] | None = None

    @property
    def info(self) -> dict[str, Any]:
        """What the workers report about the model: see `worker.describe_model`."""
        return self.pool.model_info if self.pool else {}

    @property
    def metadata(self) -> dict[str, Any]:
        """Metadata for the Open Inference Protocol."""
        metadata_json: dict[str, Any] = json.loads(self.info["metadata"])
        return metadata_json

    @property
    def is_ready(self) -> bool:
        """Whether at least one worker answers."""
        return self.pool is not None and self.pool.is_ready

    async def start(self, n_workers: int) -> None:
        """Start the workers, then watch the bundle for changes.

        Raises:
            BundleError: the bundle cannot be run.
        """
        self.n_workers = n_workers
        # Read before the workers load the bundle: if it is replaced meanwhile, it is loaded again.
        self.signature = file_signature(self.config.folder)
        self.pool = await self.start_pool()
        self.watch_task = asyncio.create_task(self.watch_bundle())

    async def start_pool(self) -> WorkerPool:
        """Start workers with the current bundle.

        Raises:
            BundleError: the bundle cannot be run.
        """
        pool = WorkerPool(
            self.config,
            self.queue,
            lambda tally: self.metrics.add_tally(self.name, tally),
            self.worker_restarts.inc,
        )
        await pool.start(self.n_workers)
        self.metrics.model_info.labels(self.name, pool.model_info["version"]).set(1)
        return pool

    async def watch_bundle(self) -> None:
        """Reload the bundle whenever it is replaced."""
        while True:
            await asyncio.sleep(BUNDLE_POLL_SECONDS)
            signature = file_signature(self.config.folder)
            if signature is not None and signature != self.signature:
                # Before the reload: a broken bundle is tried once, not every second.
                self.signature = signature
                await self.reload()

    async def reload(self) -> None:
        """Start workers with the new bundle, then stop the old ones.

        If the new bundle cannot be run, the old workers go on.
        """
        try:
            pool = await self.start_pool()
        except FieldcraftError as error:
            self.metrics.model_reloads.labels(self.name, "failure").inc()
            print(f"the new bundle was not loaded: {error}", flush=True)  # noqa: T201
            return
        # Both pools take batches from the same queue, so no request is lost between them.
        previous_pool, self.pool = self.pool, pool
        self.metrics.model_reloads.labels(self.name, "success").inc()
        if previous_pool is not None:
            if previous_pool.model_info["version"] != pool.model_info["version"]:
                self.metrics.model_info.remove(self.name, previous_pool.model_info["version"])
            await previous_pool.stop()

    def update_gauges(self) -> None:
        """Set the gauges to their current values."""
        self.metrics.queue_depth.labels(self.name).set(len(self.queue.pending))

    async def stop(self) -> None:
        """Answer the queued requests, then stop the workers."""
        if self.watch_task is not None:  # first, so that no reload starts further workers
            self.watch_task.cancel()
        while self.queue.pending and self.is_ready:
            await asyncio.sleep(0.01)
        if self.pool is not None:
            await self.pool.stop()


def file_signature(folder: Path) -> tuple[int, int] | None:
    """Return modification time (ns) and inode of a bundle's manifest; None if there is none."""
    try:
        status = (folder / MANIFEST_FILE).stat()
    except OSError:
        return None
    # The inode too: two bundles may be packaged within the resolution of the file system's clock.
    return status.st_mtime_ns, status.st_ino


def name_bundles(paths: Sequence[str]) -> dict[str, Path]:
    """Return the folders of bundles by name.

    An argument is ``NAME=PATH``, or a path alone, which is named after its folder, or after the
    project if the folder is a project's ``bundle``.

    Raises:
        BundleError: two bundles have the same name.
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
