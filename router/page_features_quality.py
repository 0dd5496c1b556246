"""How well a page was photographed or scanned: blur, contrast, illumination, skew, noise.

Every function takes a `PageView` and returns one number in the unit its docstring names, or None where the page has
nothing to measure it on. Must not know weights, scores or what is easy for which model.
"""

from __future__ import annotations

import statistics

import cv2
import numpy as np
from numpy.typing import NDArray

from router.page_view import Mask, PageView, Patch, shrink
from router.quantiles import median, quantile

_IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_STRIP_PX = 12
_MAX_SKEW_DEG = 15.0


def edge_width_px(view: PageView) -> float | None:
    """Return the width of the letters' edges in page pixels: mean slope over mean curvature on and beside them.

    It grows in proportion to a Gaussian blur, from about 0.8 for the sharpest print, whatever the contrast.
    """
    widths = [w for w in map(_edge_width, view.patches) if w is not None]
    return statistics.median(widths) if widths else None


def contrast(view: PageView) -> float | None:
    """Return the grey distance between letters and their paper, as a share of the full range."""
    if not view.patches:
        return None
    return statistics.median(max(0.0, p.paper_level - p.ink_level) / 255.0 for p in view.patches)


def illumination_unevenness(view: PageView) -> float:
    """Return by how much the paper's darkest tenth is darker than its lightest, as a share of the latter."""
    paper = cv2.resize(view.paper, view.picture.shape[::-1], interpolation=cv2.INTER_NEAREST)
    paper = cv2.blur(paper, (9, 9))
    levels = paper[cv2.dilate(view.picture, np.ones((9, 9), np.uint8)) == 0]
    if levels.size < 0.2 * paper.size:
        return 0.0
    dark, light = quantile(levels, 0.1), quantile(levels, 0.9)
    return (light - dark) / max(light, 1.0)


def skew_deg(view: PageView) -> float | None:
    """Return the angle of the text lines in degrees, -15 to 15, positive where they fall to the right.

    It is the shear under which the profile of the lines is sharpest.
    """
    if cv2.countNonZero(view.text) < 200:
        return None
    strips = shrink(view.text * np.uint8(255), _STRIP_PX, 2)
    ys, xs = np.nonzero(strips)
    weights = strips[ys, xs].astype(np.float64)
    across = (xs - strips.shape[1] / 2).astype(np.float32) * np.float32(_STRIP_PX / 2)
    rows = ys.astype(np.float32)
    coarse = _best_angle(rows, across, weights, np.arange(-_MAX_SKEW_DEG, _MAX_SKEW_DEG + 0.1, 1.0))
    return _best_angle(rows, across, weights, coarse + np.arange(-0.8, 0.81, 0.2))


def noise_sigma(view: PageView) -> float | None:
    """Return the standard deviation of the grain between letters, in grey levels (Immerkaer, CVIU 64(2), 1996)."""
    sigmas = [s for s in map(_grain, view.patches) if s is not None]
    return statistics.median(sigmas) if sigmas else None


def blockiness(view: PageView) -> float | None:
    """Return how much stronger the paper's steps are at one of every eight pixels than between: blocks of compression.

    0 is none, 1 twice as strong. The blocks of a picture that was resized after compression are not found.
    """
    found = [b for b in map(_blockiness, view.patches) if b is not None]
    return statistics.median(found) if found else None


def _edge_width(patch: Patch) -> float | None:
    if not patch.ink.any():
        return None
    near = cv2.dilate(patch.ink, np.ones((5, 5), np.uint8))
    smooth = cv2.GaussianBlur(patch.grey, (3, 3), 0)  # grain must not pass for sharpness
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    curvature = cv2.mean(np.abs(cv2.Laplacian(smooth, cv2.CV_16S, ksize=1)), near)[0]
    return float(cv2.mean(cv2.magnitude(across, down), near)[0] / curvature) if curvature > 0.5 else None


def _grain(patch: Patch) -> float | None:
    flat = _flat(patch)
    if cv2.countNonZero(flat) < 500:
        return None
    response = cv2.filter2D(patch.grey, cv2.CV_16S, _IMMERKAER)
    return float(np.sqrt(np.pi / 2) / 6 * cv2.mean(np.abs(response), flat)[0])


def _flat(patch: Patch) -> Mask:
    return 1 - cv2.dilate(patch.ink, np.ones((7, 7), np.uint8))  # type: ignore[no-any-return]


def _blockiness(patch: Patch) -> float | None:
    flat = _flat(patch)[:, 1:]
    steps = cv2.absdiff(patch.grey[:, 1:], patch.grey[:, :-1]) * flat
    # the constants keep a column of letters, which has little paper, from counting for much
    by_column = (steps.sum(axis=0, dtype=np.float64) + 1.0) / (flat.sum(axis=0, dtype=np.float64) + 20.0)
    if by_column.size < 64:
        return None
    by_phase = by_column[: by_column.size // 8 * 8].reshape(-1, 8).mean(axis=0)
    middle = median(by_phase)
    return float((by_phase.max() - middle) / (middle + 0.2))


def _best_angle(
    ys: NDArray[np.float32], xs: NDArray[np.float32], weights: NDArray[np.float64], angles_deg: NDArray[np.float64]
) -> float:
    slopes = np.tan(np.radians(angles_deg)).astype(np.float32)[:, np.newaxis]
    return float(angles_deg[int(np.argmax(_sharpness(ys - xs * slopes, weights)))])


def _sharpness(positions: NDArray[np.float32], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum of squared steps of each row's profile; a row's profile ends with its last position."""
    bins = (positions - positions.min(axis=1, keepdims=True)).astype(np.int32)
    last = bins.max(axis=1)
    rows, width = np.arange(len(bins)), int(last.max()) + 2
    profiles = np.bincount((bins + width * rows[:, np.newaxis]).ravel(), np.tile(weights, len(bins)), width * len(bins))
    profiles = profiles.reshape(len(bins), width)
    steps = profiles[:, 1:] - profiles[:, :-1]
    sums: NDArray[np.float64] = np.einsum("ij,ij->i", steps, steps) - profiles[rows, last] ** 2
    return sums
