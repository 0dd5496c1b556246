"""Malformed messages among good jobs, with real workers of both pools: none ends a worker or circles, none is lost."""

import random

import pytest
from steps_world import SURE
from worker_processes import ServiceProcesses, Start, page, wait_for

from benchmarks.malformed_messages import FORMS
from workers.broker import Server, connect
from workers.jobs import STAGES
from workers.quarantine import Quarantine
from workers.queue_depth import BrokerQueues

pytestmark = pytest.mark.redis
JOBS = 12


def put(s: ServiceProcesses, queue: str, *messages: bytes) -> None:
    """Put raw messages into a queue, those of the last jobs in front of them."""
    broker = s.settings.service.broker
    with connect(broker) as client:
        for message in messages:
            client.lpush(f"{broker.key_prefix}{queue}", message)


def nothing_waits(s: ServiceProcesses) -> bool:
    queues = BrokerQueues(s.settings.service.broker)
    return not queues.unacked().count and not any(sum(depth.values()) for depth in queues.depths().values())


def put_aside(s: ServiceProcesses) -> list[str]:
    """The reasons of what was put aside, newest first."""
    quarantine = Quarantine(Server(s.settings.service.broker))
    return [message.reason for message in quarantine.messages(1000)]


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_no_malformed_message_ends_a_worker_or_keeps_good_jobs_from_ending(service: Start, pool: str) -> None:
    s = service(SURE)
    workers = s.start(*STAGES, options=("--pool", pool))
    rng, count = random.Random(7), 0
    for number in range(JOBS):
        for queue in STAGES:
            messages = [form(rng, queue) for name, form in FORMS.items() if rng.random() < 0.3 and name != "too long"]
            put(s, queue, *messages)
            count += len(messages)
        s.submit(page(number), f"job{number}")
    s.wait_until_ended(JOBS)
    wait_for(lambda: nothing_waits(s), "every message was taken")
    assert [worker.poll() for worker in workers] == [None] * 3
    assert s.store.counts()["done"] == JOBS
    assert len(put_aside(s)) == min(count, 1000)
    assert s.store.statistics()["put_aside"] == count
