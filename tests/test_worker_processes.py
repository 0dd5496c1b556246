"""Worker processes with a real server and the fake backend: jobs end, once, whatever happens to workers."""

import os
import signal
import threading
import time

import pytest
from steps_world import NO_NUMBER, SURE
from valkey_server import ValkeyServer
from worker_processes import (
    DEADLINE_S,
    PATIENT,
    STOP_S,
    ServiceProcesses,
    Start,
    children_of,
    needs_children,
    page,
    run_first,
    wait_for,
)

from workers.jobs import Stage
from workers.presence import present_workers
from workers.queue_depth import BrokerQueues
from workers.service_settings import BrokerSettings

pytestmark = pytest.mark.redis
STARTS_SLOWLY = f"""
import time
import workers.app

def make_slowly(*arguments, make=workers.app.make_app):
    time.sleep({DEADLINE_S})
    return make(*arguments)

workers.app.make_app = make_slowly
"""
BEATS_SELDOM = "import workers.presence; workers.presence.BEAT_S = 3600.0"


def assert_ended_once(service: ServiceProcesses, job_id: str) -> None:
    kinds = service.kinds(job_id)
    assert kinds.count("finished") == 1, kinds
    wait_for(
        lambda: results(service, job_id) == [service.job(job_id).result_blob], "what a killed worker wrote is gone"
    )


def results(service: ServiceProcesses, job_id: str) -> list[str]:
    return [f"results/{path.name}" for path in (service.folder / "blobs" / "results").glob(f"{job_id}.*")]


def test_documents_go_through_three_stages_and_messages_that_come_twice_change_nothing(service: Start) -> None:
    s = service(SURE, NO_NUMBER)
    s.start("intake", "fast", "deep")
    for number in range(5):
        s.submit(page(number), f"job{number}", uri="note.png")
        for stage in ("intake", "intake", "fast", "deep"):
            s.send(f"job{number}", stage)
    s.wait_until_ended(5)
    for number in range(5):
        assert s.job(f"job{number}").state == "done"
        assert_ended_once(s, f"job{number}")
        assert s.kinds(f"job{number}").count("advanced") == 2
    workers = {event.worker.partition("-")[0] for event in s.store.events("job0") if event.worker}
    assert workers == {"intake", "fast", "deep"}


def test_any_celery_client_may_submit_and_a_bad_submission_is_a_failed_job(service: Start) -> None:
    s = service(SURE)
    path = s.folder / "documents" / "note.png"
    path.write_bytes(page(1))
    arguments = [
        {"uri": str(path), "schema": "note", "job_id": "good", "metadata": {"ticket": "7"}},
        {"uri": str(path), "schema": "note"},
        {"uri": str(path), "schema": "note"},
        {"uri": "/etc/passwd", "schema": "note", "job_id": "outside"},
        {"uri": str(path), "schema": "unheard_of", "job_id": "schema"},
        {"blob": "0" * 64, "schema": "note", "job_id": "blob"},
        {"uri": str(path), "schema": "note", "job_id": "option", "colour": "red"},
        {"schema": "note", "job_id": "nothing"},
    ]
    for kwargs in arguments:
        s.app.send_task("docroute.submit", kwargs=kwargs, queue="intake")
    s.start("intake", "fast")
    s.wait_until_ended(7)
    assert s.store.counts()["done"] == 2
    assert s.store.counts()["failed"] == 5
    assert s.blobs.get_json(s.job("good").result_blob or "")["metadata"] == {"ticket": "7"}
    errors = {name: s.job(name).error or "" for name in ("outside", "schema", "blob", "option", "nothing")}
    assert "file_roots" in errors["outside"]
    assert "unheard_of" in errors["schema"]
    assert "no original" in errors["blob"]
    assert "colour" in errors["option"]
    assert "uri" in errors["nothing"]
    assert s.store.dead() == []


def test_high_priority_goes_first(service: Start) -> None:
    s = service(SURE)
    for number in range(6):
        s.submit(page(number), f"normal{number}", tier="fast")
    s.submit(page(7), "urgent", tier="fast", priority="high")
    s.start("intake")
    wait_for(lambda: s.store.waiting_count("fast") == 7, "all are routed")
    first = [s.store.events(f"normal{number}")[1].at for number in range(6)]
    assert s.store.events("urgent")[1].at < min(first)
    s.start("fast", options=("--concurrency", "1"))
    s.wait_until_ended(7)
    began = [s.store.events(f"normal{number}")[-2].at for number in range(6)]
    assert s.store.events("urgent")[-2].at < min(began)


@pytest.mark.parametrize("stage", ["fast", "deep"])
def test_a_job_whose_worker_is_killed_is_done_by_another_once(service: Start, stage: Stage) -> None:
    s = service(SURE, NO_NUMBER, {"document": "slow.png", "tier": stage, "delay_s": 3600.0})
    workers = dict(zip(("intake", "fast", "deep"), s.start("intake", "fast", "deep"), strict=True))
    s.submit(page(0), "slow")
    wait_for(lambda: s.job("slow").stage == stage and s.job("slow").lease, "it is worked on")
    s.kill(workers[stage])
    s.write_script(SURE, NO_NUMBER)
    s.start(stage)
    s.wait_until_ended(1)
    assert s.job("slow").state == "done"
    assert "expired" in s.kinds("slow")
    assert_ended_once(s, "slow")


def test_killing_intake_under_load_loses_nothing(service: Start) -> None:
    s = service(SURE)
    (intake, _) = s.start("intake", "fast")
    for number in range(40):
        s.submit(page(number), f"job{number}")
    wait_for(lambda: s.ended() >= 5, "some are done")
    s.kill(intake)
    s.start("intake")
    s.wait_until_ended(40)
    assert s.store.counts()["done"] == 40
    for number in range(40):
        assert_ended_once(s, f"job{number}")


def test_a_document_that_kills_its_workers_is_a_dead_letter_and_the_good_ones_go_on(service: Start) -> None:
    s = service(SURE, {"document": "poison.png", "error": "crash"}, DOCROUTE_SERVICE__STEPS__LEASE_S="1.0")
    s.start("intake", **PATIENT)
    stopped, killed = threading.Event(), []

    def supervise() -> None:
        while not stopped.is_set():
            (worker,) = s.start("fast")
            while worker.poll() is None and not stopped.wait(0.05):
                pass
            killed.append(worker.returncode)

    supervisor = threading.Thread(target=supervise)
    supervisor.start()
    try:
        s.submit(page(99), "poison")
        for number in range(20):
            s.submit(page(number), f"job{number}")
        s.wait_until_ended(21)
    finally:
        stopped.set()
        supervisor.join()
    assert s.store.counts()["done"] == 20
    assert s.job("poison").state == "failed"
    assert [letter.job_id for letter in s.store.dead()] == ["poison"]
    assert killed.count(70) == 3
    assert s.kinds("poison").count("expired") == 3


def test_a_child_of_a_pool_that_dies_takes_no_other_job_along(service: Start) -> None:
    s = service(SURE, {"document": "poison.png", "error": "crash"}, DOCROUTE_SERVICE__STEPS__LEASE_S="1.0")
    s.start("intake")
    (fast,) = s.start("fast", options=("--pool", "prefork", "--concurrency", "2"))
    s.submit(page(99), "poison")
    for number in range(10):
        s.submit(page(number), f"job{number}")
    s.wait_until_ended(11)
    assert s.store.counts()["done"] == 10
    assert [letter.job_id for letter in s.store.dead()] == ["poison"]
    assert fast.poll() is None


def test_a_step_that_hangs_is_ended_by_its_time_limit(service: Start) -> None:
    s = service(
        SURE,
        {"document": "hangs.png", "tier": "fast", "delay_s": 3600.0},
        DOCROUTE_DOCUMENT_TIMEOUT_S="2.0",
        DOCROUTE_SERVICE__STEPS__MAX_ATTEMPTS="1",
    )
    s.start("intake", DOCROUTE_DOCUMENT_TIMEOUT_S="60", DOCROUTE_SERVICE__STEPS__MAX_ATTEMPTS="9", **PATIENT)
    (fast,) = s.start("fast")
    s.submit(page(0), "hangs")
    wait_for(lambda: fast.poll() is not None, "the worker ended itself")
    assert fast.returncode == 70
    s.start("fast")
    s.wait_until_ended(1)
    assert [letter.job_id for letter in s.store.dead()] == ["hangs"]


def test_a_worker_that_is_told_to_stop_under_load_ends_what_it_has_begun(service: Start) -> None:
    s = service(SURE, {"tier": "fast", "delay_s": 1.0}, **PATIENT)
    workers = s.start("intake", "fast")
    for number in range(60):
        s.submit(page(number), f"job{number}")
    wait_for(lambda: s.ended() >= 5, "some are done")
    assert s.terminate(*workers) == [0, 0]
    assert s.ended() < 60
    assert s.store.counts()["extracting"] == 0
    s.start("intake", "fast")
    s.wait_until_ended(60)
    assert s.store.counts()["done"] == 60
    assert s.store.statistics()["expired"] == 0
    assert s.store.statistics()["late"] == 0
    assert all(s.kinds(f"job{number}").count("started") == 2 for number in range(60))


@pytest.mark.parametrize("stage", ["intake", "fast"])
def test_a_worker_that_is_told_to_stop_while_it_starts_ends_well(service: Start, stage: Stage) -> None:
    s = service(SURE)
    broker = s.settings.service.broker
    (worker,) = s.start(stage, PYTHONPATH=run_first(s.folder / "site", STARTS_SLOWLY))
    wait_for(lambda: present_workers(broker), "the worker has begun to start")
    assert "is not there yet" in present_workers(broker)[0].problem
    assert s.terminate(worker) == [0]
    assert not present_workers(broker)


def test_a_worker_says_that_it_is_ready_as_soon_as_it_is(service: Start) -> None:
    s = service(SURE)
    broker = s.settings.service.broker
    s.start("intake", "fast", PYTHONPATH=run_first(s.folder / "site", BEATS_SELDOM))
    wait_for(lambda: len(present_workers(broker)) == 2, "both have begun to start")
    wait_for(lambda: not any(worker.problem for worker in present_workers(broker)), "both are ready")


@needs_children
def test_a_worker_waits_for_no_result_of_a_task_that_it_has_given_back(service: Start) -> None:
    s = service(SURE, **PATIENT)
    (intake,) = s.start("intake")
    s.submit(page(0), "first")
    queues = BrokerQueues(s.settings.service.broker)
    wait_for(lambda: s.job("first").stage == "fast" and not queues.unacked().count, "the first is routed")
    (child,) = children_of(intake)
    os.kill(child, signal.SIGSTOP)  # it can confirm nothing
    s.submit(page(1), "second")
    wait_for(lambda: queues.held_jobs("intake", DEADLINE_S) == {"second"}, "the worker has the second")
    time.sleep(2.0)  # to hand it to its process
    intake.send_signal(signal.SIGTERM)
    wait_for(lambda: "Warm shutdown" in s.log.read_text(), "the worker was told")
    time.sleep(2.0)  # to give it back
    os.kill(child, signal.SIGCONT)
    assert intake.wait(STOP_S) == 0
    assert s.kinds("second") == ["created", "started", "advanced"]
    assert queues.next_jobs("intake") == ["second"]
    queues.close()
    s.start("intake", "fast")
    s.wait_until_ended(2)
    assert_ended_once(s, "second")


def test_jobs_outlast_a_crash_of_the_server(service: Start, valkey_server: ValkeyServer) -> None:
    s = service(SURE, NO_NUMBER, {"delay_s": 0.1}, broker=BrokerSettings(url=valkey_server.url))
    s.start("intake", "fast", "deep")
    for number in range(30):
        s.submit(page(number), f"job{number}")
    wait_for(lambda: s.ended() >= 3, "some are done")
    valkey_server.restart()
    s.wait_until_ended(30)
    assert s.store.counts()["done"] == 30
    for number in range(30):
        assert_ended_once(s, f"job{number}")
