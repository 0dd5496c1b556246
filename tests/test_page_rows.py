"""How many rows a page may have: a bound that the samples' tables keep within, on text layers and on pictures."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from backends.page_rows import LEAST_ROWS, row_bound
from router.documents import open_document
from router.types import Page

SAMPLES = Path(__file__).parent.parent / "samples"
TABLES = {
    "statement-digital.pdf": "transactions",
    "invoice-three-pages.pdf": "line_items",
    "statement-scan.jpg": "transactions",
    "invoice-scan.jpg": "line_items",
    "receipt-skewed.jpg": "line_items",
    "receipt-faded.jpg": "line_items",
}


@pytest.mark.parametrize("name", TABLES)
def test_no_page_of_a_sample_has_more_rows_than_its_bound_and_none_is_given_far_more(name):
    path = SAMPLES / name
    rows = json.loads((SAMPLES / "keys" / f"{path.stem}.json").read_text())[TABLES[name]]
    with open_document(path.read_bytes(), name) as opened:
        pages = opened.document.pages
        bounds = [row_bound(page, opened.image(page.number)) for page in pages]
    assert sum(bounds) >= len(rows)
    assert max(bounds) <= 120


def test_ruling_lines_bound_rows_where_letters_cannot_be_told_apart():
    picture = np.full((1400, 1000, 3), 255, np.uint8)
    for y in range(100, 1301, 40):
        cv2.line(picture, (60, y), (940, y), (0, 0, 0), 2)
    page = Page(number=1, width_px=1000, height_px=1400)
    assert row_bound(page, picture) >= 30
    assert row_bound(page, np.full((1400, 1000, 3), 255, np.uint8)) == LEAST_ROWS
