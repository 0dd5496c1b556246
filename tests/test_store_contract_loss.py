"""One body of tests over every store: its epoch, and jobs that are made anew as they had ended."""

import pytest
from store_world import EXPIRED_S

from workers.jobs import Ended, JobSpec

SPEC = JobSpec(document_id="a" * 64, uri="a.pdf", metadata={"k": "grün"})
DONE = Ended(state="done", result_blob="results/job.1.json", lowest_confidence=0.5, data={"pages": 2, "audit": None})


def test_a_store_has_no_epoch_until_it_is_given_one_and_keeps_it(world):
    assert world.store.epoch() is None
    assert world.store.join_epoch("first") == "first"
    assert world.store.join_epoch("second") == "first"
    assert world.store.epoch() == "first"
    assert world.store.join_epoch("second", replace=True) == "second"
    assert world.store.epoch() == "second"


def test_a_job_that_had_ended_is_made_anew_as_it_was(world):
    assert world.store.restore("job", SPEC, DONE, created_at=1000.0)
    job = world.store.get("job")
    assert (job.spec, job.state, job.result_blob, job.lowest_confidence) == (SPEC, "done", "results/job.1.json", 0.5)
    assert (job.created_at, job.data, job.is_final, job.lease) == (1000.0, {"pages": 2}, True, None)
    assert job.finished_at == pytest.approx(world.store.now(), abs=60)
    assert world.kinds() == ["recovered"]
    assert world.store.counts()["done"] == 1
    assert [job.id for job in world.store.jobs(order="least_confident")] == ["job"]
    assert [job.id for job in world.store.finished(0, 9)] == ["job"]
    assert world.store.due(9, 0) == []
    assert world.store.begin("job", "intake", "w", 9.0, 3).outcome == "gone"


def test_a_known_job_is_not_made_anew(world):
    world.bring_to("extracting")
    assert not world.store.restore("job", SPEC, DONE, 0.0)
    assert world.store.get("job").state == "extracting"
    assert world.store.restore("other", SPEC, DONE, 0.0)
    assert not world.store.restore("other", SPEC, DONE, 0.0)
    assert world.kinds("other") == ["recovered"]


def test_a_job_that_had_failed_fails_again_and_its_sender_is_told(world):
    spec = SPEC.model_copy(update={"callback_url": "https://a.example/hook"})
    assert world.store.restore("job", spec, Ended(state="failed", error="no pages"), 0.0)
    job = world.store.get("job")
    assert (job.state, job.error, job.result_blob) == ("failed", "no pages", None)
    assert job.created_at == pytest.approx(world.store.now(), abs=60)
    assert [hook.job_id for hook in world.store.due_webhooks(9, 60.0)] == ["job"]
    assert world.store.dead() == []


def test_the_retention_of_a_job_made_anew_begins_anew_and_ends(world):
    world.store.restore("job", SPEC, DONE, created_at=1000.0)
    assert world.store.purge(9) == 0
    world.sleep(EXPIRED_S)
    assert world.store.get("job") is None
    assert world.store.purge(9) == 1
    assert world.store.jobs() == []
    assert world.store.restore("job", SPEC, DONE, 0.0), "after that it is not known"


@pytest.mark.parametrize("state", ["done", "needs_review", "failed", "cancelled"])
def test_an_ended_job_may_be_read_again(world, state):
    world.bring_to(state, callback_url="https://a.example/hook")
    assert world.store.read_again("job", "its result is gone")
    job = world.store.get("job")
    assert (job.state, job.stage, job.attempts, job.result_blob, job.lowest_confidence, job.error) == (
        "received",
        "intake",
        0,
        None,
        None,
        None,
    )
    assert world.kinds()[-1] == "revived"
    assert world.store.due_webhooks(9, 60.0) == []
    assert world.store.finished(0, 9) == []
    assert world.store.jobs(order="least_confident") == []
    assert [job.id for job in world.store.due(9, 0)] == ["job"]
    world.sleep(EXPIRED_S)
    token = world.begin()
    assert world.store.finish("job", token, "done", "results/job.2.json", 0.7, {})
    assert len(world.store.due_webhooks(9, 60.0)) == 1


def test_a_job_that_has_not_ended_or_is_unknown_is_not_read_again(world):
    world.bring_to("extracting")
    assert not world.store.read_again("job", "x")
    assert not world.store.read_again("unknown", "x")
    assert world.store.get("job").state == "extracting"
