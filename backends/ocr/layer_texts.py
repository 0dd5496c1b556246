"""Whether two texts say the same in print: a word of a text layer, and what a recogniser read. Knows texts only.

A recogniser confuses letters that look alike, and blanks and points come and go; digits and what parts them decide
amounts, dates and numbers, so these must agree.
"""

from __future__ import annotations

import re
import unicodedata
from difflib import SequenceMatcher

_ALIKE = str.maketrans({"o": "0", "q": "0", "i": "1", "l": "1", "|": "1", "!": "1", "s": "5", "b": "8", "z": "2"})
_BETWEEN_DIGITS = re.compile(r"(?<=\d)\s?[^\w\s]+\s?(?=\d)")
_LEAST_ALIKE = 0.66
_READABLE = re.compile(r"[\x20-\x7e\u00a1-\u017f\u2013-\u2026€₹₽№™]*")
"""What the recognisers' alphabet holds (`models`), and little more."""


def is_readable(text: str) -> bool:
    """Return whether a recogniser could read a text: it is in the Latin script and has a letter or digit."""
    return any(map(str.isalnum, text)) and _READABLE.fullmatch(text) is not None


def same_text(word: str, read: str) -> bool:
    """Return whether a reading is that word: its digits and what parts them exactly, its letters nearly."""
    ours, theirs = _plain(word), _plain(read)
    if _folded(ours) == _folded(theirs):
        return True
    if _numbers(ours) != _numbers(theirs):
        return False
    ours, theirs = _folded(ours), _folded(theirs)
    return SequenceMatcher(None, ours, theirs, autojunk=False).ratio() >= _LEAST_ALIKE


def _plain(text: str) -> str:
    """Return the text in lower case without accents, whatever parts two digits as one point."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return _BETWEEN_DIGITS.sub(".", bare)


def _folded(text: str) -> str:
    parted = re.sub(r"(?<!\d)\.|\.(?!\d)", "", text)
    return "".join(c for c in parted.translate(_ALIKE) if c.isalnum() or c == ".")


def _numbers(text: str) -> list[str]:
    return re.findall(r"\d+(?:\.\d+)*", text)
