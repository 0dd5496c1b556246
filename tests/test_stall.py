"""A worker that takes nothing while messages wait: it is not ready, says so, and ends to be started again."""

import os
import threading

import pytest
from steps_world import PAGE, SURE
from test_metrics import Clock, get
from valkey_server import free_port
from worker_processes import PATIENT, ServiceProcesses, wait_for

from workers.health import Health
from workers.jobs import FINAL
from workers.presence import present_workers
from workers.service_settings import MonitoringSettings
from workers.stall import LATE_S, LOOK_EVERY_S, Stall
from workers.stall_watch import EXIT_STALLED, NOT_LIVE_S, StageQueue, StallWatch

SETTINGS = MonitoringSettings(stall_s=60, stall_exit_s=180)


class Worker:
    """What a watch sees of a worker."""

    def __init__(self):
        self.clock, self.health, self.ended = Clock(), Health(), []
        self.health = Health(self.clock)
        self.taken, self.room, self.waits, self.spoken = 0, True, True, 0
        stall = Stall(lambda: self.taken, lambda: self.room, lambda: self.waits, self.clock)
        self.watch = StallWatch(SETTINGS, self.health, stall, self.ended.append, self.note, self.clock)

    def note(self):
        self.spoken += 1

    def pass_time(self, seconds, every_s=LOOK_EVERY_S, each=lambda: None):
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.clock.now += every_s
            each()
            self.watch.look()


def test_a_worker_that_takes_nothing_while_messages_wait_is_not_ready_and_then_ends():
    worker = Worker()
    worker.pass_time(58)
    assert worker.health.not_ready() == []
    worker.pass_time(10)
    (said,) = worker.health.not_ready()
    assert said == "the queue: messages wait, there is room for them, and none was taken for 68 s"
    assert worker.health.not_live() == []
    assert not worker.ended
    worker.pass_time(114)
    assert worker.ended == ["messages wait, there is room for them, and none was taken for 182 s"]


def test_a_worker_that_took_one_message_is_ready_again():
    worker = Worker()
    worker.pass_time(100)
    worker.taken += 1
    worker.pass_time(2)
    assert worker.health.not_ready() == []
    assert worker.spoken == 2
    worker.pass_time(100)
    assert worker.health.not_ready() != []
    assert worker.spoken == 3


def has_no_room(worker):
    worker.room = False


def sees_no_message(worker):
    worker.waits = False


@pytest.mark.parametrize("excuse", [has_no_room, sees_no_message])
def test_a_worker_without_room_or_messages_is_left_alone(excuse):
    worker = Worker()
    excuse(worker)
    worker.pass_time(1000)
    assert worker.health.not_ready() == worker.ended == []


def test_a_worker_that_takes_now_and_then_is_left_alone():
    worker = Worker()

    def take_each_minute():
        worker.taken += worker.clock.now % 50 == 0

    worker.pass_time(1000, each=take_each_minute)
    assert worker.health.not_ready() == worker.ended == []


def test_time_between_late_looks_does_not_count():
    worker = Worker()
    worker.pass_time(1000, every_s=LATE_S + 1)
    assert worker.health.not_ready() == worker.ended == []


def test_a_worker_that_stops_takes_nothing_on_purpose():
    worker = Worker()
    worker.pass_time(100)
    worker.watch.stop()
    assert worker.health.not_ready() == []


def test_a_worker_that_is_not_live_ends_itself_where_nothing_else_does():
    worker = Worker()
    worker.waits = False
    worker.health.ask("the engine", lambda: "its thread ended")
    worker.pass_time(NOT_LIVE_S - 10)
    assert not worker.ended
    worker.pass_time(20)
    assert set(worker.ended) == {"the engine: its thread ended"}


def test_a_watch_whose_look_fails_looks_again(monkeypatch):
    worker, looks = Worker(), threading.Semaphore(0)

    def fail():
        looks.release()
        raise ValueError("nobody foresaw this")

    monkeypatch.setattr("workers.stall_watch.LOOK_EVERY_S", 0.01)
    worker.health.ask("the engine", fail)
    worker.watch.start()
    assert all(looks.acquire(timeout=60) for _ in range(2))
    worker.watch.stop()


def test_a_broker_that_gives_nothing_out_is_not_the_worker_s_fault(valkey_server, broker_settings):
    broker = broker_settings.model_copy(update={"url": valkey_server.url})
    queue = StageQueue(broker, "fast")
    client = valkey_server.client()
    assert not queue.waits()
    client.lpush(f"{broker.key_prefix}fast\x06\x163", "a message")
    assert queue.waits()
    client.replicaof("127.0.0.1", free_port())
    assert not queue.waits()
    client.replicaof("NO", "ONE")
    assert queue.waits()
    valkey_server.kill()
    assert not queue.waits()


def test_a_deaf_worker_says_so_ends_and_its_work_is_done_by_the_next_one(tmp_path, broker_settings):
    port = free_port()
    quick = {
        "DOCROUTE_SERVICE__MONITORING__PORT": str(port),
        "DOCROUTE_SERVICE__MONITORING__STALL_S": "4",
        "DOCROUTE_SERVICE__MONITORING__STALL_EXIT_S": "12",
    }
    service = ServiceProcesses(
        tmp_path, broker_settings, [SURE | {"document": "slow.png", "delay_s": 14}, SURE], **PATIENT
    )
    try:
        service.start("intake")
        (worker,) = service.start("fast", options=("--concurrency", "1"), **quick)
        wait_for(lambda: get(port, "/ready")[0] == 200, "the worker is ready")
        for job_id in ("slow", "next"):  # with its only slot in a long step it takes nothing, and is well
            service.submit(PAGE, job_id)
        service.wait_until_ended(2)
        assert worker.poll() is None

        name = f"fast-{worker.pid}@{os.uname().nodename}"
        assert service.app.control.cancel_consumer("fast", destination=[name], reply=True, timeout=90, limit=1)
        service.submit(PAGE, "deaf")
        told = set()
        wait_for(lambda: told.update(who_says_it(port, service)) or len(told) == 2, "it is told in both places")
        assert worker.wait(60) == EXIT_STALLED
        service.start("fast")
        wait_for(lambda: service.job("deaf").state in FINAL, "the next worker does it")
        service.assert_sound(3)
    finally:
        service.stop()


def who_says_it(port, service):
    """Return where it is told now that the worker takes nothing."""
    records = present_workers(service.settings.service.broker)
    told = {"/ready": get(port, "/ready")[1], "record": " ".join(record.problem for record in records)}
    return {place for place, text in told.items() if "none was taken" in text}
