"""A server that is killed while many workers change jobs: no job is lost, no index lies."""

import contextlib
import random
import threading
import time

import pytest
from store_world import LONG_S
from test_store_model import call
from worker_processes import wait_for

from benchmarks.store_indexes import index_problems
from router.errors import ConflictError, StoreError
from workers import broker as broker_module
from workers.broker import Server
from workers.jobs import JobSpec, Stage
from workers.service_settings import BrokerSettings, RetentionSettings
from workers.store_redis import RedisStore

WORKERS = 4
KILLS = 4
PREFIX = "docroute:"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(broker_module, "FIRST_WAIT_S", 0.05)
    monkeypatch.setattr(broker_module, "LONGEST_WAIT_S", 0.1)


class Worker(threading.Thread):
    """Makes jobs and brings each to its end, however often the server goes away meanwhile."""

    def __init__(self, url: str, number: int) -> None:
        super().__init__()
        self.store = RedisStore(Server(BrokerSettings(url=url, key_prefix=PREFIX)), RetentionSettings())
        self.number = number
        self.stopping = threading.Event()
        self.finished: list[str] = []
        self.asked_again: set[str] = set()
        """Jobs of which the making got no answer, and was asked for once more."""

    def run(self) -> None:
        while not self.stopping.is_set():
            job_id = f"{self.number}-{len(self.finished)}"
            self.until_answered(self.store.create, job_id, JobSpec(document_id="a" * 64))
            self.step(job_id, "intake", "fast")
            self.step(job_id, "fast", "deep")
            token = self.begin(job_id, "deep")
            assert self.until_answered(self.store.finish, job_id, token, "done", f"r{token}", 0.5, {})
            self.finished.append(job_id)

    def step(self, job_id: str, stage: Stage, following: Stage) -> None:
        token = self.begin(job_id, stage)
        assert self.until_answered(self.store.advance, job_id, token, following, False, {"from": stage})

    def begin(self, job_id: str, stage: Stage) -> int:
        begun = self.until_answered(self.store.begin, job_id, stage, f"w{self.number}", LONG_S, 9)
        if begun.outcome == "held":  # by this worker, whose answer was lost
            return begun.job.lease.token
        assert begun.outcome == "started", begun
        return begun.job.lease.token

    def until_answered(self, method, *args):
        while True:
            try:
                return method(*args)
            except StoreError:
                if method == self.store.create:
                    self.asked_again.add(args[0])
                time.sleep(0.05)


def test_nothing_is_lost_or_done_twice_when_the_server_is_killed(valkey_server):
    workers = [Worker(valkey_server.url, number) for number in range(WORKERS)]
    for worker in workers:
        worker.start()
    for _ in range(KILLS):
        time.sleep(0.4)
        valkey_server.restart()
    wait_for(lambda: sum(len(worker.finished) for worker in workers) >= WORKERS * KILLS, "many jobs have ended")
    for worker in workers:
        worker.stopping.set()
    for worker in workers:
        worker.join(60)
        assert not worker.is_alive()
    finished = [job_id for worker in workers for job_id in worker.finished]
    asked_again = set[str]().union(*(worker.asked_again for worker in workers))
    store = workers[0].store
    assert store.counts()["done"] == sum(store.counts().values()) == len(finished)
    for job in store.jobs(limit=len(finished)):
        kinds = [event.kind for event in store.events(job.id)]
        if job.id in asked_again and "resubmitted" in kinds:
            kinds.remove("resubmitted")
        assert kinds == ["created", "started", "advanced", "started", "advanced", "started", "finished"]
    with valkey_server.client() as client:
        assert index_problems(client, PREFIX) == []


@pytest.mark.parametrize("seed", range(3))
def test_indexes_say_what_the_jobs_say_after_anything(broker_settings, seed):
    rng = random.Random(1000 + seed)
    store = RedisStore(Server(broker_settings), RetentionSettings(finished_s=1e-3, dead_s=LONG_S))
    for step in range(400):
        method, args = call(rng, store, f"{step // 50}{rng.choice('abcd')}")
        with contextlib.suppress(ConflictError):  # ids repeat with other documents
            getattr(store, method)(*args)
        if step % 20 == 0:
            store.due(9, 0)
            store.expire_leases(9)
            store.due_webhooks(9, 0)
            time.sleep(0.005)
            store.purge(9)
            store.purge(100)
            with broker_module.connect(broker_settings) as client:
                assert index_problems(client, broker_settings.key_prefix) == []
    store.close()
