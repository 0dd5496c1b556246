"""Which workers there are: each says now and then that it is there, with what, and under which settings. Knows no job.

A record lies in the server of the broker, under the key prefix: workers of another prefix or database are not seen.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import platform
import socket
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

import redis
from pydantic import Field, ValidationError

from router.errors import StoreError
from router.types import Frozen
from workers.broker import broker_address, connect
from workers.broker_errors import broker_problem
from workers.decisions import decisions_identity
from workers.jobs import Stage
from workers.redact import redact_url
from workers.service_settings import BrokerSettings
from workers.settings import Settings

BEAT_S = 10.0
SILENT_S = 35.0
"""Three beats and a half: a worker that has not spoken for longer hangs, is cut off or was killed."""
FORGOTTEN_S = 900.0
PACKAGES = ("docroute", "celery", "kombu", "redis")
RECORDS = "workers"
_LOG = logging.getLogger(__name__)


class WorkerRecord(Frozen):
    """What a worker says of itself.

    `model`: its checkpoint, precision and weights' hash, empty for a backend without an engine. `settings`: those that
    must be the same in every process. `problem`: why it is not ready, empty when it is. `at`: when it spoke last, by
    the server's clock; `clock` by its own, in the same moment. `age_s`: how long ago.
    """

    name: str
    host: str
    pid: int
    stage: Stage
    backend: str = ""
    device: str = ""
    model: str = ""
    concurrency: int = 1
    versions: dict[str, str] = Field(default_factory=dict)
    settings: dict[str, str] = Field(default_factory=dict)
    problem: str = ""
    started_at: float = 0.0
    at: float = 0.0
    clock: float = 0.0
    age_s: float = 0.0

    @property
    def is_silent(self) -> bool:
        """Return whether it should have spoken since."""
        return self.age_s > SILENT_S


class Presence:
    """Says from a thread of a worker's main process that the worker is there, until it is stopped.

    `ready` returns what keeps the worker from working, empty when nothing does; it must be quick and raise nothing.
    """

    def __init__(
        self,
        settings: Settings,
        stage: Stage,
        backend: str = "",
        device: str = "",
        concurrency: int = 1,
        ready: Callable[[], str] = lambda: "",
    ) -> None:
        host, pid = socket.gethostname(), os.getpid()
        self._broker = settings.service.broker
        self._key = self._broker.key_prefix + RECORDS
        self._ready = ready
        self._stopped = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)
        self._client = connect(self._broker)
        self._record = WorkerRecord(
            name=f"{stage}@{host}.{pid}",
            host=host,
            pid=pid,
            stage=stage,
            backend=backend,
            device=device,
            concurrency=concurrency,
            versions=versions(),
            settings=shared_settings(settings),
            started_at=time.time(),
        )

    def tell(self, concurrency: int, model: str = "", device: str = "") -> None:
        """Say with the next beat what is known once the lane is there."""
        known = {"concurrency": concurrency, "model": model, "device": device or self._record.device}
        self._record = self._record.model_copy(update=known)

    def speak(self) -> None:
        """Speak soon, for something has changed, and not only with the next beat."""
        self._wake.set()

    def start(self) -> Presence:
        """Begin to speak and return at once; a server that cannot be reached is tried again with the next beat."""
        self._thread.start()
        return self

    def __enter__(self) -> Presence:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the record away and end the thread."""
        self._stopped = True
        self._wake.set()
        self._thread.join(timeout=BEAT_S)
        with contextlib.suppress(redis.RedisError):
            self._client.hdel(self._key, self._record.name)
        self._client.close()

    def beat(self) -> None:
        """Speak once; raise a redis error."""
        seconds, microseconds = _time(self._client)
        spoken = {"at": seconds + microseconds / 1e6, "clock": time.time(), "problem": self._ready()[:500]}
        record = self._record.model_copy(update=spoken)
        self._client.hset(self._key, record.name, record.model_dump_json(exclude={"age_s"}))
        self._client.expire(self._key, int(FORGOTTEN_S))

    def _run(self) -> None:
        while not self._stopped:
            try:
                self.beat()
            except redis.RedisError as exc:
                _LOG.debug("the worker's record was not written: %s", exc)
            self._wake.wait(BEAT_S)
            self._wake.clear()


def present_workers(broker: BrokerSettings) -> list[WorkerRecord]:
    """Return the workers that spoke in the last 15 minutes, by name; raise `StoreError` when the server is away."""
    client = connect(broker)
    key = broker.key_prefix + RECORDS
    try:
        seconds, microseconds = _time(client)
        written: Any = client.hgetall(key)
        found = [record for text in written.values() if (record := _read(text, seconds + microseconds / 1e6))]
        gone = [record.name for record in found if record.age_s > FORGOTTEN_S]
        if gone:
            client.hdel(key, *gone)
    except redis.RedisError as exc:
        raise StoreError(broker_problem(broker_address(broker), exc)) from exc
    finally:
        client.close()
    return sorted((record for record in found if record.name not in gone), key=lambda record: record.name)


def versions() -> dict[str, str]:
    """Return the versions of what must fit together."""
    return {name: version(name) for name in PACKAGES} | {"python": platform.python_version()}


def shared_settings(settings: Settings) -> dict[str, str]:
    """Return the settings that must be the same in every process, by their names; without secrets."""
    service = settings.service
    return {
        "broker.visibility_timeout_s": f"{service.broker.visibility_timeout_s:g}",
        "blobs.url": _place(service.blobs.url),
        "load.intake_limit": str(service.load.intake_limit),
        "load.deep_limit": str(service.load.deep_limit),
        "load.audit_share": f"{service.load.audit_share:g}",
        "steps.max_attempts": str(service.steps.max_attempts),
        "steps.lease_s": f"{service.steps.lease_s:g}",
        "retention.finished_s": f"{service.retention.finished_s:g}",
        "retention.dead_s": f"{service.retention.dead_s:g}",
        "retention.trash_s": f"{service.retention.trash_s:g}",
        "schemas": _schemas(service.schemas),
        "policy.decisions": decisions_identity(settings),
    }


def _place(url: str) -> str:
    return redact_url(url) if "://" in url else str(Path(url).resolve())


def _schemas(folder: str | None) -> str:
    """Return a hash of the schema files, for the folder may lie elsewhere on every host."""
    if folder is None:
        return "built in"
    digest = hashlib.sha256()
    for path in sorted(Path(folder).glob("*")):
        if path.suffix in {".toml", ".json"}:
            with contextlib.suppress(OSError):
                digest.update(path.name.encode("utf-8", "replace") + path.read_bytes())
    return digest.hexdigest()[:12]


def _time(client: Any) -> tuple[float, float]:
    seconds, microseconds = client.time()
    return float(seconds), float(microseconds)


def _read(text: str, now: float) -> WorkerRecord | None:
    try:
        record = WorkerRecord.model_validate_json(text)
    except ValidationError:  # of another version
        return None
    return record.model_copy(update={"age_s": max(now - record.at, 0.0)})
