"""An error says what is wrong, the detail, and a hint."""

from __future__ import annotations

import pickle

import pytest

from fieldcraft.core import errors
from fieldcraft.core.errors import FieldcraftError, did_you_mean

ERROR_TYPES = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, FieldcraftError)
]


@pytest.mark.parametrize("error", ERROR_TYPES)
def test_every_error_shows_its_three_parts(error: type[FieldcraftError]) -> None:
    raised = error("the file is damaged", detail="line 3", hint="repair it")
    assert str(raised) == "the file is damaged\n  detail: line 3\n  hint: repair it"
    assert (raised.what, raised.detail, raised.hint) == (
        "the file is damaged",
        "line 3",
        "repair it",
    )


@pytest.mark.parametrize("error", ERROR_TYPES)
def test_an_error_can_be_pickled(error: type[FieldcraftError]) -> None:
    copy = pickle.loads(pickle.dumps(error("damaged", detail="line 3", hint="repair it")))
    assert type(copy) is error
    assert (copy.what, copy.detail, copy.hint) == ("damaged", "line 3", "repair it")


def test_an_error_needs_a_hint() -> None:
    with pytest.raises(TypeError, match="hint"):
        FieldcraftError("damaged", detail="line 3")  # type: ignore[call-arg]


def test_the_tree_in_the_module_docstring_has_every_error() -> None:
    assert errors.__doc__ is not None
    assert len(ERROR_TYPES) > 5
    for error in ERROR_TYPES:
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
def test_the_closest_name_or_the_choices_are_suggested(
    name: str, known: list[str], hint: str
) -> None:
    assert did_you_mean(name, known).endswith(hint)
