"""What of a text layer can be seen, by two small pictures of its page: as it is drawn, and as it were without its text.

Where the two differ, text draws. So a word is seen when it makes a difference itself, whatever hides it otherwise: no
ink, paper-coloured ink, a picture above it, a clip, a layer that is switched off. Knows words and grey pixels, no PDF
and no recogniser: whether the ink looks like the word, others find out by reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from router.types import Word

Gray = NDArray[np.uint8]
Cover = NDArray[np.uint16]
_LEAST_INK = 16
"""Grey levels of 255 that text must differ by from what lies under it; paler print is not seen on a screen either."""
_LEAST_CONTRAST = 40
"""Grey levels between the lightest and the darkest point of a place that shows something."""
_LEAST_HEIGHT_PT = 1.5
_OVERLAP = 0.5
_CORE = 0.25
"""Share of a box above and below that neighbouring lines may lie in: boxes span ascent and descent."""
_MAX_PAIRED = 400


class Sight(Enum):
    """How a word is to be seen."""

    SEEN = "seen"
    PARTLY = "partly"
    """A third of it draws nothing, or another word is drawn over it."""
    OVER_INK = "over ink"
    """It draws nothing itself, but the page shows something there, as on a scan that somebody has read."""
    UNSEEN = "unseen"
    """It draws nothing and nothing is there, or only words that are seen."""


def sights(words: Sequence[Word], drawn: Gray, bare: Gray, height_pt: float) -> list[Sight]:
    """Return how each word is to be seen on a page of this height in points; both pictures have the page's shape."""
    if not words:
        return []
    boxes, upright = _boxes(words, drawn.shape[1], drawn.shape[0])
    mask = np.asarray(cv2.absdiff(drawn, bare) > _LEAST_INK, np.uint8)
    ink = cv2.integral(mask)
    least_px = _LEAST_HEIGHT_PT / height_pt * drawn.shape[0]
    found = [
        _of_word(word, box, turned, ink, least_px) for word, box, turned in zip(words, boxes, upright, strict=True)
    ]
    cover = _cover(boxes, found, drawn.shape)
    crossed = _crossed(words, boxes, found, cover)
    return [
        _under(box, drawn, cover) if sight is Sight.UNSEEN else Sight.PARTLY if index in crossed else sight
        for index, (box, sight) in enumerate(zip(boxes, found, strict=True))
    ]


def _boxes(words: Sequence[Word], width: int, height: int) -> tuple[list[tuple[int, int, int, int]], list[bool]]:
    """Return each word's left, top, right, bottom in pixels, at least one wide and high, and whether it runs across."""
    corners = np.array([word.polygon for word in words]).reshape(-1, 4, 2) * (width, height)
    low, high = np.floor(corners.min(axis=1)).astype(int), np.ceil(corners.max(axis=1)).astype(int)
    low = np.clip(low, 0, (width - 1, height - 1))
    high = np.clip(np.maximum(high, low + 1), 1, (width, height))
    along = np.abs(corners[:, 1] - corners[:, 0])
    boxes = [(x0, y0, x1, y1) for (x0, y0), (x1, y1) in zip(low.tolist(), high.tolist(), strict=True)]
    return boxes, (along[:, 0] >= along[:, 1]).tolist()


def _of_word(
    word: Word, box: tuple[int, int, int, int], across: bool, ink: NDArray[np.int32], least_px: float
) -> Sight:
    left, top, right, bottom = box
    (start, end), thickness = ((left, right), bottom - top) if across else ((top, bottom), right - left)
    if thickness < least_px or not _sum(ink, left, top, right, bottom):
        return Sight.UNSEEN
    if word.confidence is None:
        return Sight.PARTLY
    if sum(map(str.isalnum, word.text)) < 3 or end - start < 9:
        return Sight.SEEN
    cuts = [start + (end - start) * third // 3 for third in range(4)]
    thirds = [(a, top, b, bottom) if across else (left, a, right, b) for a, b in pairwise(cuts)]
    return Sight.SEEN if all(_sum(ink, *third) for third in thirds) else Sight.PARTLY


def _sum(table: NDArray[np.int32], left: int, top: int, right: int, bottom: int) -> int:
    return int(table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left])


def _core(box: tuple[int, int, int, int]) -> tuple[slice, slice]:
    left, top, right, bottom = box
    trim = int((bottom - top) * _CORE)
    return slice(top + trim, bottom - trim), slice(left, right)


def _cover(boxes: Sequence[tuple[int, int, int, int]], found: Sequence[Sight], shape: tuple[int, ...]) -> Cover:
    """Return how many words that are seen lie over each pixel."""
    cover = np.zeros(shape, np.uint16)
    for box, sight in zip(boxes, found, strict=True):
        if sight is not Sight.UNSEEN:
            cover[_core(box)] += 1
    return cover


def _crossed(
    words: Sequence[Word], boxes: Sequence[tuple[int, int, int, int]], found: Sequence[Sight], cover: Cover
) -> set[int]:
    """Return the words that are drawn where another text is drawn too; the same text twice is only bold print."""
    if int(cover.max()) < 2:
        return set()
    shared = [
        index
        for index, box in enumerate(boxes)
        if found[index] is not Sight.UNSEEN and float((cover[_core(box)] > 1).mean()) > _OVERLAP
    ]
    if len(shared) > _MAX_PAIRED:
        return set(shared)
    return {a for a in shared for b in shared if words[a].text != words[b].text and _overlap(boxes[a], boxes[b])}


def _overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    area = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return wide > 0 and high > 0 and wide * high > _OVERLAP * area


def _under(box: tuple[int, int, int, int], drawn: Gray, cover: Cover) -> Sight:
    """Return what a word that draws nothing lies over."""
    core = _core(box)
    if float((cover[core] > 0).mean()) > _OVERLAP:
        return Sight.UNSEEN
    place = drawn[box[1] : box[3], box[0] : box[2]]
    return Sight.OVER_INK if int(place.max()) - int(place.min()) >= _LEAST_CONTRAST else Sight.UNSEEN
