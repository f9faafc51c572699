"""Faults and leaks planted in a clean table are found, and their fixes resolve the findings."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.types import Array
from fieldcraft.ledger.records import Finding
from tests.checks.contexts import run_all_checks
from tests.kinds.text.sentences import make_texts

ROWS = 900
TARGETS = {
    "binary": ["repaid"],
    "multiclass": ["grade"],
    "regression": ["cost"],
    "labels": ["likes_a", "likes_b", "likes_c"],
}
Cells = dict[str, Any]
Plant = Callable[[Cells, np.random.Generator], Cells]


def sound(task: str, rows: int = ROWS) -> Cells:
    """Return a clean table of loans with numbers, categories, a date and a learnable target."""
    draw = np.random.default_rng(7)
    income = draw.gamma(6, 500, rows).round(1)
    amount = draw.gamma(4, 900, rows).round(1)
    years = draw.integers(0, 31, rows)
    purpose = draw.choice(["car", "house", "study", "travel"], rows)
    opened = np.datetime64("2021-01-01") + draw.integers(0, 900, rows)
    own = draw.choice(["yes", "no"], rows, p=[0.4, 0.6])
    score = (income - amount) / 1500 + 0.6 * (own == "yes") + (purpose == "study")
    noisy = score + draw.normal(0, 0.9, rows)
    targets: dict[str, dict[str, Any]] = {
        "binary": {"repaid": np.where(noisy > 0, "yes", "no")},
        "multiclass": {"grade": np.array(["c", "b", "a"])[np.digitize(noisy, [-0.8, 0.6])]},
        "regression": {"cost": (300 + 80 * noisy).round(3)},
        "labels": {
            name: (score + draw.normal(0, 1, rows) > bar).astype(int)
            for name, bar in zip(TARGETS["labels"], (-0.7, 0.0, 0.9), strict=True)
        },
    }
    employed = years.astype(str).astype(object)
    employed[draw.random(rows) < 0.03] = ""
    return {
        "income": income.astype(str).astype(object),
        "amount": amount.astype(str).astype(object),
        "employed": employed,
        "purpose": purpose.astype(object),
        "owner": own.astype(object),
        "opened": opened.astype(str).astype(object),
        **targets[task],
    }


def framed(cells: Cells) -> pl.DataFrame:
    """Return the cells as text, as read from a file."""
    return pl.DataFrame(
        {
            name: pl.Series([str(v) for v in column], dtype=pl.String)
            for name, column in cells.items()
        }
    )


def numbers(cells: Cells, name: str) -> Array:
    return np.asarray(cells[name], dtype=np.float64)


def binary(cells: Cells) -> Array:
    return np.asarray(cells["repaid"] == "yes")


def mixed_up(cells: Cells, share: float, draw: np.random.Generator) -> Array:
    """Return the binary target, flipped in a fraction of the rows."""
    return np.asarray(binary(cells) ^ (draw.random(len(cells["repaid"])) < share))


@pytest.mark.parametrize("task", TARGETS)
def test_the_clean_table_has_no_warnings(task: str) -> None:
    findings = run_all_checks(framed(sound(task)), TARGETS[task], task)
    assert [f.title for f in findings if f.severity != "info"] == []
    assert len(findings) <= 3, [f.title for f in findings]


# Each entry: code, column (None for the whole table), minimum severity, task, planted fault.
def p_copy(c: Cells, d: np.random.Generator) -> Cells:
    return {"state": np.where(binary(c), "A", "B")}


def p_copy_of_class(c: Cells, d: np.random.Generator) -> Cells:
    return {"state": np.char.add("is ", np.asarray(c["grade"], dtype=str))}


def p_noisy_copy(c: Cells, d: np.random.Generator) -> Cells:
    return {"state": np.where(mixed_up(c, 0.03, d), "A", "B")}


def p_copy_of_amount(c: Cells, d: np.random.Generator) -> Cells:
    return {"sum": c["cost"]}


def p_monotone(c: Cells, d: np.random.Generator) -> Cells:
    return {"sum": np.exp(c["cost"] / 200)}


def p_rounded(c: Cells, d: np.random.Generator) -> Cells:
    return {"sum": np.round(c["cost"] / 20) * 20}


def p_partly_filled(c: Cells, d: np.random.Generator) -> Cells:
    return {"sum": np.where(d.random(ROWS) < 0.4, c["cost"].astype(str), "")}


def p_copy_of_label(c: Cells, d: np.random.Generator) -> Cells:
    return {"flag": np.where(np.asarray(c["likes_b"]) == 1, "x", "o")}


def p_gaps_tell(c: Cells, d: np.random.Generator) -> Cells:
    return {"notice": np.where(binary(c), "", d.choice(["red", "blue"], ROWS))}


def p_gaps_lean(c: Cells, d: np.random.Generator) -> Cells:
    gone = d.random(ROWS) < np.where(binary(c), 0.15, 0.5)
    return {"notice": np.where(gone, "", d.choice(["red", "blue"], ROWS))}


def p_after(c: Cells, d: np.random.Generator) -> Cells:
    return {"closed_flag": np.where(mixed_up(c, 0.1, d), "k", "m")}


def p_after_nearly_all(c: Cells, d: np.random.Generator) -> Cells:
    return {"final_state": np.where(mixed_up(c, 0.03, d), "k", "m")}


def p_kin(c: Cells, d: np.random.Generator) -> Cells:
    return {"was_repaid_early": np.where(binary(c) & (d.random(ROWS) < 0.4), "1", "0")}


def p_later_date(c: Cells, d: np.random.Generator) -> Cells:
    days = np.where(mixed_up(c, 0.02, d), d.integers(90, 300, ROWS), d.integers(1, 100, ROWS))
    opened = np.asarray(c["opened"], dtype="datetime64[D]")
    return {"settled": (opened + days).astype(str)}


def p_sum(c: Cells, d: np.random.Generator) -> Cells:
    part = d.gamma(5, 20, ROWS).round(3)
    return {"part": part, "rest": (c["cost"] - part).round(3)}


def p_difference_of_three(c: Cells, d: np.random.Generator) -> Cells:
    one, two = d.gamma(5, 60, ROWS).round(3), d.gamma(5, 30, ROWS).round(3)
    return {"one": one, "two": two, "three": (one + two - c["cost"]).round(3)}


def p_product(c: Cells, d: np.random.Generator) -> Cells:
    pieces = d.integers(1, 40, ROWS)
    return {"pieces": pieces, "piece_cents": (c["cost"] / pieces).round(6)}


def p_ratio(c: Cells, d: np.random.Generator) -> Cells:
    base = d.gamma(9, 10, ROWS).round(3)
    return {"base": base, "top": (c["cost"] * base).round(3)}


def p_rule(c: Cells, d: np.random.Generator) -> Cells:
    a, b = d.normal(0, 1, ROWS), d.normal(0, 1, ROWS)
    return {"a": a, "b": b, "repaid": np.where((a > 0.2) ^ (b > -0.3), "yes", "no")}


def p_greater(c: Cells, d: np.random.Generator) -> Cells:
    a = d.gamma(5, 10, ROWS)
    return {"a": a, "b": np.where(binary(c), a + d.gamma(2, 9, ROWS), a - d.gamma(2, 9, ROWS))}


def p_time(c: Cells, d: np.random.Generator) -> Cells:
    days = np.datetime64("2020-01-01") + np.arange(ROWS) // 2
    wave = np.sin(np.arange(ROWS) / 60) > d.normal(0, 0.5, ROWS)
    return {"opened": days.astype(str), "repaid": np.where(wave, "yes", "no")}


def p_neighbors(c: Cells, d: np.random.Generator) -> Cells:
    return {"repaid": np.where(np.sin(np.arange(ROWS) / 8) > d.normal(0, 0.4, ROWS), "yes", "no")}


def p_sorted(c: Cells, d: np.random.Generator) -> Cells:
    order = np.argsort(np.asarray(c["repaid"], dtype=str), kind="stable")
    return {name: np.asarray(column)[order] for name, column in c.items()}


def p_counter(c: Cells, d: np.random.Generator) -> Cells:
    late = d.random(ROWS) < np.linspace(0.1, 0.9, ROWS)
    return {"place": np.cumsum(d.integers(1, 4, ROWS)), "repaid": np.where(late, "yes", "no")}


def p_entity(c: Cells, d: np.random.Generator) -> Cells:
    return {"patient_id": np.char.add("p", d.integers(0, 180, ROWS).astype(str))}


def p_empty_target(c: Cells, d: np.random.Generator) -> Cells:
    return {"repaid": np.where(d.random(ROWS) < 0.05, "", c["repaid"])}


def p_hollow(c: Cells, d: np.random.Generator) -> Cells:
    return {"rare": np.where(d.random(ROWS) < 0.02, d.normal(size=ROWS).astype(str), "")}


def p_holes(c: Cells, d: np.random.Generator) -> Cells:
    return {"income": np.where(d.random(ROWS) < 0.4, "", c["income"])}


def p_holes_together(c: Cells, d: np.random.Generator) -> Cells:
    gone = d.random(ROWS) < 0.1
    return {f"basement_{i}": np.where(gone, "", d.normal(size=ROWS).astype(str)) for i in range(3)}


def p_empty_rows(c: Cells, d: np.random.Generator) -> Cells:
    gone = np.arange(ROWS) % 12 == 5
    return {name: np.where(gone, "", cells) for name, cells in c.items() if name != "repaid"}


def p_code_for_nothing(c: Cells, d: np.random.Generator) -> Cells:
    return {"income": np.where(d.random(ROWS) < 0.03, "-999", c["income"])}


def p_word_for_nothing(c: Cells, d: np.random.Generator) -> Cells:
    return {"purpose": np.where(d.random(ROWS) < 0.05, "unknown", c["purpose"])}


def p_day_for_nothing(c: Cells, d: np.random.Generator) -> Cells:
    return {"opened": np.where(d.random(ROWS) < 0.03, "1900-01-01", c["opened"])}


def p_units(c: Cells, d: np.random.Generator) -> Cells:
    return {"length": np.char.add(d.normal(70, 9, ROWS).round(1).astype(str), " kg")}


def p_money(c: Cells, d: np.random.Generator) -> Cells:
    return {"price": [f"${v:,.2f}" for v in d.gamma(4, 900, ROWS)]}


def p_percent(c: Cells, d: np.random.Generator) -> Cells:
    return {"use": [f"{v:.1f}%" for v in d.uniform(0, 100, ROWS)]}


def p_words_among_numbers(c: Cells, d: np.random.Generator) -> Cells:
    return {"income": np.where(d.random(ROWS) < 0.1, "unknown", c["income"])}


def p_two_units(c: Cells, d: np.random.Generator) -> Cells:
    metres = d.normal(1.75, 0.08, ROWS).round(2)
    return {"tall": np.where(d.random(ROWS) < 0.1, metres * 100, metres).round(2)}


def p_two_orders(c: Cells, d: np.random.Generator) -> Cells:
    days = np.datetime64("2021-01-01") + d.integers(0, 900, ROWS)
    parts = [str(day).split("-") for day in days]
    odd = np.arange(ROWS) % 30 == 0
    return {
        "seen": [
            f"{m}/{x}/{y}" if o and int(x) > 12 else f"{x}/{m}/{y}"
            for (y, m, x), o in zip(parts, odd, strict=True)
        ]
    }


def p_spelling(c: Cells, d: np.random.Generator) -> Cells:
    return {"purpose": np.where(d.random(ROWS) < 0.05, "Car", c["purpose"])}


def p_slip(c: Cells, d: np.random.Generator) -> Cells:
    town = d.choice(["Hamburg", "Bremen", "Kassel"], ROWS).astype(object)
    town[[3, 500]] = "Hambrug"
    return {"town": town}


def p_garbled(c: Cells, d: np.random.Generator) -> Cells:
    return {"town": d.choice(["MÃ¼nchen", "Ulm"], ROWS)}


def p_repeated_column(c: Cells, d: np.random.Generator) -> Cells:
    return {"income_1": c["income"]}


def p_recoded(c: Cells, d: np.random.Generator) -> Cells:
    names = dict(zip(["car", "house", "study", "travel"], ["10", "20", "30", "40"], strict=True))
    return {"purpose_key": [names[p] for p in c["purpose"]]}


def p_scaled(c: Cells, d: np.random.Generator) -> Cells:
    return {"income_franc": (numbers(c, "income") * 1.07 + 3).round(3)}


def p_constant(c: Cells, d: np.random.Generator) -> Cells:
    return {"system": ["main"] * ROWS}


def p_nearly_constant(c: Cells, d: np.random.Generator) -> Cells:
    return {"system": ["other" if i in (4, 700) else "main" for i in range(ROWS)]}


def p_repeated_rows(c: Cells, d: np.random.Generator) -> Cells:
    return {name: np.concatenate([cells[:-40], cells[:40]]) for name, cells in c.items()}


def p_conflicts(c: Cells, d: np.random.Generator) -> Cells:
    again = p_repeated_rows(c, d)
    again["repaid"] = np.concatenate([c["repaid"][:-40], np.where(binary(c)[:40], "no", "yes")])
    return again


def p_outlier(c: Cells, d: np.random.Generator) -> Cells:
    return {"amount": np.concatenate([c["amount"][:-1], ["900000"]])}


def p_impossible(c: Cells, d: np.random.Generator) -> Cells:
    age = d.integers(18, 80, ROWS)
    age[17] = 190
    return {"age": age}


def p_key(c: Cells, d: np.random.Generator) -> Cells:
    return {
        "order_id": 10_000 + d.permutation(ROWS)[: ROWS // 2].repeat(2)[:ROWS] + np.arange(ROWS) % 2
    }


def p_codes(c: Cells, d: np.random.Generator) -> Cells:
    return {"branch_code": d.choice([11, 17, 23, 40, 52], ROWS)}


def p_levels(c: Cells, d: np.random.Generator) -> Cells:
    return {"town": np.char.add("town ", d.integers(0, 300, ROWS).astype(str))}


def p_skew(c: Cells, d: np.random.Generator) -> Cells:
    return {"visits": np.exp(2.2 * d.normal(size=ROWS)).round(4)}


def p_rare_class(c: Cells, d: np.random.Generator) -> Cells:
    return {"repaid": np.where(np.arange(ROWS) % 90 == 3, "maybe", c["repaid"])}


def p_cut_off(c: Cells, d: np.random.Generator) -> Cells:
    return {"cost": np.minimum(c["cost"], 420)}


def p_sensitive(c: Cells, d: np.random.Generator) -> Cells:
    return {"Gender": d.choice(["f", "m"], ROWS)}


def p_disparity(c: Cells, d: np.random.Generator) -> Cells:
    return {"gender": np.where(d.random(ROWS) < np.where(binary(c), 0.3, 0.7), "f", "m")}


def p_proxy(c: Cells, d: np.random.Generator) -> Cells:
    female = d.random(ROWS) < 0.5
    title = np.where(d.random(ROWS) < 0.95, np.where(female, "Mrs", "Mr"), "Dr")
    return {"gender": np.where(female, "f", "m"), "title": title}


def p_few_rows(c: Cells, d: np.random.Generator) -> Cells:
    return {name: cells[:45] for name, cells in c.items()}


def p_reversed(c: Cells, d: np.random.Generator) -> Cells:
    start = np.datetime64("2021-03-01") + d.integers(0, 300, ROWS)
    close = start + d.integers(1, 90, ROWS)
    close[5] = start[5] - 20
    return {"start": start.astype(str), "stop": close.astype(str)}


def p_near_texts(cells: Cells, draw: np.random.Generator) -> Cells:
    texts = make_texts(ROWS)
    return {"note": [*texts[:-20], *map(str.upper, texts[:20])]}


def p_markup(cells: Cells, draw: np.random.Generator) -> Cells:
    return {
        "note": [f"{text}<br>" if i % 9 == 0 else text for i, text in enumerate(make_texts(ROWS))]
    }


def p_personal(cells: Cells, draw: np.random.Generator) -> Cells:
    texts = enumerate(make_texts(ROWS))
    return {"note": [f"{t} jane.doe{i}@acme.org" if i % 90 == 0 else t for i, t in texts]}


def p_label_said(cells: Cells, draw: np.random.Generator) -> Cells:
    kind = np.where(binary(cells), "paid", "late")
    texts = zip(kind, make_texts(ROWS), strict=True)
    return {"repaid": kind, "note": [f"{label}: {text}" for label, text in texts]}


def p_languages(cells: Cells, draw: np.random.Generator) -> Cells:
    german = "Das ist nicht die {}. Lampe und wir haben auch keine mehr."
    return {"note": [german.format(i) if i % 9 == 0 else t for i, t in enumerate(make_texts(ROWS))]}


def p_long(cells: Cells, draw: np.random.Generator) -> Cells:
    return {"note": make_texts(ROWS, 150)}


def p_telling(c: Cells, d: np.random.Generator) -> Cells:
    texts = zip(binary(c), make_texts(ROWS), strict=True)
    return {"note": [text.replace(" and ", " (agency) ", 1) if b else text for b, text in texts]}


def p_escapes(c: Cells, d: np.random.Generator) -> Cells:
    return {"note": [text.replace(" the ", r"\u2009the ") for text in make_texts(ROWS)]}


def p_stand_ins(c: Cells, d: np.random.Generator) -> Cells:
    texts = enumerate(make_texts(ROWS))
    return {"note": [f"@user {text}" if i % 9 == 0 else text for i, text in texts]}


def p_boilerplate(c: Cells, d: np.random.Generator) -> Cells:
    return {"note": [f"{text} Sent from my old telephone" for text in make_texts(ROWS)]}


def p_giant(c: Cells, d: np.random.Generator) -> Cells:
    texts = make_texts(ROWS)
    return {"note": [*texts[:-1], " ".join(texts[:50])]}


def p_bare(cells: Cells, draw: np.random.Generator) -> Cells:
    return {
        "note": [f"{i} - {i}: 9 +" if i % 99 == 0 else t for i, t in enumerate(make_texts(ROWS))]
    }


PLANTS: list[tuple[str, str | None, str, str, Plant]] = [
    ("target_leakage", "state", "error", "binary", p_copy),
    ("target_leakage", "state", "error", "multiclass", p_copy_of_class),
    ("target_leakage", "state", "warning", "binary", p_noisy_copy),
    ("target_leakage", "sum", "error", "regression", p_copy_of_amount),
    ("target_leakage", "sum", "error", "regression", p_monotone),
    ("target_leakage", "sum", "error", "regression", p_rounded),
    ("target_leakage", "sum", "error", "regression", p_partly_filled),
    ("target_leakage", "flag", "error", "labels", p_copy_of_label),
    ("target_leakage", "notice", "error", "binary", p_gaps_tell),
    ("target_leakage", "final_state", "error", "binary", p_after_nearly_all),
    ("informative_missingness", "notice", "info", "binary", p_gaps_lean),
    ("date_difference_leak", "settled", "warning", "binary", p_later_date),
    ("post_outcome_name", "closed_flag", "warning", "binary", p_after),
    ("post_outcome_name", "was_repaid_early", "warning", "binary", p_kin),
    ("target_formula", "part", "error", "regression", p_sum),
    ("target_formula", "one", "error", "regression", p_difference_of_three),
    ("target_formula", "pieces", "error", "regression", p_product),
    ("target_formula", "base", "error", "regression", p_ratio),
    ("pairwise_leak", "a", "error", "binary", p_rule),
    ("pairwise_leak", "a", "error", "binary", p_greater),
    ("time_dependence", "opened", "warning", "binary", p_time),
    ("row_order", None, "warning", "binary", p_neighbors),
    ("row_order", None, "info", "binary", p_sorted),
    ("row_order", "place", "warning", "binary", p_counter),
    ("group_leakage", "patient_id", "warning", "binary", p_entity),
    ("missing_values", "repaid", "warning", "binary", p_empty_target),
    ("missing_values", "rare", "warning", "binary", p_hollow),
    ("missing_values", "income", "warning", "binary", p_holes),
    ("missingness_pattern", None, "info", "binary", p_holes_together),
    ("missingness_pattern", None, "warning", "binary", p_empty_rows),
    ("sentinel_values", "income", "warning", "binary", p_code_for_nothing),
    ("sentinel_values", "purpose", "info", "binary", p_word_for_nothing),
    ("sentinel_values", "opened", "warning", "binary", p_day_for_nothing),
    ("mixed_types", "length", "warning", "binary", p_units),
    ("mixed_types", "price", "warning", "binary", p_money),
    ("mixed_types", "use", "warning", "binary", p_percent),
    ("mixed_types", "income", "warning", "binary", p_words_among_numbers),
    ("mixed_units", "tall", "warning", "binary", p_two_units),
    ("ambiguous_dates", "seen", "warning", "binary", p_two_orders),
    ("inconsistent_categories", "purpose", "warning", "binary", p_spelling),
    ("inconsistent_categories", "town", "info", "binary", p_slip),
    ("mojibake", "town", "warning", "binary", p_garbled),
    ("duplicate_columns", "income_1", "warning", "binary", p_repeated_column),
    ("duplicate_columns", None, "info", "binary", p_recoded),
    ("duplicate_columns", None, "info", "binary", p_scaled),
    ("constant", "system", "info", "binary", p_constant),
    ("nearly_constant", "system", "info", "binary", p_nearly_constant),
    ("duplicate_rows", None, "warning", "binary", p_repeated_rows),
    ("conflicting_labels", None, "warning", "binary", p_conflicts),
    ("outliers", "amount", "info", "binary", p_outlier),
    ("impossible_values", "age", "warning", "binary", p_impossible),
    ("identifier", "order_id", "warning", "binary", p_key),
    ("numeric_codes", "branch_code", "info", "binary", p_codes),
    ("high_cardinality", "town", "info", "binary", p_levels),
    ("skewness", "visits", "info", "binary", p_skew),
    ("class_imbalance", None, "warning", "multiclass", p_rare_class),
    ("target_distribution", "cost", "info", "regression", p_cut_off),
    ("sensitive_features", "Gender", "info", "binary", p_sensitive),
    ("group_disparity", "gender", "info", "binary", p_disparity),
    ("proxy_features", "gender", "info", "binary", p_proxy),
    ("reversed_order", None, "info", "binary", p_reversed),
    ("small_sample", None, "warning", "binary", p_few_rows),
    ("near_duplicate_texts", "note", "warning", "binary", p_near_texts),
    ("markup", "note", "info", "binary", p_markup),
    ("personal_data", "note", "warning", "binary", p_personal),
    ("label_in_text", "note", "warning", "binary", p_label_said),
    ("mixed_languages", "note", "warning", "binary", p_languages),
    ("truncated_texts", "note", "warning", "binary", p_long),
    ("leaky_words", "note", "warning", "binary", p_telling),
    ("escape_sequences", "note", "warning", "binary", p_escapes),
    ("placeholder_texts", "note", "info", "binary", p_stand_ins),
    ("boilerplate", "note", "info", "binary", p_boilerplate),
    ("very_long_texts", "note", "warning", "binary", p_giant),
    ("without_letters", "note", "info", "binary", p_bare),
]
CASES = [pytest.param(*plant, id=f"{plant[0]}-{plant[4].__name__[2:]}") for plant in PLANTS]
GIVEN: dict[Plant, tuple[ConfigEdit, ...]] = {  # kinds set by the user, unlike the inferred ones
    p_key: (ConfigEdit(("data", "columns", "order_id", "kind"), "number"),),
    p_codes: (ConfigEdit(("data", "columns", "branch_code", "kind"), "number"),),
}
BY_A_PERSON = {  # faults without an automatic fix
    "near_duplicate_texts", "personal_data", "label_in_text", "mixed_languages", "truncated_texts",
    "escape_sequences", "very_long_texts", "leaky_words",
    "target_leakage-noisy_copy", "informative_missingness", "row_order",
    "missing_values-empty_target", "missing_values-holes",
    "missingness_pattern", "mixed_types-units", "mixed_types-money", "mixed_types-percent",
    "mixed_units", "ambiguous_dates", "inconsistent_categories",
    "mojibake", "duplicate_rows", "small_sample", "impossible_values", "class_imbalance",
    "conflicting_labels", "date_difference_leak",
}  # fmt: skip


def targets_of(task: str, plant: Plant) -> list[str]:
    return TARGETS["binary" if plant is p_rare_class else task]


@cache
def table(task: str, plant: Plant) -> pl.DataFrame:
    cells = sound("binary" if plant is p_rare_class else task)
    return framed({**cells, **plant(cells, np.random.default_rng(3))})


@cache
def first_audit(task: str, plant: Plant) -> list[Finding]:
    return run_all_checks(table(task, plant), targets_of(task, plant), task, GIVEN.get(plant, ()))


@pytest.mark.parametrize(("code", "column", "severity", "task", "plant"), CASES)
def test_a_planted_fault_is_found(
    code: str, column: str | None, severity: str, task: str, plant: Plant
) -> None:
    findings = first_audit(task, plant)
    caught = {f.severity for f in findings if f.code == code and f.column == column}
    assert severity in caught, [(f.accept_key, f.severity) for f in findings]
    others = {f.code for f in findings if f.severity == "error"} - {code}
    assert others == set(), "a fault must not cause an error of another check"
    for finding in findings:
        assert finding.evidence
        assert finding.advice
        text = json.dumps(finding.to_json(), allow_nan=False)
        assert Finding.from_json(json.loads(text)) == finding


@pytest.mark.parametrize(
    ("code", "column", "severity", "task", "plant"),
    [
        case
        for case in CASES
        if PLANTS[CASES.index(case)][2] != "info"
        and not BY_A_PERSON & {str(case.id), str(case.id).partition("-")[0]}
    ],
)
def test_a_fix_resolves_its_finding(
    code: str, column: str | None, severity: str, task: str, plant: Plant
) -> None:
    serious = [f for f in first_audit(task, plant) if f.severity != "info"]
    mended = {f.accept_key for f in serious if f.fixes}
    assert code in {name.partition(":")[0] for name in mended}
    edits = [*GIVEN.get(plant, ()), *(edit for finding in serious for edit in finding.fixes)]
    again = run_all_checks(table(task, plant), targets_of(task, plant), task, edits)
    assert not mended & {f.accept_key for f in again if f.severity != "info"}
