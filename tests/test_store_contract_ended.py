"""One body of tests over every store: dead letters, webhooks, retention, locks."""

import pytest
from store_world import DEAD_EXPIRED_S, EXPIRED_S, LONG_S, SHORT_S

from workers.jobs import STAGES, STATES


def ids(jobs):
    return [job.id for job in jobs]


# -- dead letters


def dead_letter(world, name):
    world.create(name)
    world.store.fail(name, world.begin(name), f"error of {name}", "Traceback", dead=True)
    world.sleep(0.001)


def test_dead_letters_are_listed_newest_first(world):
    for name in "abc":
        dead_letter(world, name)
    letters = world.store.dead()
    assert [letter.job_id for letter in letters] == ["c", "b", "a"]
    assert (letters[0].error, letters[0].traceback, letters[0].attempts) == ("error of c", "Traceback", 1)
    assert letters[0].at == pytest.approx(world.store.get("c").finished_at, abs=0.05)
    assert [letter.job_id for letter in world.store.dead(limit=1, offset=1)] == ["b"]
    assert world.store.dead(limit=0) == []
    assert world.store.dead_count() == 3


def test_a_revived_job_waits_again_for_the_stage_it_died_in(world):
    store = world.store
    world.bring_to("routed", callback_url="https://example.org")
    store.fail("job", world.begin(stage="fast"), "x")
    assert store.revive("job")
    job = store.get("job")
    assert (job.state, job.stage, job.attempts, job.finished_at) == ("routed", "fast", 0, None)
    assert store.dead() == store.due_webhooks(10, LONG_S) == []
    assert ids(store.due(10, LONG_S)) == ["job"]
    assert not store.revive("job")
    world.sleep(DEAD_EXPIRED_S)
    assert store.purge(10) == 0, "it lives on past the time it would have been kept as a dead letter"
    assert store.finish("job", world.begin(stage="fast"), "done", "r", None, {})
    assert world.kinds()[-4:] == ["dead", "revived", "started", "finished"]


def test_a_dropped_letter_leaves_a_failed_job(world):
    dead_letter(world, "job")
    assert world.store.drop_dead("job")
    assert not world.store.drop_dead("job")
    assert world.store.dead() == []
    assert world.store.get("job").state == "failed"
    assert not world.store.revive("job")
    world.sleep(EXPIRED_S)
    assert world.store.get("job") is None


# -- webhooks


HOOK = "https://example.org/hook"


@pytest.mark.parametrize("state", ["done", "done_with_gaps", "needs_review", "failed", "cancelled"])
def test_every_end_is_notified(world, state):
    world.bring_to(state, callback_url=HOOK)
    hooks = world.store.due_webhooks(10, LONG_S)
    assert [(hook.job_id, hook.url, hook.attempts, hook.error) for hook in hooks] == [("job", HOOK, 1, "")]
    assert world.store.due_webhooks(10, LONG_S) == [], "claimed"
    world.store.webhook_sent("job")
    assert world.kinds()[-1] == "notified"
    assert world.store.due_webhooks(10, LONG_S) == []


def test_only_ended_jobs_with_an_address_are_notified(world):
    world.bring_to("extracting", callback_url=HOOK)
    world.bring_to("done", "other")
    assert world.store.due_webhooks(10, LONG_S) == []


def test_a_claim_of_a_webhook_ends(world):
    world.bring_to("done", callback_url=HOOK)
    assert len(world.store.due_webhooks(10, SHORT_S)) == 1
    world.sleep(2 * SHORT_S)
    assert world.store.due_webhooks(10, SHORT_S)[0].attempts == 2


def test_a_webhook_is_tried_again_after_its_delay(world):
    world.bring_to("done", callback_url=HOOK)
    world.store.due_webhooks(10, LONG_S)
    world.store.webhook_retry("job", SHORT_S, "503")
    assert world.store.due_webhooks(10, LONG_S) == []
    world.sleep(2 * SHORT_S)
    hook = world.store.due_webhooks(10, LONG_S)[0]
    assert (hook.attempts, hook.error) == (2, "503")


def test_a_webhook_that_was_given_up_can_be_revived(world):
    store = world.store
    world.bring_to("done", callback_url=HOOK)
    store.due_webhooks(10, LONG_S)
    store.webhook_dead("job", "gone")
    assert [(h.job_id, h.url, h.attempts, h.error) for h in store.dead_webhooks()] == [("job", HOOK, 1, "gone")]
    assert store.due_webhooks(10, LONG_S) == []
    assert store.dead_webhook_count() == 1
    assert store.statistics()["webhooks_failed"] == 1
    assert world.kinds()[-1] == "unnotified"
    assert store.revive_webhook("job")
    assert not store.revive_webhook("job")
    assert store.dead_webhooks() == []
    assert store.dead_webhook_count() == 0
    assert store.due_webhooks(10, LONG_S)[0].attempts == 1


def test_a_webhook_that_was_given_up_can_be_dropped(world):
    world.bring_to("done", callback_url=HOOK)
    assert not world.store.drop_webhook("job"), "it is still to be sent"
    world.store.webhook_dead("job", "gone")
    assert world.store.drop_webhook("job")
    assert world.store.dead_webhooks() == world.store.due_webhooks(10, 0) == []
    assert world.kinds()[-1] == "dropped"


# -- retention


def everywhere(store):
    found = ids(store.jobs() + store.jobs(order="oldest") + store.jobs(order="least_confident"))
    found += [job.id for state in STATES for job in store.jobs(state=state)]
    found += [job.id for stage in STAGES for job in store.jobs(stage=stage) + store.waiting(stage, 10)]
    found += ids(store.finished(0, 10)) + [letter.job_id for letter in store.dead()]
    return set(found + [hook.job_id for hook in store.dead_webhooks() + store.due_webhooks(10, 0)])


@pytest.mark.parametrize("state", ["done", "done_with_gaps", "needs_review", "failed", "cancelled"])
def test_an_ended_job_really_expires(world, state):
    store = world.store
    world.bring_to(state, callback_url=HOOK)
    assert store.purge(10) == 0
    world.sleep(EXPIRED_S)
    assert store.get("job") is None
    assert store.events("job") == []
    assert store.purge(10) == 1
    assert store.purge(10) == 0
    assert everywhere(store) == set()
    assert sum(store.counts().values()) == 0


def test_dead_letters_are_kept_longer(world):
    dead_letter(world, "job")
    world.sleep(EXPIRED_S)
    assert world.store.purge(10) == 0
    assert world.store.get("job") is not None
    world.sleep(DEAD_EXPIRED_S - EXPIRED_S)
    assert world.store.purge(10) == 1
    assert everywhere(world.store) == set()


def test_jobs_that_wait_or_run_never_expire(world):
    for state in ("received", "routed", "extracting", "escalated"):
        world.bring_to(state, state)
    world.sleep(2 * EXPIRED_S)
    assert world.store.purge(10) == 0
    assert len(everywhere(world.store)) == 4


def test_an_expired_job_can_be_submitted_anew(world):
    world.bring_to("done", callback_url=HOOK)
    world.sleep(EXPIRED_S)
    world.create()
    assert world.store.purge(10) == 0, "not yet purged entries of the old job do not take the new one along"
    assert world.kinds() == ["created"]
    assert world.store.counts() == {state: int(state == "received") for state in STATES}
    assert ids(world.store.jobs(order="least_confident")) == []


def test_no_more_jobs_are_purged_than_asked_for(world):
    for name in "abc":
        world.bring_to("done", name)
    world.sleep(EXPIRED_S)
    assert world.store.purge(2) == 2
    assert world.store.purge(2) == 1


# -- locks


def test_a_lock_has_one_holder(world):
    hold = world.store.hold
    assert hold("sweeper", "a", LONG_S)
    assert not hold("sweeper", "b", LONG_S)
    assert hold("sweeper", "a", SHORT_S), "renewed"
    assert hold("other", "b", LONG_S)
    world.sleep(2 * SHORT_S)
    assert hold("sweeper", "b", LONG_S)
    assert not hold("sweeper", "a", 0)
    assert hold("sweeper", "b", 0)
    assert hold("sweeper", "a", LONG_S)
