"""One reading out of several: word by word, the first one's spelling unless the others know better.

Readings of one line are aligned letter by letter, and each word of the first is compared with what the others read in
its place (ROVER: Fiscus 1997, here with the first reading's words as slots). Another spelling stands if it is a known
word, or if all others agree on it where the first is doubtful. Blanks and punctuation are the first
reading's. A letter's confidence becomes the support of its word, so that disagreement shows. Knows no field.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import NamedTuple

from backends.ocr.layout import DocumentLayout, Segment, build_layout, document_layout
from backends.ocr.repair import plain

READER_WEIGHTS = (1.0, 0.7, 0.8)
"""How far each reading is trusted: first recogniser, second recogniser, first one on a repaired picture."""
_DOUBTFUL_BELOW = 0.75
_WORD = re.compile(r"[^\s]+")
_LETTERS = re.compile(r"[^\W\d_]{3,}")


@dataclass(frozen=True)
class _Spelling:
    text: str
    probability: float
    weight: float


def consensus_layout(readings: Sequence[DocumentLayout], vocabulary: frozenset[str]) -> DocumentLayout:
    """Return the first layout with every segment spelt as the readings agree; segments are matched by their polygon."""
    others = [{s.polygon: s for s in reading.segments} for reading in readings[1:]]
    pages = []
    for page in readings[0].pages:
        segments = [
            consensus_segment(s, [o.get(s.polygon) for o in others], vocabulary) if s.runners_up else s
            for s in page.segments
        ]
        pages.append(build_layout(page.number, page.height, segments, page.source))
    return document_layout(pages)


def consensus_segment(first: Segment, others: Sequence[Segment | None], vocabulary: frozenset[str]) -> Segment:
    """Return the first reading of a line, each word in its best supported spelling."""
    aligned = [_Alignment(first, other) if other is not None else None for other in others]
    pieces: list[_Piece] = []
    at = 0
    for match in _WORD.finditer(first.text):
        start, end = match.span()
        pieces.append(_slice(first, at, start))
        spellings = [_Spelling(match[0], first.confidence(start, end), READER_WEIGHTS[0])]
        for alignment, weight in zip(aligned, READER_WEIGHTS[1:], strict=False):
            if alignment is not None:
                spellings.append(alignment.word(start, end, weight))
        pieces.append(_spelt(first, start, end, spellings, vocabulary))
        at = end
    pieces.append(_slice(first, at, len(first.text)))
    return replace(
        first,
        text="".join(p.text for p in pieces),
        character_confidences=tuple(c for p in pieces for c in p.confidences),
        character_positions=tuple(x for p in pieces for x in p.positions),
        runners_up="".join(p.runners_up for p in pieces),
        runner_up_confidences=tuple(c for p in pieces for c in p.runner_up_confidences),
    )


class _Piece(NamedTuple):
    """A stretch of a segment, character by character."""

    text: str
    confidences: Sequence[float]
    positions: Sequence[float]
    runners_up: str
    runner_up_confidences: Sequence[float]


def _slice(s: Segment, start: int, end: int) -> _Piece:
    confidences, positions = s.character_confidences[start:end], s.character_positions[start:end]
    return _Piece(
        s.text[start:end], confidences, positions, s.runners_up[start:end], s.runner_up_confidences[start:end]
    )


def _spelt(first: Segment, start: int, end: int, spellings: Sequence[_Spelling], vocabulary: frozenset[str]) -> _Piece:
    support: dict[str, float] = {}
    for s in spellings:
        support[_letters(s.text)] = support.get(_letters(s.text), 0.0) + s.weight * s.probability
    best = _best_spelling(spellings, support, vocabulary)
    share = support[best] / sum(s.weight for s in spellings)
    if best == _letters(spellings[0].text):
        own = _slice(first, start, end)
        return own if len(spellings) == 1 else own._replace(confidences=[min(c, share) for c in own.confidences])
    text = next(s.text for s in spellings if _letters(s.text) == best)
    left, right = first.character_positions[start], first.character_positions[end - 1]
    positions = [left + (right - left) * (k + 0.5) / len(text) for k in range(len(text))]
    return _Piece(text, [share] * len(text), positions, text, [0.0] * len(text))


def _best_spelling(spellings: Sequence[_Spelling], support: dict[str, float], vocabulary: frozenset[str]) -> str:
    """Return the letters chosen: the first reading's, unless they are doubtful and the others know better."""
    own, *others = (_letters(s.text) for s in spellings)
    known = [t for t in support if _is_known(t, vocabulary)]
    if not own or own in known:
        return own
    if known:
        return max(known, key=lambda t: support[t])
    agreed = len(others) > 1 and len(set(others)) == 1 and spellings[0].probability < _DOUBTFUL_BELOW
    # a recogniser drops letters more readily than it makes them up, but digits it does confuse with letters
    fuller = len(others[0]) >= len(own) or any(c.isdigit() for c in own) if others else False
    return others[0] if agreed and fuller and others[0] else own


def _is_known(letters: str, vocabulary: frozenset[str]) -> bool:
    words = _LETTERS.findall(plain(letters))
    return bool(words) and all(w in vocabulary for w in words)


def _letters(text: str) -> str:
    return "".join(c for c in text.upper() if c.isalnum())


class _Alignment:
    """Which characters of another reading stand where a word of the first one does; blanks do not count."""

    def __init__(self, first: Segment, other: Segment) -> None:
        self._other = other
        self._places = [k for k, c in enumerate(other.text) if not c.isspace()]
        squeezed = [c for c in first.text.upper() if not c.isspace()]
        theirs = [other.text[k].upper() for k in self._places]
        self._index = [0]
        for c in first.text:
            self._index.append(self._index[-1] + (not c.isspace()))
        self._starts = list(range(len(squeezed) + 1))
        self._ends = list(self._starts)
        for _, i1, i2, j1, j2 in SequenceMatcher(None, squeezed, theirs, autojunk=False).get_opcodes():
            for i in range(i1, i2 + 1):
                inside = round(j1 + (i - i1) * (j2 - j1) / max(i2 - i1, 1))
                if i > i1 or i1 == i2:
                    self._ends[i] = j1 if i1 == i2 else inside
                if i < i2 or i1 == i2:
                    self._starts[i] = j2 if i1 == i2 else inside

    def word(self, start: int, end: int, weight: float) -> _Spelling:
        """Return the other reading's spelling of the first one's characters start to end."""
        begin, stop = self._starts[self._index[start]], self._ends[self._index[end]]
        places = self._places[begin : max(begin, stop)]
        text = "".join(self._other.text[k] for k in places)
        sure = [self._other.character_confidences[k] for k in places if self._other.text[k].isalnum()]
        return _Spelling(text, min(sure, default=0.0), weight)
