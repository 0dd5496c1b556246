"""Two stores, the same calls in any order: what can be seen of one can be seen of the other."""

import random

import pytest
from store_world import LONG_S

from router.errors import CallbackError, ConflictError
from workers import memory_records, store_redis
from workers.broker import Server
from workers.jobs import STAGES, STATES, Job, JobSpec
from workers.request import request_of
from workers.service_settings import RetentionSettings
from workers.store_memory import MemoryStore
from workers.store_redis import RedisStore

KEPT = RetentionSettings()
NOT_KEPT = RetentionSettings(finished_s=1e-6, dead_s=1e-6)
CALLBACKS = [None, "https://example.org", "https://example.org/2", "https://example.org/3"]
DID = ["", "answered", "failed", "failed", "failed"]
LIFE = 40
"""Calls after which others than the first jobs are played with."""


def call(rng: random.Random, store: MemoryStore, name: str) -> tuple[str, tuple[object, ...]]:
    """One call that a worker, a twin of it, a sweeper or an operator may make; times are nothing or very long."""
    job = store.get(name)
    known = rng.random() < 0.8
    spent = job.spent_tokens if job else ()
    token = job.lease.token if job and job.lease and known else rng.choice((*spent, 1))
    guarded = (name, token)
    stage = job.stage if job and known else rng.choice(STAGES)
    following = rng.choice(STAGES)
    spec = JobSpec(document_id=rng.choice("0001") * 64, callback_url=rng.choice(CALLBACKS))
    webhook = name + rng.choice(["", "", ".2", ".3"])
    final = rng.choice(["done", "done_with_gaps", "needs_review"])
    confidence = rng.choice([None, 0.0, 0.25, 1.0])
    calls = [
        ("create", (name, spec)),
        ("join", (name, spec, request_of(spec))),
        ("begin", (name, stage, "w", rng.choice([0.0, LONG_S]), 2, rng.random() < 0.5)),
        ("begin", (name, stage, "w", LONG_S, 2)),
        ("renew", (*guarded, LONG_S)),
        ("advance", (*guarded, following, rng.random() < 0.5, {rng.choice("xy"): rng.randint(0, 9)})),
        ("finish", (*guarded, final, "r", confidence, {})),
        ("retry", (*guarded, rng.choice([0.0, LONG_S]), "error")),
        ("fail", (*guarded, "error", "", rng.random() < 0.7)),
        ("cancel", (name,)),
        ("published", (name, stage)),
        ("requeue", (name, stage)),
        ("revive", (name,)),
        ("drop_dead", (name,)),
        ("webhook_sent", (webhook,)),
        ("webhook_retry", (webhook, rng.choice([0.0, LONG_S]), "503", rng.choice(DID))),
        ("webhook_dead", (webhook, "404", rng.choice(DID))),
        ("revive_webhook", (webhook,)),
        ("drop_webhook", (webhook,)),
        ("refuse", (name, spec, rng.choice("xy"), "wrong")),
    ]
    likely = calls[:6] if rng.random() < 0.5 else calls
    return rng.choice(likely)


def plain(job):
    """A job without its times, which differ."""
    if job is None:
        return None
    lease = job.lease and (job.lease.token, job.lease.worker)
    values = job.model_dump(exclude={"created_at", "updated_at", "finished_at", "lease"})
    return values | {"lease": lease, "spent_tokens": job.spent_tokens}


def answer_of(store, method, args):
    try:
        return plain_answer(getattr(store, method)(*args))
    except (ConflictError, CallbackError) as exc:
        return str(exc)


def plain_answer(answer):
    if isinstance(answer, Job):
        return plain(answer)
    if hasattr(answer, "outcome"):
        return answer.outcome
    return (plain(answer[0]), answer[1]) if isinstance(answer, tuple) else answer


def view(store, names):
    """All that can be seen without changing anything."""
    jobs = store.jobs(order="oldest")
    return {
        "jobs": [plain(job) for job in jobs],
        "newest": [job.id for job in store.jobs()],
        "states": {state: {job.id for job in store.jobs(state=state)} for state in STATES},
        "stages": {stage: {job.id for job in store.jobs(stage=stage)} for stage in STAGES},
        "waiting": {stage: {job.id for job in store.waiting(stage, 9)} for stage in STAGES},
        "waiting counts": [store.waiting_count(stage) for stage in STAGES],
        "counts": store.counts(),
        "unsure": [job.id for job in store.jobs(order="least_confident")],
        "finished": [job.id for job in store.finished(0, 99)],
        "events": {
            name: [(e.kind, e.stage, e.attempt, e.worker, e.detail) for e in store.events(name)] for name in names
        },
        "dead": {(letter.job_id, letter.stage, letter.error, letter.attempts) for letter in store.dead()},
        "dead webhooks": {(hook.id, hook.url, hook.attempts, hook.error) for hook in store.dead_webhooks()},
        "dead counts": (store.dead_count(), store.dead_webhook_count()),
        "statistics": store.statistics(),
    }


def swept(store, what):
    """What a sweeper gets; as sets, because what became due in the same moment has no order."""
    if what == "due":
        return {job.id for job in store.due(9, 0)}
    if what == "expired":
        return {job.id for job in store.expire_leases(9)}
    if what == "webhooks":
        return {(hook.id, hook.url, hook.attempts, hook.error) for hook in store.due_webhooks(9, LONG_S)}
    return store.purge(9)


@pytest.mark.parametrize("retention", [KEPT, NOT_KEPT], ids=["kept", "not kept"])
@pytest.mark.parametrize("seed", range(4))
def test_two_stores_agree_whatever_is_done_with_them(broker_settings, retention, seed, monkeypatch):
    rng, chances = random.Random(seed), [0]
    monkeypatch.setattr(memory_records, "chance", lambda: chances[0] % memory_records.CHANCES)
    monkeypatch.setattr(store_redis, "_nonce", lambda: f"{chances[0]:08x}")
    memory, redis = MemoryStore(retention), RedisStore(Server(broker_settings), retention)
    names: set[str] = set()
    for step in range(200):
        name = f"{step // LIFE}{rng.choice('abc')}"
        names.add(name)
        chances[0] = rng.getrandbits(32)
        method, args = call(rng, memory, name)
        answers = [answer_of(store, method, args) for store in (memory, redis)]
        assert answers[0] == answers[1], (step, method, args)
        if rng.random() < 0.1 or retention is NOT_KEPT:
            what = rng.choice(["due", "expired", "webhooks", "purged"]) if retention is KEPT else "purged"
            assert swept(memory, what) == swept(redis, what), (step, what)
        if step % 4 == 0 or step % LIFE == LIFE - 1:
            assert view(memory, names) == view(redis, names), (step, method, args)
    redis.close()
