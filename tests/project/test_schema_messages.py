"""Invalid values are reported once, with their location and what is allowed there."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from fieldcraft.project.schema_messages import (
    describe_node,
    drop_empty_entries,
    explain_validation_error,
    format_path,
    format_value_note,
    resolve_location,
)
from fieldcraft.project.settings import ProjectSettings


class SectionModel(BaseModel):
    """A section."""

    model_config = ConfigDict(extra="forbid")
    size: float
    word: str | None = None


def require_even_length(value: list[int]) -> list[int]:
    """A custom validator."""
    if len(value) % 2:
        raise ValueError("give an even number of them")
    return value


class AllTypesModel(BaseModel):
    """A model with fields of all supported types."""

    model_config = ConfigDict(extra="forbid")
    text_or_list: str | list[str] | None = None
    mixed: int | SectionModel | dict[str, int] | None = None
    rule: Literal["a", "b", "c"] | Annotated[float, Field(gt=0, le=2)] = "a"
    pairs: Annotated[list[int], AfterValidator(require_even_length)] | Literal["auto"] = "auto"
    parts: list[SectionModel] = Field(default_factory=list)
    by_name: dict[str, SectionModel] = Field(default_factory=dict)
    table: dict[str, dict[str, float]] = Field(default_factory=dict)
    truth: bool = True


SCHEMA = AllTypesModel.model_json_schema()


def explain_errors(**values: Any) -> list[str]:
    """Return the messages about values."""
    with pytest.raises(ValidationError) as caught:
        AllTypesModel.model_validate(values)
    return [text for _, text in explain_validation_error(caught.value, SCHEMA)]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"text_or_list": 5}, "text_or_list must be a text, or a list of texts (got: 5)"),
        ({"text_or_list": ["x", 5]}, "text_or_list, entry 2 must be a text (got: 5)"),
        ({"text_or_list": {"x": 1}}, "text_or_list must be a text, or a list of texts"),
        (
            {"mixed": "x"},
            "mixed must be a whole number, or a section with size and word, "
            "or names, each with a whole number (got: 'x')",
        ),
        ({"rule": "d"}, "rule must be a, b or c, or a number above 0 and of 2 or less (got: 'd')"),
        ({"rule": 3}, "rule must be a, b or c, or a number above 0 and of 2 or less (got: 3)"),
        ({"pairs": "all"}, "pairs must be a list of whole numbers, or auto (got: 'all')"),
        ({"pairs": [1]}, "pairs: give an even number of them (got: [1])"),
        ({"pairs": [1, "x"]}, "pairs, entry 2 must be a whole number (got: 'x')"),
        ({"parts": 5}, "parts must be a list, each entry a section with size and word (got: 5)"),
        ({"parts": [{"size": 1}, {}]}, "parts, entry 2: size is missing"),
        (
            {"parts": [{"size": 1, "wrd": "x"}]},
            "parts, entry 1: wrd is not known here; did you mean 'word'?",
        ),
        ({"by_name": {"x": 5}}, "by_name.x must be a section with size and word (got: 5)"),
        ({"by_name": {"x": {"size": "big"}}}, "by_name.x.size must be a number (got: 'big')"),
        (
            {"table": 5},
            "table must be names, each with names, each with a number (got: 5)",
        ),
        ({"table": {"x": {"y": "z"}}}, "table.x.y must be a number (got: 'z')"),
        ({"truth": "maybe"}, "truth must be true or false (got: 'maybe')"),
        ({"trth": True}, "trth is not known here; did you mean 'truth'?"),
    ],
)
def test_a_mistake_has_one_plain_message(values: dict[str, Any], text: str) -> None:
    assert explain_errors(**values) == [text]


@pytest.mark.parametrize("name", ["str", "float", "SectionModel", "list[str]", "literal['a']"])
def test_names_in_the_file_are_not_taken_for_names_of_types(name: str) -> None:
    assert explain_errors(table={name: {name: "x"}}) == [
        f"table.{name}.{name} must be a number (got: 'x')"
    ]
    assert explain_errors(by_name={name: {"size": 1, name: 2}})[0].startswith(
        f"by_name.{name}.{name} is"
    )


def test_only_the_invalid_entries_of_a_matching_type_are_reported() -> None:
    assert explain_errors(text_or_list=["x", 5, None]) == [
        "text_or_list, entry 2 must be a text (got: 5)",
        "text_or_list, entry 3 must be a text (got: nothing)",
    ]


def test_all_mistakes_are_reported() -> None:
    assert len(explain_errors(text_or_list=5, rule="d", parts=[{}, {"size": "x"}], other=1)) == 5


def test_mistakes_of_a_section_have_their_full_path() -> None:
    with pytest.raises(ValidationError) as caught:
        SectionModel.model_validate({"word": 5})
    assert explain_validation_error(caught.value, SectionModel.model_json_schema(), ("model",)) == [
        (("model", "size"), "model.size is missing"),
        (("model", "word"), "model.word must be a text (got: 5)"),
    ]


def test_a_mistake_of_the_whole_file_has_the_root_path() -> None:
    with pytest.raises(ValidationError) as caught:
        AllTypesModel.model_validate(5)
    ((path, text),) = explain_validation_error(caught.value, SCHEMA)
    assert path == ()
    assert text.startswith("the file must be a section with text_or_list, mixed")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("data",), "data"),
        (("data", "columns", "age"), "data.columns.age"),
        (("problem", "target", 0), "problem.target, entry 1"),
        (("data", "join", 1, "on", 2), "data.join, entry 2: on, entry 3"),
    ],
)
def test_paths_are_named_as_people_count(path: tuple[Any, ...], text: str) -> None:
    assert format_path(path) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, " (got: 5)"),
        ("x", " (got: 'x')"),
        (None, " (got: nothing)"),
        (True, " (got: true)"),
        (datetime.date(2024, 1, 31), " (got: 2024-01-31)"),
        ({"x": 1}, ""),
        ([1, "x"], " (got: [1, 'x'])"),
    ],
)
def test_the_value_that_was_met_is_shown(value: object, text: str) -> None:
    assert format_value_note(value) == text


def test_a_long_value_is_shown_in_part() -> None:
    assert len(format_value_note("x" * 1_000)) < 100
    assert format_value_note("x" * 1_000).endswith("...)")


@pytest.mark.parametrize(
    ("loc", "path"),
    [
        (("text_or_list", "list[str]", 1), ("text_or_list", 1)),
        (("text_or_list", "str"), ("text_or_list",)),
        (("mixed", "SectionModel", "size"), ("mixed", "size")),
        (("by_name", "int", "size"), ("by_name", "int", "size")),
        (("parts", 0, "size"), ("parts", 0, "size")),
        ((), ()),
    ],
)
def test_names_of_union_variants_are_no_part_of_a_path(
    loc: tuple[Any, ...], path: tuple[Any, ...]
) -> None:
    assert resolve_location(SCHEMA, loc)[0] == path


def test_entries_of_the_project_file_are_described() -> None:
    tree = ProjectSettings.model_json_schema()

    def describe(*loc: str) -> str:
        return describe_node(resolve_location(tree, loc)[1], tree)

    assert describe("problem", "goal") == "a number"
    assert describe("problem", "class_order") == "a list of texts"
    assert describe("data", "source") == (
        "the path of a table, or a section with train, validation and test"
    )
    assert describe("clean", "all", "clip") == "a list of 2 numbers, or auto"
    assert describe("split", "seed") == "a whole number of 0 or more"
    assert describe("nowhere") == "something else"


@pytest.mark.parametrize(
    ("values", "remaining"),
    [
        ({"text_or_list": None, "rule": "a"}, {"rule": "a"}),
        ({"parts": [{"size": 1, "word": None}]}, {"parts": [{"size": 1}]}),
        ({"by_name": {"x": None, "y": {"word": None}}}, {"by_name": {"x": {}, "y": {}}}),
        ({"mixed": {"size": None}}, {"mixed": {}}),
        ({"other": None}, {"other": None}),  # not known: a mistake, even so
        ({"parts": [{"other": None}]}, {"parts": [{"other": None}]}),
        ({"table": {"x": {"y": None}}}, {"table": {"x": {"y": None}}}),
        ({"text_or_list": ["x", None]}, {"text_or_list": ["x", None]}),
        (5, 5),
        (None, None),
    ],
)
def test_empty_entries_are_dropped(values: Any, remaining: Any) -> None:
    assert drop_empty_entries(values, SCHEMA, SCHEMA) == remaining
