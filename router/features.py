"""The signals of one page and of one document: how hard it will be to read.

Values carry their natural units (see `FEATURES`); `router.score` scales them to [0,1]. A page with a usable text layer
is measured on its words alone and never rendered. Must not know weights, thresholds or lanes.
"""

from __future__ import annotations

import unicodedata

import numpy as np

from router import page_features_layout as layout
from router import page_features_quality as quality
from router.page_view import Boxes, PageView, prepare
from router.types import Document, Page, Rgb

FEATURES: dict[str, str] = {
    "blur": "width of the letters' edges, in glyph heights",
    "contrast": "grey distance of letters and paper, share of the full range",
    "illumination": "paper's darkest tenth below its lightest tenth, share",
    "skew": "angle of the text lines, degrees",
    "noise": "standard deviation of the paper's grain, grey levels",
    "specks": "specks of ink for each letter",
    "blockiness": "excess of steps at every eighth pixel, share of the steps between",
    "line_density": "text lines a page",
    "tiled_glyph_height": "height of a letter after the fast model's tiling, pixels",
    "ruling_length": "length of all ruling lines, page heights",
    "ruling_crossings": "crossings of ruling lines",
    "columns": "pieces of text side by side in the fuller lines",
    "picture_share": "share of the page under pictures",
    "page_count": "pages of the document",
    "text_layer": "1 where the page has a usable text layer, else 0",
    "blank": "1 where the page has no text, else 0",
}
"""Every signal's name and unit."""

_MIN_LAYER_WORDS = 8
_MAX_UNREADABLE = 0.1
_GLYPH_OF_WORD = 0.6
"""A word's box spans the ascent and descent of its font."""


def document_features(document: Document) -> dict[str, float]:
    """Return the signals that belong to a whole document: its number of pages."""
    return {"page_count": float(len(document.pages))}


def has_usable_text_layer(page: Page) -> bool:
    """Return whether a page's own words can be read instead of its picture.

    A layer of a few words is a stamp on a scan; one full of private or replacement characters lost its font's mapping.
    """
    if len(page.words) < _MIN_LAYER_WORDS:
        return False
    text = "".join(word.text for word in page.words)
    unreadable = sum(unicodedata.category(c) in {"Co", "Cn", "Cc", "Cs"} or c == "\ufffd" for c in text)
    return bool(text) and unreadable + 5 * text.count("(cid:") <= _MAX_UNREADABLE * len(text)


def needs_picture(page: Page) -> bool:
    """Return whether `page_features` needs the page's picture; rendering one in vain costs more than scoring."""
    return not page.blank and not has_usable_text_layer(page)


def page_features(rgb: Rgb | None, page: Page) -> dict[str, float]:
    """Return a page's signals, name to value in the unit of `FEATURES`; those that cannot be measured are left out.

    `rgb` has shape (height, width, 3); it is read only where `needs_picture(page)` and may be None elsewhere.
    """
    if page.blank:
        return {"blank": 1.0, "text_layer": 0.0}
    if has_usable_text_layer(page):
        return _from_words(page)
    if rgb is None:
        raise ValueError(f"page {page.number} has no usable text layer: its picture is needed")
    return _from_picture(prepare(rgb))


def text_layer_glyph_px(page: Page) -> float | None:
    """Return the height of a lower-case letter in pixels by the page's own words; None where there are none to use."""
    if not has_usable_text_layer(page):
        return None
    boxes = _word_boxes(page)
    return _GLYPH_OF_WORD * float(np.median(boxes[:, 3])) if len(boxes) else None


def text_line_count(page: Page) -> int:
    """Return the number of lines that a page's own words stand in."""
    return layout.lines_and_columns(_word_boxes(page))[0] if page.words else 0


def _from_picture(view: PageView) -> dict[str, float]:
    glyph = layout.glyph_height_px(view)
    skew = quality.skew_deg(view)
    edge = quality.edge_width_px(view)
    lines, columns = layout.lines_and_columns(layout.word_boxes(view, glyph, skew or 0.0))
    measured = {
        "blur": edge / glyph if edge is not None and glyph else None,
        "contrast": quality.contrast(view),
        "illumination": quality.illumination_unevenness(view),
        "skew": abs(skew) if skew is not None else None,
        "noise": quality.noise_sigma(view),
        "specks": layout.specks(view, glyph) if glyph else None,
        "blockiness": quality.blockiness(view),
        "line_density": float(lines),
        "tiled_glyph_height": layout.tiled_height_px(glyph, view.width_px, view.height_px) if glyph else None,
        "ruling_length": layout.ruling_length(view),
        "ruling_crossings": float(layout.ruling_crossings(view)),
        "columns": columns,
        "picture_share": layout.picture_share(view),
        "text_layer": 0.0,
        "blank": float(lines == 0 and not view.patches),
    }
    return {name: value for name, value in measured.items() if value is not None}


def _from_words(page: Page) -> dict[str, float]:
    boxes = _word_boxes(page)
    lines, columns = layout.lines_and_columns(boxes)
    measured = {"line_density": float(lines), "columns": columns, "text_layer": 1.0, "blank": float(lines == 0)}
    if len(boxes):
        glyph = _GLYPH_OF_WORD * float(np.median(boxes[:, 3]))
        measured["tiled_glyph_height"] = layout.tiled_height_px(glyph, page.width_px, page.height_px)
    return measured


def _word_boxes(page: Page) -> Boxes:
    """The boxes of a page's words in pixels, (n, 4): x, y, width, height."""
    corners = np.array([word.polygon for word in page.words]).reshape(-1, 4, 2)
    corners = corners * (page.width_px, page.height_px)
    low, high = corners.min(axis=1), corners.max(axis=1)
    boxes = np.concatenate([low, high - low], axis=1)
    return boxes[boxes[:, 3] > 0]
