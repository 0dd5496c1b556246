"""Malformed messages among good jobs, with real workers of both pools: none ends a worker or circles, none is lost."""

import json
import random
from typing import Any

import pytest
from steps_world import SURE
from worker_processes import PATIENT, ServiceProcesses, Start, page, wait_for

from benchmarks.malformed_messages import FORMS, JUNK, encoded, good, mutated, raw, refused
from workers.broker import Server, connect
from workers.jobs import STAGES
from workers.quarantine import MOST_MESSAGES, Quarantine
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


def put_forms(s: ServiceProcesses, rng: random.Random) -> int:
    """Put some of the forms into every queue, and return how many."""
    count = 0
    for queue in STAGES:
        messages = [form(rng, queue) for name, form in FORMS.items() if rng.random() < 0.4 and name != "too long"]
        put(s, queue, *messages)
        count += len(messages)
    return count


def broadcast_garbage(s: ServiceProcesses, rng: random.Random) -> None:
    """Send what is no command and no event to everybody who listens."""
    prefix = s.settings.service.broker.key_prefix
    with connect(s.settings.service.broker) as client:
        for topic in (f"{prefix}/0.celery.pidbox", f"{prefix}/0.celeryev/task.sent"):
            for junk in JUNK:
                message = good("", []) | {"properties": rng.choice([{}, {"delivery_tag": junk}, {"a": 1}])}
                client.publish(topic, json.dumps(junk))
                client.publish(topic, json.dumps(message | {"body": encoded({"method": junk, "arguments": junk})}))
                client.publish(topic, json.dumps(message | {"body": encoded(junk)}))
            client.publish(topic, "[" * 50_000)


def note_garbage(s: ServiceProcesses) -> None:
    """Note that a worker took, long ago, the one message that waits, and what are no messages."""
    prefix = s.settings.service.broker.key_prefix
    with connect(s.settings.service.broker) as client:
        (message,) = client.lrange(f"{prefix}intake\x06\x163", 0, -1)
        client.delete(f"{prefix}intake\x06\x163")
        notes = {"a": "garbage", "b": "[1,2,3]", "held": json.dumps([json.loads(message), "", "intake"])}
        client.hset(f"{prefix}unacked", mapping=notes)
        client.zadd(f"{prefix}unacked_index", {"a": 3.0, "b": 2.0, "held": 1.0})


def all_done(s: ServiceProcesses) -> bool:
    return all(s.job(f"job{number}").state == "done" for number in range(JOBS))


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_nothing_malformed_ends_a_worker_or_circles_or_keeps_good_jobs_from_ending(service: Start, pool: str) -> None:
    s = service(SURE, DOCROUTE_SERVICE__BROKER__VISIBILITY_TIMEOUT_S="5", **PATIENT)
    rng = random.Random(7)
    s.submit(page(0), "job0")
    note_garbage(s)
    workers = s.start(*STAGES, options=("--pool", pool))
    count = 2
    for number in range(1, JOBS):
        count += put_forms(s, rng)
        s.submit(page(number), f"job{number}")
    wait_for(lambda: all_done(s) and nothing_waits(s), "every good job is done, and every message was taken")
    assert s.store.statistics()["put_aside"] == count
    assert len(put_aside(s)) == min(count, MOST_MESSAGES)
    for queue in STAGES:
        put(s, queue, *(mutated(rng, queue) for _ in range(150)))
    broadcast_garbage(s, rng)
    wait_for(lambda: nothing_waits(s), "every message was taken")
    wait_for(lambda: len(s.app.control.ping(timeout=2.0)) == len(workers), "they answer still")
    assert [worker.poll() for worker in workers] == [None] * 3


def test_a_refused_submission_is_a_failed_job_whose_sender_is_called(service: Start) -> None:
    s = service(SURE)
    callback = "https://hooks.example.com/hook"
    arguments = {"uri": "file:///a.png", "callback_url": callback, "metadata": {"ticket": "7"}}

    def submission(job_id: str, task: str = "docroute.submit", **headers: str) -> dict[str, Any]:
        return good(task, [], arguments | {"job_id": job_id}, **headers)

    def changed(job_id: str, **more: Any) -> dict[str, Any]:
        return good("docroute.submit", [], arguments | {"job_id": job_id} | more)

    wrong = {
        "no task 'docroute.sumbit'": submission("task", "docroute.sumbit"),
        "its eta is 'tomorrow'": submission("eta", eta="tomorrow"),
        "the submission expired": submission("expires", expires="2020-01-01T00:00:00"),
        "at metadata: it holds a lone surrogate": changed("text", metadata={"ticket": "\ud800"}),
        "at uri: it holds a lone surrogate": changed("uri", uri="\udfff.png"),
        "at schema: it holds a lone surrogate": changed("schema", schema="\ud800"),
        "at callback_url: it holds a lone surrogate": changed("call", callback_url="\ud800"),
        "at callback_url: String should have at most": changed("long", callback_url=callback + "a" * 2000),
        "an argument self": changed("names", self=1, task=2),
    }
    put(s, "intake", *map(raw, wrong.values()))
    rng, more = random.Random(31), 20
    put(s, "intake", *(refused(rng) for _ in range(more)))
    (worker,) = s.start("intake")
    s.wait_until_ended(len(wrong) + more)
    assert s.store.counts()["failed"] == len(wrong) + more
    ids = ["task", "eta", "expires", "text", "uri", "schema", "call", "long", "names"]
    for reason, job_id in zip(wrong, ids, strict=True):
        assert reason in (s.job(job_id).error or "")
        assert s.job(job_id).spec.callback_url == (None if job_id in {"call", "long"} else callback)
    assert put_aside(s) == []
    assert worker.poll() is None


def test_an_entry_in_a_queue_that_is_no_message_keeps_no_lost_message_from_being_found(service: Start) -> None:
    s = service(SURE)
    put(s, "intake", b"5", b"[" * 50_000)
    with connect(s.settings.service.broker) as client:
        client.hset(f"{s.settings.service.broker.key_prefix}unacked", "tag", "garbage")
        client.zadd(f"{s.settings.service.broker.key_prefix}unacked_index", {"tag": 9e9})
    queues = BrokerQueues(s.settings.service.broker)
    assert queues.next_jobs("intake") == []
    assert queues.held_jobs("intake", 60.0) == set()
