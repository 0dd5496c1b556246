"""One body of tests over every store: listings, counters, recent traffic."""

import pytest

from workers.jobs import STAGES, STATES


def ids(jobs):
    return [job.id for job in jobs]


# -- listings


def test_jobs_are_listed_by_creation(world):
    for name in "abcde":
        world.create(name)
        world.sleep(0.001)
    store = world.store
    assert ids(store.jobs()) == list("edcba")
    assert ids(store.jobs(order="oldest")) == list("abcde")
    assert ids(store.jobs(limit=2, offset=1)) == ["d", "c"]
    assert ids(store.jobs(limit=2, offset=4)) == ["a"]
    assert store.jobs(limit=0) == store.jobs(offset=9) == []


@pytest.mark.parametrize("state", STATES)
def test_jobs_are_listed_by_state(world, state):
    world.bring_to(state)
    for other in STATES:
        assert ids(world.store.jobs(state=other)) == (["job"] if other == state else [])
    assert world.store.counts() == {other: int(other == state) for other in STATES}


def test_jobs_are_listed_by_stage_while_they_wait_for_it_or_are_in_it(world):
    store = world.store
    world.create()

    def where():
        return {s for s in STAGES if store.jobs(stage=s)}, {s for s in STAGES if store.waiting_count(s)}

    assert where() == ({"intake"}, {"intake"})
    token = world.begin()
    assert where() == ({"intake"}, set())
    store.advance("job", token, "fast", False, {})
    assert where() == ({"fast"}, {"fast"})
    store.retry("job", world.begin(stage="fast"), 0, "x")
    assert where() == ({"fast"}, {"fast"})
    store.advance("job", world.begin(stage="fast"), "deep", True, {})
    assert where() == ({"deep"}, {"deep"})
    world.begin(stage="deep", lease_s=0)
    store.expire_leases(10)
    assert where() == ({"deep"}, {"deep"})
    store.finish("job", world.begin(stage="deep"), "done", "r", None, {})
    assert where() == (set(), set())


def test_finished_jobs_are_listed_by_their_lowest_confidence(world):
    store = world.store
    for name, state, confidence in [("a", "done", 0.9), ("b", "needs_review", 0.1), ("c", "done", 0.5)]:
        world.create(name)
        store.finish(name, world.begin(name), state, "r", confidence, {})
    world.create("unknown")
    store.finish("unknown", world.begin("unknown"), "done", "r", None, {})
    world.create("waiting")
    assert ids(store.jobs(order="least_confident")) == ["b", "c", "a"]
    assert ids(store.jobs(state="done", order="least_confident")) == ["c", "a"]
    assert store.jobs(state="received", order="least_confident") == []
    assert ids(store.jobs(order="least_confident", limit=1, offset=1)) == ["c"]


def test_jobs_can_be_followed_as_they_end(world):
    store = world.store
    for name in "abc":
        world.create(name)
    for name in "bca":
        world.sleep(0.001)
        store.cancel(name)
    assert ids(store.finished(0, 10)) == ["b", "c", "a"]
    assert ids(store.finished(store.get("c").finished_at, 10)) == ["c", "a"]
    assert ids(store.finished(0, 2)) == ["b", "c"]
    assert store.finished(0, 0) == store.finished(store.now() + 1, 10) == []


def test_a_listing_is_of_a_state_or_of_a_stage(world):
    with pytest.raises(ValueError, match="not of both"):
        world.store.jobs(state="routed", stage="fast")
    with pytest.raises(ValueError, match="no confidence yet"):
        world.store.jobs(stage="fast", order="least_confident")


def test_the_longest_waiting_come_first(world):
    store = world.store
    assert store.waiting_since("intake") is None
    for name in "abc":
        world.create(name)
        world.sleep(0.001)
    assert ids(store.waiting("intake", 2)) == ["a", "b"]
    assert store.waiting_since("intake") == pytest.approx(store.get("a").created_at, abs=1e-3)
    store.retry("a", world.begin("a"), 0, "x")
    assert ids(store.waiting("intake", 9)) == ["b", "c", "a"]
    assert store.waiting_since("intake") == pytest.approx(store.get("b").created_at, abs=1e-3)


def test_counters_add_up(world):
    world.store.count("escalated")
    world.store.count("escalated", 2.5)
    world.store.count("late", 0.5)
    world.store.count("yes", True)
    world.store.retry("job", 1, 1, "too late")
    statistics = world.store.statistics()
    assert statistics["escalated"] == 3.5
    assert statistics["late"] == 1.5
    assert statistics["yes"] == 1
    assert statistics["dead"] == 0


def test_recent_traffic_is_kept_and_bounded(world):
    assert world.store.recent_risks() == []
    world.store.note_risks([])
    world.store.note_risks([0.25, 1.0])
    assert sorted(world.store.recent_risks()) == [0.25, 1.0]
    for _ in range(11):
        world.store.note_risks([0.0] * 500)
    assert world.store.recent_risks() == [0.0] * 5000
