"""Columns are counted by bins learned in training; what training did not show is new."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from fieldcraft.statistics import reference_profile


def test_every_number_falls_into_one_bin_and_far_ones_are_new() -> None:
    training = pl.Series(np.random.default_rng(0).normal(size=2_000))
    about = reference_profile.fit_reference_profile(training, training[:500])
    assert sum(about["counts"]) == 500
    values = pl.Series([None, np.nan, -99.0, 99.0, 0.0], dtype=pl.Float64)
    names = reference_profile.bin_names(about)
    places = reference_profile.bin_indices(values, about)
    assert [names[place] for place in places[:4]] == ["missing", "missing", "below", "above"]
    assert reference_profile.is_unseen(values, about).tolist() == [False, False, True, True, False]
    middle = np.array(about["counts"])[3:-1]
    assert middle.min() > 0.3 * middle.max()  # about the same count


def test_a_number_that_many_rows_share_has_a_bin_of_its_own() -> None:
    training = pl.Series([0.0] * 900 + list(np.linspace(1, 2, 100)))
    about = reference_profile.fit_reference_profile(training, training)
    zero = reference_profile.bin_indices(pl.Series([0.0]), about)[0]
    assert about["counts"][zero] == 900
    assert reference_profile.bin_indices(pl.Series([0.5]), about)[0] != zero


def test_words_that_training_did_not_show_are_new_and_rare_ones_are_counted_together() -> None:
    training = pl.Series([f"w{i}" for i in range(100)] + ["common"] * 50)
    about = reference_profile.fit_reference_profile(training, pl.Series(["common", "w99", None]))
    values = pl.Series(["common", "w99", "w3", "fresh", None])
    names = reference_profile.bin_names(about)
    found = [names[place] for place in reference_profile.bin_indices(values, about)]
    assert found[0] == "common"
    assert found[1] == "w99"  # two of it
    assert found[3:] == ["unseen", "missing"]
    left = reference_profile.bin_indices(
        pl.Series([w for w in about["seen"] if w not in about["levels"]]), about
    )
    assert {names[place] for place in left} == {"other"}
    assert reference_profile.is_unseen(values, about).tolist() == [False, False, False, True, False]


def test_of_very_many_words_none_is_called_unseen() -> None:
    training = pl.Series([f"w{i}" for i in range(reference_profile.MAX_REMEMBERED_LEVELS + 1)])
    about = reference_profile.fit_reference_profile(training, training)
    assert about["seen"] is None
    assert not reference_profile.is_unseen(pl.Series(["fresh"]), about).any()


def test_counts_add_up_with_those_of_other_rows() -> None:
    training = pl.Series(["a", "b", "b", None])
    about = reference_profile.fit_reference_profile(training, training)
    one, two = pl.Series(["a", "x"]), pl.Series(["b", None])
    added = reference_profile.bin_counts(one, about) + reference_profile.bin_counts(two, about)
    assert added.tolist() == reference_profile.bin_counts(pl.concat([one, two]), about).tolist()


def test_a_column_without_values_has_bins_all_the_same() -> None:
    for kind in (pl.Float64, pl.String):
        empty = pl.Series([None, None], dtype=kind)
        about = reference_profile.fit_reference_profile(empty, empty)
        assert about["counts"][0] == 2
        assert len(reference_profile.bin_names(about)) == len(about["counts"])


def test_predictions_are_counted_by_decision_and_probability() -> None:
    decided = pl.DataFrame({"prediction": ["a", "b"], "probability_a": [0.9, 0.2],
                            "prediction_set": ["a", "b"]})  # fmt: skip
    assert set(reference_profile.prediction_measures(decided)) == {"prediction", "probability_a"}
    amounts = reference_profile.prediction_measures(pl.DataFrame({"prediction": [1.5]}))
    assert amounts["prediction"].dtype == pl.Float64


def test_ends_of_training_are_not_new_and_edges_belong_to_the_bin_above() -> None:
    training = pl.Series(np.arange(0.0, 101.0))
    about = reference_profile.fit_reference_profile(training, training)
    assert (about["low"], about["high"]) == (0, 100)
    assert about["edges"] == pytest.approx([5.0 * k for k in range(1, 20)])
    at = reference_profile.bin_indices(
        pl.Series([0.0, 4.9, 5.0, 9.9, 94.9, 95.0, 100.0, -0.1, 100.1]), about
    )
    assert at.tolist() == [2, 2, 3, 3, 20, 21, 21, 1, 22]
    assert reference_profile.bin_names(about)[1:4] == ["below", "up to 5", "5 to 10"]
    assert reference_profile.bin_names(about)[-2:] == ["from 95", "above"]
    values = pl.Series([0.0, 100.0, -0.1, 100.1, None])
    assert reference_profile.is_unseen(values, about).tolist() == [False, False, True, True, False]


def test_what_is_far_lies_further_off_than_training_is_wide() -> None:
    training = pl.Series([10.0, 30.0])
    about = reference_profile.fit_reference_profile(training, training)
    values = pl.Series([-10.0, -10.1, 50.0, 50.1, None])
    assert reference_profile.is_far_outside(values, about).tolist() == [
        False,
        True,
        False,
        True,
        False,
    ]
    for same, edge in ((7.0, 7.0), (-3.0, 3.0), (0.0, 1.0)):  # of one value: as far as it is from 0
        about = reference_profile.fit_reference_profile(pl.Series([same, same]), pl.Series([same]))
        far = reference_profile.is_far_outside(
            pl.Series([same + edge, same + 1.01 * edge, same - 1.01 * edge]), about
        )
        assert far.tolist() == [False, True, True]
    words = reference_profile.fit_reference_profile(pl.Series(["a"]), pl.Series(["a"]))
    assert reference_profile.is_far_outside(pl.Series(["a", "b", None]), words).tolist() == [
        False,
        True,
        False,
    ]


def test_a_number_that_many_rows_share_is_parted_from_those_just_above() -> None:
    training = pl.Series([*np.linspace(0, 1, 50), *[1.0] * 50, *np.linspace(1.001, 2, 50)])
    about = reference_profile.fit_reference_profile(training, training)
    places = reference_profile.bin_indices(pl.Series([1 - 1e-9, 1.0, 1 + 1e-9]), about)
    assert np.diff(places).tolist() == [1, 1]


def test_moments_are_counted_in_days() -> None:
    days = pl.Series([f"2024-01-{day:02}" for day in range(1, 31)]).str.to_date()
    about = reference_profile.fit_reference_profile(days, days[20:])
    assert about["form"] == "time"
    assert (about["low"], about["high"]) == (19_723, 19_752)
    assert sum(about["counts"]) == 10
    noon = pl.Series(["2024-01-30 12:00"]).str.to_datetime()
    assert reference_profile.as_floats(noon).tolist() == [19_752.5]
    assert reference_profile.is_unseen(noon, about).tolist() == [True]


def test_quantiles_are_those_of_the_reference_or_else_of_training() -> None:
    training, reference = pl.Series(np.arange(11.0)), pl.Series([0.0, 100.0, None])
    about = reference_profile.fit_reference_profile(training, reference)
    assert about["quantiles"] == pytest.approx(np.arange(0.0, 101.0))
    empty = reference_profile.fit_reference_profile(training, reference[2:])
    assert empty["quantiles"] == pytest.approx(np.linspace(0, 10, 101))
    assert len(reference_profile.even_quantiles(np.zeros(0))) == 0


def test_the_forty_commonest_words_are_counted_one_by_one_ties_in_their_order() -> None:
    training = pl.Series([f"w{i:02}" for i in range(41)] + ["w40"])
    about = reference_profile.fit_reference_profile(training, pl.Series(["w39", "new", None]))
    assert about["levels"] == ["w39", "w40", "new", *(f"w{i:02}" for i in range(37))]
    assert about["seen"] == [f"w{i:02}" for i in range(41)]
    assert reference_profile.bin_names(about)[:3] == ["missing", "unseen", "other"]
    found = reference_profile.bin_indices(pl.Series(["w39", "new", "w38", "fresh", None]), about)
    assert found.tolist() == [3, 5, 2, 1, 0]
    all_of_them = pl.Series([f"w{i}" for i in range(reference_profile.MAX_REMEMBERED_LEVELS)])
    assert (
        len(reference_profile.fit_reference_profile(all_of_them, all_of_them)["seen"])
        == reference_profile.MAX_REMEMBERED_LEVELS
    )


def test_twenty_probabilities_are_counted_at_the_most() -> None:
    chances = {f"probability_{k}": [0.5] for k in range(21)}
    found = reference_profile.prediction_measures(pl.DataFrame({"prediction": ["a"], **chances}))
    assert list(found) == ["prediction", *(f"probability_{k}" for k in range(20))]
    assert found["probability_3"].dtype == pl.Float64
    assert (
        reference_profile.prediction_measures(pl.DataFrame({"prediction": [True]}))[
            "prediction"
        ].dtype
        == pl.String
    )
