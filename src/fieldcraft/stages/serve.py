"""Put bundles behind HTTP."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldcraft.bundle.archive import unpacked_bundle
from fieldcraft.bundle.manifest import read_manifest
from fieldcraft.contracts import Stage
from fieldcraft.core.errors import BundleError, ProjectError
from fieldcraft.core.extras import require_extra
from fieldcraft.core.types import Json
from fieldcraft.project.settings import ServeSettings

TOKEN_VARIABLE = "FIELDCRAFT_TOKEN"  # environment variable that may hold the token


@dataclass(frozen=True)
class ServeRequest:
    """What is to be served, and how.

    Attributes:
        bundles: paths, or ``NAME=PATH``.
        host, port: where the server listens.
        workers: processes of each model.
        token_file: file with the token that callers must bring; else the environment variable
            ``FIELDCRAFT_TOKEN``, if it is set.
        certificate, key: files for TLS.
        log: folder of the prediction log.
        on_started: told the host and the port once the server listens.
    """

    bundles: Sequence[str]
    host: str = "127.0.0.1"
    port: int = 8_000
    workers: int = 1
    token_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    log: Path | None = None
    on_started: Callable[[Any], None] = lambda address: None


def serve(request: ServeRequest) -> Json:
    """Serve bundles until the process is told to stop.

    Raises:
        BundleError: a bundle cannot be trusted or run.
        MissingExtraError: the extra ``serve`` is not installed.
        ProjectError: the token or the certificate cannot be used.
    """
    require_extra("serve")
    from fieldcraft.serving.deployed_model import name_bundles
    from fieldcraft.serving.server import ListenAddress, ServerConfig
    from fieldcraft.serving.server import serve as run

    bundles = name_bundles(request.bundles)
    serve_settings = load_serve_settings(bundles)
    if (request.certificate is None) != (request.key is None):
        raise ProjectError(
            "TLS needs a certificate and its key",
            detail=f"only {request.certificate or request.key}",
            hint="pass both --cert and --key",
        )
    address = ListenAddress(request.host, request.port, request.certificate, request.key)
    run(
        ServerConfig(
            bundles, address, policy=build_request_policy(serve_settings), n_workers=request.workers,
            extra_route=serve_settings.route, invalid_status=serve_settings.invalid_status, token=read_token(request.token_file),
            log_config=build_log_config(serve_settings, request.log),
        ),
        request.on_started,
    )  # fmt: skip
    return {"served": sorted(bundles)}


def load_serve_settings(bundles: Mapping[str, Path]) -> ServeSettings:
    """What the project said of how its bundle is to be served; of several, the plain way.

    Raises:
        BundleError: a bundle cannot be trusted, or is a zip, which cannot be replaced at work.
    """
    settings = []
    for path in bundles.values():
        if path.is_file():
            with unpacked_bundle(path):  # says first if it is no bundle at all
                raise BundleError(
                    "the server works with the folder of a bundle",
                    detail=str(path),
                    hint=f"unpack it first: python -m zipfile -e {path} {path.stem}",
                )
        settings.append(ServeSettings.model_validate(read_manifest(path).get("serve", {})))
    return settings[0] if len(settings) == 1 else ServeSettings()


def build_request_policy(serve_settings: ServeSettings) -> Any:
    """How models deal with callers."""
    from fieldcraft.serving.model import RequestPolicy

    return RequestPolicy(
        serve_settings.extra_columns,
        serve_settings.redact_errors,
        serve_settings.max_rows,
        serve_settings.allow_file_paths,
    )


def build_log_config(serve_settings: ServeSettings, folder: Path | None) -> Any:
    """The prediction log, if there is to be one."""
    from fieldcraft.serving.prediction_log import PredictionLogConfig

    if folder is None:
        return None
    return PredictionLogConfig(
        folder.resolve(), serve_settings.log_fraction, tuple(serve_settings.log_exclude)
    )


def read_token(path: Path | None) -> str | None:
    """The token that callers must bring, if any.

    Raises:
        ProjectError: the file holds none.
    """
    if path is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    token = path.read_text(encoding="utf-8").strip()
    if not token or not token.isascii() or not token.isprintable():
        raise ProjectError(
            f"{path.name} holds no token",
            detail=f"{len(token)} characters",
            hint="write a token of ASCII letters and digits into it, on one line",
        )
    return token


STAGE = Stage("serve", "Put bundles behind HTTP.", serve)  # type: ignore[arg-type]
