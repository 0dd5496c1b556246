"""Median and quantiles of one array, as NumPy gives them to the last bit. Knows numbers only.

NumPy's own serve every shape, axis and method, which costs more than the small arrays of a page take to be ordered.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def median(values: NDArray[np.generic]) -> float:
    """Return the middle value of a non-empty array without NaN, or the mean of the two middle ones."""
    low, high = (values.size - 1) // 2, values.size // 2
    ordered = np.partition(values, (low, high), axis=None)
    return (float(ordered[low]) + float(ordered[high])) / 2


def quantile(values: NDArray[np.generic], share: float) -> float:
    """Return the value that `share` (0 to 1) of a non-empty array without NaN lie below, interpolated linearly."""
    place = (values.size - 1) * share
    low = int(place)
    high = min(low + 1, values.size - 1)
    ordered = np.partition(values, (low, high), axis=None)
    below, above, part = float(ordered[low]), float(ordered[high]), place - low
    return above - (above - below) * (1 - part) if part >= 0.5 else below + (above - below) * part
