"""Put bundles behind HTTP."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldcraft.bundle.archive import unpacked
from fieldcraft.bundle.manifest import read_manifest
from fieldcraft.contracts import Json, Stage
from fieldcraft.core.errors import BundleError, ProjectError
from fieldcraft.core.optional import needs
from fieldcraft.project.settings import Serve

TOKEN = "FIELDCRAFT_TOKEN"  # environment variable that may hold the token


@dataclass(frozen=True)
class Request:
    """What is to be served, and how.

    Attributes:
        bundles: paths, or ``NAME=PATH``.
        host, port: where the server listens.
        workers: processes of each model.
        token_file: file with the token that callers must bring; else the environment variable
            ``FIELDCRAFT_TOKEN``, if it is set.
        certificate, key: files for TLS.
        log: folder of the prediction log.
        started: told the host and the port once the server listens.
    """

    bundles: Sequence[str]
    host: str = "127.0.0.1"
    port: int = 8_000
    workers: int = 1
    token_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    log: Path | None = None
    started: Callable[[Any], None] = lambda address: None


def serve(request: Request) -> Json:
    """Serve bundles until the process is told to stop.

    Raises:
        BundleError: a bundle cannot be trusted or run.
        MissingExtraError: the extra ``serve`` is not installed.
        ProjectError: the token or the certificate cannot be used.
    """
    needs("serve")
    from fieldcraft.serving.run import Address, Plan
    from fieldcraft.serving.run import serve as run
    from fieldcraft.serving.served import named

    bundles = named(request.bundles)
    wishes = wishes_of(bundles)
    if (request.certificate is None) != (request.key is None):
        raise ProjectError(
            "TLS needs a certificate and its key",
            seen=f"only {request.certificate or request.key}",
            way_out="pass both --cert and --key",
        )
    address = Address(request.host, request.port, request.certificate, request.key)
    run(
        Plan(
            bundles, address, manners=manners_of(wishes), workers=request.workers,
            route=wishes.route, invalid=wishes.invalid, token=token_of(request.token_file),
            log=log_of(wishes, request.log),
        ),
        request.started,
    )  # fmt: skip
    return {"served": sorted(bundles)}


def wishes_of(bundles: Mapping[str, Path]) -> Serve:
    """What the project said of how its bundle is to be served; of several, the plain way.

    Raises:
        BundleError: a bundle cannot be trusted, or is a zip, which cannot be replaced at work.
    """
    found = []
    for path in bundles.values():
        if path.is_file():
            with unpacked(path):  # says first if it is no bundle at all
                raise BundleError(
                    "the server works with the folder of a bundle",
                    seen=str(path),
                    way_out=f"unpack it first: python -m zipfile -e {path} {path.stem}",
                )
        found.append(Serve.model_validate(read_manifest(path).get("serve", {})))
    return found[0] if len(found) == 1 else Serve()


def manners_of(wishes: Serve) -> Any:
    """How models deal with callers."""
    from fieldcraft.serving.model import Manners

    return Manners(wishes.extra, wishes.private, wishes.rows, wishes.files)


def log_of(wishes: Serve, folder: Path | None) -> Any:
    """The prediction log, if there is to be one."""
    from fieldcraft.serving.record import Log

    if folder is None:
        return None
    return Log(folder.resolve(), wishes.log, tuple(wishes.without))


def token_of(path: Path | None) -> str | None:
    """The token that callers must bring, if any.

    Raises:
        ProjectError: the file holds none.
    """
    if path is None:
        return os.environ.get(TOKEN) or None
    token = path.read_text(encoding="utf-8").strip()
    if not token or not token.isascii() or not token.isprintable():
        raise ProjectError(
            f"{path.name} holds no token",
            seen=f"{len(token)} characters",
            way_out="write a token of ASCII letters and digits into it, on one line",
        )
    return token


STAGE = Stage("serve", "Put bundles behind HTTP.", serve)  # type: ignore[arg-type]
