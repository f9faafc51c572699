"""Write the files that build a container image of a bundle; the image has no PyTorch."""

from __future__ import annotations

import re
import shutil
from importlib.metadata import version
from pathlib import Path

from fieldcraft.bundle.manifest import read_manifest
from fieldcraft.core import files
from fieldcraft.core.errors import BundleError
from fieldcraft.data.schema import load_kind

CONTAINER_PORT = 8_080  # the default of SageMaker, KServe and Vertex AI
DOCKERFILE_TEMPLATE = """\
# Serves the model {model}, without PyTorch.
# For a version that is not on PyPI: pip wheel --no-deps -w wheels PATH-OF-FIELDCRAFT
FROM python:3.11-slim
COPY wheels /wheels
RUN pip install --no-cache-dir --find-links /wheels {packages}
RUN useradd --create-home fieldcraft
COPY bundle /opt/bundle
ENV FIELDCRAFT_BUNDLES={name}=/opt/bundle FIELDCRAFT_HOST=0.0.0.0 FIELDCRAFT_PORT={port}
USER fieldcraft
EXPOSE {port}
HEALTHCHECK CMD python -c "import urllib.request as u; u.urlopen('http://localhost:{port}/ping')"
ENTRYPOINT ["fieldcraft"]
CMD ["serve"]
"""
KSERVE_TEMPLATE = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {name}
spec:
  predictor:
    containers:
      - name: kserve-container
        image: {name}:{model}
        ports:
          - containerPort: {port}
            protocol: TCP
        readinessProbe:
          httpGet:
            path: /v2/health/ready
            port: {port}
        livenessProbe:
          httpGet:
            path: /v2/health/live
            port: {port}
"""


def write_container(bundle: Path, folder: Path, name: str) -> Path:
    """Write the files of a serving image: ``Dockerfile``, ``kserve.yaml``, ``bundle``, ``wheels``.

    Args:
        bundle: folder of the bundle.
        folder: folder that does not exist yet, or has the files of an earlier container.
        name: name of the model; the name of the service is derived from it.

    Returns:
        Path of the Dockerfile.

    Raises:
        BundleError: the bundle cannot be trusted, or the folder holds other files.
    """
    manifest = read_manifest(bundle)
    # The folder is replaced as a whole below, so refuse one that this function did not write.
    if folder.exists() and any(folder.iterdir()) and not (folder / "Dockerfile").is_file():
        raise BundleError(
            "the folder for the container holds other files",
            detail=str(folder),
            hint="pass a folder that does not exist yet: fieldcraft package --container FOLDER",
        )
    kinds = {column["kind"] for column in manifest["schema"]["columns"]}
    packages = [f"fieldcraft[serve]=={version('fieldcraft')}"]
    packages += sorted(package for kind in kinds for package in load_kind(kind).packages)
    template_values = {
        # Names of services in Kubernetes have lowercase letters, digits and hyphens (RFC 1123).
        "name": re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "model",
        "model": str(manifest["model_id"])[:16],
        "port": CONTAINER_PORT,
        "packages": " ".join(f'"{package}"' for package in packages),
    }
    with files.atomic_folder(folder) as staging:
        shutil.copytree(bundle, staging / "bundle")
        (staging / "wheels").mkdir()
        # COPY fails if the folder does not exist, and git does not keep an empty one.
        (staging / "wheels" / ".keep").touch()
        (staging / "Dockerfile").write_text(
            DOCKERFILE_TEMPLATE.format(**template_values), encoding="utf-8"
        )
        (staging / "kserve.yaml").write_text(
            KSERVE_TEMPLATE.format(**template_values), encoding="utf-8"
        )
    return folder / "Dockerfile"
