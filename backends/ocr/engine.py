"""Reads a page: finds lines, turns the page upright, recognises every line. Knows no field.

A `PageReading` keeps, for every line, one reading a recogniser, aligned because all of them saw the same crop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from backends.ocr.detector import Quad, crop_line, detect_lines
from backends.ocr.enhance import enhance_line
from backends.ocr.layout import PageLayout, Segment, build_layout
from backends.ocr.models import first_recogniser, second_recogniser
from backends.ocr.orientation import is_upended, is_upside_down
from backends.ocr.recogniser import LineReading, read_line
from router.types import Polygon, Rgb

# Measured on receipts and A4 invoices: half the detector's time of its defaults (736 px, 2,000 px), no key lost.
MAX_MEGAPIXELS = 1.3
MIN_SIDE_PX = 640
_DOUBTFUL_BELOW = 0.95


@dataclass(frozen=True)
class OcrLine:
    """One detected line and what each recogniser read.

    `box` in layout coordinates, `polygon` on the page as sent, `quad` in pixels of the upright page.
    """

    box: tuple[float, float, float, float]
    polygon: Polygon
    readings: tuple[LineReading, ...]
    quad: tuple[float, ...] = ()


@dataclass(frozen=True)
class PageReading:
    """All lines of one page. `height` is in page widths; `turned` quarter turns clockwise made it upright."""

    number: int
    height: float
    turned: int
    lines: tuple[OcrLine, ...]

    def layout(self, recogniser: int = 0) -> PageLayout:
        """Return the layout of one recogniser's reading."""
        segments = [
            Segment(r.text, line.box, line.polygon, self.number, r.probabilities, r.positions, *r.second_guess())
            for line in self.lines
            for r in [line.readings[recogniser]]
        ]
        return build_layout(self.number, self.height, segments)


def find_lines(rgb: Rgb) -> tuple[Rgb, int, list[Quad]]:
    """Return the page turned upright, the quarter turns clockwise that did it, and the lines' quads on that page."""
    quads = detect_lines(rgb, MAX_MEGAPIXELS, MIN_SIDE_PX)
    turned = 0
    if is_upended(quads):
        rgb, turned = np.ascontiguousarray(np.rot90(rgb, -1)), 1
        quads = detect_lines(rgb, MAX_MEGAPIXELS, MIN_SIDE_PX)
    if is_upside_down(rgb, quads):
        rgb, turned = np.ascontiguousarray(rgb[::-1, ::-1]), turned + 2
        size = np.array([rgb.shape[1], rgb.shape[0]], np.float32)
        quads = [(size - q)[[2, 3, 0, 1]] for q in reversed(quads)]
    return rgb, turned, quads


def read_page(rgb: Rgb, number: int) -> PageReading:
    """Return every line of a page as the first recogniser reads it."""
    upright, turned, quads = find_lines(rgb)
    height, width = upright.shape[:2]
    lines = []
    for quad, box in zip(quads, straighten(quads, width, height), strict=True):
        reading = read_line(first_recogniser(), crop_line(upright, quad))
        if reading.text:
            lines.append(
                OcrLine(box, page_polygon(quad, width, height, turned), (reading,), tuple(map(float, quad.flat)))
            )
    return PageReading(number, height / width, turned, tuple(lines))


def read_again(rgb: Rgb, reading: PageReading) -> PageReading:
    """Return a page's reading with two more readings of each line.

    One by a second, different recogniser; one by the first again on a repaired picture where it was in doubt (elsewhere
    its own reading stands again). All readings of a line saw the same crop, so they are aligned.
    """
    upright = np.ascontiguousarray(np.rot90(rgb, -reading.turned))
    lines = []
    for line in reading.lines:
        crop = crop_line(upright, np.array(line.quad, np.float32).reshape(4, 2))
        first = line.readings[0]
        repaired = read_line(first_recogniser(), enhance_line(crop)) if is_doubtful(first) else first
        lines.append(replace(line, readings=(first, read_line(second_recogniser(), crop), repaired)))
    return replace(reading, lines=tuple(lines))


def is_doubtful(reading: LineReading) -> bool:
    """Return whether any letter or digit was read with less than 95 % probability."""
    letters = [p for c, p in zip(reading.text, reading.probabilities, strict=True) if c.isalnum()]
    return min(letters, default=0.0) < _DOUBTFUL_BELOW


def straighten(quads: Sequence[Quad], width: int, height: int) -> list[tuple[float, float, float, float]]:
    """Return layout boxes of quads after turning the page by the lines' median slope (weighted to long lines)."""
    if not quads:
        return []
    corners = np.stack(quads) / width
    along = corners[:, 1] - corners[:, 0]
    lengths = np.linalg.norm(along, axis=1)
    long = lengths >= np.median(lengths)
    angle = float(np.median(np.arctan2(along[long, 1], along[long, 0])))
    cos, sin = np.cos(-angle), np.sin(-angle)
    centre = np.array([0.5, height / width / 2])
    turned = (corners - centre) @ np.array([[cos, sin], [-sin, cos]]) + centre
    # the middle of each edge, not its extremes: a slanted box must not swallow the lines above and below
    x0, x1 = turned[:, [0, 3], 0].mean(axis=1), turned[:, [1, 2], 0].mean(axis=1)
    y0, y1 = turned[:, [0, 1], 1].mean(axis=1), turned[:, [2, 3], 1].mean(axis=1)
    return [tuple(map(float, b)) for b in zip(x0, y0, np.maximum(x1, x0), np.maximum(y1, y0), strict=True)]  # type: ignore[misc]


def page_polygon(quad: Quad, width: int, height: int, turned: int) -> Polygon:
    """Return a quad of the upright page in fractions of the page as sent (before `turned` quarter turns clockwise)."""
    points = quad / np.array([width, height], np.float32)
    for _ in range(turned % 4):  # undo one clockwise quarter turn: (x, y) came from (y, 1 - x)
        points = np.stack([points[:, 1], 1 - points[:, 0]], axis=1)
    return tuple(float(v) for v in np.clip(points, 0, 1).reshape(-1))  # type: ignore[return-value]
