"""All routes of the server except predictions: health, metadata, metrics, documentation.

The OpenAPI schema of the server covers all routes, with the columns of its models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import HTTPException
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from fieldcraft.serving.deployed_model import DeployedModel
from fieldcraft.serving.errors import RequestError
from fieldcraft.serving.metrics import ServerMetrics
from fieldcraft.serving.openapi import ERROR_SCHEMA, json_route_schema, open_inference_route_schema

FIELDCRAFT_VERSION = version("fieldcraft")
NOT_READY_RESPONSE: dict[int | str, dict[str, Any]] = {503: {"description": "Not ready."}}
UNKNOWN_MODEL_RESPONSE: dict[int | str, dict[str, Any]] = {
    404: {
        "description": "Unknown model.",
        "content": {"application/json": {"schema": ERROR_SCHEMA}},
    }
}


class ManagementApp:
    """The FastAPI application with all routes except predictions; these routes need not be fast."""

    def __init__(
        self,
        models: Mapping[str, DeployedModel],
        server_metrics: ServerMetrics,
        routes: Mapping[str, str],
        health_paths: Sequence[str] = (),
    ) -> None:
        """Build the application.

        Args:
            models: deployed models by name.
            server_metrics: metrics of the server.
            routes: prediction routes of the JSON protocol: path to the name of the model.
            health_paths: further readiness paths, which deployment platforms expect.
        """
        self.models = models
        self.server_metrics = server_metrics
        self.routes = routes
        self.health_paths = health_paths
        self.is_accepting = True
        self.app = FastAPI(title="Fieldcraft", version=FIELDCRAFT_VERSION)
        self.app.openapi = self.build_openapi  # type: ignore[method-assign]
        self.app.add_exception_handler(StarletteHTTPException, handle_http_error)
        self.add_routes()

    def add_routes(self) -> None:
        """Add the routes."""
        add_route = self.app.add_api_route
        add_route("/health/live", lambda: {"status": "live"}, summary="Liveness of the server")
        add_route(
            "/health/ready",
            self.get_readiness,
            summary="Readiness of all models",
            responses=NOT_READY_RESPONSE,
        )
        for path in self.health_paths:
            add_route(path, self.get_readiness, summary="Readiness of all models, for a platform",
                responses=NOT_READY_RESPONSE)  # fmt: skip
        add_route("/metrics", self.get_metrics, summary="Metrics for Prometheus",
            response_class=PlainTextResponse)  # fmt: skip
        add_route("/models", self.list_models, summary="Models with their versions and columns")
        add_route(
            "/v2", self.get_server_metadata, summary="Open Inference Protocol: server metadata"
        )
        add_route(
            "/v2/health/live", lambda: {"live": True}, summary="Open Inference Protocol: live"
        )
        add_route("/v2/health/ready", self.get_readiness, summary="Open Inference Protocol: ready",
            responses=NOT_READY_RESPONSE)  # fmt: skip
        add_route(
            "/v2/models/{model}",
            self.get_model_metadata,
            summary="Open Inference Protocol: model metadata",
            responses=UNKNOWN_MODEL_RESPONSE,
        )
        add_route(
            "/v2/models/{model}/ready",
            self.get_model_readiness,
            responses=NOT_READY_RESPONSE | UNKNOWN_MODEL_RESPONSE,
            summary="Open Inference Protocol: readiness of a model",
        )

    def get_readiness(self) -> Response:
        """Return whether all models are ready."""
        is_ready = self.is_accepting and all(model.is_ready for model in self.models.values())
        return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)

    def get_metrics(self) -> Response:
        """Return metrics for Prometheus."""
        for model in self.models.values():
            model.update_gauges()
        # 0.0.4 is the version of the text format, by which Prometheus recognizes it.
        return Response(self.server_metrics.to_text(), media_type="text/plain; version=0.0.4")

    def list_models(self) -> list[dict[str, Any]]:
        """Return the models with versions and columns."""
        return [
            {
                "name": name,
                "version": model.info["version"],
                "columns": model.info["columns"],
                "predict_paths": [
                    path for path, model_name in self.routes.items() if model_name == name
                ],
            }
            for name, model in self.models.items()
        ]

    def get_server_metadata(self) -> dict[str, Any]:
        """Return the server metadata of the Open Inference Protocol."""
        return {"name": "fieldcraft", "version": FIELDCRAFT_VERSION, "extensions": []}

    def get_model_metadata(self, model: str) -> dict[str, Any]:
        """Return the metadata of a model for the Open Inference Protocol."""
        return self.find_model(model).metadata

    def get_model_readiness(self, model: str) -> Response:
        """Return whether a model is ready."""
        is_ready = self.is_accepting and self.find_model(model).is_ready
        return JSONResponse({"name": model, "ready": is_ready}, 200 if is_ready else 503)

    def find_model(self, name: str) -> DeployedModel:
        """Return a model by name."""
        if name not in self.models:
            raise HTTPException(404, "unknown model")
        return self.models[name]

    def build_openapi(self) -> dict[str, Any]:
        """Build the OpenAPI schema of the server, with the columns of its models."""
        if not self.app.openapi_schema:
            schema = FastAPI.openapi(self.app)
            # Prediction routes bypass FastAPI, so it does not list them itself.
            for path, name in self.routes.items():
                schema["paths"][path] = {"post": json_route_schema(name, self.models[name])}
            for name, model in self.models.items():
                schema["paths"][f"/v2/models/{name}/infer"] = {
                    "post": open_inference_route_schema(name, model)
                }
            for path in ("/v2/models/{model}", "/v2/models/{model}/ready"):
                (parameter,) = schema["paths"][path]["get"]["parameters"]
                parameter["schema"] |= {"enum": list(self.models)}
            self.app.openapi_schema = schema
        return self.app.openapi_schema


async def handle_http_error(request: Request, error: Exception) -> Response:
    """Answer unknown paths and methods with JSON of the same shape as all other errors."""
    status = getattr(error, "status_code", 500)
    code = {404: "not_found", 405: "method_not_allowed"}.get(status, "bad_request")
    error_json = RequestError(code, str(getattr(error, "detail", error))).to_json()
    return JSONResponse(error_json, status, getattr(error, "headers", None))
