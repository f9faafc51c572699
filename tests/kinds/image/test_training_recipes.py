"""Training recipes of the networks."""

from __future__ import annotations

import pytest

from fieldcraft.kinds.image.training_recipes import FINETUNED, choose_recipe


@pytest.mark.parametrize("name", ["vit", FINETUNED])
def test_transformers_and_finetuning_use_adamw(name: str) -> None:
    assert choose_recipe(name, 5_000).settings.optimizer == "adamw"


@pytest.mark.parametrize("name", ["cnn", "resnet50", "vit", FINETUNED])
def test_many_rows_need_fewer_epochs(name: str) -> None:
    few, many = (choose_recipe(name, rows).settings for rows in (100, 1_000_000))
    assert 3 <= many.epochs < few.epochs <= 75
    assert 0 < few.warmup_epochs < few.epochs / 5


def test_batch_size_grows_with_the_number_of_rows() -> None:
    sizes = [
        choose_recipe("cnn", rows).settings.batch_size for rows in (100, 14_000, 20_000, 50_000)
    ]
    assert sizes == [64, 64, 128, 256]


def test_finetuning_takes_about_two_thousand_steps() -> None:
    training = choose_recipe(FINETUNED, 12_800).settings
    assert training.epochs * 12_800 / training.batch_size == pytest.approx(2_000, rel=0.05)
