import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.plain_weights import plain_weights
from router import calibrate, confidence
from router.errors import SettingsError
from router.evaluate import auroc, ece_equal_mass
from router.types import Check, FieldValue

WEIGHTS = plain_weights()


def drawn(n, seed=0):
    generator = np.random.default_rng(seed)
    p = generator.random(n)
    return p, generator.random(n) < p


def test_a_lone_probability_is_passed_through():
    lone = confidence.reading_signals(FieldValue(name="a", value="x", confidence=0.7), None, agree=False)
    assert confidence.fuse(lone, WEIGHTS) == pytest.approx(0.7)


def test_each_signal_moves_the_probability_the_right_way():
    one, same = FieldValue(name="a", value="x", confidence=0.7), FieldValue(name="a", value="x", confidence=0.8)
    lone = confidence.fuse(confidence.reading_signals(one, None, agree=False), WEIGHTS)
    failed, passed = (Check(name="c", outcome=o) for o in ("fail", "pass"))

    def fused(*args, **more):
        return confidence.fuse(confidence.reading_signals(*args, **more), WEIGHTS)

    assert fused(one, same, agree=True) > lone
    assert fused(one, FieldValue(name="a", value="y", confidence=0.8), agree=False) < lone
    assert fused(one, None, agree=False, checks=[failed]) < lone < fused(one, None, agree=False, checks=[passed])
    assert fused(one, None, agree=False, grounding_score=0.0) < lone
    assert fused(one, None, agree=False, grounding_score=1.0) == pytest.approx(lone)


def test_a_claim_that_a_required_field_is_absent_is_a_signal_of_its_own():
    absent, there = FieldValue(name="a", present=False, confidence=0.9), FieldValue(name="a", value="x", confidence=0.9)
    assert confidence.reading_signals(absent, None, agree=False, required=True)["missing"] == 1.0
    assert confidence.reading_signals(absent, None, agree=False)["missing"] == 0.0
    assert confidence.reading_signals(there, None, agree=False, required=True)["missing"] == 0.0


def test_the_shipped_weights_trust_agreement_and_doubt_failed_checks_and_missing_required_fields():
    one, same = FieldValue(name="a", value="x", confidence=0.7), FieldValue(name="a", value="x", confidence=0.8)
    other, absent = FieldValue(name="a", value="y", confidence=0.8), FieldValue(name="a", present=False, confidence=0.7)

    def fused(*args, **more):
        return confidence.fuse(confidence.reading_signals(*args, **more), confidence.default_weights())

    lone = fused(one, None, agree=False)
    assert fused(one, other, agree=False) < lone < fused(one, same, agree=True)
    assert fused(one, None, agree=False, checks=[Check(name="c", outcome="fail")]) < lone
    assert fused(absent, None, agree=False, required=True) < fused(absent, None, agree=False)


def test_contributions_add_up_to_the_logit():
    signals = {"p_own": 0.7, "agree": 1.0, "p_same": 0.6}
    total = WEIGHTS.intercept + sum(confidence.contributions(signals, WEIGHTS).values())
    assert confidence.fuse(signals, WEIGHTS) == pytest.approx(confidence.sigmoid(total))


def test_malformed_weights_are_refused_with_the_cause():
    with pytest.raises(SettingsError, match="intercept"):
        confidence.parse_weights(b'{"version": "x", "features": {}}')
    with pytest.raises(SettingsError):
        confidence.parse_weights(b"not json")


def test_token_signals_do_not_depend_on_the_length_of_the_value():
    short = confidence.token_signals([-0.1, -2.0, -0.3])
    long = confidence.token_signals([-0.1, -2.0, -0.3] + [-0.05] * 50)
    assert short["min_logprob"] == long["min_logprob"] == -2.0
    assert confidence.token_signals([]) == {}


def test_extreme_logits_stay_finite():
    assert confidence.sigmoid(-1000.0) == 0.0
    assert confidence.logit(0.0) == -confidence.logit(1.0)
    assert math.isfinite(confidence.logit(1.0))


def test_a_sigmoid_calibrator_removes_overconfidence():
    p, right = drawn(800)
    overconfident = p**3 / (p**3 + (1 - p) ** 3)
    calibrator = calibrate.fit_calibrator(overconfident, right)
    assert isinstance(calibrator, calibrate.SigmoidCalibrator)
    assert calibrator.slope == pytest.approx(1 / 3, abs=0.07)
    assert ece_equal_mass(calibrator(overconfident), right) < ece_equal_mass(overconfident, right) / 2


def test_an_isotonic_calibrator_rises_and_fits_any_shape():
    p, right = drawn(4000)
    calibrator = calibrate.fit_calibrator(np.sqrt(p), right)
    assert isinstance(calibrator, calibrate.IsotonicCalibrator)
    assert np.all(np.diff(calibrator.probabilities) >= 0)
    assert ece_equal_mass(calibrator(np.sqrt(p)), right) < 0.02


def test_pool_adjacent_violators_on_a_known_example():
    fitted = calibrate.fit_isotonic([0.1, 0.2, 0.3, 0.4], [0, 1, 0, 1])
    assert fitted.probabilities == (0.0, 0.5, 0.5, 1.0)


def test_separable_data_leave_the_calibrator_finite():
    calibrator = calibrate.fit_sigmoid([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1])
    assert np.isfinite([calibrator.slope, calibrator.offset]).all()


def test_logistic_regression_recovers_its_coefficients():
    generator = np.random.default_rng(1)
    x = generator.normal(size=(5000, 2))
    y = generator.random(5000) < 1 / (1 + np.exp(-(0.5 + x @ [1.5, -1.0])))
    intercept, coefficients = calibrate.fit_logistic(x, y, l2=0.1)
    assert intercept == pytest.approx(0.5, abs=0.1)
    assert coefficients == pytest.approx([1.5, -1.0], abs=0.1)


def test_fitted_fusion_beats_its_start_and_stays_there_without_data():
    p, right = drawn(1500)
    generator = np.random.default_rng(2)
    agree = np.where(generator.random(1500) < 0.8, right, ~right).astype(float)
    signals = [{"p_own": float(a), "agree": float(b)} for a, b in zip(p, agree, strict=True)]
    fitted = calibrate.fit_fusion(signals, right, WEIGHTS, "test")
    before = [confidence.fuse(s, WEIGHTS) for s in signals]
    after = [confidence.fuse(s, fitted) for s in signals]
    assert auroc(after, right) > auroc(before, right)
    assert ece_equal_mass(after, right) < ece_equal_mass(before, right)
    untouched = fitted.features["checks_failed"]
    assert untouched.weight == pytest.approx(WEIGHTS.features["checks_failed"].weight)


def test_thresholds_are_quantiles_of_traffic():
    assert calibrate.threshold_for_share([0.1, 0.2, 0.3, 0.4, 0.5], 0.5) == 0.3
    assert calibrate.threshold_for_risk([0.9, 0.8, 0.7, 0.6], [1, 1, 0, 1], 0.0) == 0.8
    assert calibrate.threshold_for_risk([0.9], [0], 0.1) > 1.0


@given(st.dictionaries(st.sampled_from(list(WEIGHTS.features)), st.one_of(st.none(), st.floats(0, 1))))
def test_a_fused_probability_lies_in_the_unit_interval(signals):
    assert 0.0 <= confidence.fuse(signals, WEIGHTS) <= 1.0


@given(st.text(max_size=20), st.text(max_size=20))
def test_similarity_is_symmetric_and_one_only_for_equal_texts(a, b):
    assert confidence.similarity(a, b) == confidence.similarity(b, a)
    assert (confidence.similarity(a, b) == 1.0) == (a == b != "")
