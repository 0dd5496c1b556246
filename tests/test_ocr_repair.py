"""Repair of misread words: known words within reach of look-alikes and second guesses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.ocr.layout import Segment
from backends.ocr.repair import RepairedSegment, plain, repair_of, repair_segments, unknown_share

KNOWN = frozenset({"TOTAL", "JALAN", "TAMAN", "STRASSE", "SHOP", "HARDWARE", "LIGHT", "CAFE"})
BOX = (0.0, 0.0, 1.0, 0.1)
PLACE = (0.0, 0.0, 1.0, 0.0, 1.0, 0.1, 0.0, 0.1)


def segment(text: str, runners: str = "", second: float = 0.3) -> Segment:
    n = len(text)
    places = tuple((i + 0.5) / n for i in range(n))
    return Segment(text, BOX, PLACE, 1, (0.6,) * n, places, runners, (second,) * len(runners))


def repaired(
    text: str, runners: str = "", keep_accents: bool = False, known: frozenset[str] = KNOWN
) -> RepairedSegment:
    return repair_segments([segment(text, runners)], keep_accents, known)[0]


@pytest.mark.parametrize(
    ("read", "meant"),
    [
        ("29O", "290"),
        ("1O5 unit 2l", "105 unit 21"),
        ("No. 1I0", "No. 110"),
        ("T0TAL", "TOTAL"),
        ("Tota1", "Total"),
        ("JALAM", "JALAN"),
        ("jaIan", "jalan"),
        ("HAROWARE", "HARDWARE"),
        ("SH0P", "SHOP"),
        ("L!GHT", "LIGHT"),
    ],
)
def test_a_known_word_within_a_look_alike_is_found(read: str, meant: str) -> None:
    assert repaired(read).text == meant
    assert repaired(read).changed


@pytest.mark.parametrize(
    "text", ["TOTAL", "Zebra", "QWERTZ", "290", "12.50", "INV-20417", "X", "AB12CD", "", "SHOP 12"]
)
def test_known_words_unknown_words_and_numbers_are_left_alone(text: str) -> None:
    assert repaired(text) == RepairedSegment(text, text, (0.0,) * len(text), False)


def test_the_recogniser_s_second_guess_reaches_words_that_look_different() -> None:
    assert repaired("WHOP").text == "WHOP"
    better = repaired("WHOP", "S   ")
    assert better.text == "SHOP"
    assert sum(better.costs) == pytest.approx(-0.693, abs=1e-3)  # log(0.3 / 0.6)


def test_of_two_known_words_the_likelier_guess_wins() -> None:
    assert repaired("8HOP", "C   ", known=frozenset({"CHOP", "BHOP"})).text == "CHOP"


def test_accents_are_kept_when_asked_and_count_as_misread_otherwise() -> None:
    assert repaired("Café Zoë").text == "Cafe Zoe"
    assert repaired("Café Zoë").changed
    assert repaired("Café Zoë", keep_accents=True).text == "Café Zoë"
    assert repaired("STRAßE").text == "STRAßE"


def test_a_repair_of_spans_counts_edits_and_cost() -> None:
    parts = repair_segments([segment("T0TAL due"), segment("JALAM 5")], False, KNOWN)
    repair = repair_of([(0, 0, 5), (1, 0, 5)], parts)
    assert repair is not None
    assert (repair.text, repair.edits) == ("TOTAL JALAN", 2)
    assert repair.cost < 0
    assert repair_of([(0, 6, 9)], parts) is None


def test_the_share_of_unknown_letters() -> None:
    assert unknown_share("Total JALAN 12.50", KNOWN) == 0.0
    assert unknown_share("Total qwert", KNOWN) == 0.5
    assert unknown_share("12 34 ab", KNOWN) == 0.0


ODD = st.text(st.sampled_from("ßİıſŉǰΐﬀ\u0301\u0308\u200dé0O1IlS5!|TOTALjalan 3.") | st.characters(), max_size=24)


@given(text=ODD, runners=ODD, keep=st.booleans())
def test_a_repair_is_always_as_long_as_what_was_read(text: str, runners: str, keep: bool) -> None:
    runners = (runners + " " * len(text))[: len(text)]
    part = repaired(text, runners, keep)
    assert len(part.text) == len(part.read) == len(part.costs) == len(text)
    assert all(cost <= 0 for cost in part.costs)
    assert part.changed == (part.text != text)
    assert len(plain(text)) == len(text)
    if text:
        repair_of([(0, 0, len(text))], [part])
