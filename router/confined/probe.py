"""A script that tries, in a confined process, what a decoder must not be able to do, and tells what was refused."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from router.confined.start import IN_FORCE


def _connect(asked: dict[str, Any]) -> None:
    with socket.socket() as own:
        own.settimeout(2)
        own.connect((asked["host"], asked["port"]))


def _write(asked: dict[str, Any]) -> None:
    Path(asked["new_file"]).write_bytes(b"")


def _change(asked: dict[str, Any]) -> None:
    with Path(asked["foreign_file"]).open("r+b") as file:
        file.write(b"changed")


def _read(asked: dict[str, Any]) -> None:
    Path(asked["foreign_file"]).read_bytes()


def _execute(_: dict[str, Any]) -> None:
    os.waitpid(os.posix_spawn(sys.executable, [sys.executable, "-c", ""], {}), 0)


def _signal(_: dict[str, Any]) -> None:
    os.kill(os.getppid(), 0)


ATTEMPTS: dict[str, Callable[[dict[str, Any]], None]] = {
    "connect to the network": _connect,
    "write a file": _write,
    "change a file": _change,
    "read a foreign file": _read,
    "start a program": _execute,
    "signal another process": _signal,
}


def refused(attempt: Callable[[dict[str, Any]], None], asked: dict[str, Any]) -> bool:
    """Return whether something is refused for want of rights; whether it works otherwise does not matter."""
    try:
        attempt(asked)
    except PermissionError:
        return True
    except OSError:
        return False
    return False


if __name__ == "__main__":
    signal.alarm(10) if hasattr(signal, "alarm") else None
    given = json.loads(sys.stdin.buffer.read())
    told = {name: refused(attempt, given) for name, attempt in ATTEMPTS.items()}
    sys.stdout.write(json.dumps({"in_force": IN_FORCE, "refused": told}))
