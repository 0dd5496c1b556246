"""Numbers of the lanes' outcomes: accuracy, confidence, and what escalation buys. Knows outcomes, prints nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks.lane_outcomes import VARIANTS, Outcome, column, confidence, right
from router.calibrate import fit_logistic
from router.evaluate import (
    augrc,
    auroc,
    bootstrap_by_document,
    brier,
    coverage_at_risk,
    ece_equal_mass,
    escalate_share,
    escalation_curves,
    failure_capture,
    fix_rate,
    harm_rate,
)

SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
BUDGET = 0.1
CONFIDENCE: Mapping[str, Callable[..., float]] = {
    "AUROC": auroc,
    "ECE": ece_equal_mass,
    "Brier": brier,
    "AUGRC": augrc,
    "coverage@1%": partial(coverage_at_risk, risk=0.01),
    "coverage@2%": partial(coverage_at_risk, risk=0.02),
    "coverage@5%": partial(coverage_at_risk, risk=0.05),
}
_EPSILON = 1e-4


def accuracy(outcomes: Sequence[Outcome]) -> dict[str, dict[str, float]]:
    """Return n and every variant's exact accuracy for each field, and the macro mean last."""
    table = {}
    for field in dict.fromkeys(o.field for o in outcomes):
        some = [o for o in outcomes if o.field == field]
        table[field] = {"n": len(some)} | {v: float(right(some, v).mean()) for v in VARIANTS}
    macro = {v: float(np.mean([row[v] for row in table.values()])) for v in VARIANTS}
    return table | {"macro": {"n": len({o.document for o in outcomes})} | macro}


def confidence_quality(outcomes: Sequence[Outcome], variant: str, rounds: int) -> dict[str, dict[str, Any]]:
    """Return each measure of a variant's confidence with its 95 % interval over documents."""
    scores, good = confidence(outcomes, variant), right(outcomes, variant)
    documents = [f"{o.source}/{o.document}" for o in outcomes]
    return {
        name: {
            "value": measure(scores, good),
            "interval": bootstrap_by_document(measure, documents, scores, good, rounds=rounds),
        }
        for name, measure in CONFIDENCE.items()
    }


def risks(outcomes: Sequence[Outcome]) -> dict[str, np.ndarray]:
    """Return what each rule ranks fields by; `both` weighs in the page's difficulty, fitted out of fold."""
    doubt = 1.0 - confidence(outcomes, "fast")
    score, gain = column(outcomes, lambda o: o.score), column(outcomes, lambda o: o.gain)
    return {"pre-score": score, "confidence": doubt, "expected gain": gain, "both": _both(outcomes, doubt, score)}


def _both(outcomes: Sequence[Outcome], doubt: np.ndarray, score: np.ndarray) -> np.ndarray:
    features = np.column_stack([_logit(doubt), _logit(score)])
    wrong, folds = ~right(outcomes, "fast"), column(outcomes, lambda o: o.fold)
    risk = np.zeros(len(outcomes))
    for fold in np.unique(folds):
        here = folds == fold
        intercept, weights = fit_logistic(features[~here], wrong[~here], l2=1.0, prior=[1.0, 0.0])
        risk[here] = 1.0 / (1.0 + np.exp(-(intercept + features[here] @ weights)))
    return risk


def _logit(p: np.ndarray) -> np.ndarray:
    clipped = np.clip(p, _EPSILON, 1 - _EPSILON)
    return np.asarray(np.log(clipped / (1 - clipped)))


def cost_quality(outcomes: Sequence[Outcome]) -> dict[str, dict[str, Any]]:
    """Return for each line the quality at `SHARES` of fields sent deep, and the area under it (AIQ)."""
    before, after = right(outcomes, "fast"), right(outcomes, "merged")
    lines: dict[str, dict[str, Any]] = {
        "all-fast": _flat(float(before.mean())),
        "all-deep": _flat(float(right(outcomes, "deep").mean())),
    }
    for name, curve in escalation_curves(risks(outcomes), before, after).items():
        lines[name] = {"quality": [curve.at(s) for s in SHARES], "AIQ": curve.aiq()}
    return lines


def _flat(quality: float) -> dict[str, Any]:
    return {"quality": [quality] * len(SHARES), "AIQ": quality}


def at_budget(outcomes: Sequence[Outcome], budget: float = BUDGET) -> dict[str, dict[str, float]]:
    """Return what each rule does with the budget, and what the policy did as it ran ("policy")."""
    before, after = right(outcomes, "fast"), right(outcomes, "merged")
    chosen = {name: escalate_share(risk, budget) for name, risk in risks(outcomes).items()}
    chosen["oracle"] = escalate_share(after.astype(float) - before, budget)
    rows = {name: _row(mask, before, np.where(mask, after, before)) for name, mask in chosen.items()}
    sent = np.array([o.escalated for o in outcomes], dtype=bool)
    rows["policy"] = _row(sent, before, right(outcomes, "auto"))
    best = rows["oracle"]["quality"]
    return {name: row | {"gap_to_oracle": best - row["quality"]} for name, row in rows.items()}


def _row(sent: np.ndarray, before: np.ndarray, now: np.ndarray) -> dict[str, float]:
    share, capture = float(sent.mean()), failure_capture(sent, before)
    return {
        "share": share,
        "quality": float(now.mean()),
        "failure_capture": capture,
        "times_random": capture / share if share else 0.0,
        "fix_rate": fix_rate(before, now),
        "harm_rate": harm_rate(before, now),
    }
