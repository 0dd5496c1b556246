"""Rows, segments and text lines of a page, from boxes placed by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from backends.ocr.layout import Segment, build_layout, document_layout, segments_from_words
from backends.ocr.text_lines import line_above, line_below, text_lines
from router.types import Word

HEIGHT = 1.4


def segment(text: str, x: float, y: float, width: float | None = None, height: float = 0.02, page: int = 1) -> Segment:
    x1, n = x + (width or 0.011 * len(text)), len(text)
    top, bottom = y / HEIGHT, (y + height) / HEIGHT
    polygon = (x, top, x1, top, x1, bottom, x, bottom)
    places = tuple((i + 0.5) / n for i in range(n)) if n else ()
    return Segment(text, (x, y, x1, y + height), polygon, page, (0.9,) * n, places)


def word(text: str, x: float, y: float, height: float = 0.02, confidence: float | None = None) -> Word:
    x1, top, bottom = x + 0.011 * len(text), y / HEIGHT, (y + height) / HEIGHT
    return Word(text=text, polygon=(x, top, x1, top, x1, bottom, x, bottom), confidence=confidence)


def rows(segments: Sequence[Segment]) -> list[list[str]]:
    return [[s.text for s in row] for row in build_layout(1, HEIGHT, segments).rows]


def texts(words: Sequence[Word]) -> list[str]:
    return [s.text for s in segments_from_words(words, 1, HEIGHT)]


def test_segments_at_one_height_are_a_row_from_left_to_right() -> None:
    page = [segment("9.00", 0.8, 0.302), segment("Total", 0.1, 0.30), segment("Shop", 0.1, 0.1)]
    assert rows(page) == [["Shop"], ["Total", "9.00"]]


def test_rows_closer_than_a_line_stay_apart() -> None:
    assert rows([segment("one", 0.1, 0.100), segment("two", 0.1, 0.115), segment("three", 0.1, 0.130)]) == [
        ["one"], ["two"], ["three"],
    ]  # fmt: skip


def test_segments_one_above_the_other_are_two_rows_even_when_they_overlap() -> None:
    assert rows([segment("upper", 0.1, 0.100), segment("lower", 0.1, 0.106)]) == [["upper"], ["lower"]]


def test_a_page_of_blanks_has_no_rows() -> None:
    page = build_layout(1, HEIGHT, [segment("  ", 0.1, 0.1), segment("", 0.1, 0.2)])
    assert page.rows == page.segments == ()
    assert page.text_height == 0.02


def test_two_columns_give_rows_across_and_segments_apart() -> None:
    words = [
        word(t, x + dx, y)
        for y in (0.1, 0.14)
        for x, t0 in ((0.1, "Bill"), (0.6, "Ship"))
        for dx, t in ((0, t0), (0.055, "to"))
    ]
    assert texts(words[:4]) == ["Bill to", "Ship to"]
    layout = build_layout(1, HEIGHT, segments_from_words(words, 1, HEIGHT))
    assert [len(row) for row in layout.rows] == [2, 2]


def test_a_wide_gap_ends_a_text_layer_s_segment() -> None:
    assert texts([word("Total", 0.1, 0.1), word("due", 0.16, 0.1), word("9.00", 0.7, 0.1)]) == ["Total due", "9.00"]


def test_words_of_a_text_layer_are_certain_unless_they_say_otherwise() -> None:
    found = segments_from_words([word("ab", 0.1, 0.1), word("cd", 0.13, 0.1, confidence=0.4)], 3, HEIGHT)[0]
    assert found.text == "ab cd"
    assert found.page == 3
    assert found.character_confidences == (1.0, 1.0, 1.0, 0.4, 0.4)
    assert found.confidence(0, 2) == 1.0
    assert found.confidence() == 0.4
    assert list(found.character_positions) == sorted(found.character_positions)
    assert segments_from_words([], 1, HEIGHT) == []


def test_a_span_s_box_is_cut_from_the_segment_s() -> None:
    found = segment("abcdefghij", 0.2, 0.1, width=0.5)
    assert found.span_box(2, 4) == pytest.approx((0.3, 0.1, 0.4, 0.12))
    assert found.span_polygon(2, 4)[0::2] == pytest.approx((0.3, 0.4, 0.4, 0.3))
    assert found.span_polygon(0, 10) == pytest.approx(found.polygon)


def test_the_document_s_rows_count_on_over_pages() -> None:
    first = build_layout(1, HEIGHT, [segment("a", 0.1, 0.1), segment("b", 0.5, 0.1)])
    second = build_layout(2, HEIGHT, [segment("c", 0.1, 0.1, page=2), segment("d", 0.1, 0.2, page=2)])
    layout = document_layout([first, second])
    assert [s.text for s in layout.segments] == ["a", "b", "c", "d"]
    assert layout.rows == ((0, 1), (2,), (3,))
    assert layout.row_of == (0, 0, 1, 2)
    assert layout.page(2) is second


def line_layout(*segments: Segment):  # type: ignore[no-untyped-def]
    return document_layout([build_layout(1, HEIGHT, segments)])


def test_a_line_cut_in_two_by_detection_is_joined_and_its_spans_lead_back() -> None:
    layout = line_layout(segment("Harbour", 0.1, 0.1, 0.08), segment("Hardware Ltd", 0.195, 0.1, 0.13))
    (line,) = text_lines(layout)
    assert line.text == "Harbour Hardware Ltd"
    assert line.spans(4, 12) == ((0, 4, 7), (1, 0, 4))
    assert line.spans(8, 16) == ((1, 0, 8),)
    assert line.pieces() == ((0, 0, 7), (1, 0, 12))
    assert line.box == pytest.approx((0.1, 0.1, 0.325, 0.12))


def test_every_span_of_a_line_spells_its_text() -> None:
    layout = line_layout(segment("ab", 0.1, 0.1), segment("c", 0.13, 0.1), segment("de", 0.15, 0.1))
    (line,) = text_lines(layout)
    for start in range(len(line.text)):
        for end in range(start + 1, len(line.text) + 1):
            spelt = [layout.segments[i].text[a:b] for i, a, b in line.spans(start, end)]
            assert "".join(spelt) == line.text[start:end].replace(" ", "")


def test_distant_or_differently_sized_neighbours_stay_two_lines() -> None:
    far = line_layout(segment("left", 0.1, 0.1), segment("right", 0.6, 0.1))
    assert [line.text for line in text_lines(far)] == ["left", "right"]
    sizes = line_layout(segment("SHOP", 0.1, 0.1, 0.2, 0.05), segment("small", 0.31, 0.112, 0.05, 0.02))
    assert [line.text for line in text_lines(sizes)] == ["SHOP", "small"]


def test_the_line_above_and_below_are_in_the_same_column_and_near() -> None:
    layout = line_layout(
        segment("Name", 0.1, 0.1),
        segment("other", 0.7, 0.1),
        segment("Street", 0.1, 0.13),
        segment("far away", 0.1, 0.5),
    )
    lines = text_lines(layout)
    name, other, street, far = lines
    assert line_below(layout, lines, name) is street
    assert line_below(layout, lines, other) is None
    assert line_below(layout, lines, street) is None
    assert line_above(lines, street) is name
    assert line_above(lines, name) is None
    assert line_above(lines, far) is street
