"""What the settings of training mean."""

from __future__ import annotations

import pytest

from fieldcraft.fit.settings import Training, batch_size_for


@pytest.mark.parametrize("best", [0, 1, 40, 500])
def test_a_plain_patience_waits_the_same_after_any_epoch(best: int) -> None:
    assert Training(patience=7, patience_share=0.0).allowance(best) == 7


def test_patience_grows_with_the_epoch_of_the_best_loss() -> None:
    settings = Training(patience=16, patience_share=0.3)
    waits = [settings.allowance(best) for best in (0, 10, 100, 300)]
    assert waits[:2] == [16, 16]
    assert waits[2:] == [40, 100]


@pytest.mark.parametrize(
    ("rows", "size"),
    [(1, 32), (2_799, 32), (2_800, 64), (4_500, 128), (6_400, 256), (32_000, 512), (10**7, 512)],
)
def test_batches_grow_with_the_training_set(rows: int, size: int) -> None:
    assert batch_size_for(rows) == size
