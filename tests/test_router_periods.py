"""Spans of days in printed text: two dates, shared months and years, whole months, and what is none of them."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.evaluate import values_equal
from router.grounding import ground
from router.normalise import normalise
from router.periods import parse_period
from router.schema import FieldSpec, Schema
from router.types import FieldValue, Word
from router.validators import validate

JANUARY = "2024-01-01/2024-01-31"
DAYS = st.dates(dt.date(1990, 1, 1), dt.date(2100, 12, 31))
WAYS = ("%d/%m/%Y", "%d.%m.%Y", "%Y-%m-%d", "%d %B %Y", "%B %d, %Y", "%d-%m-%Y")
BETWEEN = (" - ", " – ", " to ", " until ", " bis ", " au ", " tot ", " hasta ")


def iso(raw, day_first=True):
    found = parse_period(raw, day_first)
    return found[0] if found else None


@pytest.mark.parametrize(
    ("raw", "interval"),
    [
        ("1 Jan - 31 Jan 2024", JANUARY),
        ("01/01/2024 to 31/01/2024", JANUARY),
        ("01/01/2024-31/01/2024", JANUARY),
        ("du 01/01/2024 au 31/01/2024", JANUARY),
        ("01.01. - 31.01.2024", JANUARY),
        ("1. bis 31. Januar 2024", JANUARY),
        ("du 1er au 31 janvier 2024", JANUARY),
        ("January 1 - 31, 2024", JANUARY),
        ("Jan 1, 2024 through Jan 31, 2024", JANUARY),
        ("Statement period: 1 January 2024 – 31 January 2024", JANUARY),
        ("2024-01-01/2024-01-31", JANUARY),
        ("20240101-20240131", JANUARY),
        ("January 2024", JANUARY),
        ("for the month of January 2024", JANUARY),
        ("01/2024", JANUARY),
        ("2024-01", JANUARY),
        ("1-31 July 2024", "2024-07-01/2024-07-31"),
        ("01/07/24 - 31/07/24", "2024-07-01/2024-07-31"),
        ("February 2024", "2024-02-01/2024-02-29"),
        ("Jan - Mar 2024", "2024-01-01/2024-03-31"),
        ("Nov 2023 to Feb 2024", "2023-11-01/2024-02-29"),
        ("01/2024 - 03/2024", "2024-01-01/2024-03-31"),
        ("28 Dec - 27 Jan 2024", "2023-12-28/2024-01-27"),
        ("28/12 - 27/01/2024", "2023-12-28/2024-01-27"),
        ("30/06/23-29/07/23", "2023-06-30/2023-07-29"),
        ("1.7.23-31.7.23", "2023-07-01/2023-07-31"),
    ],
)
def test_a_printed_period_becomes_an_interval_of_two_days(raw, interval):
    assert iso(raw) == interval


@pytest.mark.parametrize(
    "raw",
    [
        "", "monthly", "2024", "12 January 2024", "01/01/2024", "31/01/2024 - 01/01/2024", "31 July - 1 July 2024",
        "31/06/2024 - 31/07/2024", "1 Jan 2024, 2 Jan 2024, 3 Jan 2024", "2024-01-31/2024-01-01", "Jan", "1-31",
        "2024-13-01/2024-13-31", "1 - 32 July 2024", "January 2024, 62 transactions",
    ],
)  # fmt: skip
def test_what_is_no_two_days_in_order_has_no_value(raw):
    assert parse_period(raw) is None


def test_day_and_month_stand_in_one_order_for_both_days():
    assert parse_period("01/02/2024 - 03/04/2024") == ("2024-02-01/2024-04-03", True)
    assert parse_period("01/02/2024 - 03/04/2024", day_first=False) == ("2024-01-02/2024-03-04", True)
    # the thirteenth proves that the month stands first in the other date too
    assert parse_period("01/13/2024 - 02/12/2024") == ("2024-01-13/2024-02-12", False)
    assert parse_period("13/01/2024 - 12/02/2024", day_first=False) == ("2024-01-13/2024-02-12", False)


@given(first=DAYS, last=DAYS, way=st.sampled_from(WAYS), between=st.sampled_from(BETWEEN))
def test_two_days_are_read_in_whichever_way_they_are_written(first, last, way, between):
    found = iso(first.strftime(way) + between + last.strftime(way))
    assert found == (f"{first}/{last}" if first <= last else None)


@given(raw=st.text(alphabet="0123456789 /.-–janfebmrulyotids,", max_size=60) | st.text(max_size=60))
def test_every_interval_is_in_order_and_its_own_normal_form(raw):
    found = parse_period(raw)
    if found is not None:
        first, last = (dt.date.fromisoformat(day) for day in found[0].split("/"))
        assert first <= last
        assert parse_period(found[0]) == (found[0], False)


def test_an_endless_line_is_no_period():
    assert parse_period("1 Jan 2024 - 31 Jan 2024 " * 100_000) is None


def test_periods_are_equal_by_their_days():
    assert values_equal("statement_period", "period", "1 Jan - 31 Jan 2024", "January 2024")
    assert not values_equal("statement_period", "period", "1 Jan - 30 Jan 2024", "January 2024")
    assert not values_equal("statement_period", "period", None, "January 2024")


def words_of(text):
    places = [(i / 40, (i + 1) / 40) for i in range(len(text.split(" ")))]
    return [
        Word(text=t, polygon=(left, 0.1, right, 0.1, right, 0.2, left, 0.2))
        for t, (left, right) in zip(text.split(" "), places, strict=True)
    ]


@pytest.mark.parametrize(
    ("page", "printed"),
    [
        ("Opened 31/01/2024 Period 1 January 2024 to 31 January 2024 Balance", "1 January 2024 to 31 January 2024"),
        ("Statement for January 2024 page 1", "January 2024"),
        ("January 2024 in short, 01/01/24 - 31/01/24 in full", "01/01/24 - 31/01/24"),
        ("03/01/2024 4.50 01.01.-31.01.2024", "01.01.-31.01.2024"),
    ],
)
def test_a_period_is_found_on_the_page_however_it_is_written_there(page, printed):
    words = words_of(page)
    found = ground(JANUARY, words, 1, "period")
    assert found is not None
    held = [w.text for w in words if found.polygon[0] <= w.polygon[0] and w.polygon[2] <= found.polygon[2]]
    assert " ".join(held) == printed


def test_another_period_is_not_found():
    words = words_of("Period 1 January 2024 to 31 January 2024 Balance")
    assert ground("2024-01-01/2024-01-30", words, 1, "period") is None
    assert ground("monthly", words, 1, "period") is None


PERIOD = Schema(name="s", fields=(FieldSpec(name="statement_period", kind="period"),))


@pytest.mark.parametrize(
    ("value", "outcomes"),
    [
        (JANUARY, {"date_plausible": "pass", "date_order": "pass"}),
        ("2024-01-31/2024-01-01", {"date_plausible": "pass", "date_order": "fail"}),
        ("1889-01-01/2024-01-01", {"date_plausible": "fail"}),
        ("2024-01-01/2031-01-31", {"date_plausible": "fail"}),
        ("2024-01-01", {"date_plausible": "fail"}),
    ],
)
def test_both_days_must_be_plausible_and_in_order(value, outcomes):
    field = FieldValue(name="statement_period", raw=value, value=value)
    checks = validate({"statement_period": field}, PERIOD, today=dt.date(2024, 2, 15))["statement_period"]
    assert {c.name: c.outcome for c in checks} == outcomes


def test_the_period_of_a_statement_is_a_period():
    assert normalise("period", "1 July 2024 - 31 July 2024").value == "2024-07-01/2024-07-31"
    assert normalise("period", "July").value is None
