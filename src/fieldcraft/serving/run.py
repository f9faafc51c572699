"""Start a server, and end it without losing a request."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import uvicorn

from fieldcraft.serving import plain, v2
from fieldcraft.serving.counters import Counters
from fieldcraft.serving.crew import Post
from fieldcraft.serving.door import Door
from fieldcraft.serving.limits import Limits
from fieldcraft.serving.model import Manners
from fieldcraft.serving.pages import Pages
from fieldcraft.serving.patience import patient
from fieldcraft.serving.platforms import health_routes, predict_routes
from fieldcraft.serving.record import Log
from fieldcraft.serving.served import Served

DRAINING = 0.5  # seconds in which those who come are told that the server is closing


@dataclass(frozen=True)
class Address:
    """Where a server listens.

    Attributes:
        host: loopback unless it is told otherwise.
        port: of TCP; 0 for any that is free.
        certificate, key: files for TLS.
    """

    host: str = "127.0.0.1"
    port: int = 8_000
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True)
class Plan:
    """What is served, and how.

    Attributes:
        bundles: folders by the name of their model.
        address: where the server listens.
        limits: of requests.
        manners: of the models.
        workers: processes of each model.
        route: path of predictions of the only model, beside ``/predict``.
        invalid: status of an answer to rows that do not fit.
        token: that callers must bring, if any.
        log: of predictions, a folder a model in it, if they are recorded.
    """

    bundles: Mapping[str, Path]
    address: Address = field(default_factory=Address)
    limits: Limits = field(default_factory=Limits)
    manners: Manners = field(default_factory=Manners)
    workers: int = 1
    route: str | None = None
    invalid: int = 422
    token: str | None = None
    log: Log | None = None


@dataclass
class Server:
    """A running server.

    Attributes:
        plan: what it serves.
        models: by name.
    """

    plan: Plan
    counters: Counters = field(default_factory=Counters)
    models: dict[str, Served] = field(default_factory=dict)

    async def start(self) -> Door:
        """Put every model to work.

        Raises:
            BundleError: a bundle cannot be run.
        """
        plan = self.plan
        for name, folder in plan.bundles.items():
            log = plan.log and replace(plan.log, folder=plan.log.folder / name)
            served = Served(Post(folder, name, plan.manners, plan.limits, log), self.counters)
            self.models[name] = served
            await served.start(plan.workers)
        routes = {f"/models/{name}/predict": name for name in self.models}
        if len(self.models) == 1:
            name = next(iter(self.models))
            routes = {"/predict": name, **({plan.route: name} if plan.route else {}), **routes}
        hot: dict[str, tuple[str, Served]] = {
            path: (plain.NAME, self.models[name]) for path, name in routes.items()
        }
        for name, model in self.models.items():
            hot[f"/v2/models/{name}/infer"] = (v2.NAME, model)
        if len(self.models) == 1:
            (model,) = self.models.values()
            hot |= {path: (how, model) for path, how in predict_routes(os.environ).items()}
        self.pages = Pages(self.models, self.counters, routes, health_routes(os.environ))
        self.door = Door(hot, self.pages.app, self.counters, plan.limits, plan.token, plan.invalid)
        return self.door

    async def turn_away(self) -> None:
        """Tell new callers that the server is closing, for as long as some may be on their way."""
        self.door.open = self.pages.open = False
        await asyncio.sleep(DRAINING)

    async def stop(self) -> None:
        """Answer what has been accepted, then end the processes."""
        try:
            async with asyncio.timeout(self.plan.limits.grace):
                while self.door.running:
                    await asyncio.sleep(0.01)
        except TimeoutError:
            pass
        await asyncio.gather(*(model.stop() for model in self.models.values()))


class Listener(uvicorn.Server):
    """A uvicorn server that turns new callers away first, then answers the others, then ends."""

    def __init__(self, config: uvicorn.Config, server: Server, started: Any) -> None:
        """A server that is not started yet."""
        super().__init__(config)
        self.ours = server
        self.told = started

    async def startup(self, sockets: Any = None) -> None:
        """Listen, and say where."""
        await super().startup(sockets)
        if self.started:
            self.told(self.servers[0].sockets[0].getsockname())

    async def shutdown(self, sockets: Any = None) -> None:
        """Turn new callers away, then listen no more, then let accepted requests end."""
        await self.ours.turn_away()
        for server in self.servers:
            server.close()
        await self.ours.stop()
        await super().shutdown(sockets)


def serve(plan: Plan, started: Any = lambda name: None) -> None:
    """Serve bundles until the process is told to stop.

    Args:
        plan: what is served, and how.
        started: told the address once the server listens.

    Raises:
        BundleError: a bundle cannot be run.
    """
    asyncio.run(run(plan, started))


async def run(plan: Plan, started: Any) -> None:
    """Serve bundles until the process is told to stop."""
    listener = await listener_for(plan, started)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *told: None)  # uvicorn raises them again once all is done
    await listener.serve()


async def listener_for(plan: Plan, started: Any) -> Listener:
    """A server whose models are at work and that does not listen yet."""
    server = Server(plan)
    door = await server.start()
    address = plan.address
    config = uvicorn.Config(
        door, host=address.host, port=address.port, log_level="warning", access_log=False,
        lifespan="off", server_header=False, date_header=False,
        http=patient(plan.limits.body_seconds),
        ssl_certfile=address.certificate, ssl_keyfile=address.key,
        timeout_graceful_shutdown=int(plan.limits.grace), backlog=2_048,
    )  # fmt: skip
    return Listener(config, server, started)
