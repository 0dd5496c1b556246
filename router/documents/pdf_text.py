"""Words of a PDF page from its characters. Must not know PDFium: it gets numbers and gives words with polygons."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from router.printable import is_unseen
from router.types import Polygon, Word

CHARACTER = np.dtype(
    [
        ("code", "<u4"),
        ("left", "<f4"),
        ("bottom", "<f4"),
        ("right", "<f4"),
        ("top", "<f4"),
        ("loose_bottom", "<f4"),
        ("loose_top", "<f4"),
        ("angle", "<f4"),
        ("flags", "u1"),
    ]
)
GENERATED, UNMAPPED, INVISIBLE, HYPHEN = 1, 2, 4, 8
_MAX_GARBAGE_SHARE = 0.3
_GAP_HEIGHTS = 0.6
"""A gap wider than this many character heights parts two words even when the text has no space there."""
_MAX_LOOSE_HEIGHTS = 4.0
_WORD_MARGIN = 0.005
_MAX_KERNING = 0.3
_FEW_MARKS = 40
_LIGATURES = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFB00, 0xFB07)}
_BAD_CATEGORIES = frozenset({"Cc", "Cn", "Co", "Cs"})


@dataclass
class _Run:
    """A word being built: boxes are in points, along and across the reading direction `quadrant`."""

    quadrant: int
    text: list[str] = field(default_factory=list)
    box: list[float] = field(default_factory=list)
    last: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    unsure: bool = False


def words(characters: NDArray[np.void], affine: Sequence[float]) -> tuple[Word, ...]:
    """Return the words of a page in the order of the text layer, or none when the layer is garbage.

    `characters` has dtype `CHARACTER`, boxes in points; `affine` holds a,b,e,c,d,f that takes points to page fractions.
    Text that is drawn invisibly comes from somebody's OCR: its confidence is None, that of visible text is 1. So it is
    for words that run against their letters' order, hold marks that reorder them, or reach over the page's edge.
    """
    if len(characters) == 0 or is_garbage(characters):
        return ()
    placed = (_word(run, affine) for run in _runs(characters))
    return tuple(word for word in placed if word is not None)


def is_garbage(characters: NDArray[np.void]) -> bool:
    """Return whether too many characters are unmapped, private, control or replacement characters to be text."""
    flags = characters["flags"]
    drawn = characters[(flags & GENERATED) == 0]
    codes = [(int(code), int(flag)) for code, flag in zip(drawn["code"], drawn["flags"], strict=True)]
    printed = [(code, flag) for code, flag in codes if code not in (0x20, 0xA0, 0x0A, 0x0D, 0x09) and not flag & HYPHEN]
    if not printed:
        return False
    bad = sum(bool(flag & UNMAPPED) or _is_bad(code) for code, flag in printed)
    return bad > _MAX_GARBAGE_SHARE * len(printed)


def _is_bad(code: int) -> bool:
    if 0xD800 <= code <= 0xDFFF:
        return False  # half of a pair, judged when joined
    return code == 0xFFFD or code > 0x10FFFF or unicodedata.category(chr(code)) in _BAD_CATEGORIES


def _is_high_surrogate(code: int) -> bool:
    return 0xD800 <= code < 0xDC00


def _texts(characters: NDArray[np.void]) -> Iterator[str]:
    """Yield the text of each character; half a surrogate pair and unprintable ones give an empty string."""
    high = 0
    for code, flag in zip(characters["code"].tolist(), characters["flags"].tolist(), strict=True):
        if _is_high_surrogate(code):
            high = code
            yield ""
        elif 0xDC00 <= code < 0xE000:
            yield chr(0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00)) if high else ""
            high = 0
        elif flag & HYPHEN or code == 0xAD:
            yield "-"
        elif code in _LIGATURES:
            yield _LIGATURES[code]
        elif code in (0x09, 0x0A, 0x0D) or (code <= 0x10FFFF and chr(code).isspace()):
            yield " "
        else:
            yield "" if _is_bad(code) or is_unseen(chr(code)) else chr(code)


def _runs(characters: NDArray[np.void]) -> Iterator[_Run]:
    run: _Run | None = None
    for text, row in zip(_texts(characters), characters.tolist(), strict=True):
        code, left, bottom, right, top, loose_bottom, loose_top, angle, flags = row
        if not all(map(math.isfinite, row)):
            continue
        quadrant = round(-angle / (math.pi / 2)) % 4  # PDFium counts clockwise
        box = _with_loose_height((left, bottom, right, top), loose_bottom, loose_top, angle)
        if text == "":
            if run is not None and _is_high_surrogate(code):
                run.last = box
            elif run is not None:
                run.unsure = True
            continue
        if run is not None and (text == " " or not _continues(run, quadrant, box)):
            yield run
            run = None
        if text != " ":
            run = run or _Run(quadrant)
            run.unsure = run.unsure or bool(flags & INVISIBLE) or _runs_back(run, box)
            _extend(run, text, box)
    if run is not None:
        yield run


def _with_loose_height(
    box: tuple[float, float, float, float], loose_bottom: float, loose_top: float, angle: float
) -> tuple[float, float, float, float]:
    """Return the box with the font's ascent and descent, which lines up neighbours; odd fonts keep the tight box."""
    left, bottom, right, top = box
    height = loose_top - loose_bottom
    if abs(angle) > 0.01 or height <= 0:
        return box
    overlaps = loose_bottom < top + 0.1 * height and loose_top > bottom - 0.1 * height
    width = max(right - left, top - bottom)
    if not overlaps or height > _MAX_LOOSE_HEIGHTS * max(width, 1.0) * 2:
        return box
    return left, loose_bottom, right, loose_top


def _along(box: tuple[float, float, float, float], quadrant: int) -> tuple[float, float, float, float]:
    """Return start and end along the reading direction, then across it."""
    left, bottom, right, top = box
    return (left, right, bottom, top) if quadrant % 2 == 0 else (bottom, top, left, right)


def _continues(run: _Run, quadrant: int, box: tuple[float, float, float, float]) -> bool:
    if quadrant != run.quadrant:
        return False
    start, end, low, high = _along(box, quadrant)
    last_start, last_end, last_low, last_high = _along(run.last, quadrant)
    height = max(high - low, last_high - last_low, 1e-3)
    gap = max(start - last_end, last_start - end)
    shift = abs((low + high) - (last_low + last_high)) / 2
    return gap <= _GAP_HEIGHTS * height and shift <= 0.7 * height


def _runs_back(run: _Run, box: tuple[float, float, float, float]) -> bool:
    """Return whether a character stands before the one that it follows, by more than kerning does."""
    if not run.box:
        return False
    start, end, _, _ = _along(box, run.quadrant)
    last_start, last_end, _, _ = _along(run.last, run.quadrant)
    ahead = (start + end - last_start - last_end) / 2 * (1 if run.quadrant in (0, 1) else -1)
    return ahead < -_MAX_KERNING * max(end - start, last_end - last_start)


def _extend(run: _Run, text: str, box: tuple[float, float, float, float]) -> None:
    run.text.append(text)
    run.last = box
    if not run.box:
        run.box = list(box)
        return
    run.box = [
        min(run.box[0], box[0]),
        min(run.box[1], box[1]),
        max(run.box[2], box[2]),
        max(run.box[3], box[3]),
    ]


def _word(run: _Run, affine: Sequence[float]) -> Word | None:
    placed = _polygon(run, affine)
    if placed is None:
        return None
    polygon, whole = placed
    return Word(text="".join(run.text), polygon=polygon, confidence=None if run.unsure or not whole else 1.0)


def _polygon(run: _Run, affine: Sequence[float]) -> tuple[Polygon, bool] | None:
    """Return the word's corners clockwise from the top left of the text as it reads, and whether all of it is on the
    page; None when its middle lies off it."""
    left, bottom, right, top = run.box
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    turned = [corners[(index - run.quadrant) % 4] for index in range(4)]
    a, b, e, c, d, f = affine
    points = [(a * x + b * y + e, c * x + d * y + f) for x, y in turned]
    centre_x, centre_y = sum(x for x, _ in points) / 4, sum(y for _, y in points) / 4
    if not (0.0 <= centre_x <= 1.0 and 0.0 <= centre_y <= 1.0):
        return None
    clipped = [min(max(value, 0.0), 1.0) for point in points for value in point]
    whole = all(-_WORD_MARGIN <= value <= 1 + _WORD_MARGIN for point in points for value in point)
    return (clipped[0], clipped[1], clipped[2], clipped[3], clipped[4], clipped[5], clipped[6], clipped[7]), whole


def covers_marks(found: Sequence[Word], marks: NDArray[np.float64]) -> bool:
    """Return whether the words account for the ink of a page: at least a quarter of its marks, or all but a few.

    `marks` holds mark centres in page fractions, shape (n, 2).
    """
    if not found:
        return False
    polygons = np.array([word.polygon for word in found]).reshape(-1, 4, 2)
    low = polygons.min(axis=1) - _WORD_MARGIN
    high = polygons.max(axis=1) + _WORD_MARGIN
    inside = ((marks[:, None] >= low[None]) & (marks[:, None] <= high[None])).all(axis=2).any(axis=1)
    outside = int((~inside).sum())
    return outside < _FEW_MARKS or int(inside.sum()) * 3 >= outside
