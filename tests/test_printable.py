"""Characters that nobody sees never reach a word or a value."""

from __future__ import annotations

import numpy as np
import pytest

from router.documents import pdf_text
from router.normalise import normalise
from router.printable import printed
from router.types import Cell, FieldValue, Word

UNSEEN = {
    "zero-width space": "\u200b",
    "zero-width joiner": "\u200d",
    "right-to-left override": "\u202e",
    "isolate": "\u2067",
    "left-to-right mark": "\u200e",
    "byte order mark": "\ufeff",
    "escape": "\x1b",
    "bell": "\x07",
    "C1 control": "\x9b",
    "tag": "\U000e0041",
    "variation selector": "\ufe0f",
    "private": "\ue001",
    "hangul filler": "\u3164",
}


@pytest.mark.parametrize("name", UNSEEN)
def test_a_character_that_nobody_sees_is_taken_out_of_words_values_and_cells(name: str) -> None:
    mark = UNSEEN[name]
    text = f"{mark}INV{mark}-1{mark}"
    polygon = (0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0)
    value = FieldValue(name="invoice_number", raw=text, value=text)
    cell = Cell(raw=text, value=text)
    found = {printed(text), Word(text=text, polygon=polygon).text, value.raw, value.value, cell.raw, cell.value}
    assert found | {normalise("identifier", text).value} == {"INV-1"}


def test_white_space_is_a_blank_and_what_is_seen_stays() -> None:
    assert printed("a\tb\nc\u2028d\u00a0e") == "a b c d e"
    for text in ("Größe 5 €", "naïve", "نص عربي", "株式会社", "é e\u0301", "😀"):
        assert printed(text) == text


def test_a_layer_whose_letters_hold_unseen_marks_is_in_doubt() -> None:
    codes = [ord("1"), 0x202E, ord("0"), 0x20, ord("y")]
    characters = np.zeros(len(codes), pdf_text.CHARACTER)
    characters["code"] = codes
    characters["left"] = [0, 1, 1, 2, 4]
    characters["right"] = characters["left"] + 1
    characters["top"] = 1
    found = pdf_text.words(characters, (0.1, 0, 0, 0, -0.1, 1))
    assert [(word.text, word.confidence) for word in found] == [("10", None), ("y", 1.0)]
