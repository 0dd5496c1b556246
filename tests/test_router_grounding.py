import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.grounding import ground
from router.types import Word


def page_of(*lines):
    words = []
    for y, line in enumerate(lines):
        for x, text in enumerate(line.split()):
            left, top = x * 0.1, y * 0.1
            corners = (left, top, left + 0.08, top, left + 0.08, top + 0.05, left, top + 0.05)
            words.append(Word(text=text, polygon=corners))
    return words


PAGE = page_of(
    "ACME Trading SDN. BHD.",
    "12, Jalan Sagu 18,",
    "81100 Johor Bahru",
    "Date: 25/12/2018",
    "TOTAL RM 1,234.50",
    "INV-0042",
)


def test_a_value_is_found_letter_for_letter_whatever_its_punctuation():
    found = ground("Acme Trading Sdn Bhd", PAGE, 3)
    assert (found.score, found.page) == (1.0, 3)
    assert found.polygon == pytest.approx((0, 0, 0.38, 0, 0.38, 0.05, 0, 0.05))


def test_a_value_over_several_lines_gets_a_polygon_around_all_of_them():
    found = ground("12 JALAN SAGU 18 81100 JOHOR BAHRU", PAGE, 1)
    assert found.score == 1.0
    assert found.polygon[1] == pytest.approx(0.1)
    assert found.polygon[5] == pytest.approx(0.25)


def test_misread_letters_lower_the_score():
    found = ground("ACNE Tradlng SDN BHD", PAGE, 1)
    assert found.score == pytest.approx(1 - 2 / 17)
    assert found.polygon[4] == pytest.approx(0.38)


@pytest.mark.parametrize(
    ("value", "kind", "line"),
    [("2018-12-25", "date", 3), ("1234.50", "amount", 4), ("RM1,234.50", "amount", 4), ("INV0042", "identifier", 5)],
)
def test_dates_and_amounts_are_found_by_meaning(value, kind, line):
    assert ground(value, PAGE, 1, kind).polygon[1] == pytest.approx(line * 0.1)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("Somebody Else Ltd", "text"),
        ("2018-12-26", "date"),
        ("234.50", "amount"),
        ("42", "text"),
        ("", "text"),
        ("-", "text"),
    ],
)
def test_what_is_not_on_the_page_is_not_found(value, kind):
    assert ground(value, PAGE, 1, kind) is None


def test_an_empty_page_grounds_nothing():
    assert ground("ACME", [], 1) is None
    assert ground("12.00", [], 1, "amount") is None


@settings(max_examples=100)
@given(st.lists(st.text(alphabet="abcdef12", min_size=1, max_size=8), min_size=1, max_size=12), st.data())
def test_words_of_the_page_are_always_found(texts, data):
    words = page_of(" ".join(texts))
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first, len(words) - 1))
    assert ground(" ".join(w.text for w in words[first : last + 1]), words, 1).score == 1.0


@settings(max_examples=100)
@given(st.text(max_size=30), st.sampled_from(["text", "date", "amount", "identifier"]))
def test_any_value_is_judged_without_error(value, kind):
    found = ground(value, PAGE, 1, kind)
    assert found is None or 0.0 <= found.score <= 1.0
