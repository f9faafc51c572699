"""The check that reports classes with few rows."""

from __future__ import annotations

from fieldcraft.checks.imbalance import CHECK
from tests.checks.views import found, split_view, titles


def table(**counts: int) -> dict[str, list[str]]:
    """Rows of each class."""
    labels = [label for label, count in counts.items() for _ in range(count)]
    return {"a": [str(i) for i in range(len(labels))], "y": labels}


def test_classes_of_like_size_are_not_reported() -> None:
    assert found(CHECK, split_view(table(u=120, v=80), "binary", a="number")) == []


def test_a_rare_class_is_named_with_its_share() -> None:
    (finding,) = found(CHECK, split_view(table(u=970, v=30), "binary", a="number"))
    assert finding.severity == "tip"
    assert "class v has 30 of 1,000 training rows (3.0%)" in finding.title
    assert finding.evidence == {"counts": {"u": 970, "v": 30}}


def test_classes_too_small_to_learn_are_a_warning() -> None:
    (finding,) = found(CHECK, split_view(table(u=90, v=9, w=3), "multiclass", a="number"))
    assert finding.severity == "warn"
    assert "2 classes with fewer than 10 training rows" in finding.title
    assert "1 with fewer than one in each of 5 folds: w, v" in finding.title


def test_the_rarest_class_is_told_beside_those_that_are_too_small() -> None:
    few, rare = found(CHECK, split_view(table(u=900, v=20, w=3), "multiclass", a="number"))
    assert (few.severity, rare.severity) == ("warn", "tip")
    assert "class v has 20" in rare.title


def test_labels_are_looked_at_one_by_one_from_both_sides() -> None:
    cells = {
        "a": list(map(str, range(400))),
        "even": [i % 2 for i in range(400)],
        "seldom": [int(i < 4) for i in range(400)],
        "always": [int(i > 15) for i in range(400)],
    }
    view = split_view(cells, "labels", targets=("even", "seldom", "always"), a="number")
    few, rare = found(CHECK, view)
    assert "1 label with fewer than 10 training rows" in few.title
    assert few.evidence == {"counts": {"even": 200, "seldom": 4, "always": 16}}
    assert "label always has 16 of 400" in rare.title


def test_rare_is_meant_beside_the_number_of_classes() -> None:
    even = {f"c{i}": 25 for i in range(40)}  # 2.5 % each, and yet even
    assert titles(found(CHECK, split_view(table(**even), "multiclass", a="number"))) == ""


def test_amounts_have_no_classes() -> None:
    cells = {"a": ["1"] * 50, "y": [str(i) for i in range(50)]}
    assert found(CHECK, split_view(cells, "regression", a="number")) == []
