import datetime as dt

import pytest

from router.confidence import reading_signals
from router.evaluate import values_equal
from router.schema import FieldSpec, Schema, builtin
from router.types import Cell, FieldValue
from router.validators import validate

INVOICE = builtin("invoice")
STATEMENT = builtin("bank_statement")


def fields(**values):
    return {n: FieldValue(name=n, raw=v, value=v, present=v is not None) for n, v in values.items()}


def table(name, *rows):
    cells = tuple({k: Cell(raw=v, value=v) for k, v in row.items()} for row in rows)
    return {name: FieldValue(name=name, rows=cells)}


def outcome(checks, field, name):
    return next(c.outcome for c in checks[field] if c.name == name)


@pytest.mark.parametrize(
    ("subtotal", "tax", "total", "expected"),
    [
        ("100.00", "10.00", "110.00", "pass"),
        ("100.00", "10.00", "110.01", "pass"),
        ("100.03", "10.00", "110.05", "pass"),  # cash rounding to five cents
        ("100.03", "10.00", "110.06", "fail"),
        ("100.00", "10.00", "111.00", "fail"),
        ("110.00", "10.00", "110.00", "not_applicable"),  # prices include the tax
        (None, "10.00", "110.00", "not_applicable"),
    ],
)
def test_subtotal_and_tax_must_add_up_to_the_total(subtotal, tax, total, expected):
    checks = validate(fields(subtotal_amount=subtotal, gst_amount=tax, total_amount=total), INVOICE)
    assert outcome(checks, "total_amount", "total_sum") == expected


def test_a_subtotal_said_not_to_include_the_tax_cannot_equal_the_total():
    read = fields(subtotal_amount="110.00", gst_amount="10.00", total_amount="110.00", is_gst_included="false")
    assert outcome(validate(read, INVOICE), "total_amount", "total_sum") == "fail"


def test_lines_are_multiplied_and_summed():
    rows = [
        {"quantity": "2.00", "unit_price": "3.50", "total_price": "7.00"},
        {"quantity": "1.00", "unit_price": "3.00", "total_price": "3.00"},
    ]
    checks = validate(fields(total_amount="10.00") | table("line_items", *rows), INVOICE)
    assert outcome(checks, "line_items", "line_product") == "pass"
    assert outcome(checks, "total_amount", "line_sum") == "pass"
    rows[1]["total_price"] = "4.00"
    checks = validate(fields(total_amount="10.00") | table("line_items", *rows), INVOICE)
    failed = next(c for c in checks["line_items"] if c.name == "line_product")
    assert (failed.outcome, failed.detail) == ("fail", "quantity x unit price = line total: 1 of 2")
    assert outcome(checks, "line_items", "line_sum") == "fail"


def test_balances_run_from_opening_to_closing():
    rows = [
        {"debit": "30.00", "balance": "70.00"},
        {"credit": "5.00"},
        {"debit": "-10.00", "balance": "65.00"},
    ]
    read = fields(opening_balance="100.00", closing_balance="65.00") | table("transactions", *rows)
    checks = validate(read, STATEMENT)
    assert outcome(checks, "transactions", "running_balance") == "pass"
    assert outcome(checks, "closing_balance", "balance_sum") == "pass"
    read = fields(opening_balance="100.00", closing_balance="64.00") | table("transactions", *rows)
    assert outcome(validate(read, STATEMENT), "closing_balance", "balance_sum") == "fail"


def test_dates_must_be_plausible_and_in_order():
    read = fields(invoice_date="2016-05-16", due_date="2016-05-15")
    assert outcome(validate(read, INVOICE), "due_date", "date_order") == "fail"
    assert outcome(validate(read, INVOICE), "invoice_date", "date_plausible") == "pass"
    assert outcome(validate(fields(invoice_date="soon"), INVOICE), "invoice_date", "date_plausible") == "fail"
    assert outcome(validate(fields(invoice_date="1816-05-16"), INVOICE), "invoice_date", "date_plausible") == "fail"


def test_the_far_future_is_doubted_only_relative_to_a_given_day():
    read = fields(invoice_date="2040-01-01")
    assert outcome(validate(read, INVOICE), "invoice_date", "date_plausible") == "pass"
    later = validate(read, INVOICE, today=dt.date(2026, 1, 1))
    assert outcome(later, "invoice_date", "date_plausible") == "fail"


@pytest.mark.parametrize(
    ("value", "name", "expected"),
    [
        ("51 824 753 556", "abn_checksum", "pass"),
        ("ABN 51 824 753 557", "abn_checksum", "fail"),
        ("DE136695976", "vat_checksum", "pass"),
        ("000750673408", "abn_checksum", "not_applicable"),
    ],
)
def test_business_numbers_are_checked_where_they_carry_check_digits(value, name, expected):
    assert outcome(validate(fields(business_abn=value), INVOICE), "business_abn", name) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("DE89 3704 0044 0532 0130 00", "pass"), ("DE88 3704 0044 0532 0130 00", "fail"), ("12345678", "not_applicable")],
)
def test_an_account_number_is_checked_where_it_is_an_iban(value, expected):
    checks = validate(fields(account_number=value), STATEMENT)
    assert outcome(checks, "account_number", "iban_checksum") == expected


def test_a_bsb_has_three_and_three_digits():
    assert outcome(validate(fields(bsb_number="062-000"), STATEMENT), "bsb_number", "bsb_format") == "pass"
    assert outcome(validate(fields(bsb_number="06200"), STATEMENT), "bsb_number", "bsb_format") == "fail"


def test_a_users_pattern_must_match_in_full():
    schema = Schema(name="note", fields=(FieldSpec(name="number", kind="identifier", pattern=r"DN\d+"),))
    assert outcome(validate(fields(number="DN12"), schema), "number", "pattern") == "pass"
    assert outcome(validate(fields(number="DN12x"), schema), "number", "pattern") == "fail"


def test_absent_fields_and_numbers_that_are_none_give_no_failures():
    read = fields(total_amount="NaN", subtotal_amount="x", gst_amount=None, invoice_date=None)
    assert {c.outcome for found in validate(read, INVOICE).values() for c in found} <= {"not_applicable"}


@pytest.mark.parametrize(
    ("subtotal", "tax", "total", "currency", "expected"),
    [
        ("100.00", "10.00", "110.00", "AUD", "pass"),
        ("123.45", "12.35", None, None, "pass"),
        ("123.45", "12.25", "135.70", "AUD", "not_applicable"),  # under a tenth: some of it is free of GST
        ("10000.00", "1004.00", "11004.00", "AUD", "pass"),  # lines rounded one by one
        ("110.00", "10.00", "110.00", "AUD", "pass"),  # the subtotal includes the tax
        ("100.00", "20.00", "120.00", "GBP", "not_applicable"),  # another country's rate
        ("100.00", "20.00", "120.00", None, "not_applicable"),
        ("100.00", "4.00", "104.00", "AUD", "not_applicable"),
        ("100.00", "20.00", "120.00", "AUD", "fail"),
        ("100.00", "11.00", None, "AUD", "fail"),
        ("100.00", "11.00", "121.00", "AUD", "not_applicable"),  # a taxed delivery outside the subtotal
        ("0.00", "1.00", "1.00", "AUD", "not_applicable"),
        (None, "10.00", "110.00", "AUD", "not_applicable"),
        ("100.00", None, "110.00", "AUD", "not_applicable"),
        ("-100.00", "-10.00", "-110.00", "AUD", "pass"),
    ],
)
def test_gst_is_a_tenth_of_the_subtotal(subtotal, tax, total, currency, expected):
    read = fields(subtotal_amount=subtotal, gst_amount=tax, total_amount=total, currency=currency)
    checks = validate(read, INVOICE)
    assert outcome(checks, "gst_amount", "gst_rate") == expected
    assert outcome(checks, "subtotal_amount", "gst_rate") == expected
    assert "gst_rate" not in {c.name for c in checks["total_amount"]}


def test_a_business_number_tells_the_country_where_no_currency_does():
    read = fields(subtotal_amount="100.00", gst_amount="20.00", business_abn="51 824 753 556")
    assert outcome(validate(read, INVOICE), "gst_amount", "gst_rate") == "fail"
    read |= fields(currency="GBP")
    assert outcome(validate(read, INVOICE), "gst_amount", "gst_rate") == "not_applicable"


def test_a_check_younger_than_the_weights_moves_no_fitted_confidence():
    read = fields(subtotal_amount="100.00", gst_amount="10.00", total_amount="110.00", currency="AUD")
    checks = validate(read, INVOICE)["gst_amount"]
    older = [c for c in checks if c.name != "gst_rate"]
    assert len(older) == len(checks) - 1
    reading = read["gst_amount"]
    assert reading_signals(reading, None, False, checks) == reading_signals(reading, None, False, older)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("business_phone", "(03) 9123 4567", "pass"), ("business_phone", "+61 3 9123 4567", "pass"),
        ("payer_phone", "0613 / 33 93 88", "pass"), ("payer_phone", "03-9123 4567 ext 12", "pass"),
        ("business_phone", "13 22 21", "pass"), ("business_phone", "1300 FLOWERS", "not_applicable"),
        ("business_phone", "12 34", "fail"), ("business_phone", "51 824 753 556 1234 567", "fail"),
        ("business_phone", "www.example.com", "fail"), ("business_phone", "a@b.example", "fail"),
        ("payer_email", "jo.o'neil+bills@mail.example.com.au", "pass"), ("payer_email", "jo@example", "fail"),
        ("payer_email", "jo example.com", "fail"), ("payer_email", "jo@exa mple.com", "fail"),
        ("supplier_website", "www.example.com.au", "pass"),
        ("supplier_website", "https://example.com/shop?a=1", "pass"),
        ("supplier_website", "example", "fail"), ("supplier_website", "jo@example.com", "fail"),
        ("supplier_website", "Bücher.example.de", "pass"),
    ],
)  # fmt: skip
def test_contacts_have_the_form_of_contacts(name, value, expected):
    (check,) = validate(fields(**{name: value}), INVOICE)[name]
    assert check.outcome == expected


@pytest.mark.parametrize(
    ("name", "got", "want", "same"),
    [
        ("business_phone", "(03) 9123 4567", "03 9123-4567", True),
        ("business_phone", "03 9123 4567", "03 9123 4568", False),
        ("supplier_website", "https://www.Example.com/", "www.example.com", True),
        ("supplier_website", "example.com/a", "example.com/b", False),
        ("payer_email", "Jo@Example.com", "jo@example.com", True),
        ("payer_email", "jo@example.com", None, False),
    ],
)
def test_contacts_are_equal_however_they_are_set(name, got, want, same):
    assert values_equal(name, "identifier", got, want) is same
