"""The kinds of documents that a model is asked to tell apart, and the schema of each. Knows no prompt and no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class DocumentKind:
    """A kind of document: `words` are what an answer may call it, the first is offered; `schema` holds its fields."""

    name: str
    schema: str
    words: tuple[str, ...]


KINDS = (
    DocumentKind("receipt", "receipt", ("receipt", "sales receipt", "till receipt", "cash receipt")),
    DocumentKind("invoice", "invoice", ("invoice", "sales invoice", "bill")),
    DocumentKind("tax_invoice", "invoice", ("tax invoice",)),
    DocumentKind("credit_note", "invoice", ("credit note", "credit memo", "credit invoice", "adjustment note")),
    DocumentKind("quote", "invoice", ("quote", "quotation", "estimate", "pro forma invoice")),
    DocumentKind("statement", "bank_statement", ("bank statement", "account statement", "statement of account")),
)
"""In the order in which they are offered. The names are those of the field `document_type`."""


def kind_words() -> Mapping[str, Sequence[str]]:
    """Return what an answer may call each kind, by the kind's name."""
    return {kind.name: kind.words for kind in KINDS}


def schema_of(kind: str) -> str:
    """Return the name of the built-in schema for a kind; raise `KeyError` for one that is not offered."""
    return {one.name: one.schema for one in KINDS}[kind]
