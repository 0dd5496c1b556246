"""Workers and the server killed at any moment: every job ends, once, and its log tells what happened."""

import random
import time

import pytest
from steps_world import NO_NUMBER, SURE
from valkey_server import ValkeyServer
from worker_processes import DEADLINE_S, PATIENT, Start, page, run_first, wait_for

from benchmarks.service_invariants import blobs_by_job
from workers.jobs import STAGES, Stage
from workers.presence import present_workers
from workers.service_settings import BrokerSettings

pytestmark = pytest.mark.redis
DOCUMENTS, KILLS = 60, 9
THROUGH_ALL = (SURE, NO_NUMBER, {"delay_s": 0.5})
"""A script by which every document goes through the three stages, slowly enough to be killed at each."""


DIES_AFTER_WRITING = """
import os
from workers.blobs import Blobs

def put_and_die(blobs, kind, name, value, durable=True, put=Blobs.put_json):
    put(blobs, kind, name, value, durable)
    if kind == "{moment}":
        os.kill(os.getpid(), 9)

Blobs.put_json = put_and_die
"""


def test_workers_of_every_kind_killed_at_random_moments_lose_and_double_nothing(service: Start) -> None:
    s, rng = service(*THROUGH_ALL, DOCROUTE_SERVICE__STEPS__MAX_ATTEMPTS=str(KILLS)), random.Random(7)
    workers = dict(zip(STAGES, s.start(*STAGES), strict=True))
    for number in range(DOCUMENTS):
        s.submit(page(number), f"job{number}")
    wait_for(lambda: s.store.counts()["extracting"] >= 4, "documents are being read")
    for kill in range(KILLS):
        stage = ("fast", "deep", "intake")[kill % len(STAGES)]  # the first one takes documents along for certain
        s.kill(workers[stage])
        (workers[stage],) = s.start(stage)
        time.sleep(rng.uniform(0.0, 0.8))
    s.wait_until_ended(DOCUMENTS)
    assert s.store.counts()["done"] == DOCUMENTS
    assert s.store.statistics()["expired"] > 0
    s.assert_sound(DOCUMENTS, max_attempts=KILLS)


def test_the_server_killed_while_workers_are_killed_too(service: Start, valkey_server: ValkeyServer) -> None:
    attempts = {"DOCROUTE_SERVICE__STEPS__MAX_ATTEMPTS": str(KILLS)}
    s = service(*THROUGH_ALL, broker=BrokerSettings(url=valkey_server.url), **attempts)
    _, fast, _ = s.start(*STAGES)
    for number in range(DOCUMENTS):
        s.submit(page(number), f"job{number}")
    wait_for(lambda: s.ended() >= 2, "some are done")
    for _ in range(2):
        valkey_server.kill()
        s.kill(fast)
        valkey_server.start()
        (fast,) = s.start("fast")
        time.sleep(1.0)
    s.wait_until_ended(DOCUMENTS)
    assert s.store.counts()["done"] == DOCUMENTS
    s.assert_sound(DOCUMENTS, max_attempts=KILLS)


@pytest.mark.parametrize("moment", ["results", "extractions"])
def test_what_a_worker_wrote_before_it_was_killed_is_cleared_away(service: Start, moment: str) -> None:
    s = service(SURE, NO_NUMBER)
    killer = run_first(s.folder / "killer", DIES_AFTER_WRITING.format(moment=moment))
    stage: Stage = "deep" if moment == "results" else "fast"
    s.start(*(other for other in STAGES if other != stage))
    (killed,) = s.start(stage, PYTHONPATH=killer)
    s.submit(page(0), "job")
    assert killed.wait(DEADLINE_S) == -9
    assert len(blobs_by_job(s.folder / "blobs", moment)["job"]) == 1
    s.start(stage)
    s.wait_until_ended(1)
    assert "expired" in s.kinds("job")
    s.assert_sound(1)


def test_documents_that_kill_their_workers_take_none_of_those_beside_them_along(service: Start) -> None:
    s = service(
        SURE,
        {"document": "poison.png", "error": "crash"},
        {"tier": "fast", "delay_s": 0.3},
        DOCROUTE_SERVICE__STEPS__LEASE_S="1.0",
    )
    s.start("intake")
    for number in range(20):
        s.submit(page(number), f"job{number}", uri="poison.png" if number in {3, 5} else "good.png")
    wait_for(lambda: s.store.waiting_count("fast") == 20, "all are routed")
    codes = []
    while s.ended() < 20:
        (fast,) = s.start("fast")
        while fast.poll() is None and s.ended() < 20:
            time.sleep(0.05)
        codes.append(fast.poll())
    assert codes.count(70) >= 3
    assert s.store.counts()["done"] == 18
    assert {letter.job_id for letter in s.store.dead()} == {"job3", "job5"}
    s.assert_sound(20)


def test_workers_told_to_stop_again_and_again_under_load_end_what_they_began(service: Start) -> None:
    s = service(*THROUGH_ALL, **PATIENT)
    for number in range(DOCUMENTS):
        s.submit(page(number), f"job{number}")
    workers = s.start(*STAGES)
    for _ in range(2):
        done = s.ended()
        wait_for(lambda done=done: s.ended() >= min(done + 5, DOCUMENTS), "some are done")  # type: ignore[misc]
        wait_for(lambda: len(present_workers(s.settings.service.broker)) == len(STAGES), "all have begun to start")
        assert s.terminate(*workers) == [0, 0, 0]
        assert s.store.counts()["extracting"] == 0
        workers = s.start(*STAGES)
    s.wait_until_ended(DOCUMENTS)
    assert s.store.statistics()["expired"] == s.store.statistics()["retried"] == 0
    assert s.store.counts()["done"] == DOCUMENTS
    s.assert_sound(DOCUMENTS)
