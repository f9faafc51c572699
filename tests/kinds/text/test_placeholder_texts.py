from __future__ import annotations

import pytest

from fieldcraft.kinds.text.checks.placeholder_texts import PlaceholderTexts
from tests.checks.contexts import data_context, run_check
from tests.kinds.text.sentences import make_texts

TEXTS = make_texts(98)


@pytest.mark.parametrize(
    ("text", "placeholder"),
    [
        ("@user thanks", "@user"),
        ("look at this http", "http"),
        ("https, they say", "https"),
        ("HTTPURL is down", "httpurl"),
        ("ask <PERSON> for it", "<person>"),
        ("ask [NAME_1], please", "[name_1]"),
        ("call [Phone Number] now", "[phone number]"),
        ("on XXXX I paid XXXX", "xxxx"),
        ("Dear {{ customer.name }},", "{{ customer.name }}"),
        ("Dear {first_name},", "{first_name}"),
        ("Dear ${name},", "${name}"),
        ("Dear %(name)s,", "%(name)s"),
    ],
)
def test_placeholders_are_counted(text: str, placeholder: str) -> None:
    (finding,) = run_check(
        PlaceholderTexts(), data_context({"a": [*TEXTS, text, f"{text} {text}"]}, a="text")
    )
    assert (finding.severity, finding.column) == ("info", "a")
    assert finding.evidence == {"texts": {placeholder: 2}, "n_total": 100}
    assert f"{placeholder} in 2 of 100 texts (2.0%)" in finding.title


@pytest.mark.parametrize(
    "text",
    [
        "@jane and @username2",
        "http://example.org",
        "a <b> c and <stdio.h>",
        "[sic] [1] [laughs]",
        "kisses xxx and XXX",
        r"\frac{a}{b} and {x: 1} and f{i}",
        "50% saved, 100%(net)",
        "give me your name and number",
    ],
)
def test_other_brackets_and_mentions_are_not_reported(text: str) -> None:
    assert run_check(PlaceholderTexts(), data_context({"a": [*TEXTS, *[text] * 9]}, a="text")) == []


def test_most_common_placeholder_is_first_and_rare_ones_are_left_out() -> None:
    texts = [*make_texts(290), *["@user hi"] * 5, *["<url> hi"] * 9, "[NAME] hi", "[NAME] ho"]
    (finding,) = run_check(PlaceholderTexts(), data_context({"a": texts}, a="text"))
    assert list(finding.evidence["texts"].items()) == [("<url>", 9), ("@user", 5)]


@pytest.mark.parametrize(
    ("count", "texts", "reported"), [(3, 300, True), (3, 301, False), (1, 20, False), (2, 20, True)]
)
def test_reported_from_two_texts_and_one_percent(count: int, texts: int, reported: bool) -> None:
    cells = [*make_texts(texts - count), *["@user hi"] * count]
    findings = run_check(PlaceholderTexts(), data_context({"a": cells}, a="text"))
    assert [f.evidence for f in findings] == [
        {"texts": {"@user": count}, "n_total": texts}
    ] * reported
