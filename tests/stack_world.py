"""`docroute up` as a real process for tests, and the processes that it has started."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from valkey_server import free_port
from worker_processes import wait_for

STOP_S = 60.0


def free_ports(count: int) -> int:
    """Return the first of some free ports in a row."""
    while True:
        found = [free_port() for _ in range(count)]
        if found == list(range(found[0], found[0] + count)):
            return found[0]


def alive(pids: dict[int, str]) -> dict[int, str]:
    """Return those processes that still run; a zombie does not."""
    listed = subprocess.run(["ps", "-e", "-o", "pid=,stat="], capture_output=True, text=True, check=True).stdout
    running = {int(line.split()[0]) for line in listed.splitlines() if not line.split()[1].startswith("Z")}
    return {pid: name for pid, name in pids.items() if pid in running}


class Up:
    """One `docroute up` with the fake backend, its own ports and folder."""

    def __init__(self, folder: Path, *options: str, **variables: str) -> None:
        self.folder = folder
        self.port = free_port()
        metrics = free_ports(4)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("DOCROUTE_")},
            "DOCROUTE_SERVICE__BROKER__URL": f"redis://127.0.0.1:{self.port}/0",
            "DOCROUTE_SERVICE__MONITORING__PORT": str(metrics),
            "DOCROUTE_SERVICE__FLOWER__PORT": str(free_port()),
            "DOCROUTE_SERVICE__BLOBS__MIN_FREE_MB": "0",
            "DOCROUTE_LANES__FAST": "fake",
            "DOCROUTE_LANES__DEEP": "fake",
            "PYTHONWARNINGS": "ignore",
            **variables,
        }
        self.log = folder / "up.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command("up", *options), env=self.environment, cwd=folder, stdout=log, stderr=log
            )

    @staticmethod
    def command(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "workers.cli", *arguments]

    def docroute(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Return what another `docroute` in the same folder says."""
        environment = self.environment | variables
        command = self.command(*arguments)
        return subprocess.run(
            command, env=environment, cwd=self.folder, capture_output=True, text=True, check=False, timeout=120
        )

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_until(self, words: str) -> None:
        def there() -> bool:
            assert words in self.said() or self.process.poll() is None, self.said()
            return words in self.said()

        wait_for(there, f"{words!r} in {self.log}")

    def started(self) -> dict[int, str]:
        """Return all processes below this one: pid and command line."""
        columns = ["-o", "pid=,ppid=,args="]
        listed = subprocess.run(["ps", "-e", "-ww", *columns], capture_output=True, text=True, check=True)
        rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
        found: dict[int, str] = {}
        parents = {self.process.pid}
        while parents:
            children = {int(pid): args for pid, parent, args in rows if int(parent) in parents}
            parents = set(children) - set(found)
            found |= children
        return {pid: args for pid, args in found.items() if not args.startswith("ps ")}

    def pid_of(self, words: str) -> int:
        """Return the process that was started with these words."""
        return next(pid for pid, args in sorted(self.started().items()) if words in args)

    def stop(self) -> int:
        """End it as an operator would, whatever state it is in, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)
