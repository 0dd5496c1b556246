import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.normalise import clean, find_amounts, find_currency, find_dates, fold, normalise

DATES = {
    "16/05/2016": "2016-05-16", "16-05-16": "2016-05-16", "16.5.2016": "2016-05-16", "20160516": "2016-05-16",
    "2016/05/16": "2016-05-16", "16052016": "2016-05-16", "16 mai 2016": "2016-05-16", "May 3, 2014": "2014-05-03",
    "3rd August 2014": "2014-08-03", "25/12/2018 8:13:39 PM": "2018-12-25", "25/12/ 2018": "2018-12-25",
    "1er février 2019": "2019-02-01", "3 août 2014": "2014-08-03", "7. März 2014": "2014-03-07",
    "12 Mac 2018": "2018-03-12",
    "28 november 2022": "2022-11-28", "15 de mayo de 2020": "2020-05-15", "4 gennaio 2021": "2021-01-04",
    "9 Disember 2017": "2017-12-09", "29DEC2017": "2017-12-29", "12/28/2017": "2017-12-28", "O5/12/2O18": "2018-12-05",
    "2016-05-16T10:20:30": "2016-05-16", "Invoice date: 16/05/2016": "2016-05-16",
}  # fmt: skip

AMOUNTS = {
    "1 234,56 €": "1234.56", "€ 1.234,56": "1234.56", "1'234.50": "1234.50", "1,234": "1234.00", "RM9.00": "9.00",
    "(12.00)": "-12.00", "12.00-": "-12.00", "-5.00": "-5.00", "- 5.00": "-5.00", "TOTAL:RM9.00": "9.00",
    "9.OO": "9.00",
    "1O.50": "10.50", "1.234.567": "1234567.00", "1,23,456.00": "123456.00", "103 920,00": "103920.00", "9.000": "9.00",
    "USD 4.11": "4.11", "Total - 12.00": "12.00", "-RM5.00": "-5.00", "9 .00": "9.00", "1,234,56": "1234.56",
    "1 234 567.89": "1234567.89", "12.3456": "12.3456", "$1,234.5": "1234.50", "12": "12.00", "(RM) 12.50": "12.50",
    "3 items 12.50": "12.50",
}  # fmt: skip


@pytest.mark.parametrize(("raw", "iso"), DATES.items())
def test_a_printed_date_becomes_an_iso_day(raw, iso):
    assert normalise("date", raw).value == iso


@pytest.mark.parametrize("raw", ["", "31/02/2018", "Tel 03-8888 1234", "1-300-88-2525", "10.0.0.1", "16/05/1816"])
def test_what_is_no_date_has_no_value(raw):
    assert normalise("date", raw).value is None
    assert find_dates(raw) == []


def test_a_year_first_date_with_a_month_above_twelve_has_its_day_in_the_middle():
    assert (normalise("date", "2016-19-03").value, normalise("date", "2016-19-03").ambiguous) == ("2016-03-19", False)
    assert normalise("date", "2016-03-12").value == "2016-03-12"
    assert find_dates("2016-19-13") == []


def test_a_date_is_ambiguous_exactly_when_day_and_month_could_be_exchanged():
    assert normalise("date", "05/06/2016").ambiguous
    assert not normalise("date", "16/05/2016").ambiguous
    assert not normalise("date", "05/05/2016").ambiguous
    assert not normalise("date", "2016-05-06").ambiguous
    assert not normalise("date", "5 June 2016").ambiguous


def test_month_first_reading_is_chosen_on_request():
    assert normalise("date", "05/06/2016", day_first=False).value == "2016-05-06"
    assert normalise("date", "25/06/2016", day_first=False).value == "2016-06-25"


def test_a_torn_day_is_joined_only_when_nothing_stands_before_it():
    assert normalise("date", "1 6/05/2016") == normalise("date", "1 6/05/2016")
    assert (normalise("date", "1 6/05/2016").value, normalise("date", "1 6/05/2016").ambiguous) == ("2016-05-16", True)
    assert find_dates("Qty 1 6/05/2016")[0][2] == "2016-05-06"


def test_a_time_glued_to_the_year_does_not_hide_the_date():
    assert [s[2] for s in find_dates("25/12/20188:13:39PM")] == ["2018-12-25"]
    assert [s[2] for s in find_dates("12-01-1920:34")] == ["2019-01-12"]


def test_found_dates_keep_their_place_in_the_text():
    text = "Date:25/12/2018 due 3 août 2019"
    assert [text[s:e] for s, e, _, _ in find_dates(text)] == ["25/12/2018", "3 août 2019"]


@pytest.mark.parametrize(("raw", "decimal"), AMOUNTS.items())
def test_a_printed_amount_becomes_a_decimal_string(raw, decimal):
    assert normalise("amount", raw).value == decimal


@pytest.mark.parametrize("raw", ["", "6%", "20,00 %", "25/12/2018", "10:25", "A4", "EUR", "12345678901234567890123"])
def test_what_is_no_amount_has_no_value(raw):
    assert normalise("amount", raw).value is None


def test_a_single_point_before_three_digits_is_decimal_and_ambiguous():
    assert (normalise("amount", "1.234").value, normalise("amount", "1.234").ambiguous) == ("1.234", True)
    assert not normalise("amount", "1,234").ambiguous


def test_found_amounts_tell_currency_and_decimals():
    assert find_amounts("TOTAL:RM9.00") == [(6, 12, "9.00", True, 2)]
    assert find_amounts("12.50 EUR") == [(0, 9, "12.50", True, 2)]
    assert find_amounts("12.50 SR") == [(0, 5, "12.50", False, 2)]
    assert find_amounts("2 150.00") == [(0, 1, "2.00", False, 0), (2, 8, "150.00", False, 2)]


@pytest.mark.parametrize(
    ("text", "code"),
    [("€ 5", "EUR"), ("Total (RM)", "MYR"), ("A$5.00", "AUD"), ("$4.11", "USD"), ("$4.11 AUD", "AUD"),
     ("5.00 kr", "SEK"), ("TRY AGAIN", None), ("no money here", None), ("12,00 EURO", "EUR"), ("Rs. 50.00", "INR"),
     ("Rs 1939", "INR"), ("SEK 15", None)],
)  # fmt: skip
def test_a_currency_is_named_by_its_iso_code(text, code):
    assert find_currency(text) == code


def test_booleans_are_read_in_several_languages():
    assert [normalise("boolean", w).value for w in ("Yes", "OUI", "Sí", "nein", "Tidak", "perhaps", "yes or no")] == [
        "true", "true", "true", "false", "false", None, None,
    ]  # fmt: skip


def test_an_enum_is_matched_against_its_values():
    values = ("invoice", "receipt", "tax_invoice")
    assert normalise("enum", "TAX INVOICE", values=values).value == "tax_invoice"
    assert normalise("enum", "Official Receipt", values=values).value == "receipt"
    assert normalise("enum", "letter", values=values).value is None
    assert normalise("enum", "invoice / receipt", values=values).ambiguous


def test_text_is_trimmed_nfc_without_invisible_characters():
    assert normalise("text", "  Cafe\u0301\u200b \n  noir\x00 ").value == "Café noir"
    assert normalise("identifier", " INV  001 ").value == "INV 001"
    assert normalise("text", " \n ").value is None


def test_fold_keeps_what_two_readings_share():
    assert fold("Café, Noir Ⅲ!") == fold("CAFE NOIR iii")


KINDS = ("text", "date", "period", "amount", "identifier", "boolean", "enum", "table")
PRINTED = st.text(alphabet="0123456789 .,'-/()O€$RMmaijulnovdec\u00a0\u0301%:", max_size=30)


@settings(max_examples=300)
@given(kind=st.sampled_from(KINDS), raw=st.one_of(st.text(max_size=40), PRINTED), day_first=st.booleans())
def test_normalise_never_raises_and_is_idempotent(kind, raw, day_first):
    once = normalise(kind, raw, day_first, ("invoice", "Tax Invoice", "no"))
    if once.value is not None:
        assert normalise(kind, once.value, day_first, ("invoice", "Tax Invoice", "no")).value == once.value


@settings(max_examples=200)
@given(st.one_of(st.text(max_size=60), PRINTED))
def test_found_spans_lie_in_the_text_in_order_and_do_not_overlap(text):
    for spans in (find_dates(text), find_amounts(text)):
        ends = [0] + [e for _, e, *_ in spans]
        assert all(0 <= s < e <= len(text) for s, e, *_ in spans)
        assert all(s >= previous for (s, *_), previous in zip(spans, ends, strict=False))


@given(st.text(max_size=40))
def test_clean_is_idempotent(text):
    assert clean(clean(text)) == clean(text)
