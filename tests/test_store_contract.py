"""One body of tests over every store: how a job begins and how its steps end. The rules of `workers.store.Store`."""

import itertools

import pytest
from store_world import LONG_S, SHORT_S

from workers.jobs import STATES, JobSpec

# -- creating


def test_a_new_job_waits_for_intake(world):
    job, new = world.store.create("job", JobSpec(document_id="a" * 64, uri="a.pdf", metadata={"k": "grün"}))
    assert new
    assert (job.id, job.state, job.stage, job.attempts, job.lease) == ("job", "received", "intake", 0, None)
    assert job.spec.metadata == {"k": "grün"}
    assert job.created_at == job.updated_at == pytest.approx(world.store.now(), abs=60)
    assert world.store.get("job") == job
    assert world.kinds() == ["created"]


def test_the_same_id_again_gives_the_same_job(world):
    world.create(uri="first.pdf")
    job, new = world.store.create("job", JobSpec(document_id="a" * 64, uri="second.pdf"))
    assert not new
    assert job.spec.uri == "first.pdf"
    assert world.kinds() == ["created", "resubmitted"]
    assert world.store.counts()["received"] == 1


def test_unknown_jobs_are_none_and_change_nothing(world):
    store = world.store
    assert store.get("no") is None
    assert store.cancel("no") is None
    assert store.begin("no", "intake", "w", LONG_S, 3).outcome == "gone"
    assert not store.renew("no", 1, LONG_S)
    assert not store.finish("no", 1, "done", "r", None, {})
    assert not store.revive("no")
    assert not store.drop_dead("no")
    assert not store.requeue("no", "intake")
    assert not store.revive_webhook("no")
    store.published("no", "intake")
    store.webhook_sent("no")
    store.webhook_retry("no", 1, "x")
    store.webhook_dead("no", "x")
    assert store.events("no") == []
    assert store.jobs() == []
    assert sum(store.counts().values()) == 0


def test_several_jobs_are_read_at_once(world):
    world.create("a")
    world.create("b")
    assert sorted(world.store.get_many(["a", "no", "b"])) == ["a", "b"]
    assert world.store.get_many([]) == {}


# -- steps


def test_an_attempt_is_counted_before_any_work(world):
    world.create()
    begun = world.store.begin("job", "intake", "w1", LONG_S, 3)
    assert begun.job.attempts == 1
    assert begun.job.lease.worker == "w1"
    assert begun.job.lease.until == pytest.approx(world.store.now() + LONG_S, abs=60)
    assert world.store.get("job") == begun.job


def test_a_running_step_is_not_given_to_another_worker(world):
    world.create()
    world.begin()
    begun = world.store.begin("job", "intake", "w2", LONG_S, 3)
    assert begun.outcome == "held"
    assert begun.job.attempts == 1
    assert begun.job.lease.worker == "w1"


def test_a_message_of_another_stage_is_an_old_one(world):
    world.bring_to("routed")
    assert world.store.begin("job", "intake", "w", LONG_S, 3).outcome == "gone"
    assert world.store.begin("job", "deep", "w", LONG_S, 3).outcome == "gone"
    assert world.store.begin("job", "fast", "w", LONG_S, 3).outcome == "started"


def test_the_way_through_all_stages(world):
    store = world.store
    world.create()
    assert store.advance("job", world.begin(), "fast", False, {"pages": 2, "route": {"tier": "fast"}}, "easy")
    job = store.get("job")
    assert (job.state, job.stage, job.attempts, job.lease) == ("routed", "fast", 0, None)
    token = world.begin(stage="fast")
    assert store.get("job").state == "extracting"
    assert store.advance("job", token, "deep", True, {"fields": ["total"], "none": [], "pages": 3})
    job = store.get("job")
    assert (job.state, job.stage) == ("escalated", "deep")
    assert job.data == {"pages": 3, "route": {"tier": "fast"}, "fields": ["total"], "none": []}
    assert store.finish("job", world.begin(stage="deep"), "done", "results/x.json", 0.75, {"n": 1.5}, "merged")
    job = store.get("job")
    assert (job.state, job.result_blob, job.lowest_confidence, job.lease) == ("done", "results/x.json", 0.75, None)
    assert job.data["n"] == 1.5
    assert job.finished_at == job.updated_at
    assert world.kinds() == ["created", "started", "advanced", "started", "advanced", "started", "finished"]
    events = store.events("job")
    assert [event.stage for event in events] == ["intake", "intake", "intake", "fast", "fast", "deep", "deep"]
    assert (events[2].detail, events[2].worker, events[2].attempt) == ("easy", "w1", 1)
    assert all(a.at <= b.at for a, b in itertools.pairwise(events))


def test_a_job_routed_to_deep_waits_as_routed(world):
    world.bring_to("routed", stage="deep")
    assert world.store.get("job").state == "routed"
    token = world.begin(stage="deep")
    world.store.retry("job", token, 0, "x")
    assert world.store.get("job").state == "routed"


def test_a_job_only_finishes_with_a_result(world):
    world.create()
    token = world.begin()
    for state in set(STATES) - {"done", "done_with_gaps", "needs_review"}:
        with pytest.raises(ValueError, match="finishes as one of"):
            world.store.finish("job", token, state, "r", None, {})
    with pytest.raises(ValueError, match="confidence"):
        world.store.finish("job", token, "done", "r", 1.5, {})
    assert world.store.finish("job", token, "needs_review", "r", None, {})


TOKEN_CALLS = {
    "renew": lambda store, token: store.renew("job", token, LONG_S),
    "advance": lambda store, token: store.advance("job", token, "fast", False, {"x": 1}),
    "finish": lambda store, token: store.finish("job", token, "done", "other", 0.1, {"x": 1}),
    "retry": lambda store, token: store.retry("job", token, 0, "other"),
    "fail": lambda store, token: store.fail("job", token, "other"),
}


@pytest.mark.parametrize("call", TOKEN_CALLS)
@pytest.mark.parametrize("situation", ["taken over", "expired", "advanced", "finished", "cancelled", "never begun"])
def test_a_late_twin_changes_nothing(world, call, situation):
    store = world.store
    world.create()
    token = 1 if situation == "never begun" else world.begin(lease_s=0)
    if situation in {"taken over", "expired"}:
        store.expire_leases(10)
    if situation == "taken over":
        world.begin()
    elif situation == "advanced":
        store.advance("job", token, "fast", False, {})
    elif situation == "finished":
        store.finish("job", token, "done", "mine", 0.9, {})
    elif situation == "cancelled":
        store.cancel("job")
    before = store.get("job")
    assert TOKEN_CALLS[call](store, token) is False
    assert store.get("job") == before
    # a renewal may only have crossed the end of its own step
    assert (world.kinds()[-1] == "late") == (call != "renew")
    assert store.statistics()["late"] == (call != "renew")
    assert store.dead() == []


ENDING_CALLS = {
    "advance": lambda store, token: store.advance("job", token, "fast", False, {"x": [1]}, "why"),
    "finish": lambda store, token: store.finish("job", token, "done", "r", 0.5, {"x": 1}, "why"),
    "retry": lambda store, token: store.retry("job", token, 0, "x"),
    "fail": lambda store, token: store.fail("job", token, "x", "trace"),
}


@pytest.mark.parametrize("call", ENDING_CALLS)
def test_a_call_that_comes_again_is_true_and_changes_nothing(world, call):
    world.create()
    token = world.begin()
    assert ENDING_CALLS[call](world.store, token)
    before, log = world.store.get("job"), world.store.events("job")
    assert ENDING_CALLS[call](world.store, token)
    assert (world.store.get("job"), world.store.events("job")) == (before, log)
    assert world.store.statistics()["late"] == 0
    if not before.is_final:
        world.begin(stage=before.stage)
        assert ENDING_CALLS[call](world.store, token), "also when another step has begun meanwhile"
        assert world.kinds().count("started") == 2


def test_tokens_grow_with_every_begin(world):
    world.create()
    tokens = []
    for _ in range(3):
        tokens.append(world.begin())
        world.store.retry("job", tokens[-1], 0, "again")
    assert tokens == sorted(set(tokens))


def test_a_step_that_keeps_its_lease_may_end_late(world):
    world.create()
    token = world.begin(lease_s=SHORT_S)
    world.sleep(2 * SHORT_S)
    assert world.store.renew("job", token, LONG_S)
    assert world.store.expire_leases(10) == []
    assert world.store.begin("job", "intake", "w2", LONG_S, 3).outcome == "held"
    assert world.store.finish("job", token, "done", "r", None, {})
