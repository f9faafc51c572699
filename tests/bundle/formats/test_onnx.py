"""Sessions of onnxruntime do not spin while they wait."""

from __future__ import annotations

from pathlib import Path

import pytest

from fieldcraft.bundle.formats.onnx import open_onnx_session
from fieldcraft.core.errors import BundleError


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_a_session_has_its_number_of_threads_and_does_not_spin(
    linear_bundle: Path, threads: int
) -> None:
    data = (linear_bundle / "members" / "linear-0" / "model.onnx").read_bytes()
    session = open_onnx_session("model.onnx", data, threads)
    options = session.get_session_options()
    assert options.intra_op_num_threads == threads
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert session.get_providers() == ["CPUExecutionProvider"]


def test_an_invalid_model_is_reported_on_one_line_with_its_file_name() -> None:
    with pytest.raises(BundleError, match=r"other\.onnx cannot be loaded") as caught:
        open_onnx_session("other.onnx", b"no model")
    assert "\n" not in caught.value.detail
    assert len(caught.value.detail) <= 200
