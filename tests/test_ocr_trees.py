"""Trees in NumPy give what the library that grew them gives."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from backends.ocr.trees import Trees
from benchmarks.fit_trees import _DEPTH, _export


def grown(columns: int, rows: int, seed: int, **options: int) -> tuple[HistGradientBoostingClassifier, np.ndarray]:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, columns)).astype(np.float32).astype(np.float64)
    matrix[:, 0] = rng.integers(0, 3, rows)  # few values: thresholds lie between them
    labels = (matrix[:, 0] + matrix[:, 1] * matrix[:, -1] + rng.normal(0, 0.3, rows)) > 1
    settings = {"max_iter": 15, "max_leaf_nodes": 12, "max_depth": _DEPTH, "early_stopping": False} | options
    return HistGradientBoostingClassifier(random_state=seed, **settings).fit(matrix, labels), matrix


@pytest.mark.parametrize(("columns", "rows", "leaves"), [(2, 60, 3), (5, 400, 12), (40, 900, 12), (3, 300, 31)])
def test_log_odds_are_the_library_s_own(columns: int, rows: int, leaves: int) -> None:
    model, matrix = grown(columns, rows, seed=columns, max_leaf_nodes=leaves)
    unseen = np.random.default_rng(9).normal(size=(200, columns))
    for data in (matrix, unseen):
        assert _export(model).logits(data) == pytest.approx(model.decision_function(data), abs=1e-5)


def test_one_row_is_scored_as_among_many() -> None:
    model, matrix = grown(5, 200, seed=1)
    trees = _export(model)
    assert trees.logits(matrix[7:8])[0] == trees.logits(matrix)[7]
    assert trees.logits(matrix[:0]).shape == (0,)


def test_stored_trees_come_back_the_same() -> None:
    trees = _export(grown(5, 200, seed=2)[0])
    back = Trees.from_arrays(trees.arrays("fast/total_amount"), "fast/total_amount")
    assert (back.baseline, back.depth) == (trees.baseline, trees.depth)
    matrix = np.random.default_rng(3).normal(size=(50, 5))
    assert np.array_equal(back.logits(matrix), trees.logits(matrix))
