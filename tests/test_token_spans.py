"""Which tokens say a piece of an answer, over any cut of any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_vocabularies import pieces

from backends.token_spans import TokenSpans

CUTS = st.lists(st.text("aé1 \n", max_size=3), max_size=12)


@given(tokens=CUTS, data=st.data())
def test_the_tokens_that_say_a_piece_hold_it_and_none_could_be_left_out(tokens, data):
    text = "".join(tokens)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    saying = TokenSpans(tokens).saying(start, end)
    if start == end:
        return
    before = sum(len(token) for token in tokens[: saying.start])
    held = "".join(tokens[saying.start : saying.stop])
    assert before <= start
    assert before + len(held) >= end
    assert tokens[saying.stop - 1] != ""
    assert before + len(held) - len(tokens[saying.stop - 1]) < end
    assert saying.start == 0 or tokens[saying.start - 1] != ""  # the first bytes of a letter are its own


@given(tokens=CUTS.filter(any), data=st.data())
def test_one_token_more_decides_where_a_piece_ends(tokens, data):
    text = "".join(tokens)
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    spans = TokenSpans([*tokens, ""])  # the token that ends an answer is an empty piece
    saying, deciding = spans.saying(start, end), spans.deciding(start, end)
    ends_within = sum(len(token) for token in tokens[: saying.stop]) > end
    assert deciding.start == saying.start
    assert deciding.stop - saying.stop == (0 if ends_within else 1)


@pytest.mark.parametrize("lane", ["internvl3", "llama-vision"])
def test_values_are_found_among_the_tokens_of_the_real_vocabularies(lane):
    text = "supplier_name: Café Łódź 北京 Pty Ltd\ntotal_amount: 1,234.50 (incl. GST)\n"
    tokens = pieces(lane, text)
    assert "".join(tokens) == text
    spans = TokenSpans([*tokens, ""])
    for value in ("Café Łódź 北京 Pty Ltd", "1,234.50"):
        start = text.index(value)
        deciding = spans.deciding(start, start + len(value))
        said = "".join(tokens[deciding.start : deciding.stop - 1])
        assert said.strip(" ") == value
