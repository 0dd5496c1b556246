"""Routing and review: who reads first, which fields are read again and why."""

import json

import pytest

from router.errors import SettingsError
from router.policy import Policy, gain_by_share, load_policy, parse_policy, quantile_threshold, review, route
from router.schema import FieldSpec, Schema, builtin
from router.score import INTERCEPT, load_weights, logistic, score_features
from router.types import Check, ComplexityScore, Extraction, FieldValue

POLICY = Policy(version="test")
SCHEMA = Schema(
    name="s",
    fields=(
        FieldSpec(name="total_amount", kind="amount", required=True),
        FieldSpec(name="supplier_name", kind="text", required=True),
        FieldSpec(name="due_date", kind="date"),
    ),
)


def score_of(**values):
    features, contributions = score_features(values, load_weights())
    value = logistic(sum(contributions.values()))
    version = load_weights().version
    return ComplexityScore(
        value=value,
        features=features,
        contributions=contributions,
        hardest_page=1,
        weights_version=version,
        elapsed_ms=1,
    )


def scored(value):
    return ComplexityScore(
        value=value,
        features={},
        contributions={INTERCEPT: 0.0},
        hardest_page=1,
        weights_version=load_weights().version,
        elapsed_ms=1,
    )


def field(name, confidence=0.99, **more):
    return FieldValue(name=name, value=more.pop("value", "1"), confidence=confidence, **more)


def extraction(*fields, finish_reason="stop"):
    sure = {name: field(name) for name in SCHEMA.names()}
    return Extraction(
        document_id="d",
        tier="fast",
        schema_name="s",
        fields=sure | {f.name: f for f in fields},
        finish_reason=finish_reason,
    )


@pytest.mark.parametrize(
    ("value", "cost_fast", "cost_deep", "tier"),
    [
        (0.74, 1, 4, "fast"),
        (0.76, 1, 4, "deep"),
        (0.88, 1, 10, "fast"),
        (0.92, 1, 10, "deep"),
        (0.30, 1, 1.2, "fast"),  # nearly free, but the fast reading is a second vote
        (0.55, 1, 1.2, "deep"),
        (0.40, 2, 1, "fast"),
    ],
)
def test_only_likely_escalations_go_straight_to_the_deep_lane(value, cost_fast, cost_deep, tier):
    assert route(scored(value), POLICY, cost_fast, cost_deep).tier == tier


def test_a_known_chance_of_escalation_replaces_the_score():
    assert route(scored(0.1), POLICY, 1, 4, p_escalate=0.9).tier == "deep"
    assert route(scored(0.9), POLICY, 1, 4, p_escalate=0.1).tier == "fast"


def test_the_route_keeps_its_threshold_and_says_why_in_words():
    hard = route(score_of(columns=3, tiled_glyph_height=9, blur=0.12, skew=9), POLICY, 1, 2)
    assert hard.threshold == 0.5
    assert hard.tier == "deep"
    assert "blurred letters" in hard.reason
    assert "small letters (9 px after tiling)" in hard.reason
    assert f"{hard.score:.0%} chance" in hard.reason
    assert "over 50%" in hard.reason


def test_an_easy_page_says_so():
    assert "nothing unusual" in route(score_of(), POLICY, 1, 4).reason
    assert "a text layer" in route(score_of(text_layer=1), POLICY, 1, 4).reason


@pytest.mark.parametrize("costs", [(0, 1), (1, 0), (-1, 2)])
def test_costs_must_be_positive(costs):
    with pytest.raises(SettingsError, match="must be positive"):
        route(scored(0.5), POLICY, *costs)


def test_a_sure_extraction_is_left_alone():
    assert review(extraction(), SCHEMA, POLICY).fields == ()


@pytest.mark.parametrize(
    ("doubtful", "reason"),
    [
        (field("total_amount", 0.41), "confidence 0.41 under 0.80"),
        (field("total_amount", None), "confidence unknown"),
        (field("total_amount", 0.97, present=False, value=None), "a required field was not found"),
        (field("due_date", 0.3, present=False, value=None), "confidence that it is absent 0.30 under 0.50"),
        (
            field(
                "total_amount",
                checks=(Check(name="sum", outcome="fail", detail="subtotal + tax does not equal total"),),
            ),
            "subtotal + tax does not equal total",
        ),
        (field("total_amount", checks=(Check(name="sum", outcome="fail"),)), "fails the check sum"),
    ],
)
def test_a_doubtful_field_is_escalated_with_its_reason(doubtful, reason):
    found = review(extraction(doubtful), SCHEMA, POLICY)
    assert found.fields == (doubtful.name,)
    assert found.reasons == {doubtful.name: reason}


def test_an_optional_field_surely_absent_is_left_alone():
    absent = field("due_date", 0.6, present=False, value=None)
    assert review(extraction(absent), SCHEMA, POLICY).fields == ()


@pytest.mark.parametrize("outcome", ["pass", "not_applicable"])
def test_only_failed_checks_raise_doubt(outcome):
    checked = field("total_amount", checks=(Check(name="sum", outcome=outcome),))
    assert review(extraction(checked), SCHEMA, POLICY).fields == ()


def test_every_doubt_of_a_field_is_told_the_worst_first():
    doubtful = field("total_amount", 0.75, checks=(Check(name="sum", outcome="fail", detail="sums differ"),))
    assert review(extraction(doubtful), SCHEMA, POLICY).reasons["total_amount"] == (
        "sums differ; confidence 0.75 under 0.80"
    )


def test_a_reading_cut_off_puts_every_field_in_doubt():
    found = review(extraction(finish_reason="length"), SCHEMA, POLICY)
    assert set(found.fields) == set(SCHEMA.names())
    assert "the reading ended early (length)" in found.reasons["due_date"]


def test_a_required_field_left_out_is_escalated_and_an_optional_one_is_not():
    empty = Extraction(document_id="d", tier="fast", schema_name="s", fields={})
    assert set(review(empty, SCHEMA, POLICY).fields) == {"total_amount", "supplier_name"}


def test_fields_have_their_own_thresholds():
    policy = Policy(version="t", confidence_thresholds={"total_amount": 0.3})
    found = review(extraction(field("total_amount", 0.41), field("supplier_name", 0.41)), SCHEMA, policy)
    assert found.fields == ("supplier_name",)


def test_the_largest_expected_gain_comes_first_and_no_gain_never():
    doubtful = extraction(field("total_amount", 0.5), field("supplier_name", 0.2), field("due_date", 0.1))
    policy = Policy(version="t", field_gains={"supplier_name": 0.25, "due_date": 0.0})
    found = review(doubtful, SCHEMA, policy)
    assert found.fields == ("total_amount", "supplier_name")
    assert found.expected_gains == pytest.approx({"total_amount": 0.5, "supplier_name": 0.2})


def test_the_budget_admits_its_share_of_the_traffic_it_was_measured_on():
    confidences = [i / 100 for i in range(1, 100)]
    shares = (0.05, 0.1, 0.2)
    pairs = gain_by_share([1 - c for c in confidences], shares)
    for share in shares:
        policy = Policy(version="t", gain_by_share=pairs, budget=share, default_confidence_threshold=1.0)
        escalated = [review(extraction(field("due_date", c)), SCHEMA, policy).fields for c in confidences]
        assert sum(map(bool, escalated)) / len(confidences) == pytest.approx(share, abs=0.011)


def test_the_shipped_table_counts_the_fields_it_was_measured_with():
    policy = load_policy()
    for name in ("receipt", "invoice"):
        schema = builtin(name)
        counted = len(policy.traffic(schema.names(), {}))
        assert set(policy.added_fields) & set(schema.names())
        assert counted == len(schema.names()) - len(set(policy.added_fields) & set(schema.names()))
        assert policy.traffic(schema.names(), {"business_phone": 0.5}).count(0.5) == 1


def test_without_budget_nothing_is_escalated():
    policy = Policy(version="t", budget=0.0)
    assert review(extraction(field("total_amount", None)), SCHEMA, policy).fields == ()


@pytest.mark.parametrize(
    ("budget", "threshold"), [(0.0, 0.0), (0.1, 0.1), (0.25, 0.2), (0.3, 0.3), (0.9, 0.9), (1.0, 1.0)]
)
def test_the_quantile_threshold_lets_at_most_the_budget_fall_under_it(budget, threshold):
    confidences = [0.9, 0.1, 0.5, 0.3, 0.7, 0.2, 0.0, 0.4, 0.6, 0.8]
    assert quantile_threshold(confidences, budget) == threshold
    assert sum(c < threshold for c in confidences) <= budget * len(confidences)


def test_ties_never_exceed_the_budget():
    assert quantile_threshold([0.5] * 9 + [0.9], 0.3) == 0.5
    assert quantile_threshold([], 0.3) == 0.0
    with pytest.raises(SettingsError, match="budget"):
        quantile_threshold([0.5], 1.5)


def test_the_shipped_policy_can_be_read():
    assert load_policy().budget == 0.1


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"budget": 2}, "budget"),
        ({"treshold": 0.5}, "treshold"),
        ({"gain_by_share": [[0.2, 0.1], [0.1, 0.5]]}, "gain_by_share"),
        ({"field_gains": {"total_amount": 3}}, "field_gains"),
    ],
)
def test_a_wrong_policy_names_the_file_and_the_fault(change, cause):
    with pytest.raises(SettingsError, match=r"mine\.json") as caught:
        parse_policy(json.dumps({"version": "x"} | change), "mine.json")
    assert cause in str(caught.value)
