"""How tall letters must stay for a page to be read, judged by OCR: why a page gets as many tiles as it does.

    python -m benchmarks.readable_glyphs DATA

Pages are made smaller until their lower-case letters have a given height, as tiling does, and read; the share of the
words of the page as it came that are still read says how readable it is. A vision-language model reads letters of the
same size neither much better nor much worse; what it makes of them cannot be measured without its weights.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from backends.ocr.processes import read_words
from benchmarks.readings import images_of
from router.documents import read_file
from router.page_features_layout import glyph_height_px
from router.page_view import prepare
from router.types import Rgb

HEIGHTS_PX = (4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0)


def pages(data: Path, count: int) -> list[tuple[Rgb, float]]:
    """Return pages spread over the folder, with the height of their letters, all taller than any that is tried."""
    found = []
    scans = [path for path in images_of(data) if path.suffix != ".pdf"]
    for path in scans[:: max(1, len(scans) // (3 * count))]:
        with read_file(path) as opened:
            picture = opened.image(1)
        height = glyph_height_px(prepare(picture))
        if height is not None and height > max(HEIGHTS_PX) and len(found) < count:
            found.append((picture, height))
    return found


def words_kept(before: Sequence[str], after: Sequence[str]) -> float:
    """Return the share of words, counted as often as they stand there, that are read the same."""
    first, second = Counter(before), Counter(after)
    return sum((first & second).values()) / max(1, sum(first.values()))


def read(picture: Rgb) -> list[str]:
    return [text for text, _, _ in read_words(picture)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--pages", type=int, default=8)
    options = parser.parse_args()
    shown = [(picture, height, read(picture)) for picture, height in pages(options.data, options.pages)]
    print(f"| letters, pixels | words of {len(shown)} pages read the same |\n|---|---|")
    for target in HEIGHTS_PX:
        kept = []
        for picture, height, before in shown:
            scale = target / height
            smaller = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            kept.append(words_kept(before, read(np.asarray(smaller, np.uint8))))
        print(f"| {target:g} | {np.mean(kept):.0%} |")


if __name__ == "__main__":
    main()
