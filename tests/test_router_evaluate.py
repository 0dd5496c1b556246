import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import evaluate

CONFIDENCE = [0.95, 0.9, 0.9, 0.8, 0.7, 0.6, 0.6, 0.4, 0.3, 0.1]
RIGHT = [1, 1, 1, 1, 0, 1, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ("name", "kind", "got", "want", "same"),
    [
        ("invoice_date", "date", "2018-12-25", "25/12/2018", True),
        ("invoice_date", "date", "2018-12-25", "12/28/2018", False),
        ("total_amount", "amount", "1234.50", "1,234.50", True),
        ("total_amount", "amount", "9.00", "RM9", True),
        ("total_amount", "amount", "9.01", "9.00", False),
        ("supplier_name", "text", "Acme Sdn. Bhd", "ACME SDN BHD", True),
        ("business_address", "text", "12, Rue É", "12 RUE É.", True),
        ("invoice_number", "identifier", "inv 001", "INV001", True),
        ("invoice_number", "identifier", "INV-001", "INV001", False),
        ("due_date", "date", None, " ", True),
        ("due_date", "date", "2018-12-25", None, False),
    ],
)
def test_values_are_compared_by_their_type(name, kind, got, want, same):
    assert evaluate.values_equal(name, kind, got, want) is same


def test_anls_is_zero_below_one_half():
    assert evaluate.anls("abcd", "abcx") == 0.75
    assert evaluate.anls("abcd", "wxyz") == 0.0
    assert evaluate.anls(None, "") == 1.0
    assert evaluate.anls(None, "a") == 0.0


def test_ranking_metrics_on_a_known_example():
    assert evaluate.auroc(CONFIDENCE, RIGHT) == pytest.approx(20.5 / 24)
    assert evaluate.ece_equal_mass(CONFIDENCE, RIGHT) == pytest.approx(0.315)
    assert evaluate.coverage_at_risk(CONFIDENCE, RIGHT, 0.01) == 0.4
    assert evaluate.coverage_at_risk(CONFIDENCE, RIGHT, 0.2) == 0.6
    assert evaluate.brier([0.8, 0.4], [1, 0]) == pytest.approx((0.04 + 0.16) / 2)


def test_auroc_of_one_class_is_unknown_and_ties_count_half():
    assert np.isnan(evaluate.auroc([0.1, 0.2], [1, 1]))
    assert evaluate.auroc([0.5, 0.5], [1, 0]) == 0.5


def test_augrc_is_the_mean_share_of_accepted_failures():
    # every coverage k/4, most confident first: accepted failures 0, 0, 1, 2 of 4; trapezium rule from 0
    assert evaluate.augrc([0.9, 0.8, 0.3, 0.2], [1, 1, 0, 0]) == pytest.approx((0 + 0 + 0.125 + 0.375) / 4)
    assert evaluate.augrc([0.9, 0.8], [1, 1]) == 0.0
    assert evaluate.augrc([0.9, 0.8], [0, 0]) == 0.5


def test_escalating_the_riskiest_first_lies_between_random_and_oracle():
    fast = [1, 1, 0, 0, 1, 0]
    merged = [1, 1, 1, 0, 1, 1]
    curves = evaluate.escalation_curves({"confidence": [0.1, 0.3, 0.9, 0.8, 0.2, 0.7]}, fast, merged)
    assert {curve.at(0.0) for curve in curves.values()} == {0.5}
    assert {round(curve.at(1.0), 9) for curve in curves.values()} == {round(5 / 6, 9)}
    assert curves["oracle"].at(1 / 3) == pytest.approx(5 / 6)
    assert curves["random"].at(0.5) == pytest.approx((0.5 + 5 / 6) / 2)
    assert curves["random"].aiq() < curves["confidence"].aiq() < curves["oracle"].aiq()


def test_costly_escalations_move_along_the_cost_axis():
    curve = evaluate.escalation_curve([0.9, 0.1], [0, 0], [1, 1], cost=[3.0, 1.0])
    assert curve.cost.tolist() == [0.0, 0.75, 1.0]
    assert curve.quality.tolist() == [0.0, 0.5, 1.0]


def test_capture_fix_and_harm():
    fast, merged = [1, 1, 1, 0, 0], [1, 1, 0, 1, 0]
    escalated = evaluate.escalate_share([0.1, 0.2, 0.3, 0.9, 0.1], 0.2)
    assert escalated.tolist() == [False, False, False, True, False]
    assert evaluate.failure_capture(escalated, fast) == 0.5
    assert evaluate.fix_rate(fast, merged) == 0.5
    assert evaluate.harm_rate(fast, merged) == pytest.approx(1 / 3)
    assert evaluate.harm_rate([0], [1]) == 0.0


def test_the_bootstrap_draws_whole_documents():
    right = np.array([1] * 10 + [0] * 10)
    by_document = evaluate.bootstrap_by_document(lambda r: float(r.mean()), ["a"] * 10 + ["b"] * 10, right, rounds=200)
    by_field = evaluate.bootstrap_by_document(lambda r: float(r.mean()), range(20), right, rounds=200)
    assert by_document == (0.0, 1.0)
    assert 0.0 < by_field[0] < by_field[1] < 1.0
    again = evaluate.bootstrap_by_document(lambda r: float(r.mean()), range(20), right, rounds=200)
    assert again == by_field


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30))
def test_metrics_stay_in_their_ranges(pairs):
    confidence, right = zip(*pairs, strict=True)
    assert 0.0 <= evaluate.augrc(confidence, right) <= 0.5 + 1e-9
    assert 0.0 <= evaluate.ece_equal_mass(confidence, right) <= 1.0
    assert 0.0 <= evaluate.coverage_at_risk(confidence, right, 0.02) <= 1.0
