"""Start a server, and stop it without losing a request.

If one model is served, it also gets the prediction routes that platforms expect. SageMaker calls
``/ping`` and ``/invocations``
(https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html). Vertex AI
names its routes in environment variables. KServe uses the Open Inference Protocol.
"""

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
from fieldcraft.serving.management import ManagementApp
from fieldcraft.serving.metrics import ServerMetrics
from fieldcraft.serving.model import RequestPolicy
from fieldcraft.serving.pool import WorkerConfig
from fieldcraft.serving.prediction_log import PredictionLogConfig
from fieldcraft.serving.protocols import json_protocol, open_inference, vertex
from fieldcraft.serving.queue import ServerLimits
from fieldcraft.serving.timeouts import header_timeout_protocol

SAGEMAKER_PREDICT_PATH, SAGEMAKER_HEALTH_PATH = "/invocations", "/ping"
VERTEX_PREDICT_VARIABLE, VERTEX_HEALTH_VARIABLE = "AIP_PREDICT_ROUTE", "AIP_HEALTH_ROUTE"
# After SIGTERM the server still listens this long and answers 503, until load balancers notice that
# it is not ready. Closing the socket at once would reset connections that are being opened.
DRAIN_ANNOUNCEMENT_SECONDS = 0.5


@dataclass(frozen=True)
class ListenAddress:
    """Address of a server.

    Attributes:
        host: host name or IP address; the default accepts connections from this machine only.
        port: TCP port; 0 for any free one.
        certificate_file, key_file: files for TLS.
    """

    host: str = "127.0.0.1"
    port: int = 8_000
    certificate_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True)
class ServerConfig:
    """Configuration of a server.

    Attributes:
        bundles: folders of bundles by the name of their model.
        address: address to listen on.
        limits: limits of requests.
        policy: policy of all models for requests.
        n_workers: worker processes of each model.
        extra_route: further prediction route, beside ``/predict``, if there is one model.
        invalid_status: HTTP status for rows that do not fit the model.
        token: bearer token that clients must send, if any.
        log_config: prediction log, with a subfolder per model; None for no log.
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
    """A server with its models.

    Attributes:
        config: configuration.
        metrics: metrics of the server.
        models: deployed models by name.
    """

    config: ServerConfig
    metrics: ServerMetrics = field(default_factory=ServerMetrics)
    models: dict[str, DeployedModel] = field(default_factory=dict)

    async def start(self) -> PredictionApp:
        """Start the workers of every model and return the application.

        Raises:
            BundleError: a bundle cannot be run.
        """
        config = self.config
        for name, folder in config.bundles.items():
            log_config = config.log_config and replace(
                config.log_config, folder=config.log_config.folder / name
            )
            model = DeployedModel(
                WorkerConfig(folder, name, config.policy, config.limits, log_config), self.metrics
            )
            self.models[name] = model
            await model.start(config.n_workers)
        json_routes = self.build_json_routes()
        self.management = ManagementApp(
            self.models, self.metrics, json_routes, get_health_paths(os.environ)
        )
        self.app = PredictionApp(
            self.build_prediction_routes(json_routes),
            self.management.app,
            self.metrics,
            config.limits,
            config.token,
            config.invalid_status,
        )
        return self.app

    def build_json_routes(self) -> dict[str, str]:
        """Return the prediction routes of the JSON protocol: path to the name of the model."""
        routes = {f"/models/{name}/predict": name for name in self.models}
        if len(self.models) != 1:
            return routes
        (name,) = self.models
        extra_routes = {self.config.extra_route: name} if self.config.extra_route else {}
        return {"/predict": name, **extra_routes, **routes}

    def build_prediction_routes(
        self, json_routes: Mapping[str, str]
    ) -> dict[str, tuple[str, DeployedModel]]:
        """Return the prediction routes of all protocols: path to protocol and model."""
        routes = {
            path: (json_protocol.NAME, self.models[name]) for path, name in json_routes.items()
        }
        for name, model in self.models.items():
            routes[f"/v2/models/{name}/infer"] = (open_inference.NAME, model)
        if len(self.models) == 1:
            (model,) = self.models.values()
            for path, protocol in get_platform_routes(os.environ).items():
                routes[path] = (protocol, model)
        return routes

    async def start_draining(self) -> None:
        """Refuse new requests for a moment, while some may still be on their way."""
        self.app.is_accepting = self.management.is_accepting = False
        await asyncio.sleep(DRAIN_ANNOUNCEMENT_SECONDS)

    async def stop(self) -> None:
        """Answer the requests that were accepted, then stop the workers."""
        try:
            async with asyncio.timeout(self.config.limits.shutdown_timeout_seconds):
                while self.app.active_requests:
                    await asyncio.sleep(0.01)
        except TimeoutError:
            pass
        await asyncio.gather(*(model.stop() for model in self.models.values()))


def get_platform_routes(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the prediction routes that platforms expect: path to protocol."""
    protocol_by_path = {SAGEMAKER_PREDICT_PATH: json_protocol.NAME}
    if path := environment.get(VERTEX_PREDICT_VARIABLE):
        protocol_by_path[path] = vertex.NAME
    return protocol_by_path


def get_health_paths(environment: Mapping[str, str]) -> list[str]:
    """Return the readiness paths that platforms expect."""
    path = environment.get(VERTEX_HEALTH_VARIABLE)
    return [SAGEMAKER_HEALTH_PATH, *([path] if path else [])]


class UvicornServer(uvicorn.Server):
    """A uvicorn server that refuses new requests, answers accepted ones, and then stops."""

    def __init__(self, config: uvicorn.Config, model_server: ModelServer, on_started: Any) -> None:
        """Prepare a server; `serve` starts it."""
        super().__init__(config)
        self.model_server = model_server
        self.on_started = on_started

    async def startup(self, sockets: Any = None) -> None:
        """Start to listen, and report the address."""
        await super().startup(sockets)
        if self.started:
            self.on_started(self.servers[0].sockets[0].getsockname())

    async def shutdown(self, sockets: Any = None) -> None:
        """Refuse new requests, stop listening, answer accepted requests."""
        # uvicorn's own shutdown closes connections, so it comes after the last answer.
        await self.model_server.start_draining()
        for server in self.servers:
            server.close()
        await self.model_server.stop()
        await super().shutdown(sockets)


def run_server(config: ServerConfig, on_started: Any = lambda address: None) -> None:
    """Serve bundles until the process gets SIGTERM or SIGINT.

    Args:
        config: configuration of the server.
        on_started: called with the address once the server listens.

    Raises:
        BundleError: a bundle cannot be run.
    """
    asyncio.run(serve_until_stopped(config, on_started))


async def serve_until_stopped(config: ServerConfig, on_started: Any) -> None:
    """Serve bundles until the process gets SIGTERM or SIGINT."""
    uvicorn_server = await create_uvicorn_server(config, on_started)
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        # After its shutdown uvicorn raises again the signals that it caught. With the default
        # handlers that would end the process with an error code.
        signal.signal(signal_number, lambda *arguments: None)
    await uvicorn_server.serve()


async def create_uvicorn_server(config: ServerConfig, on_started: Any) -> UvicornServer:
    """Start the workers and return a server that does not listen yet."""
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
