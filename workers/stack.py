"""The embedded stack: a server, workers and Flower as child processes, kept running until it is stopped.

Knows no terminal: what happens is said by a function it is given, in one line each.
"""

from __future__ import annotations

import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import redis

from router.errors import StackError
from workers.broker import broker_address
from workers.broker_errors import broker_problem
from workers.log_file import LogFile
from workers.monitoring import ping
from workers.monitoring_server import MonitoringServer
from workers.queue_exporter import serve_queue_metrics
from workers.stack_liveness import Liveness
from workers.stack_lock import FolderLock
from workers.stack_plan import FLOWER, Plan, url_host
from workers.stack_process import Guard, Program, StackProcess, guard_command
from workers.stack_valkey import valkey_program

POLL_S = 0.2
PROBE_TIMEOUT_S = 2.0
SERVER_GRACE_S = 60.0
"""Within it the server writes its append-only file to disk."""
Say = Callable[[str], None]


class Stack:
    """The processes of a plan. `wanted` says whether to go on: False ends every waiting."""

    def __init__(self, plan: Plan, guard: Guard, say: Say, wanted: Callable[[], bool] = lambda: True) -> None:
        self.plan = plan
        self.server: StackProcess | None = None
        self.others: list[StackProcess] = []
        self._guard = guard
        self._say = say
        self._wanted = wanted
        self._exporter: MonitoringServer | None = None
        self.liveness = Liveness(plan.live_urls(), answers)

    @property
    def processes(self) -> list[StackProcess]:
        """All processes, the server first."""
        return [self.server, *self.others] if self.server is not None else list(self.others)

    def start(self) -> None:
        """Start all and return when all are ready, or are not wanted any more; raise `StackError`, `SettingsError`."""
        service = self.plan.settings.service
        server = valkey_program(service.broker, self.plan.folder) if self.plan.own_server else None
        self.plan.check_ports()
        if server is not None:
            self.server = self._started(server)
        self._wait_for_server()
        self._exporter = serve_queue_metrics(service, self.plan.ports["queues"])
        for stage in self.plan.workers:
            self.others.append(self._started(self.plan.worker_program(stage)))
        if self.plan.flower:
            self.others.append(self._started(self.plan.flower_program()))
        self._wait_until_ready()
        self.liveness.start()

    def watch(self) -> None:
        """Start again what has died and waited long enough; end what hangs."""
        hanging = self.liveness.hanging()
        for process in self.processes:
            if process.name in hanging and process.pid is not None:
                self._say(f"{process.name} runs but does nothing any more, it is killed; see {process.log.path}")
                process.tell(signal.SIGKILL)
            process.watch()

    def stop(self, grace_s: float, hurry: Callable[[], bool] = lambda: False) -> None:
        """End the workers, which finish what they read within `grace_s`, and then the server; all ends in any case."""
        self.liveness.stop()
        for process in self.others:
            process.tell(signal.SIGTERM)
        late = self._wait_for_end(self.others, grace_s, hurry)
        for process in late:
            self._say(f"{process.name} has not ended and is killed; what it read is read again with the next start")
            process.kill()
        if self._exporter is not None:
            self._exporter.stop()
        if self.server is not None:
            self.server.tell(signal.SIGTERM)
            for process in self._wait_for_end([self.server], SERVER_GRACE_S, hurry):
                process.kill()

    def _started(self, program: Program) -> StackProcess:
        log = LogFile(self.plan.folder / "logs" / f"{program.name}.log")
        process = StackProcess(program, log, self._guard, self._say)
        process.start()
        return process

    def _wait_for_server(self) -> None:
        broker = self.plan.settings.service.broker
        while self._wanted():
            try:
                ping(broker)
            except redis.BusyLoadingError:
                pass
            except redis.RedisError as exc:
                if self.server is None:
                    raise StackError(broker_problem(broker_address(broker), exc)) from exc
            else:
                if self.server is not None:
                    self.server.was_ready = True
                return
            if self.server is not None and self.server.is_over():
                raise StackError(f"valkey cannot start: {self.server.log.last_line()} ({self.server.log.path})")
            time.sleep(POLL_S)

    def _wait_until_ready(self) -> None:
        waiting = self.plan.ready_urls()
        while waiting and self._wanted():
            self.watch()
            for process in [process for process in self.others if process.name in waiting]:
                if answers(waiting[process.name]):
                    process.was_ready = True
                    del waiting[process.name]
            time.sleep(POLL_S)

    def _wait_for_end(
        self, processes: list[StackProcess], grace_s: float, hurry: Callable[[], bool]
    ) -> list[StackProcess]:
        deadline = time.monotonic() + grace_s
        left = [process for process in processes if not process.is_over()]
        while left and time.monotonic() < deadline and not hurry():
            time.sleep(POLL_S / 4)
            left = [process for process in left if not process.is_over()]
        return left


@contextmanager
def running_guard(plan: Plan) -> Iterator[Guard]:
    """Hold the folder and a guard for the time of the body; raise `StackError` when another stack has the folder."""
    lock = FolderLock(plan.folder)
    try:
        guard = Guard(guard_command())
        try:
            yield guard
        finally:
            guard.close()
    finally:
        lock.release()


def answers(url: str) -> bool:
    """Return whether a URL answers 200."""
    with suppress(OSError, urllib.error.HTTPError), urllib.request.urlopen(url, timeout=PROBE_TIMEOUT_S) as answer:
        return bool(answer.status == 200)
    return False


def addresses(plan: Plan) -> list[tuple[str, str]]:
    """Return what to do or to look at, and where, for people."""
    service = plan.settings.service
    lines = [("broker", broker_address(service.broker) + _own_server(plan))]
    if plan.flower:
        own = service.flower.auth_file is None
        where = plan.folder / "flower_auth" if own else service.flower.auth_file
        lines.append((FLOWER, f"{plan.flower_url()}  user:password in {where}"))
    host = url_host(service.monitoring.host)
    workers = ", ".join(f"{name} on {port}" for name, port in plan.ports.items() if name != "queues")
    lines.append(("metrics", f"http://{host}:{plan.ports['queues']}/metrics  workers: {workers}"))
    return [*lines, ("logs", str(plan.folder / "logs"))]


def _own_server(plan: Plan) -> str:
    if not plan.own_server:
        return ""
    path = plan.settings.service.broker.password_file
    return " (Valkey of this stack)" + (f"  password in {os.path.relpath(path)}" if path is not None else "")
