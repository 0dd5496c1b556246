"""Contacts and bank details told from a page: by form, by label, and by whose block they stand in."""

from __future__ import annotations

import pytest

from backends.ocr.bank_details import tell_bank_detail
from backends.ocr.contacts import tell_contact
from backends.ocr.fields import BANK_DETAILS, CONTACTS, candidate_kind
from backends.ocr.layout import DocumentLayout, build_layout, document_layout, segments_from_words
from router.schema import builtin
from router.types import Word

HEIGHT = 1.4
NAMES = {"business": "Harbour Hardware Pty Ltd", "payer": "Jo Citizen"}


def page(*lines: str, certain: float = 1.0) -> DocumentLayout:
    """Return a page of lines; two blanks or more part segments, so that columns stand apart."""
    words = []
    for number, line in enumerate(lines):
        x = 0.05
        top, bottom = (0.1 + 0.03 * number) / HEIGHT, (0.12 + 0.03 * number) / HEIGHT
        for text in line.split(" "):
            x1 = x + 0.01 * len(text)
            if text:
                polygon = (x, top, x1, top, x1, bottom, x, bottom)
                words.append(Word(text=text, polygon=polygon, confidence=certain))
            x = x1 + 0.01
    return document_layout([build_layout(1, HEIGHT, segments_from_words(words, 1, HEIGHT))])


def contact(field: str, *lines: str) -> str | None:
    told = tell_contact(page(*lines), field, NAMES)
    return told.value if told else None


def detail(field: str, *lines: str) -> str | None:
    told = tell_bank_detail(page(*lines), field)
    return told.value if told else None


HEAD = "Harbour Hardware Pty Ltd"


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("Tel: 03 9123 4567", "03 9123 4567"),
        ("TEL : 03-92676697  FAX : 03-92676698", "03-92676697"),
        ("Tel/Fax: 03-92676697", "03-92676697"),
        ("Fax: 03-92676698  Tel: 03-92676697", "03-92676697"),
        ("Phone No.  (03) 9123 4567", "(03) 9123 4567"),
        ("Tél. 01 71 17 61 67", "01 71 17 61 67"),
        ("Tfno.: 985 67 40 00", "985 67 40 00"),
        ("Telefon 0613 / 33 93 88", "0613 / 33 93 88"),
        ("HP: 012-3456789 / 012-9876543", "012-3456789"),
        ("T: +61 3 9123 4567", "+61 3 9123 4567"),
        ("+61 3 9123 4567", "+61 3 9123 4567"),
        ("(334)-502-1024", "(334)-502-1024"),
        ("Ph: 03 9123 4567 Email: a@b.example", "03 9123 4567"),
        ("Tel: O3 9123 45O7", "03 9123 4507"),
        ("Fax: 03-92676698", None),
        ("ABN 51 824 753 556", None),
        ("Total 1234567.00", None),
        ("T  1017.00", None),
        ("Printed 01.07.2018", None),
        ("Email: +61 3 9123 4567", None),
        ("03 9123 4567", None),
        ("Tel: 12 34", None),
    ],
)
def test_a_phone_is_told_by_its_label_and_form(line: str, number: str | None) -> None:
    assert contact("business_phone", HEAD, line) == number


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("www.harbour.example.com.au", "www.harbour.example.com.au"),
        ("Visit https://harbour.com/shop, today", "https://harbour.com/shop"),
        ("Web: harbour.com.au", "harbour.com.au"),
        ("www. harbour.com.au.", "www.harbour.com.au"),
        ("info@harbour.com.au", None),
        ("www.facebook.com/harbour", None),
        ("Powered by www.till.com", None),
        ("Thank you", None),
    ],
)
def test_a_web_address_is_told_by_its_form(line: str, address: str | None) -> None:
    assert contact("supplier_website", HEAD, line) == address


def test_contacts_belong_to_the_party_whose_name_stands_above_them() -> None:
    columns = (
        "Harbour Hardware Pty Ltd          Bill to",
        "1 Pier Road                       Jo Citizen",
        "Tel: 03 9123 4567                 2 Hill Street",
        "shop@harbour.com                  Tel: 02 8123 4567",
        "www.harbour.com                   jo@citizen.example",
    )
    assert contact("business_phone", *columns) == "03 9123 4567"
    assert contact("payer_phone", *columns) == "02 8123 4567"
    assert contact("payer_email", *columns) == "jo@citizen.example"
    assert contact("business_email", *columns) == "shop@harbour.com"
    assert contact("supplier_website", *columns) == "www.harbour.com"


def test_what_stands_far_from_the_payer_is_the_supplier_s() -> None:
    lines = ["Jo Citizen", *["Item 1.00"] * 14, "Tel: 03 9123 4567"]
    assert contact("business_phone", *lines) == "03 9123 4567"
    assert contact("payer_phone", *lines) is None


def test_an_address_that_holds_the_payer_s_name_is_no_heading() -> None:
    lines = ("Harbour Hardware Pty Ltd", "jo.citizen@harbour.com")
    assert contact("payer_email", *lines) is None
    assert contact("business_email", *lines) == "jo.citizen@harbour.com"


def test_a_doubtful_reading_makes_a_doubtful_answer() -> None:
    sure = tell_contact(page(HEAD, "Tel: 03 9123 4567"), "business_phone", NAMES)
    doubtful = tell_contact(page(HEAD, "Tel: 03 9123 4567", certain=0.5), "business_phone", NAMES)
    assert sure is not None
    assert doubtful is not None
    assert doubtful.confidence == pytest.approx(sure.confidence / 2)
    assert (sure.page, sure.raw) == (1, "03 9123 4567")
    assert sure.polygon is not None
    assert sure.polygon[0] > 0.05


IBAN = "DE89 3704 0044 0532 0130 00"


@pytest.mark.parametrize(
    ("field", "lines", "value"),
    [
        ("account_number", (f"IBAN {IBAN}",), IBAN),
        ("account_number", (f"Pay to {IBAN} BIC COBADEFF",), IBAN),
        ("account_number", ("IBAN: FR14 20041 01005 0500013M026 06",), "FR14 20041 01005 0500013M026 06"),
        ("account_number", ("IBAN DE89 3704 0044", "0532 0130 00"), IBAN),
        ("account_number", ("IBAN DE89 3704 0044 0532 0130 01",), "DE89 3704 0044 0532 0130 01"),
        ("account_number", ("BSB 062-000", "A/C 1234 5678"), "1234 5678"),
        ("account_number", ("Bank details", "Account No:  12345678"), "12345678"),
        ("account_number", ("Account number: 12345678", "Customer since 2001"), None),
        ("account_number", ("Invoice DE1234",), None),
        ("bsb_number", ("BSB: 062-000",), "062-000"),
        ("bsb_number", ("Sort code  20-00-00",), "20-00-00"),
        ("bsb_number", ("BLZ 507 500 94",), "507 500 94"),
        ("bsb_number", ("Order 062-000",), None),
        ("account_holder", ("Account name: Harbour Hardware Pty Ltd", "BSB 062-000"), "Harbour Hardware Pty Ltd"),
        ("account_holder", ("Intestatario:  N. fattura", "12"), None),
        ("bank_name", ("Bank: Kestrel Mutual", "BSB 062-000"), "Kestrel Mutual"),
        ("bank_name", ("Banque  : Banque ABC",), "Banque ABC"),
        ("bank_name", ("Kestrel Mutual Bank", "BSB 062-000"), "Kestrel Mutual Bank"),
        ("bank_name", ("Bank Name  Account No.",), None),
        ("bank_name", ("Bank details", "BSB 062-000"), None),
        ("bank_name", ("Kestrel Mutual Bank", "Invoice 12"), None),
    ],
)
def test_bank_details_are_told_by_labels_and_checksums(field: str, lines: tuple[str, ...], value: str | None) -> None:
    assert detail(field, *lines) == value


def test_a_right_checksum_is_surer_than_a_wrong_one() -> None:
    right = tell_bank_detail(page(f"IBAN {IBAN}"), "account_number")
    wrong = tell_bank_detail(page("IBAN DE89 3704 0044 0532 0130 01"), "account_number")
    assert right is not None
    assert wrong is not None
    assert right.confidence > wrong.confidence


def test_an_empty_page_shows_nothing() -> None:
    empty = document_layout([build_layout(1, HEIGHT, [])])
    assert all(tell_contact(empty, name, NAMES) is None for name in CONTACTS)
    assert all(tell_bank_detail(empty, name) is None for name in BANK_DETAILS)


def test_bank_details_are_picked_on_statements_and_told_on_invoices() -> None:
    for name in BANK_DETAILS:
        assert candidate_kind(builtin("invoice").field(name), "invoice") is None
        assert candidate_kind(builtin("bank_statement").field(name), "bank_statement") is not None


@pytest.mark.parametrize(
    "line",
    [
        "DE12" + "A1" * 300 + "a", "DE12 " + "AB " * 300 + "a", "www.a" + ".com" * 300 + "@",
        "www.a" + " . com" * 300 + "@",
        "Tel: " + "1 " * 600, "Tel: " + "(" * 600, "a" * 3000 + "@", "a." * 1500, "x.com" * 500, "bank " * 400,
    ],
    ids=range(10),
)  # fmt: skip
def test_lines_made_to_be_hard_are_read_to_their_end(line: str) -> None:
    layout = page(line)
    for name in CONTACTS:
        told = tell_contact(layout, name, NAMES)
        assert told is None or told.raw in line
    for name in BANK_DETAILS:
        told = tell_bank_detail(layout, name)
        assert told is None or told.raw in line
