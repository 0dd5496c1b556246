"""Checksums and formats of identifiers: IBAN, ABN, EU VAT, BSB. Knows texts only.

A checksum is evidence, not a veto: real documents carry wrong ones, and no test here decides alone.
"""

from __future__ import annotations

import re

from stdnum import iban
from stdnum.au import abn
from stdnum.eu import vat

from router.types import Check

_BSB = re.compile(r"[0-9]{3}[- ]?[0-9]{3}")
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
    return tuple(checks)


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
