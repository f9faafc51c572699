"""Columns are counted in bins of the training rows, with bins for unseen values."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from fieldcraft.statistics import reference_profile


def test_every_number_is_in_one_bin_and_out_of_range_ones_are_unseen() -> None:
    training = pl.Series(np.random.default_rng(0).normal(size=2_000))
    profile = reference_profile.fit_reference_profile(training, training[:500])
    assert sum(profile["bin_counts"]) == 500
    values = pl.Series([None, np.nan, -99.0, 99.0, 0.0], dtype=pl.Float64)
    names = reference_profile.bin_names(profile)
    places = reference_profile.bin_indices(values, profile)
    assert [names[place] for place in places[:4]] == [
        "missing",
        "missing",
        "below_min",
        "above_max",
    ]
    assert reference_profile.is_unseen(values, profile).tolist() == [
        False,
        False,
        True,
        True,
        False,
    ]
    middle = np.array(profile["bin_counts"])[3:-1]
    assert middle.min() > 0.3 * middle.max()  # about the same count


def test_a_number_that_many_rows_share_has_a_bin_of_its_own() -> None:
    training = pl.Series([0.0] * 900 + list(np.linspace(1, 2, 100)))
    profile = reference_profile.fit_reference_profile(training, training)
    zero = reference_profile.bin_indices(pl.Series([0.0]), profile)[0]
    assert profile["bin_counts"][zero] == 900
    assert reference_profile.bin_indices(pl.Series([0.5]), profile)[0] != zero


def test_unknown_categories_are_unseen_and_rare_ones_are_pooled() -> None:
    training = pl.Series([f"w{i}" for i in range(100)] + ["common"] * 50)
    profile = reference_profile.fit_reference_profile(training, pl.Series(["common", "w99", None]))
    values = pl.Series(["common", "w99", "w3", "fresh", None])
    names = reference_profile.bin_names(profile)
    bins = [names[place] for place in reference_profile.bin_indices(values, profile)]
    assert bins[0] == "common"
    assert bins[1] == "w99"  # two of it
    assert bins[3:] == ["unseen", "missing"]
    left = reference_profile.bin_indices(
        pl.Series([w for w in profile["known_categories"] if w not in profile["categories"]]),
        profile,
    )
    assert {names[place] for place in left} == {"other"}
    assert reference_profile.is_unseen(values, profile).tolist() == [
        False,
        False,
        False,
        True,
        False,
    ]


def test_with_too_many_categories_none_is_unseen() -> None:
    training = pl.Series([f"w{i}" for i in range(reference_profile.MAX_REMEMBERED_LEVELS + 1)])
    profile = reference_profile.fit_reference_profile(training, training)
    assert profile["known_categories"] is None
    assert not reference_profile.is_unseen(pl.Series(["fresh"]), profile).any()


def test_counts_of_several_tables_add_up() -> None:
    training = pl.Series(["a", "b", "b", None])
    profile = reference_profile.fit_reference_profile(training, training)
    one, two = pl.Series(["a", "x"]), pl.Series(["b", None])
    added = reference_profile.bin_counts(one, profile) + reference_profile.bin_counts(two, profile)
    assert added.tolist() == reference_profile.bin_counts(pl.concat([one, two]), profile).tolist()


def test_a_column_without_values_has_bins() -> None:
    for kind in (pl.Float64, pl.String):
        empty = pl.Series([None, None], dtype=kind)
        profile = reference_profile.fit_reference_profile(empty, empty)
        assert profile["bin_counts"][0] == 2
        assert len(reference_profile.bin_names(profile)) == len(profile["bin_counts"])
    assert reference_profile.numeric_bins(np.zeros(0)) == {"min": 0, "max": 0, "bin_edges": []}


def test_predictions_have_statistics_of_decision_and_probabilities() -> None:
    decided = pl.DataFrame({"prediction": ["a", "b"], "probability_a": [0.9, 0.2],
                            "prediction_set": ["a", "b"]})  # fmt: skip
    assert set(reference_profile.prediction_measures(decided)) == {"prediction", "probability_a"}
    amounts = reference_profile.prediction_measures(pl.DataFrame({"prediction": [1.5]}))
    assert amounts["prediction"].dtype == pl.Float64


def test_the_ends_of_the_range_are_seen_and_edges_belong_to_the_bin_above() -> None:
    training = pl.Series(np.arange(0.0, 101.0))
    profile = reference_profile.fit_reference_profile(training, training)
    assert (profile["min"], profile["max"]) == (0, 100)
    assert profile["bin_edges"] == pytest.approx([5.0 * k for k in range(1, 20)])
    at = reference_profile.bin_indices(
        pl.Series([0.0, 4.9, 5.0, 9.9, 94.9, 95.0, 100.0, -0.1, 100.1]), profile
    )
    assert at.tolist() == [2, 2, 3, 3, 20, 21, 21, 1, 22]
    assert reference_profile.bin_names(profile)[1:4] == ["below_min", "up to 5", "5 to 10"]
    assert reference_profile.bin_names(profile)[-2:] == ["from 95", "above_max"]
    values = pl.Series([0.0, 100.0, -0.1, 100.1, None])
    assert reference_profile.is_unseen(values, profile).tolist() == [
        False,
        False,
        True,
        True,
        False,
    ]


def test_far_outside_is_beyond_the_width_of_the_training_range() -> None:
    training = pl.Series([10.0, 30.0])
    profile = reference_profile.fit_reference_profile(training, training)
    values = pl.Series([-10.0, -10.1, 50.0, 50.1, None])
    assert reference_profile.is_far_outside(values, profile).tolist() == [
        False,
        True,
        False,
        True,
        False,
    ]
    for same, edge in ((7.0, 7.0), (-3.0, 3.0), (0.0, 1.0)):  # of one value: as far as it is from 0
        profile = reference_profile.fit_reference_profile(
            pl.Series([same, same]), pl.Series([same])
        )
        far = reference_profile.is_far_outside(
            pl.Series([same + edge, same + 1.01 * edge, same - 1.01 * edge]), profile
        )
        assert far.tolist() == [False, True, True]
    words = reference_profile.fit_reference_profile(pl.Series(["a"]), pl.Series(["a"]))
    assert reference_profile.is_far_outside(pl.Series(["a", "b", None]), words).tolist() == [
        False,
        True,
        False,
    ]


def test_the_bin_of_a_common_number_excludes_slightly_larger_ones() -> None:
    training = pl.Series([*np.linspace(0, 1, 50), *[1.0] * 50, *np.linspace(1.001, 2, 50)])
    profile = reference_profile.fit_reference_profile(training, training)
    places = reference_profile.bin_indices(pl.Series([1 - 1e-9, 1.0, 1 + 1e-9]), profile)
    assert np.diff(places).tolist() == [1, 1]


def test_times_are_binned_in_days() -> None:
    days = pl.Series([f"2024-01-{day:02}" for day in range(1, 31)]).str.to_date()
    profile = reference_profile.fit_reference_profile(days, days[20:])
    assert profile["type"] == "temporal"
    assert (profile["min"], profile["max"]) == (19_723, 19_752)
    assert sum(profile["bin_counts"]) == 10
    noon = pl.Series(["2024-01-30 12:00"]).str.to_datetime()
    assert reference_profile.as_floats(noon).tolist() == [19_752.5]
    assert reference_profile.is_unseen(noon, profile).tolist() == [True]


def test_quantiles_are_those_of_the_reference_or_the_training_rows() -> None:
    training, reference = pl.Series(np.arange(11.0)), pl.Series([0.0, 100.0, None])
    profile = reference_profile.fit_reference_profile(training, reference)
    assert profile["quantiles"] == pytest.approx(np.arange(0.0, 101.0))
    empty = reference_profile.fit_reference_profile(training, reference[2:])
    assert empty["quantiles"] == pytest.approx(np.linspace(0, 10, 101))
    assert len(reference_profile.even_quantiles(np.zeros(0))) == 0


def test_the_forty_most_frequent_categories_have_bins_with_ties_by_name() -> None:
    training = pl.Series([f"w{i:02}" for i in range(41)] + ["w40"])
    profile = reference_profile.fit_reference_profile(training, pl.Series(["w39", "new", None]))
    assert profile["categories"] == ["w39", "w40", "new", *(f"w{i:02}" for i in range(37))]
    assert profile["known_categories"] == [f"w{i:02}" for i in range(41)]
    assert reference_profile.bin_names(profile)[:3] == ["missing", "unseen", "other"]
    indices = reference_profile.bin_indices(
        pl.Series(["w39", "new", "w38", "fresh", None]), profile
    )
    assert indices.tolist() == [3, 5, 2, 1, 0]
    all_of_them = pl.Series([f"w{i}" for i in range(reference_profile.MAX_REMEMBERED_LEVELS)])
    assert (
        len(reference_profile.fit_reference_profile(all_of_them, all_of_them)["known_categories"])
        == reference_profile.MAX_REMEMBERED_LEVELS
    )


def test_at_most_twenty_probabilities_have_statistics() -> None:
    chances = {f"probability_{k}": [0.5] for k in range(21)}
    statistics = reference_profile.prediction_measures(
        pl.DataFrame({"prediction": ["a"], **chances})
    )
    assert list(statistics) == ["prediction", *(f"probability_{k}" for k in range(20))]
    assert statistics["probability_3"].dtype == pl.Float64
    assert (
        reference_profile.prediction_measures(pl.DataFrame({"prediction": [True]}))[
            "prediction"
        ].dtype
        == pl.String
    )
