"""Serve bundles over HTTP."""

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
    """What to serve, and how.

    Attributes:
        bundles: paths, or ``NAME=PATH``.
        host, port: address to listen on.
        workers: worker processes of each model.
        token_file: file with the bearer token that clients must send; by default the environment
            variable ``FIELDCRAFT_TOKEN``, if it is set.
        certificate, key: files for TLS.
        log: folder of the prediction log.
        on_started: called with host and port once the server listens.
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
    """Serve bundles until the process gets SIGTERM or SIGINT.

    Raises:
        BundleError: a bundle cannot be trusted or run.
        MissingExtraError: the extra ``serve`` is not installed.
        ProjectError: the token or the certificate cannot be used.
    """
    require_extra("serve")
    # Imported here because the catalog also loads this module where the extra is not installed.
    from fieldcraft.serving import server
    from fieldcraft.serving.deployed_model import name_bundles
    from fieldcraft.serving.model import RequestPolicy
    from fieldcraft.serving.prediction_log import PredictionLogConfig

    bundles = name_bundles(request.bundles)
    settings = load_serve_settings(bundles)
    if (request.certificate is None) != (request.key is None):
        raise ProjectError(
            "TLS needs a certificate and its key",
            detail=f"only {request.certificate or request.key}",
            hint="pass both --cert and --key",
        )
    log_config = None
    if request.log is not None:
        log_config = PredictionLogConfig(
            request.log.resolve(), settings.log_fraction, tuple(settings.log_exclude)
        )
    config = server.ServerConfig(
        bundles,
        server.ListenAddress(request.host, request.port, request.certificate, request.key),
        policy=RequestPolicy(
            settings.extra_columns,
            settings.redact_errors,
            settings.max_rows,
            settings.allow_file_paths,
        ),
        n_workers=request.workers,
        extra_route=settings.route,
        invalid_status=settings.invalid_status,
        token=read_token(request.token_file),
        log_config=log_config,
    )
    server.run_server(config, request.on_started)
    return {"served": sorted(bundles)}


def load_serve_settings(bundles: Mapping[str, Path]) -> ServeSettings:
    """Return the serve settings in a bundle; the defaults if several bundles are served.

    Raises:
        BundleError: a bundle cannot be trusted, or is a zip file.
    """
    settings = []
    for path in bundles.values():
        if path.is_file():
            # Unlike a folder, a zip file cannot be replaced by a new version while it is served.
            with unpacked_bundle(path):  # fails first if it is not a bundle at all
                raise BundleError(
                    "the server needs the folder of a bundle",
                    detail=str(path),
                    hint=f"unpack it first: python -m zipfile -e {path} {path.stem}",
                )
        settings.append(ServeSettings.model_validate(read_manifest(path).get("serve", {})))
    return settings[0] if len(settings) == 1 else ServeSettings()


def read_token(path: Path | None) -> str | None:
    """Return the bearer token that clients must send, if any.

    Raises:
        ProjectError: the file has no valid token.
    """
    if path is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    token = path.read_text(encoding="utf-8").strip()
    # A client sends the token in an HTTP header, which holds printable ASCII.
    if not token or not token.isascii() or not token.isprintable():
        raise ProjectError(
            f"{path.name} has no valid token",
            detail=f"{len(token)} characters",
            hint="write a token of ASCII letters and digits into it, on one line",
        )
    return token


STAGE = Stage("serve", "Serve bundles over HTTP.", serve)  # type: ignore[arg-type]
