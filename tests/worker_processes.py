"""Real worker processes for tests: `docroute worker` started, killed, told to stop; all ended when the test ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bad_inputs import encode, picture
from steps_world import POLICY, SCHEMA

from benchmarks.service_invariants import Place, service_problems
from workers.app import make_app
from workers.blobs import make_blobs
from workers.broker import connect
from workers.jobs import FINAL, Job, JobSpec, Stage
from workers.publish import publish
from workers.service_settings import BrokerSettings
from workers.settings import load_settings
from workers.store_redis import make_store

needs_children = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="needs Linux's list of child processes"
)
DEADLINE_S = 180.0
STOP_S = 30.0
"""Not longer: a worker that waits in vain for a result of a process does so for half a minute."""
POLL_S = 0.05
HEALS_S = 10.0
PATIENT = {"DOCROUTE_SERVICE__STEPS__LEASE_S": "60", "DOCROUTE_SERVICE__STEPS__PUBLISH_GRACE_S": "60"}
"""Variables of tests in which no worker dies: one that stands still for seconds on a busy machine is not taken for
dead."""


def wait_for(condition: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {deadline_s:.0f} s: {what}"
        time.sleep(POLL_S)


def page(number: int) -> bytes:
    """A small page, different for every number."""
    return encode(picture(80, 100 + number), "PNG")


def run_first(folder: Path, lines: str) -> str:
    """Make a folder for PYTHONPATH by which a process runs these lines before its own."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(lines)
    return str(folder)


def shifted_clock(folder: Path, seconds: float) -> str:
    """Make a folder for PYTHONPATH by which a process's clock is wrong."""
    return run_first(folder, f"import time\nright = time.time\ntime.time = lambda: right() + {seconds}")


def children_of(process: subprocess.Popen[bytes]) -> list[int]:
    """The processes that a worker's pool has begun."""
    return [int(child) for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


class ServiceProcesses:
    """The workers of one service with the fake backend, and the means to submit to it and to look at it."""

    def __init__(self, folder: Path, broker: BrokerSettings, script: list[dict[str, Any]], **variables: str) -> None:
        self.folder = folder
        self.environment = self._prepare(broker, script) | variables
        self.settings = load_settings(self.environment, folder)
        self.store = make_store(self.settings.service)
        self.blobs = make_blobs(self.settings.service.blobs)
        self.app = make_app(self.settings)
        self._processes: list[subprocess.Popen[bytes]] = []
        self.log = folder / "workers.log"

    def _prepare(self, broker: BrokerSettings, script: list[dict[str, Any]]) -> dict[str, str]:
        for name, content in {"schemas/note.json": SCHEMA, "policy.json": POLICY}.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content))
        self.write_script(*script)
        (self.folder / "documents").mkdir(exist_ok=True)
        return {
            "DOCROUTE_SERVICE__BROKER__URL": broker.url,
            "DOCROUTE_SERVICE__BROKER__KEY_PREFIX": broker.key_prefix,
            "DOCROUTE_SERVICE__BLOBS__URL": str(self.folder / "blobs"),
            "DOCROUTE_SERVICE__BLOBS__MIN_FREE_MB": "0",
            "DOCROUTE_SERVICE__SOURCES__FILE_ROOTS": json.dumps([str(self.folder / "documents")]),
            "DOCROUTE_SERVICE__SCHEMAS": str(self.folder / "schemas"),
            "DOCROUTE_SERVICE__LOAD__AUDIT_SHARE": "0.0",
            "DOCROUTE_SERVICE__STEPS__LEASE_S": "2.0",
            "DOCROUTE_SERVICE__STEPS__RETRY_WAIT_S": "0.1",
            "DOCROUTE_SERVICE__STEPS__PUBLISH_GRACE_S": "2.0",
            "DOCROUTE_SERVICE__STEPS__SWEEP_EVERY_S": "0.3",
            "DOCROUTE_LANES__FAST": "fake",
            "DOCROUTE_LANES__DEEP": "fake",
            "DOCROUTE_LANES__OPTIONS__FAKE__SCRIPT": str(self.folder / "script.json"),
            "DOCROUTE_POLICY__FILE": str(self.folder / "policy.json"),
            "DOCROUTE_PROCESSES": "1",
        }

    def write_script(self, *rules: dict[str, Any]) -> None:
        """Say how the lanes of workers that start from now on read."""
        (self.folder / "script.json").write_text(json.dumps(rules))

    # -- processes
    def start(
        self,
        *stages: Stage,
        options: tuple[str, ...] = (),
        program: tuple[str, ...] = ("-m", "workers.cli"),
        **variables: str,
    ) -> list[subprocess.Popen[bytes]]:
        """Start one worker for each stage, with these variables besides; they may take a while to be ready."""
        started = []
        with self.log.open("ab") as log:
            for stage in stages:
                command = [sys.executable, "-W", "ignore", *program, "worker", stage, *options]
                environment = {**os.environ, **self.environment, **variables}
                # a group of its own, so that a kill takes the children of a pool along, as the end of a container does
                started.append(
                    subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
                )
        self._processes += started
        return started

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End a worker and its children at once."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_S)

    def pause(self, process: subprocess.Popen[bytes]) -> None:
        """Let a worker do nothing until `go_on`, as a machine that hangs for a while."""
        os.killpg(process.pid, signal.SIGSTOP)

    def go_on(self, process: subprocess.Popen[bytes]) -> None:
        """End a pause."""
        os.killpg(process.pid, signal.SIGCONT)

    def terminate(self, *processes: subprocess.Popen[bytes]) -> list[int]:
        """Tell workers to stop, and return their exit codes."""
        for process in processes:
            process.send_signal(signal.SIGTERM)
        return [process.wait(STOP_S) for process in processes]

    def stop(self) -> None:
        """End all that runs."""
        for process in self._processes:
            if process.poll() is None:
                self.kill(process)
        self.store.close()

    # -- jobs
    def submit(self, data: bytes, job_id: str, **spec: Any) -> Job:
        document_id = self.blobs.put_original(data)
        fields = {"document_id": document_id, "schema_name": "note", "uri": f"{job_id}.png"} | spec
        job, _ = self.store.create(job_id, JobSpec(**fields))
        assert publish(self.app, self.store, job)
        return job

    def send(self, job_id: str, stage: Stage) -> None:
        """Put one more message for a job into a queue."""
        self.app.send_task(f"docroute.{stage}", args=(job_id,), queue=stage)

    def job(self, job_id: str) -> Job:
        job = self.store.get(job_id)
        assert job is not None
        return job

    def kinds(self, job_id: str) -> list[str]:
        return [event.kind for event in self.store.events(job_id)]

    def ended(self) -> int:
        counts = self.store.counts()
        return sum(counts[state] for state in FINAL)

    def assert_sound(self, expected: int, max_attempts: int = 3) -> None:
        """Every job has ended, once, with one result that can be read, and logs and indexes say the same.

        What a dead worker left is cleared away right after the end of its job, so it may lie there for a moment more.
        """
        broker = self.settings.service.broker
        with connect(broker) as client:
            place = Place(self.store, client, broker.key_prefix, self.blobs, self.folder / "blobs")
            given_up_at = time.monotonic() + HEALS_S
            while (problems := service_problems(place, expected, max_attempts)) and time.monotonic() < given_up_at:
                time.sleep(POLL_S)
        if problems:
            said = "\n".join([*problems[:20], self.log.read_text(errors="replace")[-6000:]])
            raise AssertionError(f"{len(problems)} problems:\n{said}")

    def wait_until_ended(self, count: int) -> None:
        try:
            wait_for(lambda: self.ended() >= count, f"{count} jobs have ended")
        except AssertionError as exc:
            raise AssertionError(
                f"{exc}; {self.store.counts()}\n{self.log.read_text(errors='replace')[-6000:]}"
            ) from exc


Start = Callable[..., ServiceProcesses]
"""Makes the service of a test: `service(rule, ..., broker=..., **variables)`."""
