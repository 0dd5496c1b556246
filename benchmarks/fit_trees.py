"""Fits one field's trees on labelled candidates. Knows features and labels, no files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from backends.ocr.answers import with_consensus
from backends.ocr.fields import candidate_kind, labels_of
from backends.ocr.pool import Described, Pool, describe_pool, pool_candidates
from backends.ocr.trees import Trees
from benchmarks.corpus import Labelled
from router.evaluate import anls, canonical, values_equal
from router.schema import FieldSpec, builtin

TREE_WEIGHTS = {"receipts": 1.0, "invoices": 1.0, "pdfs": 1.0, "reference": 0.7, "misread": 0.4, "synthetic": 0.3}
_NEGATIVES = 25
_FURTHER_WEIGHT = 0.25
_DEPTH = 6


@dataclass(frozen=True)
class Reading:
    """A field's candidates in one reading: features, which are right, and which the trees should rank first.

    They differ for names and addresses that OCR misread: the best reading is then the right place, though not a right
    value.
    """

    pool: Pool
    matrix: np.ndarray
    right: np.ndarray
    first: np.ndarray


@dataclass(frozen=True)
class Example:
    """One field of one document: what the fast lane reads and, where it was read several times, the deep one."""

    document: int
    field: str
    want: str | None
    source: str
    fast: Reading
    deep: tuple[Reading, ...] = ()


def gather(document: Labelled, number: int, vocabulary: frozenset[str], deep: bool) -> Iterator[Example]:
    """Yield an example for every field that the document's key tells of; `deep` adds the readings of the deep lane."""
    readings = with_consensus(document.layouts, vocabulary) if deep else document.layouts[:1]
    schema = builtin(document.schema)
    specs = [f for f in schema.fields if f.name in document.key and candidate_kind(f, schema.name)]
    for kind in dict.fromkeys(k for f in specs if (k := candidate_kind(f, schema.name))):
        described = [describe_pool(pool_candidates(r, kind, vocabulary)) for r in readings]
        for spec in specs:
            if candidate_kind(spec, schema.name) == kind:
                want = document.key[spec.name]
                read = [_reading(spec, d, want) for d in described]
                own, several = (read[1], tuple(read)) if len(read) > 1 else (read[0], ())
                yield Example(number, spec.name, want, document.source, own, several)


def _reading(spec: FieldSpec, described: Described, want: str | None) -> Reading:
    right, first = _labels(spec, described.pool, want)
    return Reading(described.pool, described.for_labels(labels_of(spec)), right, first)


def _labels(spec: FieldSpec, pool: Pool, want: str | None) -> tuple[np.ndarray, np.ndarray]:
    values = [e.candidate.value for e in pool.entries]
    right = np.array([values_equal(spec.name, spec.kind, v, want) for v in values], bool)
    if right.any() or not want or pool.kind not in ("name", "address") or not values:
        return right, right
    wanted = canonical(spec.name, spec.kind, want) or ""
    near = [
        anls(canonical(spec.name, spec.kind, v) or "", wanted) if abs(len(v) - len(want)) < 0.35 * len(want) else 0.0
        for v in values
    ]
    return right, np.array(near) >= max(0.8, max(near) - 1e-9)


def fit_trees(examples: Sequence[Example], columns: np.ndarray | None = None, seed: int = 0) -> Trees:
    """Return the trees that tell a field's value from other candidates; at most 25 wrong ones a reading are used.

    The deep lane's readings of a document are further examples of how it can be misread, with less weight.
    """
    rng = np.random.default_rng(seed)
    rows, labels, weights = [], [], []
    for example in examples:
        further = [(r, _FURTHER_WEIGHT) for r in example.deep if r is not example.fast]
        for read, weight in [(example.fast, 1.0), *further]:
            wrong = np.flatnonzero(~read.first)
            kept = np.concatenate([np.flatnonzero(read.first), rng.permutation(wrong)[:_NEGATIVES]]).astype(int)
            rows.append(read.matrix[kept] if columns is None else read.matrix[kept][:, columns])
            labels.append(read.first[kept])
            each = np.where(read.first[kept], 1.0, max(1.0, len(wrong) / _NEGATIVES) ** 0.5)
            weights.append(each * weight * TREE_WEIGHTS[example.source])
    model = HistGradientBoostingClassifier(
        max_iter=150, learning_rate=0.055, max_leaf_nodes=12, max_depth=_DEPTH, min_samples_leaf=8,
        l2_regularization=2.0, max_features=0.3, early_stopping=False, random_state=seed,
    )  # fmt: skip
    model.fit(np.concatenate(rows), np.concatenate(labels), sample_weight=np.concatenate(weights))
    return _export(model)


def _export(model: HistGradientBoostingClassifier) -> Trees:
    nodes = [predictor[0].nodes for predictor in model._predictors]
    size = max(map(len, nodes))

    def stack(name: str, dtype: type) -> np.ndarray:
        out = np.zeros((len(nodes), size), dtype)
        for i, tree in enumerate(nodes):
            out[i, : len(tree)] = tree[name]
        return out

    own = np.arange(size, dtype=np.int16)
    leaf = np.stack([np.pad(t["is_leaf"].astype(bool), (0, size - len(t)), constant_values=True) for t in nodes])
    left = np.where(leaf, own, stack("left", np.int16)).astype(np.int16)
    right = np.where(leaf, own, stack("right", np.int16)).astype(np.int16)
    value = np.where(leaf, stack("value", np.float32), 0).astype(np.float32)
    threshold = stack("num_threshold", np.float32)
    return Trees(
        stack("feature_idx", np.int16), threshold, left, right, value, float(model._baseline_prediction[0, 0]), _DEPTH
    )
