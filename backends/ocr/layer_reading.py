"""Reads words of a text layer off the page's picture, and says whether they are what is printed there.

Many words are first read at once, small and side by side, which costs a third of reading them singly. Only those that
then differ are read by themselves, larger and in several ways: one reading that agrees is enough. Knows words and
pictures, no field.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from backends.ocr.enhance import enhance_line
from backends.ocr.layer_texts import same_text
from backends.ocr.models import first_recogniser, second_recogniser
from backends.ocr.recogniser import LineReading, read_line
from router.errors import BackendUnavailableError
from router.types import Rgb, Word

Gray = NDArray[np.uint8]
_STRIP_PX, _WORD_PX = 48, 28
"""Height of a strip, which is what the recogniser reads, and of a word in it."""
_GAP_PX = 14
_MAX_STRIP_PX = 1600
_SIDE_MARGIN, _END_MARGIN = 0.25, 0.1
"""Margins beside, and above and below a word, in its heights."""
_LEGIBLE = 0.6


@dataclass(frozen=True)
class Verdict:
    """same: a reading agrees with the word; other: the page says `read` there; illegible: no reading says much."""

    kind: Literal["same", "other", "illegible"]
    read: str = ""


def strip_width_px(word: Word, shape: tuple[int, ...]) -> int:
    """Return how wide a word is in a strip, for a page picture of this shape: what reading it costs goes by that."""
    height, width = shape[:2]
    x1, y1, x2, y2, _, _, x4, y4 = word.polygon
    along = float(np.hypot((x2 - x1) * width, (y2 - y1) * height))
    across = max(1.0, float(np.hypot((x4 - x1) * width, (y4 - y1) * height)))
    return round((along / across + 2 * _SIDE_MARGIN) / (1 + 2 * _END_MARGIN) * _WORD_PX) + _GAP_PX


def verdicts(gray: Gray, words: Sequence[Word]) -> list[Verdict]:
    """Return what a page's picture, shape (height, width), says of each of these words."""
    found: list[Verdict] = []
    for part in _parts(words, gray.shape):
        for word, text in zip(part, _read_strip([_cut(gray, word) for word in part]), strict=True):
            found.append(Verdict("same", text) if same_text(word.text, text) else _read_alone(gray, word))
    return found


def _parts(words: Sequence[Word], shape: tuple[int, ...]) -> Iterator[list[Word]]:
    part: list[Word] = []
    width = 0
    for word in words:
        wide = strip_width_px(word, shape)
        if part and width + wide > _MAX_STRIP_PX:
            yield part
            part, width = [], 0
        part.append(word)
        width += wide
    if part:
        yield part


def _cut(gray: Gray, word: Word, beside: float = _SIDE_MARGIN, above: float = _END_MARGIN) -> Gray:
    """Return the picture of a word, turned so that it reads from left to right."""
    height, width = gray.shape
    corners = np.array(word.polygon).reshape(4, 2) * (width, height)
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    along = corners[1] - corners[0]
    turns = int(np.round(np.arctan2(along[1], along[0]) / (np.pi / 2))) % 4  # quarter turns clockwise
    size = (bottom - top) if turns % 2 == 0 else (right - left)
    across, down = (beside, above) if turns % 2 == 0 else (above, beside)
    x0, x1 = max(0, int(left - across * size)), min(width, int(np.ceil(right + across * size)))
    y0, y1 = max(0, int(top - down * size)), min(height, int(np.ceil(bottom + down * size)))
    cut = gray[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    return np.ascontiguousarray(np.rot90(cut, turns))


def _read_strip(cuts: Sequence[Gray]) -> list[str]:
    """Return the text of each cut, all read at once."""
    pieces = [_piece(cut) for cut in cuts]
    edges = np.cumsum([0, *(piece.shape[1] for piece in pieces)])
    reading = read_line(first_recogniser(), _rgb(np.concatenate(pieces, axis=1)))
    places = np.array(reading.positions) * edges[-1]
    letters = np.array(list(reading.text))
    return ["".join(letters[(places >= a) & (places < b)]).strip() for a, b in pairwise(edges)]


def _piece(cut: Gray) -> Gray:
    width = max(4, round(cut.shape[1] * _WORD_PX / cut.shape[0]))
    shrunk = cv2.resize(cut, (width, _WORD_PX), interpolation=cv2.INTER_AREA)
    paper = int(np.median(np.concatenate([cut[0], cut[-1]])))
    above = (_STRIP_PX - _WORD_PX) // 2
    below, half = _STRIP_PX - _WORD_PX - above, _GAP_PX // 2
    framed = cv2.copyMakeBorder(shrunk, above, below, half, _GAP_PX - half, cv2.BORDER_CONSTANT, value=(paper,))
    return np.asarray(framed, np.uint8)


def _read_alone(gray: Gray, word: Word) -> Verdict:
    best = LineReading("", (), ())
    for reading in _ways(gray, word):
        if same_text(word.text, reading.text):
            return Verdict("same", reading.text)
        best = max(best, reading, key=lambda r: r.confidence)
    legible = best.confidence >= _LEGIBLE and any(map(str.isalnum, best.text))
    return Verdict("other" if legible else "illegible", best.text)


def _ways(gray: Gray, word: Word) -> Iterator[LineReading]:
    """Yield readings of a word by itself, the cheapest first."""
    cut = _rgb(_cut(gray, word))
    yield read_line(first_recogniser(), cut)
    yield read_line(first_recogniser(), _rgb(_cut(gray, word, 0.1, 0.02)))
    with contextlib.suppress(BackendUnavailableError):
        yield read_line(second_recogniser(), cut)
    yield read_line(first_recogniser(), enhance_line(cut))


def _rgb(gray: Gray) -> Rgb:
    return np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), np.uint8)
