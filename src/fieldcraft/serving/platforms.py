"""What platforms expect of a container: where they call, and where they look whether it lives.

SageMaker: ``/ping`` and ``/invocations``
(https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html). Vertex AI
names its routes in environment variables. KServe speaks the Open Inference Protocol.
"""

from __future__ import annotations

from collections.abc import Mapping

from fieldcraft.serving.protocols import json_protocol, vertex

SAGEMAKER_PREDICT_PATH, SAGEMAKER_HEALTH_PATH = "/invocations", "/ping"
VERTEX_PREDICT_VARIABLE, VERTEX_HEALTH_VARIABLE = "AIP_PREDICT_ROUTE", "AIP_HEALTH_ROUTE"


def get_prediction_routes(environment: Mapping[str, str]) -> dict[str, str]:
    """Paths of predictions with their protocol."""
    protocol_by_path = {SAGEMAKER_PREDICT_PATH: json_protocol.NAME}
    if path := environment.get(VERTEX_PREDICT_VARIABLE):
        protocol_by_path[path] = vertex.NAME
    return protocol_by_path


def get_health_routes(environment: Mapping[str, str]) -> list[str]:
    """Paths that tell whether the models answer."""
    path = environment.get(VERTEX_HEALTH_VARIABLE)
    return [SAGEMAKER_HEALTH_PATH, *([path] if path else [])]
