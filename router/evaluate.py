"""Metrics of extraction, confidence and escalation, in NumPy. Knows neither lanes nor files.

Arrays of one call are aligned: element i of `confidence`, `right` and `documents` speaks of the same field of the same
document. Rates of nothing are 0, ranks of one class only are NaN.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from router.normalise import clean, normalise
from router.types import FieldKind

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@lru_cache(maxsize=1024)
def canonical(name: str, kind: FieldKind, value: str | None) -> str | None:
    """Return what equality compares: days, decimal, letters and digits of names and addresses, digits of phones, a web
    address without scheme and "www.", else all but blanks.
    """
    if value is None or not value.strip():
        return None
    if kind in ("date", "period", "amount"):
        return normalise(kind, value).value or value.upper()
    text = clean(value).upper()
    if name.endswith(("_name", "_address")):
        return re.sub(r"[^0-9A-ZÀ-Þ]", "", text)
    if name.endswith("_phone"):
        return re.sub(r"[^0-9]", "", text) or text
    if name.endswith("_website"):
        return re.sub(r"^(?:HTTPS?://)?(?:WWW\.)?|/$", "", re.sub(r"\s", "", text))
    return re.sub(r"\s", "", text)


def values_equal(name: str, kind: FieldKind, got: str | None, want: str | None) -> bool:
    """Return whether a value is right: typed exact match; an absent value (None or blank) equals only another one."""
    a, b = canonical(name, kind, got), canonical(name, kind, want)
    if a is None or b is None:
        return a is b
    if kind == "amount":
        return _cents(a) == _cents(b)
    return a == b


def levenshtein(a: str, b: str) -> int:
    """Return the number of insertions, deletions and substitutions between two texts."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


def anls(got: str | None, want: str | None, floor: float = 0.5) -> float:
    """Return the normalised Levenshtein similarity, 0 below `floor` (Biten et al. 2019); two absent values give 1."""
    if not got or not want:
        return float(not got and not want)
    score = 1.0 - levenshtein(got, want) / max(len(got), len(want))
    return score if score >= floor else 0.0


def auroc(confidence: ArrayLike, right: ArrayLike) -> float:
    """Return the probability that a right field has a higher confidence than a wrong one, ties counting half."""
    scores, good = _pair(confidence, right)
    positives, negatives = int(good.sum()), int((~good).sum())
    if not positives or not negatives:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2.0
    wins = mean_rank[inverse][good].sum() - positives * (positives + 1) / 2.0
    return float(wins / positives / negatives)


def augrc(confidence: ArrayLike, right: ArrayLike) -> float:
    """Return the area under the generalised risk coverage curve, lower is better (Traub et al. 2024, equation 7).

    It is the mean share of all fields that are wrong and accepted; 0 for no failures, 0.5 when every field is wrong.
    """
    scores, good = _pair(confidence, right)
    accuracy = float(good.mean()) if good.size else 1.0
    ranking = auroc(scores, good) if 0.0 < accuracy < 1.0 else 1.0
    return (1.0 - ranking) * accuracy * (1.0 - accuracy) + 0.5 * (1.0 - accuracy) ** 2


def ece_equal_mass(confidence: ArrayLike, right: ArrayLike, bins: int = 10) -> float:
    """Return the expected calibration error over bins that hold equally many fields."""
    scores, good = _descending(confidence, right)
    if not scores.size:
        return 0.0
    edges = [i * scores.size // bins for i in range(bins + 1)]
    gaps = [abs(scores[a:b].sum() - good[a:b].sum()) for a, b in pairwise(edges)]
    return float(sum(gaps) / scores.size)


def brier(confidence: ArrayLike, right: ArrayLike) -> float:
    """Return the mean squared difference of confidence and outcome (Brier 1950)."""
    scores, good = _pair(confidence, right)
    return float(np.mean((scores - good) ** 2)) if scores.size else 0.0


def coverage_at_risk(confidence: ArrayLike, right: ArrayLike, risk: float) -> float:
    """Return the largest share of fields, most confident first, of which at most `risk` are wrong."""
    scores, good = _descending(confidence, right)
    if not scores.size:
        return 0.0
    number = np.arange(1, scores.size + 1)
    allowed = np.flatnonzero(np.cumsum(~good) <= risk * number)
    return float((allowed[-1] + 1) / scores.size) if allowed.size else 0.0


@dataclass(frozen=True)
class Curve:
    """Quality against cost: `cost` rises from 0 (nothing escalated) to 1 (everything), both of shape (n + 1,)."""

    cost: Floats
    quality: Floats

    def at(self, cost: float) -> float:
        """Return the quality at a cost in [0,1], linear between points."""
        return float(np.interp(cost, self.cost, self.quality))

    def aiq(self) -> float:
        """Return the mean quality over all costs, the AIQ of RouterBench (Hu et al. 2024)."""
        return float(np.trapezoid(self.quality, self.cost))


def escalation_curve(
    risk: ArrayLike, fast_right: ArrayLike, merged_right: ArrayLike, cost: ArrayLike | None = None
) -> Curve:
    """Return the curve of escalating the riskiest fields first: each escalated field changes from fast to merged.

    `cost` is what each field's escalation costs (all alike by default); fields of equal risk escalate together.
    """
    scores, before = _pair(risk, fast_right)
    after = np.asarray(merged_right, dtype=bool)
    spent = np.ones(scores.size) if cost is None else np.asarray(cost, dtype=np.float64)
    if not scores.size:
        return Curve(np.array([0.0, 1.0]), np.zeros(2))
    order = np.argsort(-scores, kind="stable")
    gain = np.concatenate([[0.0], np.cumsum((after.astype(float) - before)[order])]) / scores.size
    used = np.concatenate([[0.0], np.cumsum(spent[order])]) / spent.sum()
    last_of_ties = np.flatnonzero(np.diff(scores[order], append=-np.inf)) + 1
    keep = np.concatenate([[0], last_of_ties])
    return Curve(used[keep], before.mean() + gain[keep])


def escalation_curves(
    risks: Mapping[str, ArrayLike], fast_right: ArrayLike, merged_right: ArrayLike, cost: ArrayLike | None = None
) -> dict[str, Curve]:
    """Return one curve for each named risk, and `random` and `oracle` (knows each field's gain) beside them."""
    before, after = np.asarray(fast_right, dtype=float), np.asarray(merged_right, dtype=float)
    lines = {"random": np.zeros(before.size), **risks, "oracle": after - before}
    return {name: escalation_curve(risk, fast_right, merged_right, cost) for name, risk in lines.items()}


def escalate_share(risk: ArrayLike, share: float) -> Bools:
    """Return the mask of the `share` of fields with the highest risk; ties go to the earlier field."""
    scores = np.asarray(risk, dtype=np.float64)
    mask = np.zeros(scores.size, dtype=bool)
    mask[np.argsort(-scores, kind="stable")[: round(share * scores.size)]] = True
    return mask


def failure_capture(escalated: ArrayLike, fast_right: ArrayLike) -> float:
    """Return the share of the fast lane's wrong fields that were escalated."""
    wrong = ~np.asarray(fast_right, dtype=bool)
    return _share(np.asarray(escalated, dtype=bool) & wrong, wrong)


def fix_rate(fast_right: ArrayLike, merged_right: ArrayLike) -> float:
    """Return the share of fields wrong before that are right after."""
    wrong = ~np.asarray(fast_right, dtype=bool)
    return _share(wrong & np.asarray(merged_right, dtype=bool), wrong)


def harm_rate(fast_right: ArrayLike, merged_right: ArrayLike) -> float:
    """Return the share of fields right before that are wrong after."""
    good = np.asarray(fast_right, dtype=bool)
    return _share(good & ~np.asarray(merged_right, dtype=bool), good)


def bootstrap_by_document(
    statistic: Callable[..., float],
    documents: Sequence[object],
    *arrays: ArrayLike,
    rounds: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile interval of `statistic(*arrays)` when whole documents are drawn again with replacement."""
    columns = [np.asarray(a) for a in arrays]
    _, group = np.unique(np.asarray([str(d) for d in documents]), return_inverse=True)
    members = [np.flatnonzero(group == g) for g in range(int(group.max()) + 1)]
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(rounds):
        rows = np.concatenate([members[g] for g in generator.integers(0, len(members), len(members))])
        values.append(statistic(*(c[rows] for c in columns)))
    tail = (1.0 - level) / 2.0
    low, high = np.nanquantile(values, [tail, 1.0 - tail])
    return float(low), float(high)


def _pair(scores: ArrayLike, right: ArrayLike) -> tuple[Floats, Bools]:
    return np.asarray(scores, dtype=np.float64), np.asarray(right, dtype=bool)


def _descending(scores: ArrayLike, right: ArrayLike) -> tuple[Floats, Bools]:
    values, good = _pair(scores, right)
    order = np.argsort(-values, kind="stable")
    return values[order], good[order]


def _share(part: Bools, whole: Bools) -> float:
    return float(part.sum() / whole.sum()) if whole.any() else 0.0


def _cents(text: str) -> object:
    try:
        return round(float(text), 2)
    except ValueError:
        return text
