"""The check that finds proxies of sensitive features."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.checks.proxy_features import CHECK, encode_sensitive
from fieldcraft.ledger.records import Finding
from tests.checks.contexts import data_context, run_check

DRAW = np.random.default_rng(0)
ROWS = 900
SEX = DRAW.choice(["f", "m"], ROWS)
TITLE = np.where(DRAW.random(ROWS) < 0.1, "Dr", np.where(SEX == "f", "Mrs", "Mr"))
NOISE = DRAW.normal(size=ROWS)


def look(**columns: tuple[Any, str]) -> list[Finding]:
    cells = {name: column for name, (column, _) in columns.items()}
    return run_check(
        CHECK, data_context(cells, **{name: kind for name, (_, kind) in columns.items()})
    )


def test_unassociated_columns_are_not_reported() -> None:
    assert look(sex=(SEX, "category"), noise=(NOISE, "number")) == []
    assert look(title=(TITLE, "category"), noise=(NOISE, "number")) == []


def test_a_proxy_is_reported_with_its_association_strength() -> None:
    (finding,) = look(sex=(SEX, "category"), title=(TITLE, "category"), noise=(NOISE, "number"))
    assert (finding.severity, finding.column, finding.fixes) == ("info", "sex", ())
    explained = finding.evidence["explained_fraction"]["sex"]
    assert list(explained) == ["title"]
    assert explained["title"] == pytest.approx(0.9, abs=0.05)


def test_proxies_of_sensitive_numbers_are_found_by_rank() -> None:
    age = np.where(DRAW.random(ROWS) < 0.05, np.nan, DRAW.uniform(18, 80, ROWS))
    seniority = np.maximum(0, np.nan_to_num(age, nan=40) - 25) + DRAW.uniform(0, 9, ROWS)
    (finding,) = look(age=(age, "number"), seniority=(seniority, "number"))
    assert finding.column == "age"


def test_sensitive_columns_are_no_proxies_of_each_other() -> None:
    assert look(sex=(SEX, "category"), gender=(SEX, "category")) == []


def test_proxies_of_declared_non_features_are_reported() -> None:
    view = data_context({"group": SEX, "title": TITLE}, title="category")
    assert run_check(CHECK, view) == []
    (finding,) = run_check(CHECK, replace(view, sensitive_features=("group",)))
    assert finding.column == "group"


@pytest.mark.parametrize(("wrong", "reported"), [(110, True), (130, False)])
def test_a_proxy_has_an_association_strength_of_at_least_half(wrong: int, reported: bool) -> None:
    # Lambda of two even groups is 1 - 2 e: .56 and .48, less a little for chance.
    sex = np.arange(1_000) % 2
    title = np.where(np.arange(1_000) < 2 * wrong, 1 - sex, sex)
    findings = look(sex=(np.where(sex, "f", "m"), "category"), title=(title, "number"))
    assert bool(findings) == reported


def test_the_strongest_proxy_comes_first() -> None:
    better = np.where(DRAW.random(ROWS) < 0.02, "Dr", np.where(SEX == "f", "Mrs", "Mr"))
    (finding,) = look(sex=(SEX, "category"), title=(TITLE, "category"), better=(better, "category"))
    assert list(finding.evidence["explained_fraction"]["sex"]) == ["better", "title"]
    assert finding.title.startswith("sex can be predicted from better (9")


def test_several_sensitive_columns_share_a_finding() -> None:
    race = DRAW.choice(["p", "q"], ROWS)
    (finding,) = look(
        sex=(SEX, "category"), race=(race, "category"), title=(TITLE, "category"),
        club=(np.where(race == "p", "u", "v"), "category"),
    )  # fmt: skip
    assert finding.column is None
    assert finding.title.startswith(
        "2 sensitive features can be predicted from others: sex from title ("
    )
    assert "; race from club (" in finding.title


def test_sensitive_numbers_with_more_than_thirty_values_are_numeric() -> None:
    many = pl.Series("age", [float(i % 31) - 7 for i in range(100)])
    goal, number = encode_sensitive(many)
    assert number
    assert goal.tolist() == many.to_list()
    few = pl.Series("age", [float(i % 30) - 7 for i in range(100)])
    goal, number = encode_sensitive(few)
    assert not number
    assert sorted(set(goal)) == list(range(30))


def test_the_thirty_most_frequent_categories_are_groups() -> None:
    words = [f"w{i:02}" for i in range(31) for _ in range(1 + i)]
    goal, number = encode_sensitive(pl.Series("town", [None, *words]))
    assert not number
    assert np.isnan(goal[:2]).all()  # no word, and the rarest
    assert np.unique(goal[2:]).tolist() == list(range(30))
