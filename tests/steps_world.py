"""A service in one process for tests: memory store, blobs in a folder, the fake backend with a script, no queue."""

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bad_inputs import encode, picture

from workers.jobs import Job, JobSpec, Stage
from workers.load import in_sample
from workers.runtime import Runtime, StepReport
from workers.settings import Settings, load_settings
from workers.steps import run_step
from workers.store_memory import MemoryStore

SCHEMA = {
    "name": "note",
    "fields": [
        {"name": "number", "kind": "identifier", "required": True},
        {"name": "remark", "kind": "text"},
    ],
}
POLICY = {"version": "test", "threshold": 0.99, "budget": 1.0}
SURE = {"fields": {"number": "A-1", "remark": "fine"}}
NO_NUMBER = {"tier": "fast", "fields": {"number": "NOT_FOUND", "remark": "fine"}}
"""The required field is missing, so that it should be read again."""
UNSURE = {"tier": "fast", "text": "number: A-1\nremark: fine"}
"""Said without any confidence, so that both fields should be read again."""
PAGE = encode(picture(), "PNG")


def settings_of(folder: Path, script: list[dict[str, Any]], **service: Mapping[str, Any]) -> Settings:
    """Settings with all that jobs need below a folder."""
    (folder / "schemas").mkdir(exist_ok=True)
    (folder / "schemas" / "note.json").write_text(json.dumps(SCHEMA))
    (folder / "policy.json").write_text(json.dumps(POLICY))
    own = {"load": {"audit_share": 0.0}, "steps": {"retry_wait_s": 0.01}} | service
    return Settings.model_validate(
        load_settings({}, folder).model_dump()
        | {
            "lanes": {"fast": "fake", "deep": "fake", "options": {"fake": {"script": script}}},
            "policy": {"file": str(folder / "policy.json")},
            "service": {"blobs": {"url": str(folder / "blobs"), "min_free_mb": 0}, "schemas": str(folder / "schemas")}
            | own,
        }
    )


class StepsWorld:
    """Jobs driven by hand; time passes only when told to."""

    def __init__(self, folder: Path, script: list[dict[str, Any]], **service: Mapping[str, Any]) -> None:
        self.folder = folder
        self.time = 1_000_000.0
        self.settings = settings_of(folder, script, **service)
        self.store = MemoryStore(self.settings.service.retention, clock=lambda: self.time)
        self.messages: list[tuple[Stage, str]] = []
        self.reports: list[StepReport] = []
        self.runtime = self.new_runtime()

    def new_runtime(self) -> Runtime:
        """Another worker process on the same store and blobs."""
        runtime = Runtime(self.settings, self.store, self.publish, observe=self.reports.append)
        runtime.today = lambda: dt.date(2026, 1, 1)
        return runtime

    def publish(self, job: Job) -> None:
        self.messages.append((job.stage, job.id))

    def submit(self, data: bytes = PAGE, job_id: str = "job", **spec: Any) -> str:
        document_id = self.runtime.blobs.put_original(data)
        job, _ = self.store.create(job_id, JobSpec(**{"document_id": document_id, "schema_name": "note"} | spec))
        self.publish(job)
        return job_id

    def step(self, stage: Stage, job_id: str = "job", worker: str = "w") -> str:
        return run_step(self.runtime, stage, job_id, worker)

    def drive(self) -> list[str]:
        """Handle messages, and retries when they are due, until there are none; return how each step ended."""
        ended = []
        while True:
            while self.messages:
                stage, job_id = self.messages.pop(0)
                ended.append(f"{stage}: {self.step(stage, job_id)}")
            self.time += 400.0
            due = self.store.due(100, 1e9)
            if not due:
                return ended
            for job in due:
                self.publish(job)

    def job(self, job_id: str = "job") -> Job:
        job = self.store.get(job_id)
        assert job is not None
        return job

    def result(self, job_id: str = "job") -> dict[str, Any]:
        blob = self.job(job_id).result_blob
        assert blob is not None
        return dict(self.runtime.blobs.get_json(blob))

    def kinds(self, job_id: str = "job") -> list[str]:
        return [event.kind for event in self.store.events(job_id)]

    def blobs(self, kind: str) -> list[str]:
        return sorted(path.name for path in (self.folder / "blobs" / kind).glob("*.json"))


def document_in_sample(share: float, inside: bool) -> bytes:
    """A page that is, or is not, in the audit sample."""
    import hashlib

    for height in range(64, 2000):
        data = encode(picture(64, height), "PNG")
        if in_sample(hashlib.sha256(data).hexdigest(), share) == inside:
            return data
    raise AssertionError("no such page")
