"""Several readings of one line become one: what most support stands, disagreement shows in the confidence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.ocr.consensus import consensus_layout, consensus_segment
from backends.ocr.date_order import settle_order
from backends.ocr.layout import Segment, build_layout, document_layout

VOCABULARY = frozenset({"GARDENIA", "BAKERIES", "SPEED", "MART"})
PLACE = (0.1, 0.1, 0.6, 0.1, 0.6, 0.15, 0.1, 0.15)


def segment(text, confidence=0.9):
    n = len(text)
    return Segment(
        text,
        (0.1, 0.1, 0.6, 0.15),
        PLACE,
        1,
        (confidence,) * n,
        tuple((i + 0.5) / n for i in range(n)),
        "?" * n,
        (0.0,) * n,
    )


def test_two_readings_outvote_the_first():
    merged = consensus_segment(segment("MART 5/B", 0.6), [segment("MARTS/B"), segment("MART S/B")], VOCABULARY)
    assert merged.text == "MART S/B"


def test_a_known_word_wins_over_an_unknown_one():
    first, second = segment("GARDENFA BAKERIES (KL)", 0.7), segment("GARDENIABAKERIES(KL)")
    assert consensus_segment(first, [second], VOCABULARY).text == "GARDENIA BAKERIES (KL)"


def test_blanks_and_punctuation_are_the_first_readings():
    merged = consensus_segment(segment("SPEED MART, NO. 5"), [segment("SPEEDMART NO 5")], VOCABULARY)
    assert merged.text == "SPEED MART, NO. 5"


def test_disagreement_lowers_the_confidence_of_the_word_only():
    merged = consensus_segment(segment("TOTAL 12.50", 0.99), [segment("TOTAL 12.60", 0.95)], VOCABULARY)
    assert merged.text == "TOTAL 12.50"
    assert merged.confidence(6, 11) < 0.7 < merged.confidence(0, 5)


def test_a_missing_letter_is_put_in_and_everything_stays_aligned():
    merged = consensus_segment(segment("GARDNIA", 0.5), [segment("GARDENIA"), segment("GARDENIA")], VOCABULARY)
    assert merged.text == "GARDENIA"
    lengths = {
        len(merged.text),
        len(merged.character_confidences),
        len(merged.character_positions),
        len(merged.runners_up),
    }
    assert lengths == {8}
    assert list(merged.character_positions) == sorted(merged.character_positions)


@given(st.text(min_size=1, max_size=12), st.text(min_size=1, max_size=12), st.text(min_size=1, max_size=12))
def test_any_texts_give_an_aligned_segment(a, b, c):
    merged = consensus_segment(segment(a), [segment(b), segment(c)], VOCABULARY)
    n = len(merged.text)
    assert len(merged.character_confidences) == len(merged.character_positions) == len(merged.runners_up) == n
    assert all(0 <= p <= 1 for p in merged.character_confidences)


def test_segments_are_matched_by_their_place():
    def layout(text):
        return document_layout([build_layout(1, 1.4, [segment(text, 0.6)])])

    merged = consensus_layout([layout("5PEED"), layout("SPEED"), layout("SPEED")], VOCABULARY)
    assert [s.text for s in merged.segments] == ["SPEED"]


@pytest.mark.parametrize(
    ("dates", "texts", "days"),
    [
        ([("2021-11-03", "2021-11-03", False), ("2021-25-04", "2021-04-25", False)], [], ["2021-03-11", "2021-04-25"]),
        ([("04/05/2020", "2020-05-04", True), ("12/31/2020", "2020-12-31", False)], [], ["2020-04-05", "2020-12-31"]),
        ([("04/05/2020", "2020-05-04", True), ("31/12/2020", "2020-12-31", False)], [], ["2020-05-04", "2020-12-31"]),
        ([("2015-08-02", "2015-08-02", False)], ["FA02/2015/020440"], ["2015-02-08"]),
        ([("04/05/2020", "2020-05-04", True)], [], ["2020-05-04"]),
        ([("4 May 2020", "2020-05-04", False), ("12/31/2020", "2020-12-31", False)], [], ["2020-05-04", "2020-12-31"]),
    ],
)
def test_one_proven_date_settles_the_order_of_all(dates, texts, days):
    assert [iso for iso, _ in settle_order(dates, texts)] == days


def test_a_settled_date_is_no_longer_ambiguous():
    settled = settle_order([("04/05/2020", "2020-05-04", True), ("31/12/2020", "2020-12-31", False)], [])
    assert settled[0] == ("2020-05-04", False)
    assert settle_order([("04/05/2020", "2020-05-04", True)], []) == [("2020-05-04", True)]
