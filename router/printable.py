"""What a text shows when it is printed. The one place that says which characters never reach a word or a value.

Removed: control characters (Cc), format characters (Cf: zero-width ones, bidirectional marks, overrides and isolates,
soft hyphens, tags), unassigned, private and surrogate code points (Cn, Co, Cs), and marks that are never drawn
(variation selectors, fillers, joiners). White space of every kind becomes a blank: a value is one line.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_NEVER_DRAWN = frozenset(
    [0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0]
    + [code for part in (range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0)) for code in part]
)
"""Default-ignorable code points (Unicode, DerivedCoreProperties) of other categories than those above."""


def printed(text: str) -> str:
    """Return the text without characters that nobody sees; every white space is one blank."""
    if text.isprintable() and (text.isascii() or not any(ord(c) in _NEVER_DRAWN for c in text)):
        return text
    return "".join(" " if c.isspace() else "" if is_unseen(c) else c for c in text)


def is_unseen(character: str) -> bool:
    """Return whether a character shows nothing and takes no place, white space aside."""
    return unicodedata.category(character) in _UNSEEN or ord(character) in _NEVER_DRAWN


Printed = Annotated[str, AfterValidator(printed)]
"""A text of a document as it is printed."""
