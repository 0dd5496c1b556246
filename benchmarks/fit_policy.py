"""Fits the escalation policy on what the lanes read and writes router/data/policy_v1.json.

    python -m benchmarks.fit_policy DATA --write

A field's gain is the share of the fast lane's wrong values that the merge with the deep lane makes right, less right
ones that it makes wrong; it is drawn strongly to the mean of all fields, as few of each were wrong. The risks of a
failed check and of a missing required field are the shares that were wrong. Gains by share are quantiles over the keyed
fields of the traffic, so that the budget counts fields whose truth is known.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.fit_confidence import cross_fitted
from benchmarks.lane_outcomes import Outcome, field_outcomes, reviewed, unlimited
from benchmarks.lane_readings import Reading, lane_readings
from benchmarks.train_scorer import FOLDS
from router.confidence import FusionWeights
from router.policy import Policy, Risks, gain_by_share, load_policy

OUTPUT = Path("router/data/policy_v1.json")
SHARES = (0.0, 0.02, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.3, 0.5, 1.0)
_PRIOR_ERRORS = 30.0
_PRIOR_FIELDS = 4.0
_SURE_SHARE = 0.3


def field_gains(outcomes: Sequence[Outcome]) -> tuple[dict[str, float], float]:
    """Return (gain of each field, gain of all): repaired less spoilt, per wrong one of the fast lane."""
    overall = _gain(outcomes, 0.0, 0.0)
    names = sorted({o.field for o in outcomes})
    gains = {n: _gain([o for o in outcomes if o.field == n], overall, _PRIOR_ERRORS) for n in names}
    return {n: round(g, 3) for n, g in gains.items()}, round(overall, 3)


def _gain(outcomes: Sequence[Outcome], prior: float, weight: float) -> float:
    wrong = sum(not o.answers["fast"].right for o in outcomes)
    net = sum(o.answers["merged"].right - o.answers["fast"].right for o in outcomes)
    return min(max((net + prior * weight) / max(wrong + weight, 1.0), 0.0), 1.0)


def measured_risks(outcomes: Sequence[Outcome], start: Risks) -> Risks:
    """Return the shares of wrong fields behind two reasons to doubt one, drawn to what was set by hand."""
    failed = [not o.answers["fast"].right for o in outcomes if o.answers["fast"].failed_check]
    absent = [not o.answers["fast"].right for o in outcomes if o.answers["fast"].value is None and o.required]
    return start.model_copy(
        update={
            "failed_check": _share(failed, start.failed_check),
            "required_absent": _share(absent, start.required_absent),
        }
    )


def _share(wrong: Sequence[bool], prior: float) -> float:
    return round((sum(wrong) + _PRIOR_FIELDS * prior) / (len(wrong) + _PRIOR_FIELDS), 3)


def fit_policy(readings: Sequence[Reading], outcomes: Sequence[Outcome], weights: Sequence[FusionWeights]) -> Policy:
    """Return the policy of a traffic. Thresholds are where a field would stop to be worth a budget of 30 %."""
    gains, overall = field_gains(outcomes)
    shipped = load_policy()
    risks = measured_risks(outcomes, shipped.risks)
    policy = shipped.model_copy(update={"field_gains": gains, "default_field_gain": overall, "risks": risks})
    expected = [
        review.get(field, 0.0)
        for r in readings
        for review in [reviewed(r, weights[r.fold], unlimited(policy)).expected_gains]
        for field in r.keyed()
    ]
    pairs = gain_by_share(expected, SHARES)
    rounded = tuple((share, round(gain, 5)) for share, gain in pairs)
    least = dict(rounded)[_SURE_SHARE]
    thresholds = {n: round(max(0.0, 1.0 - least / g), 3) for n, g in gains.items() if g > 0}
    default = round(max(0.0, 1.0 - least / overall), 3) if overall else 0.8
    update = {"confidence_thresholds": thresholds, "default_confidence_threshold": default, "gain_by_share": rounded}
    return Policy.model_validate(policy.model_dump() | update)


def cross_fitted_policies(
    readings: Sequence[Reading], outcomes: Sequence[Outcome], weights: Sequence[FusionWeights]
) -> list[Policy]:
    """Return for each fold the policy fitted on the other ones."""
    return [
        fit_policy([r for r in readings if r.fold != fold], [o for o in outcomes if o.fold != fold], weights)
        for fold in range(FOLDS)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--write", action="store_true", help=f"write {OUTPUT}")
    options = parser.parse_args()
    readings = lane_readings(options.data)
    weights = cross_fitted(readings)
    policy = fit_policy(readings, field_outcomes(readings, weights), weights)
    print(policy.model_dump_json(indent=2))
    if options.write:
        OUTPUT.write_text(policy.model_dump_json(indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
