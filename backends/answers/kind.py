"""The answer to "which kind of document is this?" Knows the words of each kind, not what a kind is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from backends.answers.chatter import answer_span

_MAX_CHARS = 600
_NEGATED = re.compile(r"\b(?:not|no|isn't|neither|nor|rather than|instead of)\s+(?:an?\s+|the\s+)?(?:\w+\s+){0,1}$")


def read_kind(text: str, kinds: Mapping[str, Sequence[str]]) -> tuple[str, int, int] | None:
    """Return (kind, start, end) of the one kind that an answer names; None where it names none or several.

    `kinds` maps each kind to its words, in any case, blanks and underscores alike. A longer word hides a shorter one
    inside it ("tax invoice" is no "invoice" of another kind), and what the answer says it is not does not count.
    """
    first, end = answer_span(text)
    # a greeting may have the whole answer on its line
    start = first if text[first:end].strip() else 0
    shown = text[start : min(end, start + _MAX_CHARS)].lower()
    found: list[tuple[int, int, str]] = []
    for kind, words in kinds.items():
        for word in {kind, *words}:
            pattern = r"[\s_\\-]+".join(map(re.escape, re.split(r"[\s_-]+", word.lower().strip())))
            found += [(m.start(), m.end(), kind) for m in re.finditer(rf"(?<!\w){pattern}(?!\w)", shown)]
    outer = [f for f in found if not any(o[0] <= f[0] and f[1] <= o[1] and o[1] - o[0] > f[1] - f[0] for o in found)]
    said = [f for f in outer if not _NEGATED.search(shown, max(0, f[0] - 40), f[0])]
    if len({kind for _, _, kind in said}) != 1:
        return None
    where = min(said)
    return where[2], start + where[0], start + where[1]
