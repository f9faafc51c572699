"""What is served follows from the bundle, the project's wishes in it, and the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fieldcraft.bundle import manifest
from fieldcraft.bundle.archive import pack
from fieldcraft.core import files
from fieldcraft.core.errors import BundleError, FieldcraftError, ProjectError
from fieldcraft.project.folder import Folder
from fieldcraft.serving import run
from fieldcraft.serving.model import Manners
from fieldcraft.serving.record import Log
from fieldcraft.serving.run import Address, Plan
from fieldcraft.stages.serve import TOKEN, Request, serve, token_of

WISHES = {
    "route": "/ask", "invalid": 400, "extra": "refuse", "private": True, "rows": 7, "files": True,
    "log": 0.5, "without": ["city"],
}  # fmt: skip


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """What would have been served."""
    found: list[Plan] = []
    monkeypatch.setattr(run, "serve", lambda plan, started: found.append(plan))
    monkeypatch.delenv(TOKEN, raising=False)
    return found


@pytest.fixture
def bundle(finished: Folder) -> Path:
    """A bundle whose project file says much about how it is to be served."""
    about = files.read_json(finished.bundle / manifest.NAME)
    for name in ("format", "model_id", "files", "digest"):
        del about[name]
    manifest.write_manifest(finished.bundle, {**about, "serve": WISHES})
    return finished.bundle


def test_one_bundle_is_served_as_its_project_wants_it(
    bundle: Path, plans: list[Plan], tmp_path: Path
) -> None:
    cert, key = tmp_path / "cert", tmp_path / "key"
    done = serve(
        Request([str(bundle)], "0.0.0.0", 81, 3, certificate=cert, key=key, log=tmp_path / "log")
    )
    assert done == {"served": ["project"]}
    assert plans == [
        Plan(
            {"project": bundle}, Address("0.0.0.0", 81, cert, key),
            manners=Manners("refuse", True, 7, True), workers=3, route="/ask", invalid=400,
            log=Log(tmp_path / "log", 0.5, ("city",)),
        )
    ]  # fmt: skip


def test_several_bundles_are_served_the_plain_way(bundle: Path, plans: list[Plan]) -> None:
    assert serve(Request([f"b={bundle}", f"a={bundle}"])) == {"served": ["a", "b"]}
    assert plans == [Plan({"b": bundle, "a": bundle})]


@pytest.mark.parametrize("given", ["certificate", "key"])
def test_tls_needs_both_files(bundle: Path, plans: list[Plan], tmp_path: Path, given: str) -> None:
    wrong: dict[str, Any] = {given: tmp_path / "half"}
    with pytest.raises(ProjectError, match="a certificate and its key"):
        serve(Request([str(bundle)], **wrong))
    assert plans == []


def test_a_bundle_that_is_packed_damaged_or_none_is_refused(
    bundle: Path, plans: list[Plan], tmp_path: Path
) -> None:
    pack(bundle, tmp_path / "shop.zip")
    (tmp_path / "other.zip").write_bytes(b"no archive")
    for path, why in (
        (tmp_path / "shop.zip", "works with the folder"), (tmp_path / "other.zip", "zip"),
        (tmp_path / "nowhere", "bundle"),
    ):  # fmt: skip
        with pytest.raises(BundleError, match=why):
            serve(Request([str(path)]))
    (bundle / "profile.json").write_text("{}", encoding="utf-8")
    with pytest.raises(FieldcraftError, match=r"profile\.json"):
        serve(Request([str(bundle)]))
    assert plans == []


def test_the_token_comes_from_its_file_or_the_environment(
    bundle: Path, plans: list[Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "token"
    path.write_text(" from a file\n", encoding="utf-8")
    assert token_of(None) is None
    for value, expected in (("", None), ("from outside", "from outside")):
        monkeypatch.setenv(TOKEN, value)
        assert token_of(None) == expected
    serve(Request([str(bundle)], token_file=path))
    assert plans[0].token == "from a file"  # before the environment


@pytest.mark.parametrize("text", ["", " \n", "two\nlines", "schlüssel", "bell\a"])
def test_a_file_without_a_plain_token_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "token"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ProjectError, match="token holds no token") as caught:
        token_of(path)
    assert text.strip() not in str(caught.value) or not text.strip()  # it may be half a secret
