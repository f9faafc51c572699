from __future__ import annotations

import numpy as np
import pytest

from fieldcraft.contracts import View
from fieldcraft.kinds.text.audit.label_words import LabelWords, members_of
from tests.checks.views import bare_view, found, split_view
from tests.kinds.text.prose import prose

ROWS = 300
TEXTS = prose(ROWS)
CLASSES = ["rec.sport", "sciSpace", "soft_goods"]
SPOKEN = ["rec sport", "sci space", "soft goods"]
KINDS = [i % 3 for i in range(ROWS)]


def view_of(texts: list[str], classes: list[str] = CLASSES) -> View:
    target = [classes[kind] for kind in KINDS]
    return split_view({"a": texts, "y": target}, "multiclass", a="text")


@pytest.mark.parametrize("form", ["{said}: {text}", "{text} ({said})", "{text} [{said}] {text}"])
def test_labels_written_into_the_texts_are_a_warning(form: str) -> None:
    texts = [form.format(said=SPOKEN[k], text=t) for k, t in zip(KINDS, TEXTS, strict=True)]
    (finding,) = found(LabelWords(), view_of(texts))
    assert (finding.severity, finding.column) == ("warn", "a")
    assert "300 of 300 texts say the name of their own class" in finding.title
    assert finding.evidence["classes"]["sciSpace"] == {"texts": 100, "own": 100, "others": 0}


def test_the_longer_of_two_names_is_looked_for_first() -> None:
    names = ["approved", "not approved", "soft"]
    texts = [f"{names[k]} {text}" for k, text in zip(KINDS, TEXTS, strict=True)]
    (finding,) = found(LabelWords(), view_of(texts, names))
    assert finding.evidence["classes"]["approved"] == {"texts": 100, "own": 100, "others": 0}


@pytest.mark.parametrize("form", ["kettles: {text}", "{text} kettles"])
def test_one_class_that_is_always_named_at_one_place_is_a_warning(form: str) -> None:
    names = ["kettles", "other things", "some more"]
    texts = [form.format(text=t) if k == 0 else t for k, t in zip(KINDS, TEXTS, strict=True)]
    (finding,) = found(LabelWords(), view_of(texts, names))
    assert "nearly all texts of 1 class say" in finding.title
    assert list(finding.evidence["classes"]) == ["kettles"]


def test_the_word_that_people_use_for_a_thing_is_no_leak() -> None:
    draw = np.random.default_rng(0)
    texts = [*TEXTS]
    for i in range(0, ROWS, 3):  # every text of the class, but here and there
        words = texts[i].split()
        words.insert(int(draw.integers(1, len(words) - 1)), "kettles")
        texts[i] = " ".join(words)
    assert found(LabelWords(), view_of(texts, ["kettles", "other things", "some more"])) == []


@pytest.mark.parametrize("names", [["0", "1", "2"], ["no", "ja", "si"]])
def test_names_that_are_no_words_are_not_looked_for(names: list[str]) -> None:
    texts = [f"{names[k]} {text}" for k, text in zip(KINDS, TEXTS, strict=True)]
    assert found(LabelWords(), view_of(texts, names)) == []


def test_names_that_stand_in_all_texts_tell_nothing() -> None:
    assert found(LabelWords(), view_of([f"{' '.join(SPOKEN)}: {text}" for text in TEXTS])) == []


def test_each_of_many_labels_is_looked_for_in_its_texts() -> None:
    toxic, rude = [k == 0 for k in KINDS], [k != 1 for k in KINDS]
    texts = [
        f"{'toxic' * a} {'rude' * b} {text}" for text, a, b in zip(TEXTS, toxic, rude, strict=True)
    ]
    cells = {"a": texts, "toxic": toxic, "rude": rude}
    view = split_view(cells, "labels", ("toxic", "rude"), a="text")
    (finding,) = found(LabelWords(), view)
    assert finding.evidence["classes"]["rude"] == {"texts": 200, "own": 200, "others": 0}


def test_numbers_have_no_names() -> None:
    view = split_view({"a": TEXTS, "y": list(map(str, KINDS))}, "regression", a="text")
    assert members_of(view) == {}
    assert found(LabelWords(), view) == []
    assert found(LabelWords(), bare_view("split", 30, a="text")) == []
