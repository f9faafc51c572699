from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from fieldcraft.data.pii import find_ibans, is_iban, mask, redact_pii
from fieldcraft.kinds.text.checks.personal_data import PersonalData
from tests.checks.contexts import data_context, run_check
from tests.kinds.text.sentences import make_texts

TEXTS = make_texts(60)
EXAMPLES = [
    ("e-mail addresses", "jane.doe@example.org"),
    ("e-mail addresses", "10012345@qq.com"),
    ("card numbers", "4111 1111 1111 1111"),
    ("card numbers", "5500-0000-0000-0004"),
    ("card numbers", "378282246310005"),
    ("bank accounts (IBAN)", "DE89 3704 0044 0532 0130 00"),
    ("bank accounts (IBAN)", "GB82WEST12345698765432"),
    ("phone numbers", "+49 30 123456-78"),
    ("phone numbers", "+14155550123"),
    ("phone numbers", "(415) 555-0123"),
    ("phone numbers", "415-555-0123"),
    ("phone numbers", "030/12345678"),
    ("phone numbers", "07700900123"),
    ("IP addresses", "128.2.222.105"),
]


@pytest.mark.parametrize(("pii_type", "data"), EXAMPLES)
def test_personal_data_is_counted_but_not_shown(pii_type: str, data: str) -> None:
    context = data_context({"a": [*TEXTS, f"please use {data}, thanks", "and so"]}, a="text")
    (finding,) = run_check(PersonalData(), context)
    assert (finding.severity, finding.column) == ("info", "a")
    assert finding.evidence == {pii_type: {"texts": 1, "rows": [61]}}
    assert f"{mask(data)}, row 61" in finding.title
    finding_json = json.dumps(finding.to_json())
    assert data not in finding_json
    assert not any(part in finding_json for part in data.replace("-", " ").split() if len(part) > 3)


@pytest.mark.parametrize(
    "text",
    [
        "@jane and a@b and me@home",
        "In article <1993Apr15.2338@dazed.org> he wrote",
        "4111 1111 1111 1112 has a wrong check digit",
        "DE88 3704 0044 0532 0130 00 has wrong check digits",
        "on 2021-03-04 10:30:12 until 2021-03-05",
        "3.14159265358979 and 192.168.100.10",
        "version 12.1.0.2, section 3.14.1.2, 999.1.1.1, 1.128.2.222.5",
        "1 234 567 890 of 2 000 000 000 people",
        "0000 0000 0000 0000",
        "ISBN 0306406152 or 978-0-306-40615-7",
        "$1,234,567.89 and 10-20-30",
        "12345678901234567890123456789012345678901234567890770090012355",
    ],
)
def test_other_numbers_are_not_reported(text: str) -> None:
    assert run_check(PersonalData(), data_context({"a": [*TEXTS, text]}, a="text")) == []


def test_order_numbers_with_valid_checksums_by_chance_are_not_cards() -> None:
    rng = np.random.default_rng(0)
    orders = [f"order 4{rng.integers(10**14, 10**15)}" for _ in range(400)]
    assert run_check(PersonalData(), data_context({"a": [*TEXTS, *orders]}, a="text")) == []


def test_types_share_one_finding_and_a_card_is_not_a_phone_number() -> None:
    text = "4111-1111-1111-1111 or jane@example.org and joe@example.org"
    (finding,) = run_check(
        PersonalData(), data_context({"a": [*TEXTS, text, "+49 30 1234567"]}, a="text")
    )
    assert "2 of 62 texts (3.2%) have what looks like personal data" in finding.title
    assert "2 e-mail addresses (" in finding.title
    assert "1 card number (" in finding.title
    assert "1 phone number (" in finding.title


def test_iban_length_depends_on_its_country() -> None:
    (number,) = find_ibans("GB82 WEST 1234 5698 7654 32 THE END")
    assert is_iban(number)
    assert list(find_ibans("XX82 WEST 1234 5698 7654 32")) == []


def test_three_texts_make_a_warning() -> None:
    for count, severity in ((1, "info"), (2, "info"), (3, "warning"), (30, "warning")):
        texts = [
            f"{text} jane{i}@example.org" if i < count else text for i, text in enumerate(TEXTS)
        ]
        (finding,) = run_check(PersonalData(), data_context({"a": texts}, a="text"))
        assert finding.severity == severity


@pytest.mark.parametrize(("pii_type", "data"), EXAMPLES)
def test_redact_pii_masks_what_the_check_counts(pii_type: str, data: str) -> None:
    redacted = redact_pii(f"please use {data}, thanks")
    assert redacted == f"please use {mask(data)}, thanks"
    assert redact_pii(redacted) == redacted


def test_cards_must_be_three_times_as_frequent_as_by_chance() -> None:
    # Of ten numbers in the shape of a card one has the right check digit by chance.
    right, wrong = "4111 1111 1111 1111", "4111 1111 1111 1112"
    for others, count in ((5, 2), (6, 2), (2, 1), (3, 1)):
        texts = [*TEXTS, *[f"use {right}"] * count, *[f"use {wrong}"] * others]
        reported = count > 3 * 0.1 * (count + others)
        findings = run_check(PersonalData(), data_context({"a": texts}, a="text"))
        assert bool(findings) is reported
    assert reported is False


def test_rows_are_numbered_as_in_the_file() -> None:
    texts = [*TEXTS, "ask joe@example.org", "so", "ask me@example.org or you@example.org"]
    context = replace(data_context({"a": texts}, a="text"), row_numbers=range(501, 564))
    (finding,) = run_check(PersonalData(), context)
    assert finding.evidence == {"e-mail addresses": {"texts": 2, "rows": [561, 563]}}
    assert "3 e-mail addresses (such as ***@*******.***, row 561)" in finding.title
