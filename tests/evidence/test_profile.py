"""Columns are counted by bins learned in training; what training did not show is new."""

from __future__ import annotations

import numpy as np
import polars as pl

from fieldcraft.evidence import profile


def test_every_number_falls_into_one_bin_and_far_ones_are_new() -> None:
    training = pl.Series(np.random.default_rng(0).normal(size=2_000))
    about = profile.learned(training, training[:500])
    assert sum(about["counts"]) == 500
    values = pl.Series([None, np.nan, -99.0, 99.0, 0.0], dtype=pl.Float64)
    names = profile.bins(about)
    places = profile.places(values, about)
    assert [names[place] for place in places[:4]] == ["missing", "missing", "below", "above"]
    assert profile.is_new(values, about).tolist() == [False, False, True, True, False]
    middle = np.array(about["counts"])[3:-1]
    assert middle.min() > 0.3 * middle.max()  # about the same count


def test_a_number_that_many_rows_share_has_a_bin_of_its_own() -> None:
    training = pl.Series([0.0] * 900 + list(np.linspace(1, 2, 100)))
    about = profile.learned(training, training)
    zero = profile.places(pl.Series([0.0]), about)[0]
    assert about["counts"][zero] == 900
    assert profile.places(pl.Series([0.5]), about)[0] != zero


def test_words_that_training_did_not_show_are_new_and_rare_ones_are_counted_together() -> None:
    training = pl.Series([f"w{i}" for i in range(100)] + ["common"] * 50)
    about = profile.learned(training, pl.Series(["common", "w99", None]))
    values = pl.Series(["common", "w99", "w3", "fresh", None])
    names = profile.bins(about)
    found = [names[place] for place in profile.places(values, about)]
    assert found[0] == "common"
    assert found[1] == "w99"  # two of it
    assert found[3:] == ["unseen", "missing"]
    left = profile.places(pl.Series([w for w in about["seen"] if w not in about["levels"]]), about)
    assert {names[place] for place in left} == {"other"}
    assert profile.is_new(values, about).tolist() == [False, False, False, True, False]


def test_of_very_many_words_none_is_called_unseen() -> None:
    training = pl.Series([f"w{i}" for i in range(profile.SEEN + 1)])
    about = profile.learned(training, training)
    assert about["seen"] is None
    assert not profile.is_new(pl.Series(["fresh"]), about).any()


def test_counts_add_up_with_those_of_other_rows() -> None:
    training = pl.Series(["a", "b", "b", None])
    about = profile.learned(training, training)
    one, two = pl.Series(["a", "x"]), pl.Series(["b", None])
    added = profile.counted(one, about) + profile.counted(two, about)
    assert added.tolist() == profile.counted(pl.concat([one, two]), about).tolist()


def test_a_column_without_values_has_bins_all_the_same() -> None:
    for kind in (pl.Float64, pl.String):
        empty = pl.Series([None, None], dtype=kind)
        about = profile.learned(empty, empty)
        assert about["counts"][0] == 2
        assert len(profile.bins(about)) == len(about["counts"])


def test_predictions_are_counted_by_decision_and_probability() -> None:
    decided = pl.DataFrame({"prediction": ["a", "b"], "probability_a": [0.9, 0.2],
                            "prediction_set": ["a", "b"]})  # fmt: skip
    assert set(profile.said(decided)) == {"prediction", "probability_a"}
    amounts = profile.said(pl.DataFrame({"prediction": [1.5]}))
    assert amounts["prediction"].dtype == pl.Float64
