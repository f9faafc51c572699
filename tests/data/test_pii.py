"""Personal data is detected by its form and its check digits."""

from __future__ import annotations

import pytest

from fieldcraft.data.pii import PII_TYPES, is_iban, is_luhn, redact_pii


def test_the_false_positive_rates_of_check_digits() -> None:
    """One of ten last digits is valid for a card, one of 97 pairs of check digits for an IBAN."""
    chance = {sort.singular: sort.false_positive_rate for sort in PII_TYPES}
    cards = [is_luhn(f"411111111111111{digit}") for digit in range(10)]
    accounts = [is_iban(f"GB{check:02d}WEST12345698765432") for check in range(2, 99)]
    assert sum(cards) / len(cards) == chance.pop("card number")
    assert sum(accounts) / len(accounts) == chance.pop("bank account (IBAN)")
    assert set(chance.values()) == {0}  # types without check digits have no chance rate


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mail jane.doe@acme.org or 12345@qq.com", "mail ****.***@****.*** or *****@**.***"),
        ("1993Apr15.2338@host.edu", "1993Apr15.2338@host.edu"),  # an article's number
        ("card 4111 1111 1111 1111", "card **** **** **** ****"),
        ("part 4111 1111 1111 1112", "part 4111 1111 1111 1112"),
        ("378282246310005", "***************"),
        ("to GB82 WEST 1234 5698 7654 32 now", "to **** **** **** **** **** ** now"),
        ("to GB83 WEST 1234 5698 7654 32 now", "to GB83 WEST 1234 5698 7654 32 now"),
        ("to GB82 WEST 1234 5698 7654 now", "to GB82 WEST 1234 5698 7654 now"),  # too short
        ("call +49 30 1234567, 555-234-5678", "call +** ** *******, ***-***-****"),
        ("from 128.2.222.5, not 192.168.0.1", "from ***.*.***.*, not 192.168.0.1"),
        ("version 12.1.0.2", "version 12.1.0.2"),
    ],
)
def test_personal_data_is_masked(text: str, shown: str) -> None:
    assert redact_pii(text) == shown
