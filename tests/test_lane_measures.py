"""The measures of whole lanes, on outcomes whose numbers are known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.lane_metrics import accuracy, at_budget, cost_quality
from benchmarks.lane_outcomes import Answer, Outcome, unlimited
from router.policy import load_policy


def _outcome(number: int, field: str, fast: bool, merged: bool, doubt: float, escalated: bool = False) -> Outcome:
    answers = {
        "fast": Answer("a", 1.0 - doubt, "only", fast),
        "deep": Answer("b", 0.9, "only", merged),
        "merged": Answer("b", 0.9, "calibrated", merged),
        "auto": Answer("b", 0.9, "calibrated", merged if escalated else fast),
    }
    return Outcome(
        document=str(number),
        source="receipts",
        fold=number % 2,
        field=field,
        want="b",
        answers=answers,
        score=0.1 + 0.01 * (number % 7),
        gain=doubt,
        escalated=escalated,
    )


@pytest.fixture
def outcomes() -> list[Outcome]:
    """20 fields: two wrong ones in doubt that the deep lane repairs, one sure and wrong that stays so, one spoilt."""
    wrong = [_outcome(n, "total_amount", False, True, 0.9, escalated=True) for n in range(2)]
    stays = [_outcome(2, "total_amount", False, False, 0.05)]
    spoilt = [_outcome(3, "supplier_name", True, False, 0.1)]
    fine = [_outcome(n, ("total_amount", "supplier_name")[n % 2], True, True, 0.01) for n in range(4, 20)]
    return [*wrong, *stays, *spoilt, *fine]


def test_accuracy_is_by_field_and_the_macro_mean_weighs_fields_alike(outcomes: list[Outcome]) -> None:
    table = accuracy(outcomes)
    assert table["total_amount"]["fast"] == pytest.approx(8 / 11)
    assert table["supplier_name"]["merged"] == pytest.approx(8 / 9)
    assert table["macro"]["fast"] == pytest.approx((8 / 11 + 1) / 2)


def test_the_policy_row_counts_what_was_escalated_and_not_what_would_have_been(outcomes: list[Outcome]) -> None:
    row = at_budget(outcomes)["policy"]
    assert row["share"] == pytest.approx(0.1)
    assert row["failure_capture"] == pytest.approx(2 / 3)
    assert row["times_random"] == pytest.approx(20 / 3)
    assert row["fix_rate"] == pytest.approx(2 / 3)
    assert row["harm_rate"] == 0.0
    assert row["gap_to_oracle"] == pytest.approx(0.0)


def test_every_line_starts_at_all_fast_and_ends_at_all_merged(outcomes: list[Outcome]) -> None:
    lines = cost_quality(outcomes)
    for name in ("random", "pre-score", "confidence", "both", "oracle"):
        assert lines[name]["quality"][0] == pytest.approx(17 / 20)
        assert lines[name]["quality"][-1] == pytest.approx(18 / 20)
    assert lines["oracle"]["AIQ"] >= max(lines[n]["AIQ"] for n in ("random", "confidence", "both"))


def test_an_unlimited_policy_has_every_field_in_doubt() -> None:
    policy = unlimited(load_policy())
    assert policy.least_gain() == 0.0
    assert policy.default_confidence_threshold == 1.0
    assert np.isclose(policy.absence_threshold, 1.0)
