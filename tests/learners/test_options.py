"""What the project file may say about a learner."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from fieldcraft.core import catalog
from fieldcraft.learners.network.options import NetworkOptions


@pytest.mark.parametrize("name", catalog.list_plugins("learners"))
def test_a_setting_that_a_learner_does_not_have_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        catalog.load_plugin("learners", name).options(surprise=1)


@pytest.mark.parametrize(
    ("learner", "options", "message"),
    [
        ("rule", {"max_bins": 1}, "greater than or equal to 2"),
        ("linear", {"l2_penalty": -1}, "greater than or equal to 0"),
        ("lightgbm", {"n_estimators": 0}, "greater than or equal to 1"),
        ("lightgbm", {"num_leaves": 1}, "greater than or equal to 2"),
        ("lightgbm", {"learning_rate": 0}, "greater than 0"),
    ],
)
def test_settings_of_a_baseline_that_make_no_sense_are_refused(
    learner: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        catalog.load_plugin("learners", learner).options(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trunk": "tabm", "layers": [64, 32]}, "layers of trunk tabm should be a number"),
        ({"mixup": -0.1}, "greater than or equal to 0"),
        ({"trunk": "mlp", "layers": 3}, r"should be a list of units, such as \[128, 64\]"),
        ({"trunk": "resnet"}, "Input should be 'tabm', 'mlp' or 'linear'"),
        ({"dropout": 1.0}, "less than 1"),
        ({"learning_rate": 0}, "greater than 0"),
        ({"epochs": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_of_the_network_that_make_no_sense_are_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        NetworkOptions(**options)


@pytest.mark.parametrize("layers", [None, 1, 4])
def test_layers_of_tabm_are_counted(layers: int | None) -> None:
    assert NetworkOptions(layers=layers).layers == layers
