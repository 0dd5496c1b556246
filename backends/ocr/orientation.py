"""Tells whether a page stands on its head, by its lines' pictures. Knows no characters."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from backends.ocr.detector import Quad, crop_line
from backends.ocr.models import orientation_session
from router.types import Rgb

_SAMPLE = 9
_SURE = 0.7
_HEIGHT_PX, _WIDTH_PX = 48, 192


def is_upended(quads: Sequence[Quad]) -> bool:
    """Return whether most lines run up or down the page."""
    tall = [np.linalg.norm(q[3] - q[0]) > 1.5 * np.linalg.norm(q[1] - q[0]) for q in quads]
    return bool(sum(tall) > len(tall) / 2)


def is_upside_down(rgb: Rgb, quads: Sequence[Quad]) -> bool:
    """Ask the line orientation classifier about the widest lines; the majority decides, and the rest is not asked."""
    widest = sorted(quads, key=lambda q: -float(np.linalg.norm(q[1] - q[0])))[:_SAMPLE]
    votes = 0
    for asked, quad in enumerate(widest, 1):
        votes += _stands_on_its_head(crop_line(rgb, quad))
        if votes > len(widest) / 2 or votes + len(widest) - asked <= len(widest) / 2:
            break
    return votes > len(widest) / 2


def _stands_on_its_head(crop: Rgb) -> bool:
    height, width = crop.shape[:2]
    used = min(_WIDTH_PX, math.ceil(_HEIGHT_PX * width / height))
    pixels = np.zeros((1, 3, _HEIGHT_PX, _WIDTH_PX), np.float32)
    resized = cv2.resize(crop, (used, _HEIGHT_PX))[:, :, ::-1].transpose(2, 0, 1)
    pixels[0, :, :, :used] = resized / np.float32(127.5) - np.float32(1)
    session = orientation_session()
    upright, turned = session.run(None, {session.get_inputs()[0].name: pixels})[0][0]
    return bool(turned > upright and turned > _SURE)
