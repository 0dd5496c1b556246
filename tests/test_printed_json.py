"""JSON on a terminal or in a file holds nothing that a terminal or a reader of lines would obey."""

import json

import pytest

from workers.jsonl import dump_line

OBEYED = "\x00\x1b\x7f\x85\x9b\x9d\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\ufeff\U000e0041"


@pytest.mark.parametrize("character", OBEYED)
def test_a_control_is_escaped_and_read_back(character):
    line = dump_line({"value": f"a{character}b", character: 1})
    assert character not in line
    assert json.loads(line) == {"value": f"a{character}b", character: 1}


def test_letters_of_all_languages_stay_as_they_are():
    text = "Ünïcödé Ελλάδα עברית العربية 東京 ₹ 𝄞"
    assert text in dump_line([text])
