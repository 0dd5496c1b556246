"""How much may go deep: budget after recent traffic, backlog, audit sample."""

import pytest

from router.policy import Policy, Review
from router.schema import FieldSpec, Schema
from workers.load import LEAST_TRAFFIC, Traffic, descending, in_sample, least_gain, limit_escalation, under_budget
from workers.store_memory import MemoryStore

SCHEMA = Schema(
    name="note", fields=(FieldSpec(name="number", kind="text", required=True), FieldSpec(name="remark", kind="text"))
)
KEYS = [f"document {number}" for number in range(2000)]


def share_over(gains: list[float], budget: float) -> float:
    """The share of a traffic's fields that goes deep when each key sees the whole traffic."""
    limits = [least_gain(descending(gains), budget, key) for key in KEYS[:200]]
    return sum(gain > 0 and gain >= limit for limit in limits for gain in gains) / (len(limits) * len(gains))


@pytest.mark.parametrize("budget", [0.0, 0.05, 0.1, 0.37, 1.0])
def test_the_budget_is_held_when_all_gains_differ(budget: float) -> None:
    gains = [number / 1000 for number in range(1, 1001)]
    assert share_over(gains, budget) == pytest.approx(budget, abs=0.002)


@pytest.mark.parametrize("budget", [0.1, 0.3])
def test_the_budget_is_held_and_used_when_many_gains_are_the_same(budget: float) -> None:
    gains = [0.5] * 400 + [0.0] * 600
    assert share_over(gains, budget) == pytest.approx(budget, abs=0.08)


def test_without_doubt_in_the_traffic_every_doubt_may_go_deep() -> None:
    assert least_gain(descending([0.0] * 1000), 0.1) == 0.0
    assert least_gain(descending([]), 0.1) == 0.0


def test_the_shipped_table_decides_until_there_is_traffic() -> None:
    policy = Policy(version="t", gain_by_share=((0.0, 1.0), (0.1, 0.25), (1.0, 0.0)))
    store, clock = MemoryStore(), [0.0]
    traffic = Traffic(store, policy, clock=lambda: clock[0])
    assert traffic.least_gain("a") == 0.25
    store.note_risks([number / LEAST_TRAFFIC for number in range(LEAST_TRAFFIC)])
    assert traffic.least_gain("a") == 0.25, "looked up every few seconds only"
    clock[0] += 10.0
    assert traffic.least_gain("a") == pytest.approx(0.895, abs=0.01)


def test_traffic_is_noted_with_a_zero_for_each_sure_field_and_in_batches() -> None:
    store, clock = MemoryStore(), [0.0]
    traffic = Traffic(store, Policy(version="t"), clock=lambda: clock[0])
    traffic.note(Review(fields=("number",), reasons={"number": "x"}, expected_gains={"number": 0.5}), SCHEMA)
    traffic.count(fields=2, escalated=1)
    assert store.recent_risks() == []
    traffic.flush()
    assert store.recent_risks() == [0.5, 0.0]
    assert store.statistics()["fields_escalated"] == 1


def test_a_field_younger_than_the_table_is_traffic_only_where_it_is_doubted() -> None:
    store = MemoryStore()
    traffic = Traffic(store, Policy(version="t", added_fields=("number",)), clock=lambda: 0.0)
    traffic.note(Review(), SCHEMA)
    traffic.note(Review(fields=("number",), reasons={"number": "x"}, expected_gains={"number": 0.5}), SCHEMA)
    traffic.flush()
    assert store.recent_risks() == [0.0, 0.5, 0.0]


def test_a_review_is_cut_to_the_gains_that_reach_the_limit() -> None:
    review = Review(
        fields=("number", "remark"),
        reasons={"number": "a", "remark": "b"},
        expected_gains={"number": 0.5, "remark": 0.1},
    )
    assert under_budget(review, 0.2).fields == ("number",)
    assert under_budget(review, 0.0) == review


@pytest.mark.parametrize(
    ("waiting", "kept", "refused"),
    [(10, ("number", "remark"), ()), (11, ("number",), ("remark",)), (21, (), ("number", "remark"))],
)
def test_the_backlog_decides_which_fields_may_wait(
    waiting: int, kept: tuple[str, ...], refused: tuple[str, ...]
) -> None:
    going = limit_escalation(("number", "remark"), SCHEMA, waiting, 10)
    assert (going.fields, going.refused) == (kept, refused)
    assert bool(going.gap) == bool(refused)


def test_the_audit_sample_has_its_share_and_never_changes() -> None:
    inside = [key for key in KEYS if in_sample(key, 0.1)]
    assert len(inside) == pytest.approx(200, abs=50)
    assert inside == [key for key in KEYS if in_sample(key, 0.1)]
    assert not any(in_sample(key, 0.0) for key in KEYS)
    assert all(in_sample(key, 1.0) for key in KEYS)
