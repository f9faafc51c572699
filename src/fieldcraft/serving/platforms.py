"""What platforms expect of a container: where they call, and where they look whether it lives.

SageMaker: ``/ping`` and ``/invocations``
(https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html). Vertex AI
names its routes in environment variables. KServe speaks the Open Inference Protocol.
"""

from __future__ import annotations

from collections.abc import Mapping

from fieldcraft.serving import plain, vertex

SAGEMAKER_PREDICT, SAGEMAKER_HEALTH = "/invocations", "/ping"
VERTEX_PREDICT, VERTEX_HEALTH = "AIP_PREDICT_ROUTE", "AIP_HEALTH_ROUTE"


def predict_routes(environment: Mapping[str, str]) -> dict[str, str]:
    """Paths of predictions with their protocol."""
    found = {SAGEMAKER_PREDICT: plain.NAME}
    if path := environment.get(VERTEX_PREDICT):
        found[path] = vertex.NAME
    return found


def health_routes(environment: Mapping[str, str]) -> list[str]:
    """Paths that tell whether the models answer."""
    path = environment.get(VERTEX_HEALTH)
    return [SAGEMAKER_HEALTH, *([path] if path else [])]
