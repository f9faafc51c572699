"""Everything of the server but predictions: health, metadata, figures, and the pages that explain.

The description of the server (OpenAPI) is made from the models' own schemas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import HTTPException
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException as Missing

from fieldcraft.serving.deployed_model import DeployedModel
from fieldcraft.serving.errors import RequestError
from fieldcraft.serving.metrics import ServerMetrics
from fieldcraft.serving.openapi import ERROR_SCHEMA, json_route_schema, open_inference_route_schema

FIELDCRAFT_VERSION = version("fieldcraft")
NOT_READY_RESPONSE: dict[int | str, dict[str, Any]] = {503: {"description": "Not ready."}}
UNKNOWN_MODEL_RESPONSE: dict[int | str, dict[str, Any]] = {
    404: {
        "description": "There is no such model.",
        "content": {"application/json": {"schema": ERROR_SCHEMA}},
    }
}


class ManagementApp:
    """The part of a server that is not in a hurry."""

    def __init__(
        self, models: Mapping[str, DeployedModel], server_metrics: ServerMetrics, routes: Mapping[str, str],
        health_paths: Sequence[str] = (),
    ) -> None:  # fmt: skip
        """Make the application.

        Args:
            models: by name.
            server_metrics: of the server.
            routes: plain prediction routes: path to the name of their model.
            health_paths: further paths that tell whether every model answers, as platforms want them.
        """
        self.models = models
        self.server_metrics = server_metrics
        self.routes = routes
        self.health_paths = health_paths
        self.is_accepting = True
        self.app = FastAPI(title="Fieldcraft", version=FIELDCRAFT_VERSION)
        self.app.openapi = self.build_openapi  # type: ignore[method-assign]
        self.app.add_exception_handler(Missing, handle_http_error)
        self.add_routes()

    def add_routes(self) -> None:
        """The routes of health, metadata and figures."""
        add = self.app.add_api_route
        add("/health/live", lambda: {"status": "live"}, summary="Whether the server runs")
        add(
            "/health/ready",
            self.get_readiness,
            summary="Whether every model answers",
            responses=NOT_READY_RESPONSE,
        )
        for path in self.health_paths:
            add(path, self.get_readiness, summary="Whether every model answers, for a platform",
                responses=NOT_READY_RESPONSE)  # fmt: skip
        add("/metrics", self.get_metrics, summary="Figures for Prometheus",
            response_class=PlainTextResponse)  # fmt: skip
        add("/models", self.list_models, summary="The models, their versions and columns")
        add("/v2", self.get_server_metadata, summary="Open Inference Protocol: the server")
        add("/v2/health/live", lambda: {"live": True}, summary="Open Inference Protocol: live")
        add("/v2/health/ready", self.get_readiness, summary="Open Inference Protocol: ready",
            responses=NOT_READY_RESPONSE)  # fmt: skip
        add("/v2/models/{model}", self.get_model_metadata, summary="Open Inference Protocol: a model",
            responses=UNKNOWN_MODEL_RESPONSE)  # fmt: skip
        add("/v2/models/{model}/ready", self.get_model_readiness, responses=NOT_READY_RESPONSE | UNKNOWN_MODEL_RESPONSE,
            summary="Open Inference Protocol: whether a model answers")  # fmt: skip

    def get_readiness(self) -> Response:
        """Whether every model answers."""
        is_ready = self.is_accepting and all(model.is_ready for model in self.models.values())
        return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)

    def get_metrics(self) -> Response:
        """Figures for Prometheus."""
        for model in self.models.values():
            model.update_gauges()
        return Response(self.server_metrics.to_text(), media_type="text/plain; version=0.0.4")

    def list_models(self) -> list[dict[str, Any]]:
        """The models."""
        return [
            {
                "name": name, "version": model.info["version"], "columns": model.info["columns"],
                "predict": [path for path, model_name in self.routes.items() if model_name == name],
            }
            for name, model in self.models.items()
        ]  # fmt: skip

    def get_server_metadata(self) -> dict[str, Any]:
        """The server, for clients of the open protocol."""
        return {"name": "fieldcraft", "version": FIELDCRAFT_VERSION, "extensions": []}

    def get_model_metadata(self, model: str) -> dict[str, Any]:
        """A model, for clients of the open protocol."""
        return self.find_model(model).metadata

    def get_model_readiness(self, model: str) -> Response:
        """Whether a model answers."""
        is_ready = self.is_accepting and self.find_model(model).is_ready
        return JSONResponse({"name": model, "ready": is_ready}, 200 if is_ready else 503)

    def find_model(self, name: str) -> DeployedModel:
        """A model by name."""
        if name not in self.models:
            raise HTTPException(404, "there is no such model")
        return self.models[name]

    def build_openapi(self) -> dict[str, Any]:
        """The description of the server, with the columns of its models."""
        if not self.app.openapi_schema:
            schema = FastAPI.openapi(self.app)
            for path, name in self.routes.items():
                schema["paths"][path] = {"post": json_route_schema(name, self.models[name])}
            for name, model in self.models.items():
                schema["paths"][f"/v2/models/{name}/infer"] = {
                    "post": open_inference_route_schema(name, model)
                }
            for path in ("/v2/models/{model}", "/v2/models/{model}/ready"):
                (model,) = schema["paths"][path]["get"]["parameters"]
                model["schema"] |= {"enum": list(self.models)}
            self.app.openapi_schema = schema
        return self.app.openapi_schema


async def handle_http_error(request: Request, error: Exception) -> Response:
    """An answer to a path that is not there, in the shape of every other error."""
    status = getattr(error, "status_code", 500)
    code = {404: "not_found", 405: "wrong_method"}.get(status, "bad_request")
    error_json = RequestError(code, str(getattr(error, "detail", error))).to_json()
    return JSONResponse(error_json, status, getattr(error, "headers", None))
