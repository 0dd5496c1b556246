"""Fields told by rules over the whole document: currency, type, tax, period, and a user's own fields."""

from __future__ import annotations

import pytest

from backends.ocr.layout import DocumentLayout, build_layout, document_layout, segments_from_words
from backends.ocr.rules import Told, tell
from router.schema import FieldSpec, builtin
from router.types import Word

HEIGHT = 1.4


def page(*lines: str) -> DocumentLayout:
    """Return a page of lines; two blanks or more part segments."""
    words = []
    for number, line in enumerate(lines):
        x = 0.1
        top, bottom = (0.1 + 0.03 * number) / HEIGHT, (0.12 + 0.03 * number) / HEIGHT
        for text in line.split(" "):
            x1 = x + 0.01 * len(text)
            if text:
                words.append(Word(text=text, polygon=(x, top, x1, top, x1, bottom, x, bottom)))
            x = x1 + 0.01
    return document_layout([build_layout(1, HEIGHT, segments_from_words(words, 1, HEIGHT))])


def told(field: str, *lines: str, schema: str = "invoice") -> Told | None:
    return tell(page(*lines), builtin(schema).field(field), schema)


def value(field: str, *lines: str, schema: str = "invoice") -> str | None:
    found = told(field, *lines, schema=schema)
    return found.value if found else None


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (("Total EUR 12.00",), "EUR"),
        (("Total € 12.00", "$5.00 off", "€ 1.00", "€ 2.00"), "EUR"),
        (("Total RM 12.00",), "MYR"),
        (("Total $12.00",), "USD"),
        (("ABN 51 824 753 556", "Total $12.00"), "AUD"),
        (("ABN 51 824 753 556", "Total USD 12.00"), "USD"),
        (("Total $12.00", "Singapore 049315"), "SGD"),
        (("Total 12.00",), None),
        ((), None),
    ],
)
def test_the_currency_named_most_often(lines: tuple[str, ...], code: str | None) -> None:
    assert value("currency", *lines) == code


def test_a_currency_named_by_all_is_surer_than_a_disputed_one() -> None:
    agreed, disputed = told("currency", "€ 1.00", "€ 2.00"), told("currency", "€ 1.00", "€ 2.00", "£ 3.00")
    assert agreed is not None
    assert disputed is not None
    assert agreed.confidence > disputed.confidence
    assert agreed.page == 1
    assert agreed.polygon is not None


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        (("Harbour Hardware", "TAX INVOICE", "Total 5.00"), "tax_invoice"),
        (("Rechnung Nr. 12",), "invoice"),
        (("Gutschrift zur Rechnung 12",), "credit_note"),
        (("Facture",), "invoice"),
        (("Quotation",), "quote"),
        (("Harbour Hardware",), None),
    ],
)
def test_the_document_s_own_title_tells_its_type(lines: tuple[str, ...], name: str | None) -> None:
    assert value("document_type", *lines) == name


def test_a_till_receipt_that_calls_itself_a_tax_invoice_is_a_receipt() -> None:
    assert value("document_type", "TAX INVOICE", schema="receipt") == "receipt"
    assert value("document_type", schema="receipt") is None


def test_whether_tax_is_included() -> None:
    assert value("is_gst_included", "Subtotal  10.00", "Total incl. GST  11.00") == "true"
    assert value("is_gst_included", "Total excl. GST  10.00", "GST  1.00") == "false"
    assert value("is_gst_included", "Total  11.00") is None


def test_a_period_is_two_dates_and_surest_beside_its_label() -> None:
    named = told("statement_period", "Statement period  1 March 2024 to 31 March 2024", schema="bank_statement")
    assert named is not None
    assert (named.raw, named.value) == ("1 March 2024 to 31 March 2024", "2024-03-01/2024-03-31")
    bare = told("statement_period", "01/03/2024 - 31/03/2024", schema="bank_statement")
    assert bare is not None
    assert named.confidence > bare.confidence
    assert value("statement_period", "Opened 1 March 2024", schema="bank_statement") is None
    assert value("statement_period", "01/03/2024 31/03/2024 12.50", schema="bank_statement") is None


PAID = FieldSpec(name="paid", kind="boolean", labels=("paid", "zahlung erfolgt"))
TERMS = FieldSpec(name="terms", kind="enum", labels=("delivery terms",), values=("EXW", "FOB", "free_carrier"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Paid: yes", "true"),
        ("PAID      No", "false"),
        ("Zahlung erfolgt: ja", "true"),
        ("Paid: perhaps", None),
        ("Yes", None),
    ],
)
def test_a_yes_or_no_stands_beside_its_label(line: str, said: str | None) -> None:
    found = tell(page("Note", line), PAID, "own")
    assert (found.value if found else None) == said


def test_a_choice_beside_its_label_is_surer_than_one_elsewhere() -> None:
    beside = tell(page("FOB harbour", "Delivery terms: EXW"), TERMS, "own")
    elsewhere = tell(page("Shipped free carrier"), TERMS, "own")
    assert beside is not None
    assert elsewhere is not None
    assert (beside.value, elsewhere.value) == ("EXW", "free_carrier")
    assert beside.confidence > elsewhere.confidence
    assert tell(page("Nothing here"), TERMS, "own") is None


def test_what_follows_a_label_is_whole_when_folding_changes_the_line_s_length() -> None:
    decomposed = FieldSpec(name="regle", kind="enum", labels=("réglé par",), values=("cheque", "carte"))
    found = tell(page("Re\u0301gle\u0301 par: carte"), decomposed, "own")
    assert found is not None
    assert (found.raw, found.value) == ("carte", "carte")
