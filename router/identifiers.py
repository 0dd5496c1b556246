"""Checksums and formats of identifiers: IBAN, ABN, EU VAT, BSB, phone, e-mail and web address. Knows texts only.

A checksum is evidence, not a veto: real documents carry wrong ones, and no test here decides alone.
"""

from __future__ import annotations

import re

from stdnum import iban
from stdnum.au import abn
from stdnum.eu import vat

from router.types import Check

_BSB = re.compile(r"[0-9]{3}[- ]?[0-9]{3}")
# the least that every address has: a stricter pattern refuses real ones (RFC 5322 allows nearly anything before the @)
_EMAIL = re.compile(r"[^@\s]+@(?:[\w-]+\.)+[^\W\d_]{2,}", re.IGNORECASE)
_WEBSITE = re.compile(r"(?:https?://)?(?:[\w-]+\.)+[^\W\d_]{2,}(?::[0-9]+)?(?:[/?#]\S*)?", re.IGNORECASE)
_PHONE = re.compile(r"\+?[0-9()\[\] .\-–/]+(?:(?:ext|extn|x)\.? ?[0-9]{1,6})?", re.IGNORECASE)
_PHONE_DIGITS = range(6, 16)
"""From service numbers such as 13 22 21 to the most that E.164 allows."""
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_VAT = re.compile(r"[A-Z]{2}[A-Z0-9]{8,12}")


def identifier_checks(name: str, value: str) -> tuple[Check, ...]:
    """Return the checks that a field of this name and value calls for; a foreign number is not_applicable."""
    compact = re.sub(r"[^0-9A-Za-z]", "", value).upper()
    checks: list[Check] = []
    if "bsb" in name:
        checks.append(_check("bsb_format", bool(_BSB.fullmatch(value.strip())), "three and three digits"))
    if "iban" in name or "account" in name:
        checks.append(_iban(compact, expected="iban" in name))
    if "abn" in name or "vat" in name or "tax_number" in name:
        checks.append(_business_number(compact))
    checks += _contact_checks(name, value.strip())
    return tuple(checks)


def is_phone(text: str) -> bool:
    """Return whether a text can be a telephone number: as many digits as one has, and nothing but its separators."""
    number = re.split(r"[a-z]", text.strip(), maxsplit=1, flags=re.IGNORECASE)[0]
    digits = sum(c.isdigit() for c in number)
    return _PHONE.fullmatch(text.strip()) is not None and digits in _PHONE_DIGITS


def _contact_checks(name: str, value: str) -> list[Check]:
    if name.endswith("email"):
        return [_check("email_format", bool(_EMAIL.fullmatch(value)), "name, @ and domain")]
    if name.endswith("website"):
        return [_check("website_format", bool(_WEBSITE.fullmatch(value)), "domain and perhaps a path")]
    if name.endswith("phone"):
        if re.search(r"[0-9] ?-?[a-z]{3,}$", value, re.IGNORECASE):
            return [Check(name="phone_format", outcome="not_applicable", detail="digits spelt as letters")]
        return [_check("phone_format", is_phone(value), "six to fifteen digits")]
    return []


def _iban(compact: str, expected: bool) -> Check:
    if _IBAN.fullmatch(compact) or expected:
        return _check("iban_checksum", iban.is_valid(compact), "IBAN check digits")
    return Check(name="iban_checksum", outcome="not_applicable", detail="not an IBAN")


def _business_number(compact: str) -> Check:
    digits = compact.removeprefix("ABN")
    if re.fullmatch(r"[0-9]{11}", digits):
        return _check("abn_checksum", abn.is_valid(digits), "ABN check digits (mod 89)")
    if _VAT.fullmatch(compact) and compact[:2].lower() in _vat_countries():
        return _check("vat_checksum", vat.is_valid(compact), f"VAT number of {compact[:2]}")
    return Check(name="abn_checksum", outcome="not_applicable", detail="neither an ABN nor an EU VAT number")


def _vat_countries() -> frozenset[str]:
    return frozenset(vat.MEMBER_STATES) | {"el", "xi"}


def _check(name: str, holds: bool, what: str) -> Check:
    return Check(name=name, outcome="pass" if holds else "fail", detail=f"{what} {'right' if holds else 'wrong'}")
