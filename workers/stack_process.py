"""One process of a stack: started, watched, started again when it dies, ended. Knows no worker and no server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from router.errors import StackError
from workers.log_file import LogFile

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 30.0
SETTLED_S = 60.0
"""A process that ran for so long is started again without a longer wait."""
WRONG_USAGE = 2
_READ_BYTES = 65_536


@dataclass(frozen=True)
class Program:
    """What to run. `stdin` is given to it at its start, for what must not stand in a list of processes.

    `umask`: what nobody else may do with files that it makes; -1 is as in this process.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    stdin: str = ""
    umask: int = -1


class Guard:
    """The process that ends all groups when this one is gone."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def started(self, group: int) -> None:
        """Have a process group ended with this process."""
        self._tell(f"+{group}\n")

    def ended(self, group: int) -> None:
        """Forget a process group."""
        self._tell(f"-{group}\n")

    def close(self) -> None:
        """Let it end what is left, and end."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # it was killed; nothing but the guard is lost
            self._process.stdin.write(line)
            self._process.stdin.flush()


class StackProcess:
    """A program in a process group of its own; what it writes goes to its log."""

    def __init__(self, program: Program, log: LogFile, guard: Guard, say: Callable[[str], None]) -> None:
        self.name = program.name
        self.restarts = 0
        self.was_ready = False
        self.started_at = 0.0
        self.log = log
        self._program = program
        self._guard = guard
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._wait_s = FIRST_WAIT_S
        self._start_at = 0.0

    @property
    def pid(self) -> int | None:
        """The process, None while there is none."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start it; raise `StackError`."""
        program = self._program
        try:
            self._process = subprocess.Popen(
                program.command,
                env=dict(program.environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=_READ_BYTES,
                start_new_session=True,
                umask=program.umask,
            )
        except OSError as exc:
            raise StackError(f"cannot start {program.name}: {exc.strerror}") from exc
        self._guard.started(self._process.pid)
        self.started_at = time.monotonic()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):
            self._process.stdin.write(program.stdin.encode())
            self._process.stdin.close()
        self.log.follow(self._process.stdout)

    def watch(self) -> None:
        """Start it again when it has died and its wait is over; raise `StackError` when it never came up."""
        if self._process is None:
            if time.monotonic() >= self._start_at:
                self.start()
                self.restarts += 1
            return
        code = self._ended()
        if code is None:
            return
        if code == WRONG_USAGE and not self.was_ready:
            raise StackError(f"{self.name} cannot start: {self.log.last_line() or 'see its log'} ({self.log.path})")
        if time.monotonic() - self.started_at > SETTLED_S:
            self._wait_s = FIRST_WAIT_S
        self._say(f"{self.name} {how_it_ended(code)}, starts again in {self._wait_s:.0f} s; see {self.log.path}")
        self._start_at = time.monotonic() + self._wait_s
        self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def is_over(self) -> bool:
        """Return whether it has ended, and forget it then; it is not started again."""
        return self._process is None or self._ended() is not None

    def kill(self) -> None:
        """End it and all it has started at once."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._forget()

    def _ended(self) -> int | None:
        """Return the exit code of a process that has ended, after the end of all it had started."""
        assert self._process is not None
        state = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if state is None:
            return None
        with suppress(ProcessLookupError):  # before its number is free for another
            os.killpg(self._process.pid, signal.SIGKILL)
        code = self._process.wait()
        self._forget()
        return code

    def _forget(self) -> None:
        assert self._process is not None
        self._guard.ended(self._process.pid)
        self._process = None


def how_it_ended(code: int) -> str:
    """Return an exit code in words."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def module_command(*arguments: str) -> tuple[str, ...]:
    """Return the command line of `docroute` with arguments, by the very interpreter that runs this."""
    return (sys.executable, "-m", "workers.cli", *arguments)


def guard_command() -> tuple[str, ...]:
    """Return the command line of the guard; it needs no package, so that it starts at once."""
    return (sys.executable, "-I", "-S", str(Path(__file__).with_name("stack_guard.py")))
