"""How many rows a table on a page may have: what bounds its answer. Knows pages and pictures; no model, no prompt."""

from __future__ import annotations

import numpy as np

from router import page_features_layout as layout
from router import page_features_quality as quality
from router.features import has_usable_text_layer, text_line_count
from router.page_view import Mask, prepare
from router.types import Page, Rgb

LEAST_ROWS = 12
"""What a page is given whose lines could not be told apart."""
_RULE_SHARE = 0.3
"""A ruling line between rows is at least this share of the page's width."""


def row_bound(page: Page, picture: Rgb) -> int:
    """Return a number of rows that the page does not exceed: its lines of text, or the ruling lines that part them.

    `picture` has shape (height, width, 3) and is looked at only where the page has no text layer to count.
    """
    if has_usable_text_layer(page):
        return max(LEAST_ROWS, text_line_count(page))
    view = prepare(picture)
    glyph, skew = layout.glyph_height_px(view), quality.skew_deg(view)
    lines, _ = layout.lines_and_columns(layout.word_boxes(view, glyph, skew or 0.0))
    return max(LEAST_ROWS, lines, _ruled_rows(view.horizontal))


def _ruled_rows(rules: Mask) -> int:
    """The spaces between ruling lines that go over a good part of the page (0 or 1 in `rules`)."""
    ruled = rules.sum(axis=1) >= _RULE_SHARE * rules.shape[1]
    return max(0, int(np.count_nonzero(np.diff(ruled.astype(np.int8)) == 1)) - 1)
