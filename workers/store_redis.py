"""The store in Redis or Valkey. Every transition is one script; all times are the server's. Knows no queue or document.

Waiting jobs never expire. A final job's keys expire by themselves when its retention ends, and `purge` takes it out of
the indexes; until then a listing passes it over.
"""
# ruff: noqa: D102 - the contract describes the methods.

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from router.errors import StoreError
from workers.broker import Server
from workers.jobs import STATES, Begun, Event, Job, JobSpec, Stage, State, waiting_state
from workers.redis_recovery import RedisRecovery
from workers.redis_webhooks import RedisWebhooks, callback_arg
from workers.request import Request, metadata_json, request_of, sender_of
from workers.service_settings import RetentionSettings, ServiceSettings
from workers.store import (
    RISKS_KEPT,
    STATISTICS,
    DeadLetter,
    Order,
    Store,
    check_finish,
    conflict,
    index_of,
    too_many_callbacks,
)
from workers.store_codec import data_args, events_of, fields_of, job_of, jobs_of, last_lines, one_line, spec_json

_BATCH = 500
"""Jobs a script handles at a time: the server does nothing else meanwhile."""


def make_store(settings: ServiceSettings) -> Store:
    """Return the store of a service; it connects with its first call."""
    return RedisStore(Server(settings.broker), settings.retention)


def _nonce() -> str:
    return uuid.uuid4().hex[:8]


class RedisStore(RedisRecovery, RedisWebhooks):
    """See `workers.store.Store`. Safe for threads and after a fork. Raises `StoreError`."""

    def __init__(self, server: Server, retention: RetentionSettings) -> None:
        super().__init__(server)
        self._finished_s = retention.finished_s
        self._dead_s = retention.dead_s

    def now(self) -> float:
        seconds, microseconds = self._server.do(lambda client: client.time())
        return float(seconds) + float(microseconds) / 1e6

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    # -- the life of a job
    def create(self, job_id: str, spec: JobSpec, request: Request | None = None) -> tuple[Job, bool]:
        outcome, job = self._asked(job_id, spec_json(spec), spec, request or request_of(spec))
        if job is None:
            raise StoreError(f"job {job_id} vanished while it was created; submit it again")
        return job, outcome == "new"

    def join(self, job_id: str, spec: JobSpec, request: Request) -> Job | None:
        return self._asked(job_id, "", spec, request)[1]

    def _asked(self, job_id: str, made_of: str, spec: JobSpec, request: Request) -> tuple[str, Job | None]:
        sender = callback_arg(spec.callback_url), request.digest, request.source, sender_of(spec), metadata_json(spec)
        outcome, fields = self._run("create", job_id, _nonce(), made_of, *sender, spec.document_id)
        job = job_of(job_id, fields_of(fields))
        if outcome == "conflict":
            raise conflict(job_id, spec, job)
        if outcome == "full":
            raise too_many_callbacks(job_id)
        return outcome, job

    def refuse(self, job_id: str, spec: JobSpec, request: str, error: str) -> bool:
        sender = callback_arg(spec.callback_url), request, sender_of(spec), metadata_json(spec)
        asked = _nonce(), spec_json(spec), *sender, one_line(error), self._finished_s
        return bool(self._run("refuse", job_id, *asked))

    def confirm(self, job_id: str, result_blob: str = "", within_s: float | None = None) -> None:
        self._server.confirm(job_id, result_blob, within_s)

    def get(self, job_id: str) -> Job | None:
        return self.get_many([job_id]).get(job_id)

    def get_many(self, job_ids: Sequence[str]) -> dict[str, Job]:
        def read(client: Any) -> list[dict[str, str]]:
            pipe = client.pipeline(transaction=False)
            for job_id in job_ids:
                pipe.hgetall(self._key(f"j:{job_id}"))
            return list(pipe.execute())

        hashes = self._server.do(read) if job_ids else []
        found = ((job_id, job_of(job_id, fields)) for job_id, fields in zip(job_ids, hashes, strict=True))
        return {job_id: job for job_id, job in found if job is not None}

    def begin(
        self, job_id: str, stage: Stage, worker: str, lease_s: float, max_attempts: int, alone: bool = True
    ) -> Begun:
        limits = lease_s, max_attempts, self._dead_s, int(alone)
        answer = self._run("begin", job_id, _nonce(), stage, one_line(worker), *limits)
        return Begun(outcome=answer[0], job=job_of(job_id, fields_of(answer[1])))

    def renew(self, job_id: str, token: int, lease_s: float) -> bool:
        return self._step("renew", job_id, token, lease_s)

    def advance(
        self, job_id: str, token: int, stage: Stage, after_fast: bool, data: Mapping[str, JsonValue], detail: str = ""
    ) -> bool:
        state = waiting_state(stage, after_fast)
        return self._step("advance", job_id, token, stage, state, one_line(detail), *data_args(data))

    def finish(
        self,
        job_id: str,
        token: int,
        state: State,
        result_blob: str,
        lowest_confidence: float | None,
        data: Mapping[str, JsonValue],
        detail: str = "",
    ) -> bool:
        check_finish(state, lowest_confidence)
        confidence = "" if lowest_confidence is None else repr(float(lowest_confidence))
        args: list[str | float] = [state, result_blob, confidence, self._finished_s, one_line(detail)]
        return self._step("finish", job_id, token, *args, *data_args(data))

    def retry(self, job_id: str, token: int, delay_s: float, error: str) -> bool:
        return self._step("retry", job_id, token, delay_s, one_line(error))

    def fail(self, job_id: str, token: int, error: str, traceback: str = "", dead: bool = True) -> bool:
        keep_s = self._dead_s if dead else self._finished_s
        return self._step("fail", job_id, token, one_line(error), last_lines(traceback), int(dead), keep_s)

    def _step(self, script: str, job_id: str, token: int, *args: str | float) -> bool:
        # A lease ends once, so that the same call with its token can only be the same call again.
        call = hashlib.blake2s(repr((script, token, args)).encode(), digest_size=4).hexdigest()
        return bool(self._run(script, job_id, token, call, *args))

    def cancel(self, job_id: str) -> State | None:
        state: State | None = self._run("cancel", job_id, self._finished_s)
        return state

    # -- messages
    def published(self, job_id: str, stage: Stage) -> None:
        self._run("published", job_id, stage)

    def published_many(self, jobs: Sequence[tuple[str, Stage]]) -> None:
        for first in range(0, len(jobs), _BATCH):
            self._run("published", *(part for job in jobs[first : first + _BATCH] for part in job))

    def due(self, limit: int, grace_s: float) -> list[Job]:
        return jobs_of(self._run("due", min(limit, _BATCH), grace_s))

    def expire_leases(self, limit: int) -> list[Job]:
        return jobs_of(self._run("expire", min(limit, _BATCH)))

    def requeue(self, job_id: str, stage: Stage, detail: str = "") -> bool:
        return bool(self._run("requeue", job_id, stage, one_line(detail)))

    # -- looking
    def events(self, job_id: str) -> list[Event]:
        return events_of(self._server.do(lambda client: client.lrange(self._key(f"e:{job_id}"), 0, -1)))

    def jobs(
        self,
        state: State | None = None,
        stage: Stage | None = None,
        order: Order = "newest",
        limit: int = 50,
        offset: int = 0,
    ) -> list[Job]:
        return self._listed(index_of(state, stage, order), order == "newest", limit, offset)

    def _listed(self, index: str, descending: bool, limit: int, offset: int) -> list[Job]:
        found: dict[str, Job] = {}
        for first in range(offset, offset + limit, _BATCH):
            size = min(_BATCH, offset + limit - first)
            answer = self._run("list", index, int(descending), first, size)
            # A job that moved while the listing went on is shown once.
            found.update((job.id, job) for job in jobs_of(answer))
            if not answer:
                break
        return list(found.values())

    def finished(self, since: float, limit: int) -> list[Job]:
        return jobs_of(self._run("finished", f"{since:.6f}", min(limit, _BATCH)))

    def counts(self) -> dict[State, int]:
        def read(client: Any) -> list[int]:
            pipe = client.pipeline(transaction=True)
            for state in STATES:
                pipe.zcard(self._key(f"s:{state}"))
            return list(pipe.execute())

        return dict(zip(STATES, self._server.do(read), strict=True))

    def waiting_count(self, stage: Stage) -> int:
        return self._server.do(lambda client: int(client.zcard(self._key(f"w:{stage}"))))

    def waiting(self, stage: Stage, limit: int) -> list[Job]:
        return self._listed(f"w:{stage}", False, limit, 0)

    def waiting_since(self, stage: Stage) -> float | None:
        oldest = self._server.do(lambda client: client.zrange(self._key(f"w:{stage}"), 0, 0, withscores=True))
        return float(oldest[0][1]) if oldest else None

    def statistics(self) -> dict[str, float]:
        counted = self._server.do(lambda client: client.hgetall(self._key("n")))
        return dict.fromkeys(STATISTICS, 0.0) | {name: float(value) for name, value in counted.items()}

    def count(self, name: str, amount: float = 1.0) -> None:
        self._server.do(lambda client: client.hincrbyfloat(self._key("n"), name, float(amount)), again=False)

    # -- dead letters
    def dead(self, limit: int = 100, offset: int = 0) -> list[DeadLetter]:
        def read(client: Any) -> list[DeadLetter]:
            listed = client.zrange(self._key("x"), offset, offset + limit - 1, desc=True, withscores=True)
            letters = client.hmget(self._key("xh"), [entry[0] for entry in listed]) if listed else []
            return [
                DeadLetter(job_id=entry[0], at=entry[1], **json.loads(letter))
                for entry, letter in zip(listed, letters, strict=True)
                if letter
            ]

        return self._server.do(read) if limit > 0 else []

    def dead_count(self) -> int:
        return self._server.do(lambda client: int(client.zcard(self._key("x"))))

    def revive(self, job_id: str) -> bool:
        return bool(self._run("revive", job_id))

    def drop_dead(self, job_id: str) -> bool:
        return bool(self._run("drop_dead", job_id, self._finished_s))

    # -- recent traffic
    def note_risks(self, risks: Sequence[float]) -> None:
        def write(client: Any) -> None:
            pipe = client.pipeline(transaction=True)
            pipe.lpush(self._key("k"), *[f"{risk:.4g}" for risk in risks])
            pipe.ltrim(self._key("k"), 0, RISKS_KEPT - 1)
            pipe.execute()

        if risks:
            self._server.do(write, again=False)

    def recent_risks(self) -> list[float]:
        return [float(risk) for risk in self._server.do(lambda client: client.lrange(self._key("k"), 0, -1))]

    # -- housekeeping
    def purge(self, limit: int) -> int:
        gone = 0
        while gone < limit:
            size = min(_BATCH, limit - gone)
            removed = int(self._run("purge", size))
            gone += removed
            if removed < size:
                break
        return gone

    def hold(self, name: str, owner: str, seconds: float) -> bool:
        return bool(self._run("hold", name, owner, seconds))
