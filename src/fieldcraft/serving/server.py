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

from fieldcraft.serving.app import PredictionApp
from fieldcraft.serving.deployed_model import DeployedModel
from fieldcraft.serving.limits import ServerLimits
from fieldcraft.serving.management import ManagementApp
from fieldcraft.serving.metrics import ServerMetrics
from fieldcraft.serving.model import RequestPolicy
from fieldcraft.serving.platforms import get_health_routes, get_prediction_routes
from fieldcraft.serving.pool import WorkerConfig
from fieldcraft.serving.prediction_log import PredictionLogConfig
from fieldcraft.serving.protocols import json_protocol, open_inference
from fieldcraft.serving.timeouts import header_timeout_protocol

DRAIN_ANNOUNCEMENT_SECONDS = (
    0.5  # seconds in which those who come are told that the server is closing
)


@dataclass(frozen=True)
class ListenAddress:
    """Where a server listens.

    Attributes:
        host: loopback unless it is told otherwise.
        port: of TCP; 0 for any that is free.
        certificate, key: files for TLS.
    """

    host: str = "127.0.0.1"
    port: int = 8_000
    certificate_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True)
class ServerConfig:
    """What is served, and how.

    Attributes:
        bundles: folders by the name of their model.
        address: where the server listens.
        limits: of requests.
        policy: of the models.
        n_workers: processes of each model.
        extra_route: path of predictions of the only model, beside ``/predict``.
        invalid_status: status of an answer to rows that do not fit.
        token: that callers must bring, if any.
        log_config: of predictions, a folder a model in it, if they are recorded.
    """

    bundles: Mapping[str, Path]
    address: ListenAddress = field(default_factory=ListenAddress)
    limits: ServerLimits = field(default_factory=ServerLimits)
    policy: RequestPolicy = field(default_factory=RequestPolicy)
    n_workers: int = 1
    extra_route: str | None = None
    invalid_status: int = 422
    token: str | None = None
    log_config: PredictionLogConfig | None = None


@dataclass
class ModelServer:
    """A running server.

    Attributes:
        config: what it serves.
        models: by name.
    """

    config: ServerConfig
    metrics: ServerMetrics = field(default_factory=ServerMetrics)
    models: dict[str, DeployedModel] = field(default_factory=dict)

    async def start(self) -> PredictionApp:
        """Put every model to work.

        Raises:
            BundleError: a bundle cannot be run.
        """
        config = self.config
        for name, folder in config.bundles.items():
            log_config = config.log_config and replace(
                config.log_config, folder=config.log_config.folder / name
            )
            deployed = DeployedModel(
                WorkerConfig(folder, name, config.policy, config.limits, log_config), self.metrics
            )
            self.models[name] = deployed
            await deployed.start(config.n_workers)
        routes = {f"/models/{name}/predict": name for name in self.models}
        if len(self.models) == 1:
            name = next(iter(self.models))
            routes = {
                "/predict": name,
                **({config.extra_route: name} if config.extra_route else {}),
                **routes,
            }
        prediction_routes: dict[str, tuple[str, DeployedModel]] = {
            path: (json_protocol.NAME, self.models[name]) for path, name in routes.items()
        }
        for name, model in self.models.items():
            prediction_routes[f"/v2/models/{name}/infer"] = (open_inference.NAME, model)
        if len(self.models) == 1:
            (model,) = self.models.values()
            prediction_routes |= {
                path: (protocol, model)
                for path, protocol in get_prediction_routes(os.environ).items()
            }
        self.management = ManagementApp(
            self.models, self.metrics, routes, get_health_routes(os.environ)
        )
        self.app = PredictionApp(
            prediction_routes,
            self.management.app,
            self.metrics,
            config.limits,
            config.token,
            config.invalid_status,
        )
        return self.app

    async def start_draining(self) -> None:
        """Tell new callers that the server is closing, for as long as some may be on their way."""
        self.app.is_accepting = self.management.is_accepting = False
        await asyncio.sleep(DRAIN_ANNOUNCEMENT_SECONDS)

    async def stop(self) -> None:
        """Answer what has been accepted, then end the processes."""
        try:
            async with asyncio.timeout(self.config.limits.shutdown_timeout_seconds):
                while self.app.active_requests:
                    await asyncio.sleep(0.01)
        except TimeoutError:
            pass
        await asyncio.gather(*(model.stop() for model in self.models.values()))


class UvicornServer(uvicorn.Server):
    """A uvicorn server that turns new callers away first, then answers the others, then ends."""

    def __init__(self, config: uvicorn.Config, model_server: ModelServer, on_started: Any) -> None:
        """A server that is not started yet."""
        super().__init__(config)
        self.model_server = model_server
        self.on_started = on_started

    async def startup(self, sockets: Any = None) -> None:
        """Listen, and say where."""
        await super().startup(sockets)
        if self.started:
            self.on_started(self.servers[0].sockets[0].getsockname())

    async def shutdown(self, sockets: Any = None) -> None:
        """Turn new callers away, then listen no more, then let accepted requests end."""
        await self.model_server.start_draining()
        for server in self.servers:
            server.close()
        await self.model_server.stop()
        await super().shutdown(sockets)


def serve(config: ServerConfig, on_started: Any = lambda name: None) -> None:
    """Serve bundles until the process is told to stop.

    Args:
        config: what is served, and how.
        on_started: told the address once the server listens.

    Raises:
        BundleError: a bundle cannot be run.
    """
    asyncio.run(run_server(config, on_started))


async def run_server(config: ServerConfig, on_started: Any) -> None:
    """Serve bundles until the process is told to stop."""
    uvicorn_server = await create_uvicorn_server(config, on_started)
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(
            signal_number, lambda *told: None
        )  # uvicorn raises them again once all is done
    await uvicorn_server.serve()


async def create_uvicorn_server(config: ServerConfig, on_started: Any) -> UvicornServer:
    """A server whose models are at work and that does not listen yet."""
    model_server = ModelServer(config)
    app = await model_server.start()
    address = config.address
    uvicorn_config = uvicorn.Config(
        app, host=address.host, port=address.port, log_level="warning", access_log=False,
        lifespan="off", server_header=False, date_header=False,
        http=header_timeout_protocol(config.limits.read_timeout_seconds),
        ssl_certfile=address.certificate_file, ssl_keyfile=address.key_file,
        timeout_graceful_shutdown=int(config.limits.shutdown_timeout_seconds), backlog=2_048,
    )  # fmt: skip
    return UvicornServer(uvicorn_config, model_server, on_started)
