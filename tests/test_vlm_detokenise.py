"""Pieces of text of tokens: joined they are the text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the extra 'vlm' is not installed")

import transformers  # noqa: E402

from backends.vlm.detokenise import Detokeniser  # noqa: E402


@pytest.fixture(scope="module", params=["tiny_internvl", "tiny_llama_vision"])
def tokenizer(request):
    return transformers.AutoTokenizer.from_pretrained(request.getfixturevalue(request.param))


def test_pieces_joined_are_the_text(tokenizer):
    detokeniser = Detokeniser(tokenizer)

    @given(st.text())
    @settings(max_examples=50, deadline=None)
    def check(text):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        pieces = detokeniser.pieces(ids)
        assert len(pieces) == len(ids)
        assert "".join(pieces) == text

    check()


def test_any_ids_give_what_the_tokenizer_decodes(tokenizer):
    detokeniser = Detokeniser(tokenizer)

    @given(st.lists(st.integers(0, len(tokenizer) - 1), max_size=40))
    @settings(max_examples=50, deadline=None)
    def check(ids):
        decoded = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        assert "".join(detokeniser.pieces(ids)).replace("\ufffd", "") == decoded.replace("\ufffd", "")

    check()


def test_special_tokens_and_unknown_ids_add_nothing(tokenizer):
    end = tokenizer.eos_token_id
    ids = tokenizer("12.50", add_special_tokens=False)["input_ids"]
    pieces = Detokeniser(tokenizer).pieces([end, *ids, 10**6, end])
    assert "".join(pieces) == "12.50"
    assert (pieces[0], pieces[-1]) == ("", "")
