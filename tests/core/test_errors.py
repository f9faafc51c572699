"""An error says what is wrong, what was seen, and the way out."""

from __future__ import annotations

import pickle

import pytest

from fieldcraft.core import errors
from fieldcraft.core.errors import FieldcraftError, did_you_mean

LEAVES = [
    found
    for found in vars(errors).values()
    if isinstance(found, type) and issubclass(found, FieldcraftError)
]


@pytest.mark.parametrize("error", LEAVES)
def test_every_error_shows_its_three_parts(error: type[FieldcraftError]) -> None:
    raised = error("the file is torn", detail="line 3", hint="mend it")
    assert str(raised) == "the file is torn\n  seen: line 3\n  way out: mend it"
    assert (raised.what, raised.detail, raised.hint) == ("the file is torn", "line 3", "mend it")


@pytest.mark.parametrize("error", LEAVES)
def test_an_error_survives_the_way_to_another_process(error: type[FieldcraftError]) -> None:
    again = pickle.loads(pickle.dumps(error("torn", detail="line 3", hint="mend it")))
    assert type(again) is error
    assert (again.what, again.detail, again.hint) == ("torn", "line 3", "mend it")


def test_an_error_without_a_way_out_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="way_out"):
        FieldcraftError("torn", detail="line 3")  # type: ignore[call-arg]


def test_the_tree_at_the_top_of_the_module_names_every_error() -> None:
    assert errors.__doc__ is not None
    assert len(LEAVES) > 5
    for error in LEAVES:
        assert error.__name__ in errors.__doc__


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("aeg", ["age", "city"], "did you mean 'age'?"),
        ("AGE", ["Age", "city"], "did you mean 'Age'?"),
        ("zzz", ["b", "a", "b"], "choose one of: a, b"),
        ("zzz", [f"c{i:02d}" for i in range(14)], "c11, ..."),
        ("zzz", [], "there is nothing to choose from"),
    ],
)
def test_near_offers_the_closest_name_or_the_choices(
    name: str, known: list[str], hint: str
) -> None:
    assert did_you_mean(name, known).endswith(hint)
