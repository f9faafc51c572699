"""Find personal data: e-mail and IP addresses, card, bank account and phone numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

# Addresses start with a letter, since the IDs of Usenet articles (1993Apr15.2338@host.edu) start
# with a digit; numeric addresses are accepted from the providers that issue them.
EMAIL_PATTERN = (
    r"\b[A-Za-z][A-Za-z0-9._%+\-]{0,63}@(?:[A-Za-z0-9\-]{1,63}\.){1,5}[A-Za-z]{2,10}\b|"
    r"\b[0-9]{5,12}@(?:qq|126|139|163)\.com\b"
)
DIGIT_RUN_PATTERN = r"[+(]?\d[\d ()./\-]{7,}\d"  # digits, possibly in groups
IBAN_PATTERN = r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}"
# Card numbers by issuer prefix (ISO/IEC 7812), without spaces or in the usual groups.
CARD_PATTERN = re.compile(
    r"(?<![\d.\-/+(])(?:"
    r"(?:4\d{3}|5[1-5]\d\d|2[2-7]\d\d|6011|65\d\d|64[4-9]\d|62\d\d|35\d\d)(?:[ -]?\d{4}){3}"
    r"|3[47]\d\d[ -]?\d{6}[ -]?\d{5}|3[068]\d\d[ -]?\d{6}[ -]?\d{4})(?![\d]|[.\-/]\d)"
)
# +49 30 1234567, (030) 1234567, 030/1234567, 555-123-4567, 07700900123 (11 digits, from 0).
PHONE_PATTERN = re.compile(
    r"(?<![\d.\-/])(?:"
    r"\+(?:\d[ ()./\-]{0,2}){8,14}\d"
    r"|\(0?\d{2,4}\) ?\d{3,4}[ -]?\d{3,5}"
    r"|0\d{2,4}[ /-]{1,3}\d{6,8}"
    r"|(?:1[ -])?[2-9]\d\d([.\- ])[2-9]\d\d\1\d{4}"
    r"|0[1-35-8]\d{9})(?![\d]|[.\-/]\d)"
)
IP_PATTERN = r"(?:\d{1,3}\.){3}\d{1,3}(?:\.\d+)*"
MIN_IP_BYTE = 32  # of the largest byte; 12.1.0.2 may well be the version of a program
IBAN_LENGTHS = {  # characters by country (ISO 13616 registry)
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22,
    "BR": 29, "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28,
    "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23,
    "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26,
    "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LI": 21, "LT": 20, "LU": 20, "LV": 21,
    "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15,
    "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SE": 24,
    "SI": 19, "SK": 24, "SM": 27, "TN": 24, "TR": 26, "UA": 29, "XK": 20,
}  # fmt: skip


@dataclass(frozen=True)
class PiiType:
    """A type of personal data.

    Attributes:
        singular: its name.
        plural: the name of several.
        run_pattern: regular expression of the text that may contain it.
        find_candidates: finds the parts of such a text that have its form.
        is_valid: checks a candidate, by check digits if it has any.
        false_positive_rate: probability that a random candidate passes `is_valid`.
    """

    singular: str
    plural: str
    run_pattern: str
    find_candidates: Callable[[str], Iterator[str]]
    is_valid: Callable[[str], bool] = bool
    false_positive_rate: float = 0.0


def mask(text: str) -> str:
    """Replace letters and digits by asterisks.

    >>> mask("jane@acme.org")
    '****@****.***'
    """
    return re.sub(r"\w", "*", text)


def yield_run(run: str) -> Iterator[str]:
    """Yield the text itself: its pattern is already exact."""
    yield run


def find_cards(run: str) -> Iterator[str]:
    """Yield the parts of a run of digits that look like card numbers."""
    yield from (match[0] for match in CARD_PATTERN.finditer(run))


def is_luhn(number: str) -> bool:
    """Return whether the last digit is the check digit of the others (ISO/IEC 7812-1).

    >>> is_luhn("4111 1111 1111 1111"), is_luhn("4111-1111-1111-1112")
    (True, False)
    """
    # Every second digit from the right is doubled; above 9, its digit sum counts: d - 9.
    digits = re.sub(r"\D", "", number)
    doubled = [2 * int(digit) for digit in digits[-2::-2]]
    total = sum(map(int, digits[-1::-2])) + sum(d - 9 * (d > 9) for d in doubled)
    return total % 10 == 0


def find_ibans(run: str) -> Iterator[str]:
    """Yield the start of a run if it looks like an IBAN."""
    length = IBAN_LENGTHS.get(run[:2])
    match = (
        re.match(rf"(?:[A-Z0-9] ?){{{length - 1}}}[A-Z0-9](?![A-Z0-9])", run) if length else None
    )
    if match:
        yield match[0]


def is_iban(number: str) -> bool:
    """Return whether the check digits of an IBAN are right (ISO 7064, mod 97-10).

    >>> is_iban("GB82 WEST 1234 5698 7654 32"), is_iban("GB83WEST12345698765432")
    (True, False)
    """
    characters = number.replace(" ", "")
    return (
        int("".join(str(int(character, 36)) for character in characters[4:] + characters[:4])) % 97
        == 1
    )


def find_phone_numbers(run: str) -> Iterator[str]:
    """Yield the parts of a run of digits that look like phone numbers, if none is a card."""
    # Card numbers often have the form of phone numbers.
    if not any(map(is_luhn, find_cards(run))):
        yield from (match[0] for match in PHONE_PATTERN.finditer(run))


def is_public_ip(text: str) -> bool:
    """Return whether this is the address of a public host.

    >>> [is_public_ip(n) for n in ("128.2.222.5", "192.168.100.10", "12.1.0.2", "300.1.1.1")]
    [True, False, False, False]
    """
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return address.is_global and not address.is_multicast and max(address.packed) >= MIN_IP_BYTE


PII_TYPES = (
    PiiType("e-mail address", "e-mail addresses", EMAIL_PATTERN, yield_run),
    PiiType("card number", "card numbers", DIGIT_RUN_PATTERN, find_cards, is_luhn, 1 / 10),
    PiiType(
        "bank account (IBAN)", "bank accounts (IBAN)", IBAN_PATTERN, find_ibans, is_iban, 1 / 97
    ),
    PiiType("phone number", "phone numbers", DIGIT_RUN_PATTERN, find_phone_numbers),
    PiiType("IP address", "IP addresses", IP_PATTERN, yield_run, is_public_ip),
)


def redact_pii(text: str) -> str:
    """Mask the personal data in a text.

    >>> redact_pii("ask jane@acme.org, room 12")
    'ask ****@****.***, room 12'
    """
    for pii_type in PII_TYPES:
        runs = [match[0] for match in re.finditer(pii_type.run_pattern, text)]
        for match in filter(
            pii_type.is_valid, (part for run in runs for part in pii_type.find_candidates(run))
        ):
            text = text.replace(match, mask(match))
    return text
