"""Finds text lines in a picture (RapidOCR's detector model). Knows no characters."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from rapidocr.ch_ppocr_det.main import TextDetector
from rapidocr.ch_ppocr_det.utils import DBPostProcess

from backends.ocr.models import detector_session
from router.types import Rgb

Quad = np.ndarray
"""Four corners (4, 2) float32 in pixels, clockwise from the text's top left."""

_STRIDE_PX = 32
_WIDEST = 8
"""Pages wider than this times their height get black bands above and below; else the model misses their only line."""


@cache
def _boxes_of_map() -> DBPostProcess:
    return DBPostProcess(thresh=0.3, box_thresh=0.5, unclip_ratio=1.6, use_dilation=True)


def detect_lines(rgb: Rgb, max_megapixels: float, min_side_px: int) -> list[Quad]:
    """Return the text lines' quads in reading order, in pixels of `rgb`.

    Cost goes with pixels: large pages are shrunk to `max_megapixels`, small ones enlarged until the short side has
    `min_side_px`.
    """
    band = max(0, round(rgb.shape[1] / _WIDEST - rgb.shape[0] / 2)) if rgb.shape[1] > _WIDEST * rgb.shape[0] else 0
    page = cv2.copyMakeBorder(rgb, band, band, 0, 0, cv2.BORDER_CONSTANT) if band else rgb
    height, width = page.shape[:2]
    scale = max(1.0, min_side_px / min(height, width))
    scale = min(scale, (max_megapixels * 1e6 / (height * width)) ** 0.5)
    size = (max(_STRIDE_PX, round(width * scale)), max(_STRIDE_PX, round(height * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled = page if size == (width, height) else cv2.resize(page, size, interpolation=interpolation)
    boxes, _ = _boxes_of_map()(_text_map(scaled), scaled.shape[:2])
    if not len(boxes):
        return []
    back = np.array([width / size[0], height / size[1]], np.float32)
    quads = TextDetector.sorted_boxes(boxes).astype(np.float32) * back - np.array([0, band], np.float32)
    return list(np.clip(quads, 0, np.array(rgb.shape[1::-1], np.float32)))


def _text_map(rgb: Rgb) -> np.ndarray:
    """Return the model's probability (1, 1, height, width) that a pixel is text, on a grid of whole strides."""
    height, width = (round(side / _STRIDE_PX) * _STRIDE_PX for side in rgb.shape[:2])
    pixels = cv2.resize(rgb, (width, height))[:, :, ::-1].transpose(2, 0, 1)  # the model was trained on BGR
    batch = np.empty((1, 3, height, width), np.float32)
    np.multiply(pixels, np.float32(1 / 127.5), out=batch[0])
    batch -= 1
    session = detector_session()
    return np.asarray(session.run(None, {session.get_inputs()[0].name: batch})[0])


def crop_line(rgb: Rgb, quad: Quad) -> Rgb:
    """Return the line under a quad, straightened; turned when it is at least 1.5 times as high as wide."""
    top, bottom = np.linalg.norm(quad[0] - quad[1]), np.linalg.norm(quad[3] - quad[2])
    left, right = np.linalg.norm(quad[0] - quad[3]), np.linalg.norm(quad[1] - quad[2])
    width, height = max(int(max(top, bottom)), 2), max(int(max(left, right)), 2)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(quad, corners)
    crop = cv2.warpPerspective(rgb, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.rot90(crop) if height >= 1.5 * width else crop
