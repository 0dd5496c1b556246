"""When a reading confirms a word of a text layer."""

from __future__ import annotations

import pytest

from backends.ocr.layer_texts import is_readable, same_text


@pytest.mark.parametrize(
    ("word", "read"),
    [
        ("11.00", "11.00"),
        ("$4,628.07", "$4,628.07"),
        ("€11,00", "E11,00"),
        ("INV-1001", "lNV-1OO1"),
        ("05/03/2024", "05/03/2024"),
        ("Total:", "Total"),
        ("Übertrag", "Ubertrag"),
        ("Northwind", "Nortwind"),
        ("1939", "1 939"),
    ],
)
def test_a_reading_that_differs_as_recognisers_do_confirms(word: str, read: str) -> None:
    assert same_text(word, read)


@pytest.mark.parametrize(
    ("word", "read"),
    [
        ("99.00", "11.00"),
        ("1100", "11.00"),
        ("INV-6666", "INV-1001"),
        ("INV-1001", "INV-1601"),
        ("1/12/2017", "11/2/2017"),
        ("11.00", "11.000"),
        ("Northwind", "Southbank"),
        ("11.00", ""),
        ("Total", ""),
    ],
)
def test_another_digit_another_point_or_another_name_does_not(word: str, read: str) -> None:
    assert not same_text(word, read)


def test_what_the_recogniser_has_no_letters_for_cannot_be_read() -> None:
    assert is_readable("Größe")
    assert not is_readable("Сумма")
    assert not is_readable("---")
