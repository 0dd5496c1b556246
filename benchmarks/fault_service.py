"""A service under attack: its settings, its workers, ways to submit to it, and what must hold of it in the end.

For benchmarks of faults. The lanes are the `fake` backend with a delay. Knows nothing of what is done to the service.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.progress import Progress, TaskID

from benchmarks.fault_world import SupervisedWorkers
from benchmarks.malformed_messages import malformed
from benchmarks.service_invariants import Place, all_jobs, service_problems
from benchmarks.service_load import SCHEMA
from router.errors import StoreError
from workers.app import make_publish
from workers.blobs import make_blobs
from workers.broker import connect
from workers.broker_sentinel import uses_sentinels
from workers.jobs import FINAL, STAGES, Job, JobSpec, Stage
from workers.settings import Settings
from workers.store_redis import make_store

DELAY_S = 0.2
LEASE_S = 5.0
DEADLINE_S = 600.0
SUBMIT_S = 120.0
POISON = "poison.png"
SCRIPT = [
    {"fields": {"number": "A-1", "total": "12.30"}, "delay_s": DELAY_S},
    {"tier": "fast", "fields": {"number": "NOT_FOUND"}},
    {"document": POISON, "error": "crash"},
]
"""Every document is read by both lanes: the fast one never finds a required field."""
Report = dict[str, Any]


@dataclass
class World:
    """The service under test and where its documents come from. `name` begins the ids of its jobs."""

    name: str
    settings: Settings
    folder: Path
    workers: SupervisedWorkers
    show: Progress
    submitted: int = 0
    put_aside: int = 0
    refusals: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.store = make_store(self.settings.service)
        self._blobs = make_blobs(self.settings.service.blobs)
        self._publish = make_publish(self.settings, self.store)

    def submit(self, documents: list[bytes], name: str) -> None:
        """Create jobs, each until it is acknowledged, and publish them."""
        for data in documents:
            spec = JobSpec(document_id=self._blobs.put_original(data), uri=name, schema_name=SCHEMA.name)
            job_id = f"{self.name}{self.submitted}"
            self._publish(self._patiently(lambda job_id=job_id, spec=spec: self._acknowledged(job_id, spec)))
            self.submitted += 1

    def send_malformed(self, count: int, rng: random.Random) -> None:
        """Put messages into the queues, in front and behind, of which no worker can make anything."""
        broker = self.settings.service.broker
        for _ in range(count):
            queue = rng.choice(STAGES)
            raw, key = malformed(rng, queue), broker.key_prefix + queue
            self._patiently(lambda key=key, raw=raw: self._push(key, raw, rng.random() < 0.5))
            self.put_aside += 1

    def ended(self) -> int:
        """Return how many jobs have ended; 0 while nobody answers."""
        try:
            counts = self.store.counts()
        except StoreError:
            return 0
        return sum(counts[state] for state in FINAL)

    def wait_until_ended(self, task: TaskID) -> bool:
        """Return whether every job ended in time."""
        deadline = time.monotonic() + DEADLINE_S
        while (ended := self.ended()) < self.submitted and time.monotonic() < deadline:
            self.show.update(task, completed=ended)
            time.sleep(0.2)
        return ended >= self.submitted

    def await_work(self, stage: Stage) -> None:
        """Wait until the worker of this kind, and not one that was killed, has begun a job, or none is left."""
        deadline, name = time.monotonic() + DEADLINE_S, self.workers.name(stage)
        while time.monotonic() < deadline and self.ended() < self.submitted:
            jobs = self._patiently(lambda: self.store.jobs(stage=stage, order="oldest", limit=100))
            if any(job.lease and job.lease.worker.startswith(name) for job in jobs):
                return
            time.sleep(0.01)

    def outcome(self, before: int = 0) -> Report:
        """Return the ends of the jobs from number `before` on, and whatever does not hold of any."""
        self.show.console.print("checking every job ...", style="dim")
        jobs = [job for job in all_jobs(self.store) if int(job.id.removeprefix(self.name)) >= before]
        events = Counter(event.kind for job in jobs for event in self.store.events(job.id))
        return {
            "documents": len(jobs),
            "states": dict(Counter(job.state for job in jobs)),
            "dead": sorted(Counter(job.spec.uri for job in jobs if job.state == "failed").items()),
            "submissions_said_twice": sum(self.refusals.values()),
            "attempts_begun": events["started"],
            "attempts_cut_off": events["expired"],
            "late_results_refused": events["late"],
            "messages_lost": events["requeued"],
            "results": sum(job.result_blob is not None for job in jobs),
            "problems": self._problems(),
        }

    def _problems(self) -> list[str]:
        broker = self.settings.service.broker
        with connect(broker) as client:
            place = Place(self.store, client, broker.key_prefix, self._blobs, self.folder / "blobs")
            most = self.settings.service.steps.max_attempts
            return service_problems(place, self.submitted, most, lost_master=uses_sentinels(broker.url))

    def _acknowledged(self, job_id: str, spec: JobSpec) -> Job:
        job = self.store.create(job_id, spec)[0]
        self.store.confirm(job_id)
        return job

    def _push(self, key: str, raw: bytes, in_front: bool) -> None:
        with connect(self.settings.service.broker) as client:
            (client.rpush if in_front else client.lpush)(key, raw)

    def _patiently(self, call: Callable[[], Any]) -> Any:
        """Return what a call gives, again as long as the store does not acknowledge it; raise `StoreError`."""
        deadline = time.monotonic() + SUBMIT_S
        while True:
            try:
                return call()
            except StoreError as exc:
                self.refusals[type(exc).__name__] += 1
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


def environment(folder: Path, url: str, replicas: int = 0) -> dict[str, str]:
    """Return the settings of the workers, and write the files that they name into `folder`."""
    (folder / f"{SCHEMA.name}.json").write_text(SCHEMA.model_dump_json(), encoding="utf-8")
    (folder / "script.json").write_text(json.dumps(SCRIPT), encoding="utf-8")
    (folder / "policy.json").write_text('{"version": "faults", "threshold": 0.99, "budget": 1.0}', encoding="utf-8")
    return {
        "DOCROUTE_SERVICE__BROKER__URL": url,
        "DOCROUTE_SERVICE__BROKER__REPLICAS": str(replicas),
        "DOCROUTE_SERVICE__BLOBS__URL": str(folder / "blobs"),
        "DOCROUTE_SERVICE__SCHEMAS": str(folder),
        "DOCROUTE_SERVICE__LOAD__AUDIT_SHARE": "0.0",
        "DOCROUTE_SERVICE__LOAD__DEEP_LIMIT": "1000000",
        "DOCROUTE_SERVICE__STEPS__LEASE_S": str(LEASE_S),
        "DOCROUTE_LANES__FAST": "fake",
        "DOCROUTE_LANES__DEEP": "fake",
        "DOCROUTE_LANES__OPTIONS__FAKE__SCRIPT": str(folder / "script.json"),
        "DOCROUTE_POLICY__FILE": str(folder / "policy.json"),
        "DOCROUTE_PROCESSES": "1",
    }
