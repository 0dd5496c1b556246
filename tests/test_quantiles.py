"""Median and quantiles are NumPy's, bit for bit."""

import numpy as np
import pytest

from router.quantiles import median, quantile


def arrays() -> list[np.ndarray]:
    random = np.random.default_rng(7)
    sizes = [1, 2, 3, 4, 5, 8, 21, 100, 1001]
    floats = [random.normal(size=size) * 100 for size in sizes]
    bytes_ = [random.integers(0, 256, size, np.uint8) for size in sizes]
    return [*floats, *bytes_, random.integers(1, 9, 40), random.integers(0, 256, (30, 21), np.uint8)[::3, ::3]]


@pytest.mark.parametrize("values", arrays(), ids=lambda values: f"{values.dtype}-{values.size}")
def test_they_are_those_of_numpy(values: np.ndarray) -> None:
    assert median(values) == float(np.median(values))
    for percent in (0, 10, 25, 33, 50, 75, 90, 99, 100):
        assert quantile(values, percent / 100) == float(np.percentile(values, percent))
