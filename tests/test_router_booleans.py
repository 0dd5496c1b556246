"""Yes and no in words: negations never mean yes, and what is not clear means nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.normalise import normalise

AFFIRMING = (
    "included",
    "incl.",
    "inclus",
    "true",
    "yes",
    "enthalten",
    "inclusive",
    "incluido",
    "termasuk",
    "inbegrepen",
)
NEGATIONS = ("not", "no", "never", "nicht", "non", "pas", "niet", "tidak", "doesn't", "isn’t", "without", "keine")
DENYING = ("excluded", "exclusive", "excl.", "no", "false", "nein")
SUBJECTS = ("", "GST ", "Tax ", "The price ", "MwSt. ", "TVA ")


def read(text):
    return normalise("boolean", text).value


@pytest.mark.parametrize(
    "text",
    ["Included", "GST is included", "includes GST", "Yes, GST is included", "incl. GST", "inkl. MwSt.", "[x]", "TRUE",
     "GST-inclusive", "TVA comprise", "included, not separate"],
)  # fmt: skip
def test_what_says_yes(text):
    assert read(text) == "true"


@pytest.mark.parametrize(
    "text",
    ["not included", "GST not included", "Excluded", "doesn't include GST", "doesn’t include", "does not include GST",
     "exclusive of GST", "No", "no GST included", "No, not included", "non inclus", "nicht enthalten", "not true",
     "non-inclusive", "prices exclude GST", "tidak termasuk", "not yet included"],
)  # fmt: skip
def test_what_says_no(text):
    assert read(text) == "false"


@pytest.mark.parametrize(
    "text",
    ["", "perhaps", "not applicable", "N/A", "n.a.", "not specified", "Not stated whether GST is included",
     "not excluded", "not false", "yes or no", "Yes, GST is not included", "included: no", "included or not",
     "not not included", "unknown", "GST"],
)  # fmt: skip
def test_what_is_not_clear_says_nothing(text):
    assert read(text) is None


def test_an_endless_text_says_nothing():
    assert read("included " * 100_000) is None


@given(
    subject=st.sampled_from(SUBJECTS),
    negation=st.sampled_from(NEGATIONS),
    between=st.sampled_from(("", "yet ", "GST ", "the tax ")),
    word=st.sampled_from(AFFIRMING),
    after=st.sampled_from(("", " in the price", ".", " here")),
)
def test_behind_a_negation_no_word_means_yes(subject, negation, between, word, after):
    assert read(f"{subject}{negation} {between}{word}{after}") != "true"


@given(first=st.sampled_from(DENYING), rest=st.text(max_size=30), word=st.sampled_from(AFFIRMING))
def test_a_denial_and_an_affirmation_together_are_never_yes(first, rest, word):
    assert read(f"{first} {rest} {word}") != "true"
    assert read(f"{word}, {first}") is None


@given(text=st.text(max_size=60))
def test_a_verdict_is_its_own_normal_form(text):
    verdict = read(text)
    assert verdict in ("true", "false", None)
    if verdict is not None:
        assert read(verdict) == verdict
