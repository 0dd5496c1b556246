"""Fits calibrators, fusion weights and thresholds on labelled fields, in NumPy. Knows arrays, no lane or file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from router.confidence import Feature, FusionWeights, Signals, transformed

Floats = NDArray[np.float64]
ISOTONIC_FROM = 1000
_EPSILON = 1e-6
_STEPS = 100


@dataclass(frozen=True)
class SigmoidCalibrator:
    """Platt scaling on the logit: sigmoid(slope * logit(p) + offset) (Platt 1999)."""

    slope: float
    offset: float

    def __call__(self, scores: ArrayLike) -> Floats:
        """Return calibrated probabilities, of the shape of `scores`."""
        return _sigmoid(self.slope * _logit(scores) + self.offset)


@dataclass(frozen=True)
class IsotonicCalibrator:
    """A rising step function from pool adjacent violators, linear between its knots."""

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __call__(self, scores: ArrayLike) -> Floats:
        """Return calibrated probabilities, of the shape of `scores`."""
        return np.interp(np.asarray(scores, dtype=np.float64), self.scores, self.probabilities)


def fit_calibrator(scores: ArrayLike, right: ArrayLike) -> SigmoidCalibrator | IsotonicCalibrator:
    """Return a sigmoid calibrator for fewer than 1,000 labelled fields, an isotonic one from there on."""
    return fit_sigmoid(scores, right) if np.size(scores) < ISOTONIC_FROM else fit_isotonic(scores, right)


def fit_sigmoid(scores: ArrayLike, right: ArrayLike) -> SigmoidCalibrator:
    """Return the sigmoid fitted to Platt's smoothed targets, which keep it finite on separable data."""
    good = np.asarray(right, dtype=bool)
    positives, negatives = int(good.sum()), int((~good).sum())
    targets = np.where(good, (positives + 1.0) / (positives + 2.0), 1.0 / (negatives + 2.0))
    intercept, coefficients = fit_logistic(_logit(scores)[:, None], targets, l2=1e-3, prior=np.ones(1))
    return SigmoidCalibrator(float(coefficients[0]), intercept)


def fit_isotonic(scores: ArrayLike, right: ArrayLike) -> IsotonicCalibrator:
    """Return the isotonic regression of outcome on score (pool adjacent violators)."""
    knots, inverse, counts = np.unique(np.asarray(scores, dtype=np.float64), return_inverse=True, return_counts=True)
    means = np.bincount(inverse, weights=np.asarray(right, dtype=np.float64)) / counts
    blocks: list[tuple[float, float, int]] = []
    for mean, weight in zip(means.tolist(), counts.astype(float).tolist(), strict=True):
        blocks.append((mean, weight, 1))
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            (m2, w2, n2), (m1, w1, n1) = blocks.pop(), blocks.pop()
            blocks.append(((m1 * w1 + m2 * w2) / (w1 + w2), w1 + w2, n1 + n2))
    fitted = [mean for mean, _, size in blocks for _ in range(size)]
    return IsotonicCalibrator(tuple(knots.tolist()), tuple(fitted))


def fit_logistic(
    features: ArrayLike, targets: ArrayLike, l2: float = 1.0, prior: ArrayLike | None = None
) -> tuple[float, Floats]:
    """Return (intercept, coefficients) of a logistic regression by Newton's method (IRLS).

    `features` (n, d), `targets` (n,) in [0,1]; the penalty l2/2 * |w - prior|^2 draws the coefficients to `prior`
    (zeros by default), never the intercept. A step is halved until the loss falls, so it converges from anywhere.
    """
    x = np.column_stack([np.ones(len(np.asarray(targets))), np.asarray(features, dtype=np.float64)])
    y = np.asarray(targets, dtype=np.float64)
    centre = np.concatenate([[0.0], np.zeros(x.shape[1] - 1) if prior is None else np.asarray(prior, dtype=np.float64)])
    penalty = np.concatenate([[_EPSILON], np.full(x.shape[1] - 1, max(l2, _EPSILON))])
    w = centre.copy()
    for _ in range(_STEPS):
        p = _sigmoid(x @ w)
        gradient = x.T @ (p - y) + penalty * (w - centre)
        hessian = (x * (p * (1.0 - p))[:, None]).T @ x + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        w, moved = _descend(x, y, w, step, penalty, centre)
        if moved < 1e-9:
            break
    return float(w[0]), w[1:]


def fit_fusion(
    signals: Sequence[Signals], right: ArrayLike, start: FusionWeights, version: str, l2: float = 5.0, origin: str = ""
) -> FusionWeights:
    """Return fusion weights fitted on labelled readings, drawn to `start` where the data say little."""
    names = list(start.features)
    columns = np.array([_row(s, start.features) for s in signals], dtype=np.float64).reshape(-1, 2 * len(names))
    prior = [w for n in names for w in (start.features[n].weight, start.features[n].missing)]
    intercept, fitted = fit_logistic(columns, right, l2, prior)
    features = {
        n: Feature(transform=start.features[n].transform, weight=float(fitted[2 * i]), missing=float(fitted[2 * i + 1]))
        for i, n in enumerate(names)
    }
    update = {"version": version, "origin": origin, "intercept": intercept, "features": features}
    return start.model_copy(update=update)


def threshold_for_share(scores: ArrayLike, share: float) -> float:
    """Return the score below which `share` of held-out traffic lies: a threshold is a quantile of real traffic."""
    values = np.asarray(scores, dtype=np.float64)
    return float(np.quantile(values, min(max(share, 0.0), 1.0))) if values.size else 0.0


def threshold_for_risk(scores: ArrayLike, right: ArrayLike, risk: float) -> float:
    """Return the lowest score from which on at most `risk` of the fields are wrong; above 1 when there is none."""
    values, good = np.asarray(scores, dtype=np.float64), np.asarray(right, dtype=bool)
    order = np.argsort(-values, kind="stable")
    values, wrong = values[order], np.cumsum(~good[order])
    ends = np.flatnonzero(np.diff(values, append=-np.inf))
    allowed = ends[wrong[ends] <= risk * (ends + 1)]
    return float(values[allowed[-1]]) if allowed.size else float(np.nextafter(1.0, 2.0))


def _row(signals: Signals, features: Mapping[str, Feature]) -> list[float]:
    row: list[float] = []
    for name, feature in features.items():
        value = signals.get(name)
        row += [0.0, 1.0] if value is None else [transformed(value, feature), 0.0]
    return row


def _descend(x: Floats, y: Floats, w: Floats, step: Floats, penalty: Floats, centre: Floats) -> tuple[Floats, float]:
    before = _loss(x, y, w, penalty, centre)
    for _ in range(30):
        candidate = w - step
        if _loss(x, y, candidate, penalty, centre) <= before:
            return candidate, float(np.abs(step).max())
        step = step / 2.0
    return w, 0.0


def _loss(x: Floats, y: Floats, w: Floats, penalty: Floats, centre: Floats) -> float:
    z = x @ w
    return float(np.sum(np.logaddexp(0.0, z) - y * z) + 0.5 * np.sum(penalty * (w - centre) ** 2))


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)), dtype=np.float64)


def _logit(scores: ArrayLike) -> Floats:
    p = np.clip(np.asarray(scores, dtype=np.float64), _EPSILON, 1.0 - _EPSILON)
    return np.asarray(np.log(p / (1.0 - p)), dtype=np.float64)
