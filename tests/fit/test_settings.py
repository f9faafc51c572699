"""Training settings: schedule, patience and batch sizes."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from fieldcraft.fit.settings import TrainingSettings, choose_batch_size


def test_defaults_are_the_benchmarked_settings() -> None:
    """docs/benchmarks.md reports results with these settings."""
    assert asdict(TrainingSettings()) == {
        "optimizer": "adamw", "learning_rate": 2e-3, "lr_schedule": "constant", "warmup_epochs": 0,
        "weight_decay": 3e-4, "batch_size": 256, "epochs": 1_000, "patience": 8,
        "patience_fraction": 0.2, "min_relative_improvement": 0.005, "ema_decay": 0.998,
        "max_grad_norm": 1.0, "l1": 0.0, "mixup": 0.0, "cutmix": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize("best", [0, 1, 40, 500])
def test_constant_patience_is_the_same_after_any_epoch(best: int) -> None:
    assert TrainingSettings(patience=7, patience_fraction=0.0).patience_at(best) == 7


def test_patience_grows_with_the_epoch_of_the_best_loss() -> None:
    settings = TrainingSettings(patience=16, patience_fraction=0.3)
    waits = [settings.patience_at(best) for best in (0, 10, 100, 300)]
    assert waits == [16, 16, 35, 95]


def test_the_learning_rate_follows_warmup_and_schedule() -> None:
    settings = TrainingSettings(learning_rate=1.0, epochs=12, warmup_epochs=2)
    assert [settings.learning_rate_at(epoch) for epoch in (0, 1, 2, 11)] == pytest.approx(
        [1 / 3, 2 / 3, 1, 1]
    )
    linear = replace(settings, lr_schedule="linear")
    assert [linear.learning_rate_at(epoch) for epoch in (2, 7, 12)] == pytest.approx(
        [1.0, 0.5, 0.0]
    )
    cosine = replace(settings, lr_schedule="cosine")
    assert [cosine.learning_rate_at(epoch) for epoch in (2, 7, 12)] == pytest.approx(
        [1.0, 0.5, 0.0]
    )
    assert cosine.learning_rate_at(4.5) == pytest.approx((1 + 2**-0.5) / 2)  # a quarter of the way
    assert replace(settings, warmup_epochs=0.5).learning_rate_at(0.25) == pytest.approx(1.25 / 1.5)


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        (TrainingSettings(), False),
        (TrainingSettings(warmup_epochs=0.5), True),
        (TrainingSettings(lr_schedule="linear"), True),
        (TrainingSettings(lr_schedule="cosine"), True),
    ],
)
def test_warmup_and_schedule_change_the_learning_rate_within_an_epoch(
    settings: TrainingSettings, changes: bool
) -> None:
    assert settings.has_step_schedule is changes


@pytest.mark.parametrize(
    ("rows", "mlp", "ensemble"),
    [
        (1, 32, 256), (2_799, 32, 256), (2_800, 64, 256), (4_500, 128, 256), (6_400, 256, 256),
        (8_000, 256, 512), (32_000, 512, 512), (10**7, 512, 512),
    ],
)  # fmt: skip
def test_batch_sizes_grow_with_the_training_set(rows: int, mlp: int, ensemble: int) -> None:
    assert choose_batch_size(rows, is_mlp=True) == mlp
    assert choose_batch_size(rows) == ensemble
