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

from fieldcraft.serving.counters import Counters
from fieldcraft.serving.described import ERROR, of_rows, of_tensors
from fieldcraft.serving.served import Served
from fieldcraft.serving.trouble import Trouble

VERSION = version("fieldcraft")
BUSY: dict[int | str, dict[str, Any]] = {503: {"description": "Not ready."}}
UNKNOWN: dict[int | str, dict[str, Any]] = {
    404: {
        "description": "There is no such model.",
        "content": {"application/json": {"schema": ERROR}},
    }
}


class Pages:
    """The part of a server that is not in a hurry."""

    def __init__(
        self, models: Mapping[str, Served], counters: Counters, routes: Mapping[str, str],
        health: Sequence[str] = (),
    ) -> None:  # fmt: skip
        """Make the application.

        Args:
            models: by name.
            counters: of the server.
            routes: plain prediction routes: path to the name of their model.
            health: further paths that tell whether every model answers, as platforms want them.
        """
        self.models = models
        self.counters = counters
        self.routes = routes
        self.health = health
        self.open = True
        self.app = FastAPI(title="Fieldcraft", version=VERSION)
        self.app.openapi = self.described  # type: ignore[method-assign]
        self.app.add_exception_handler(Missing, refused)
        self.add_routes()

    def add_routes(self) -> None:
        """The routes of health, metadata and figures."""
        add = self.app.add_api_route
        add("/health/live", lambda: {"status": "live"}, summary="Whether the server runs")
        add("/health/ready", self.ready, summary="Whether every model answers", responses=BUSY)
        for path in self.health:
            add(path, self.ready, summary="Whether every model answers, for a platform",
                responses=BUSY)  # fmt: skip
        add("/metrics", self.metrics, summary="Figures for Prometheus",
            response_class=PlainTextResponse)  # fmt: skip
        add("/models", self.listed, summary="The models, their versions and columns")
        add("/v2", self.server, summary="Open Inference Protocol: the server")
        add("/v2/health/live", lambda: {"live": True}, summary="Open Inference Protocol: live")
        add("/v2/health/ready", self.ready, summary="Open Inference Protocol: ready",
            responses=BUSY)  # fmt: skip
        add("/v2/models/{model}", self.metadata, summary="Open Inference Protocol: a model",
            responses=UNKNOWN)  # fmt: skip
        add("/v2/models/{model}/ready", self.model_ready, responses=BUSY | UNKNOWN,
            summary="Open Inference Protocol: whether a model answers")  # fmt: skip

    def ready(self) -> Response:
        """Whether every model answers."""
        ready = self.open and all(model.ready for model in self.models.values())
        return JSONResponse({"ready": ready}, 200 if ready else 503)

    def metrics(self) -> Response:
        """Figures for Prometheus."""
        for model in self.models.values():
            model.refresh()
        return Response(self.counters.text(), media_type="text/plain; version=0.0.4")

    def listed(self) -> list[dict[str, Any]]:
        """The models."""
        return [
            {
                "name": name, "version": model.about["version"], "columns": model.about["columns"],
                "predict": [path for path, of in self.routes.items() if of == name],
            }
            for name, model in self.models.items()
        ]  # fmt: skip

    def server(self) -> dict[str, Any]:
        """The server, for clients of the open protocol."""
        return {"name": "fieldcraft", "version": VERSION, "extensions": []}

    def metadata(self, model: str) -> dict[str, Any]:
        """A model, for clients of the open protocol."""
        return self.known(model).metadata

    def model_ready(self, model: str) -> Response:
        """Whether a model answers."""
        ready = self.open and self.known(model).ready
        return JSONResponse({"name": model, "ready": ready}, 200 if ready else 503)

    def known(self, name: str) -> Served:
        """A model by name."""
        if name not in self.models:
            raise HTTPException(404, "there is no such model")
        return self.models[name]

    def described(self) -> dict[str, Any]:
        """The description of the server, with the columns of its models."""
        if not self.app.openapi_schema:
            found = FastAPI.openapi(self.app)
            for path, name in self.routes.items():
                found["paths"][path] = {"post": of_rows(name, self.models[name])}
            for name, model in self.models.items():
                found["paths"][f"/v2/models/{name}/infer"] = {"post": of_tensors(name, model)}
            for path in ("/v2/models/{model}", "/v2/models/{model}/ready"):
                (model,) = found["paths"][path]["get"]["parameters"]
                model["schema"] |= {"enum": list(self.models)}
            self.app.openapi_schema = found
        return self.app.openapi_schema


async def refused(request: Request, error: Exception) -> Response:
    """An answer to a path that is not there, in the shape of every other error."""
    status = getattr(error, "status_code", 500)
    code = {404: "not_found", 405: "wrong_method"}.get(status, "bad_request")
    told = Trouble(code, str(getattr(error, "detail", error))).as_json()
    return JSONResponse(told, status, getattr(error, "headers", None))
