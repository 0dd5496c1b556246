"""Pieces of text of tokens: joined they are the text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

import transformers  # noqa: E402

from backends.vlm.token_text import TokenText  # noqa: E402


@pytest.fixture(scope="module", params=["tiny_internvl", "tiny_llama_vision"])
def tokenizer(request):
    return transformers.AutoTokenizer.from_pretrained(request.getfixturevalue(request.param))


def test_pieces_joined_are_the_text(tokenizer):
    text_of = TokenText(tokenizer)

    @given(st.text())
    @settings(max_examples=50)
    def check(text):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        pieces = text_of.pieces(ids)
        assert len(pieces) == len(ids)
        assert "".join(pieces) == text

    check()


def test_any_ids_give_what_the_tokenizer_decodes(tokenizer):
    text_of = TokenText(tokenizer)

    @given(st.lists(st.integers(0, len(tokenizer) - 1), max_size=40))
    @settings(max_examples=50)
    def check(ids):
        decoded = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        spoken = [ids[place] for place in text_of.spoken(ids)]
        assert "".join(text_of.pieces(spoken)).replace("\ufffd", "") == decoded.replace("\ufffd", "")

    check()


def test_an_answer_s_end_is_not_spoken_and_unknown_ids_add_nothing(tokenizer):
    text_of, end = TokenText(tokenizer), tokenizer.eos_token_id
    ids = tokenizer("12.50", add_special_tokens=False)["input_ids"]
    assert text_of.spoken([end, *ids, end]) == list(range(1, 1 + len(ids)))
    assert "".join(text_of.pieces([*ids, 10**6])) == "12.50"
