"""Which words of a PDF's text layer are kept, and what is said of those that are not. Knows no PDF and no field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from router.documents.layer_ink import Gray, Sight, sights
from router.types import Word

TextLayer = Literal["auto", "trust", "ignore"]
"""auto: words that can be seen, and values of them that a reading of the page confirms; trust: every word;
ignore: none, every page is a picture.
"""

INK_DPI = 100.0
_PAGES_NAMED = 5


def seen_words(words: Sequence[Word], drawn: Gray, bare: Gray, height_pt: float) -> tuple[Word, ...]:
    """Return the words that can be seen, and those that only lie over something: these without a confidence."""
    kept = []
    for word, sight in zip(words, sights(words, drawn, bare, height_pt), strict=True):
        if sight is Sight.SEEN:
            kept.append(word)
        elif sight is not Sight.UNSEEN:
            kept.append(word.model_copy(update={"confidence": None}))
    return tuple(kept)


def unseen_note(unseen: Mapping[int, int]) -> str:
    """Return what is said of words that were left out, from their number by page."""
    count = sum(unseen.values())
    named = ", ".join(map(str, list(unseen)[:_PAGES_NAMED])) + (", ..." if len(unseen) > _PAGES_NAMED else "")
    words, pages = "word" if count == 1 else "words", "page" if len(unseen) == 1 else "pages"
    return f"{count} {words} of the text layer cannot be seen and were left out ({pages} {named})"
