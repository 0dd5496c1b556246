"""Which kind of candidate a field's value can be. Knows schemas, not documents."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

from backends.ocr.candidates import CandidateKind
from backends.ocr.concepts import label_pattern
from router.schema import FieldSpec

Party = Literal["business", "payer"]
Contact = Literal["phone", "email", "website"]
SPECIAL = frozenset({"currency", "document_type", "is_gst_included", "statement_period"})
"""Built-in fields that are told by rules over the whole document, not picked from candidates."""
CONTACTS: Mapping[str, tuple[Party, Contact]] = {
    "business_phone": ("business", "phone"),
    "business_email": ("business", "email"),
    "supplier_website": ("business", "website"),
    "payer_phone": ("payer", "phone"),
    "payer_email": ("payer", "email"),
}
"""Fields told by their form and by whose block they stand in: whose they are, and what form they have."""
BANK_DETAILS = frozenset({"bank_name", "bsb_number", "account_number", "account_holder"})
"""Picked from candidates on a statement, whose account they are; told by rules on an invoice, which rarely has them."""


def candidate_kind(spec: FieldSpec, schema_name: str = "") -> CandidateKind | None:
    """Return the kind of candidates for a field of a schema; None where it is told by rules."""
    if spec.name in SPECIAL or spec.name in CONTACTS or is_invoice_bank_detail(spec, schema_name):
        return None
    match spec.kind:
        case "boolean" | "enum" | "period" | "table":
            return None
        case "text":
            return "address" if spec.name.endswith("address") else "name"
        case kind:
            return kind


def is_invoice_bank_detail(spec: FieldSpec, schema_name: str) -> bool:
    """Return whether a field says where an invoice asks to be paid."""
    return schema_name == "invoice" and spec.name in BANK_DETAILS


@lru_cache(maxsize=512)
def labels_of(spec: FieldSpec) -> re.Pattern[str] | None:
    """Return the pattern of a field's label words; a field without any is looked for by its name."""
    words = spec.labels or (spec.name.replace("_", " "),)
    return label_pattern(words)
