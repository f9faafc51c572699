"""The server is configured by the bundle, its project settings, and the request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fieldcraft.bundle import manifest
from fieldcraft.bundle.archive import pack_bundle
from fieldcraft.core import files
from fieldcraft.core.errors import BundleError, FieldcraftError, ProjectError
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.serving import server
from fieldcraft.serving.model import RequestPolicy
from fieldcraft.serving.prediction_log import PredictionLogConfig
from fieldcraft.serving.server import ListenAddress, ServerConfig
from fieldcraft.stages.serve import TOKEN_VARIABLE, ServeRequest, read_token, serve

SERVE_SETTINGS = {
    "route": "/ask", "invalid_status": 400, "extra_columns": "forbid", "redact_errors": True,
    "max_rows": 7, "allow_file_paths": True, "log_fraction": 0.5, "log_exclude": ["city"],
}  # fmt: skip


@pytest.fixture
def configs(monkeypatch: pytest.MonkeyPatch) -> list[ServerConfig]:
    """The configurations of servers that would have been started."""
    started_configs: list[ServerConfig] = []
    monkeypatch.setattr(
        server, "run_server", lambda config, started: started_configs.append(config)
    )
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    return started_configs


@pytest.fixture
def bundle(finished_project: ProjectFolder) -> Path:
    """A bundle with many serving settings."""
    manifest_body = files.read_json(finished_project.bundle_path / manifest.MANIFEST_FILE)
    for name in ("format", "model_id", "files", "digest"):
        del manifest_body[name]
    manifest.write_manifest(
        finished_project.bundle_path, {**manifest_body, "serve": SERVE_SETTINGS}
    )
    return finished_project.bundle_path


def test_one_bundle_is_served_with_the_settings_of_its_project(
    bundle: Path, configs: list[ServerConfig], tmp_path: Path
) -> None:
    cert, key = tmp_path / "cert", tmp_path / "key"
    done = serve(
        ServeRequest(
            [str(bundle)], "0.0.0.0", 81, 3, certificate=cert, key=key, log=tmp_path / "log"
        )
    )
    assert done == {"served": ["project"]}
    assert configs == [
        ServerConfig(
            {"project": bundle},
            ListenAddress("0.0.0.0", 81, cert, key),
            policy=RequestPolicy("forbid", True, 7, True),
            n_workers=3,
            extra_route="/ask",
            invalid_status=400,
            log_config=PredictionLogConfig(tmp_path / "log", 0.5, ("city",)),
        )
    ]


def test_several_bundles_are_served_with_default_settings(
    bundle: Path, configs: list[ServerConfig]
) -> None:
    assert serve(ServeRequest([f"b={bundle}", f"a={bundle}"])) == {"served": ["a", "b"]}
    assert configs == [ServerConfig({"b": bundle, "a": bundle})]


@pytest.mark.parametrize("given", ["certificate", "key"])
def test_tls_needs_both_files(
    bundle: Path, configs: list[ServerConfig], tmp_path: Path, given: str
) -> None:
    wrong: dict[str, Any] = {given: tmp_path / "half"}
    with pytest.raises(ProjectError, match="a certificate and its key"):
        serve(ServeRequest([str(bundle)], **wrong))
    assert configs == []


def test_zipped_damaged_and_missing_bundles_are_errors(
    bundle: Path, configs: list[ServerConfig], tmp_path: Path
) -> None:
    pack_bundle(bundle, tmp_path / "shop.zip")
    (tmp_path / "other.zip").write_bytes(b"no archive")
    for path, why in (
        (tmp_path / "shop.zip", "needs the folder"), (tmp_path / "other.zip", "zip"),
        (tmp_path / "nowhere", "bundle"),
    ):  # fmt: skip
        with pytest.raises(BundleError, match=why):
            serve(ServeRequest([str(path)]))
    (bundle / "profile.json").write_text("{}", encoding="utf-8")
    with pytest.raises(FieldcraftError, match=r"profile\.json"):
        serve(ServeRequest([str(bundle)]))
    assert configs == []


def test_the_token_comes_from_its_file_or_the_environment(
    bundle: Path, configs: list[ServerConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "token"
    path.write_text(" from a file\n", encoding="utf-8")
    assert read_token(None) is None
    for variable, expected in (("", None), ("from outside", "from outside")):
        monkeypatch.setenv(TOKEN_VARIABLE, variable)
        assert read_token(None) == expected
    serve(ServeRequest([str(bundle)], token_file=path))
    assert configs[0].token == "from a file"  # which takes precedence over the environment


@pytest.mark.parametrize("text", ["", " \n", "two\nlines", "schlüssel", "bell\a"])
def test_a_file_without_a_valid_token_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "token"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ProjectError, match="token has no valid token") as caught:
        read_token(path)
    assert text.strip() not in str(caught.value) or not text.strip()  # it may be part of a secret
