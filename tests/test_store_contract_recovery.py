"""One body of tests over every store: retries, exhausted attempts, dead workers, lost messages, cancelling."""

import pytest
from store_world import LONG_S, SHORT_S

from workers.jobs import FINAL, STATES

# -- retries and attempts


def test_a_retry_is_due_after_its_delay_and_not_before(world):
    store = world.store
    world.create()
    assert store.retry("job", world.begin(), SHORT_S, "no answer")
    job = store.get("job")
    assert (job.state, job.attempts, job.error, job.lease) == ("received", 1, "no answer", None)
    assert store.begin("job", "intake", "early twin", LONG_S, 3).outcome == "gone"
    assert store.due(10, LONG_S) == []
    world.sleep(2 * SHORT_S)
    assert [job.id for job in store.due(10, LONG_S)] == ["job"]
    assert store.begin("job", "intake", "w", LONG_S, 3).job.attempts == 2
    assert world.kinds() == ["created", "started", "retried", "started"]
    assert store.statistics()["retried"] == 1


def test_a_job_whose_attempts_are_used_up_is_a_dead_letter(world):
    store = world.store
    world.create()
    for _ in range(3):
        assert store.retry("job", world.begin(), 0, "out of\nmemory")
    begun = store.begin("job", "intake", "w", LONG_S, 3)
    assert begun.outcome == "exhausted"
    assert (begun.job.state, begun.job.lease, begun.job.error) == ("failed", None, "out of memory")
    letter = store.dead()[0]
    assert (letter.job_id, letter.stage, letter.error, letter.attempts) == ("job", "intake", "out of memory", 3)
    assert world.kinds()[-1] == "dead"
    assert store.statistics()["dead"] == 1
    assert store.begin("job", "intake", "w", LONG_S, 3).outcome == "gone"


def test_a_job_that_kills_its_workers_is_a_dead_letter(world):
    store = world.store
    world.create()
    for _ in range(3):
        world.begin(lease_s=0)
        assert [job.id for job in store.expire_leases(10)] == ["job"]
    assert store.begin("job", "intake", "w", LONG_S, 3).outcome == "exhausted"
    assert store.dead()[0].error == "3 attempts began and none ended"
    assert store.statistics()["expired"] == 3


def test_a_job_that_may_have_killed_its_worker_is_begun_only_by_one_that_is_alone(world):
    store = world.store
    world.create()
    assert store.begin("job", "intake", "w", 0, 3, alone=False).outcome == "started"
    for _ in range(2):
        refused = store.begin("job", "intake", "w", LONG_S, 3, alone=False)
        assert (refused.outcome, refused.job.attempts) == ("risky", 1)
        store.expire_leases(10)
    begun = store.begin("job", "intake", "w", LONG_S, 3, alone=True)
    assert (begun.outcome, begun.job.attempts) == ("started", 2)
    assert store.retry("job", begun.job.lease.token, 0, "error")
    assert store.begin("job", "intake", "w", LONG_S, 3, alone=False).outcome == "risky"
    begun = store.begin("job", "intake", "w", LONG_S, 3, alone=True)
    assert store.advance("job", begun.job.lease.token, "fast", False, {})
    assert store.begin("job", "fast", "w", LONG_S, 3, alone=False).outcome == "started"


def test_a_job_the_fast_lane_has_read_is_given_once_more_to_be_ended(world):
    store = world.store
    world.bring_to("escalated")
    for _ in range(3):
        world.begin(stage="deep", lease_s=0)
    begun = store.begin("job", "deep", "w", LONG_S, 3)
    assert begun.outcome == "exhausted"
    assert begun.job.state == "extracting"
    assert store.finish("job", begun.job.lease.token, "done_with_gaps", "r", None, {})
    assert store.get("job").state == "done_with_gaps"
    assert store.dead() == []


def test_a_job_the_fast_lane_has_read_does_not_go_round_for_ever(world):
    store = world.store
    world.bring_to("escalated")
    outcomes = [store.begin("job", "deep", "w", 0, 3).outcome for _ in range(8)]
    assert outcomes == ["started"] * 3 + ["exhausted"] * 4 + ["gone"]
    assert store.get("job").state == "failed"
    assert len(store.dead()) == 1


def test_attempts_start_again_with_every_stage(world):
    world.create()
    world.store.retry("job", world.begin(), 0, "x")
    world.store.advance("job", world.begin(), "fast", False, {})
    job = world.store.get("job")
    assert (job.attempts, job.error) == (0, None)


def test_a_document_that_cannot_be_read_is_no_dead_letter(world):
    world.create()
    assert world.store.fail("job", world.begin(), "encrypted", "trace", dead=False)
    assert world.store.get("job").error == "encrypted"
    assert world.store.dead() == []
    assert world.kinds()[-1] == "failed"


def test_texts_of_any_kind_and_length_can_be_kept(world):
    world.create()
    error = "file \udcff\x00 is\n bad" + "x" * 5000
    assert world.store.fail("job", world.begin(), error, "t" * 100_000)
    letter = world.store.dead()[0]
    assert letter.error.startswith("file ?")
    assert len(letter.error) <= 500
    assert len(letter.traceback) <= 8000


# -- dead workers


def test_a_lease_that_ran_out_makes_its_job_due_at_once(world):
    store = world.store
    world.bring_to("routed")
    world.begin(stage="fast", lease_s=SHORT_S)
    assert store.expire_leases(10) == []
    world.sleep(2 * SHORT_S)
    assert [job.id for job in store.expire_leases(10)] == ["job"]
    job = store.get("job")
    assert (job.state, job.stage, job.attempts, job.lease) == ("routed", "fast", 1, None)
    assert store.expire_leases(10) == []
    assert [job.id for job in store.due(10, LONG_S)] == ["job"]
    assert store.events("job")[-1].kind == "expired"
    assert store.events("job")[-1].worker == "w1"


def test_a_lease_that_ran_out_passes_on_without_a_sweeper(world):
    world.create()
    first = world.begin(lease_s=0)
    second = world.begin()
    assert second > first
    assert world.store.get("job").spent_tokens == (first,)
    assert world.kinds() == ["created", "started", "expired", "started"]
    assert world.store.expire_leases(10) == []


def test_tokens_under_which_no_step_ended_are_known_newest_first_and_not_without_end(world):
    world.create()
    given = [world.begin(lease_s=0), world.begin(lease_s=0)]
    world.store.expire_leases(10)
    given.append(world.begin())
    assert world.store.retry("job", given[-1], 0, "x")
    assert world.store.get("job").spent_tokens == tuple(reversed(given))
    token = world.begin_again()
    assert world.store.advance("job", token, "fast", False, {})
    assert token not in world.store.get("job").spent_tokens
    last = [world.begin_again("fast", lease_s=0) for _ in range(40)]
    spent = world.store.get("job").spent_tokens
    assert spent[0] == last[-2]
    assert 15 < len(spent) < 40


def test_no_more_leases_expire_than_asked_for(world):
    for name in "abc":
        world.create(name)
        world.begin(name, lease_s=0)
    assert len(world.store.expire_leases(2)) == 2
    assert len(world.store.expire_leases(2)) == 1


# -- messages


def test_a_message_that_was_not_noted_is_due_after_the_grace(world):
    store = world.store
    world.create()
    assert store.due(10, LONG_S) == []
    assert [job.id for job in store.due(10, 0)] == ["job"]


def test_a_due_job_is_given_to_one_sweeper(world):
    world.create()
    assert len(world.store.due(10, 0)) == 1
    assert world.store.due(10, SHORT_S) == []
    world.sleep(2 * SHORT_S)
    assert len(world.store.due(10, SHORT_S)) == 1, "a claim ends when the sweeper died before it published"


def test_a_published_message_is_not_due(world):
    world.create()
    world.store.published("job", "intake")
    assert world.store.due(10, 0) == []
    world.store.advance("job", world.begin(), "fast", False, {})
    world.store.published("job", "intake")
    assert [job.stage for job in world.store.due(10, 0)] == ["fast"], "the note was for the stage before"


def test_many_messages_are_noted_at_once(world):
    for i in range(1200):
        world.create(f"job{i}")
    world.store.published_many([])
    world.store.published_many([(f"job{i}", "intake") for i in range(1, 1200)] + [("job0", "fast"), ("no", "intake")])
    assert [job.id for job in world.store.due(10, 0)] == ["job0"]


def test_a_note_of_the_first_message_does_not_hide_a_retry(world):
    world.create()
    world.store.retry("job", world.begin(), 0, "x")
    world.store.published("job", "intake")
    assert [job.id for job in world.store.due(10, LONG_S)] == ["job"]


def test_a_job_that_is_worked_on_or_over_is_not_due(world):
    world.create()
    token = world.begin()
    assert world.store.due(10, 0) == []
    world.store.finish("job", token, "done", "r", None, {})
    assert world.store.due(10, 0) == []


def test_no_more_jobs_are_due_than_asked_for(world):
    for name in "abcd":
        world.create(name)
        world.sleep(0.001)
    world.store.requeue("d", "intake")
    assert [job.id for job in world.store.due(2, 0)] == ["d", "a"]
    assert [job.id for job in world.store.due(2, 0)] == ["b", "c"]


def test_a_lost_message_is_asked_for_again(world):
    world.create()
    world.store.published("job", "intake")
    assert world.store.requeue("job", "intake", "not in the queue")
    assert [job.id for job in world.store.due(10, LONG_S)] == ["job"]
    assert world.store.events("job")[-1].detail == "not in the queue"
    assert not world.store.requeue("job", "fast")
    world.store.retry("job", world.begin(), LONG_S, "error")
    assert not world.store.requeue("job", "intake"), "its message is still to come"
    assert world.store.due(10, LONG_S) == []


def test_a_job_that_is_worked_on_has_no_message_to_lose(world):
    world.create()
    world.begin()
    assert not world.store.requeue("job", "intake")


def test_noise_does_not_let_a_log_grow_without_end(world):
    world.create()
    for _ in range(250):
        world.create()
    assert len(world.store.events("job")) == 200
    world.begin()
    assert world.kinds()[-1] == "started"


# -- cancelling


@pytest.mark.parametrize("state", STATES)
def test_cancel_works_in_every_state(world, state):
    store = world.store
    world.bring_to(state, callback_url="https://example.org/hook")
    was_final = state in FINAL
    assert store.cancel("job") == (state if was_final else "cancelled")
    job = store.get("job")
    assert job.is_final
    assert job.lease is None
    assert job.finished_at is not None
    assert store.cancel("job") == job.state
    assert store.begin("job", job.stage, "w", LONG_S, 3).outcome == "gone"
    assert store.due(10, 0) == store.expire_leases(10) == []
    assert world.kinds().count("cancelled") == (job.state == "cancelled")
    assert len(store.due_webhooks(10, LONG_S)) == 1


def test_a_worker_learns_of_a_cancelled_job_at_its_next_renewal(world):
    world.create()
    token = world.begin()
    world.store.cancel("job")
    assert not world.store.renew("job", token, LONG_S)
