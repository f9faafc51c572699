"""Each network is trained as suits it."""

from __future__ import annotations

import pytest

from fieldcraft.kinds.image.recipes import TUNED, recipe_for


@pytest.mark.parametrize("name", ["vit", TUNED])
def test_attention_and_tuning_go_by_adamw(name: str) -> None:
    assert recipe_for(name, 5_000).training.optimizer == "adamw"


@pytest.mark.parametrize("name", ["cnn", "resnet50", "vit", TUNED])
def test_many_rows_take_fewer_epochs(name: str) -> None:
    few, many = (recipe_for(name, rows).training for rows in (100, 1_000_000))
    assert 3 <= many.epochs < few.epochs <= 75
    assert 0 < few.warmup < few.epochs / 5


def test_the_more_rows_the_larger_the_batches() -> None:
    sizes = [recipe_for("cnn", rows).training.batch_size for rows in (100, 14_000, 20_000, 50_000)]
    assert sizes == [64, 64, 128, 256]


def test_tuning_takes_about_two_thousand_steps() -> None:
    training = recipe_for(TUNED, 12_800).training
    assert training.epochs * 12_800 / training.batch_size == pytest.approx(2_000, rel=0.05)
