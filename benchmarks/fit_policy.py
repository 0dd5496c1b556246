"""Fits the escalation policy on what the lanes read and writes router/data/policy_v1.json.

    python -m benchmarks.fit_policy DATA --write

A field's expected gain is its risk of being wrong: too few values are wrong on either lane to tell that escalation
repairs one field better than another, and what was measured of it did not hold on the next fold. The risks of a failed
check and of a missing required field are the shares that were wrong. Gains by share are quantiles over all fields of
the traffic but tables, so that a budget is what really goes deep.
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
_PRIOR_FIELDS = 4.0
_SURE_SHARE = 0.3


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
    """Return the policy of a traffic. The threshold is where a field would stop to be worth a budget of 30 %."""
    shipped = load_policy()
    update: dict[str, object] = {"field_gains": {}, "confidence_thresholds": {}}
    policy = shipped.model_copy(update=update | {"risks": measured_risks(outcomes, shipped.risks)})
    expected = [
        gain
        for r in readings
        for review in [reviewed(r, weights[r.fold], unlimited(policy)).expected_gains]
        for gain in policy.traffic([f.name for f in r.asked().fields if f.kind != "table"], review)
    ]
    rounded = tuple((share, round(gain, 5)) for share, gain in gain_by_share(expected, SHARES))
    update = {"default_confidence_threshold": round(1.0 - dict(rounded)[_SURE_SHARE], 3), "gain_by_share": rounded}
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
