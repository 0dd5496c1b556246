"""Gradient-boosted trees evaluated in NumPy. Knows numbers only.

All trees of a model are walked at once: one row of an array is a tree, one column a node; leaves point to themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Trees:
    """An ensemble. Arrays have shape (trees, nodes); `left` and `right` index nodes, `value` counts at leaves."""

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    baseline: float
    depth: int

    def logits(self, matrix: np.ndarray) -> np.ndarray:
        """Return the log-odds (rows,) of a feature matrix (rows, columns)."""
        rows = np.arange(len(matrix))[:, None]
        trees = np.arange(len(self.feature))[None, :]
        node = np.zeros((len(matrix), len(self.feature)), np.int64)
        for _ in range(self.depth):
            goes_left = matrix[rows, self.feature[trees, node]] <= self.threshold[trees, node]
            node = np.where(goes_left, self.left[trees, node], self.right[trees, node])
        return np.asarray(self.baseline + self.value[trees, node].sum(axis=1))

    def arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """Return the arrays under names that begin with `prefix`, to be stored."""
        head = np.array([self.baseline, self.depth], np.float64)
        names = ("feature", "threshold", "left", "right", "value")
        return {f"{prefix}/{n}": getattr(self, n) for n in names} | {f"{prefix}/head": head}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], prefix: str) -> Trees:
        """Return the ensemble stored under `prefix`."""
        baseline, depth = arrays[f"{prefix}/head"]
        feature, threshold, left, right, value = (
            arrays[f"{prefix}/{n}"] for n in ("feature", "threshold", "left", "right", "value")
        )
        return cls(feature, threshold, left, right, value, float(baseline), int(depth))
