"""Runs a stack until it is told to stop or a command has ended, and shows it. Knows signals and a terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType

from rich.console import Console
from rich.live import Live

from router.errors import StackError
from workers.console import printable
from workers.live_view import MESSAGES, live_view, plain_line
from workers.queue_watch import QueueWatch
from workers.stack import POLL_S, Stack, addresses, running_guard
from workers.stack_plan import Plan
from workers.stack_process import Guard
from workers.stack_pulse import Beat, Pulse
from workers.store_redis import make_store

SHOW_EVERY_S = 1.0
LINE_EVERY_S = 10.0


class StackRun:
    """One run; `run` returns the exit code."""

    def __init__(self, plan: Plan, command: Sequence[str], grace_s: float) -> None:
        self._plan = plan
        self._command = tuple(command)
        self._grace_s = grace_s
        self._stops = 0
        self._said: list[str] = []
        self._console = Console(stderr=True)
        self._places = addresses(plan)
        self._live: Live | None = None
        self._last_line = ("", 0.0)

    def run(self) -> int:
        """Start, show, and stop all; raise `StackError` or `SettingsError` where it cannot start or go on."""
        with self._signals(), running_guard(self._plan) as guard:
            stack = Stack(self._plan, guard, self._say, wanted=lambda: not self._stops)
            try:
                self._say("starting")
                stack.start()
                return self._go_on(stack, guard) if not self._stops else 130
            finally:
                self._stops = max(self._stops, 1)  # before it is said: what comes after that is a second one
                if stack.processes:
                    self._say("stopping, the workers end what they read; Ctrl-C again ends it now")
                stack.stop(self._grace_s, hurry=lambda: self._stops > 1)
                self._say("stopped")

    def _go_on(self, stack: Stack, guard: Guard) -> int:
        service = self._plan.settings.service
        with ExitStack() as cleanup:
            store = make_store(service)
            cleanup.callback(store.close)
            watch = QueueWatch(service.broker, store)
            cleanup.callback(watch.close)
            pulse = Pulse(watch, store)
            cleanup.callback(pulse.stop)
            for name, where in self._places:
                self._say(f"{name}: {where}")
            self._say("ready: docroute submit FILE_OR_FOLDER --wait")
            if self._command:
                return self._run_command(stack, guard)
            if sys.stdout.isatty():
                self._live = cleanup.enter_context(Live(console=Console(), auto_refresh=False))
            self._show_until_stopped(stack, pulse)
            self._live = None
        return 0

    def _show_until_stopped(self, stack: Stack, pulse: Pulse) -> None:
        pulse.start()
        shown_at = 0.0
        while not self._stops:
            stack.watch()
            if time.monotonic() - shown_at > SHOW_EVERY_S:
                shown_at = time.monotonic()
                self._show(stack, pulse.beat)
            time.sleep(POLL_S)

    def _show(self, stack: Stack, beat: Beat) -> None:
        if self._live is not None:
            view = live_view(beat, stack.processes, self._places, self._said, time.monotonic())
            self._live.update(view, refresh=True)
            return
        line, (last, at) = plain_line(beat), self._last_line
        if line != last and time.monotonic() - at > LINE_EVERY_S:
            self._last_line = line, time.monotonic()
            self._say(line)

    def _run_command(self, stack: Stack, guard: Guard) -> int:
        try:
            process = subprocess.Popen(self._command, env=dict(self._plan.environment), start_new_session=True)
        except OSError as exc:
            raise StackError(f"cannot run {self._command[0]}: {exc.strerror}") from exc
        guard.started(process.pid)
        try:
            while process.poll() is None and not self._stops:
                stack.watch()
                time.sleep(POLL_S)
        finally:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
            code = process.wait()
            guard.ended(process.pid)
        return code if code >= 0 else 128 - code

    def _say(self, line: str) -> None:
        if self._live is not None:
            self._said = [*self._said[-MESSAGES:], f"{time.strftime('%H:%M:%S')} {line}"]
            return
        self._console.print(
            printable(f"docroute up: {line}"), style="dim", highlight=False, markup=False, soft_wrap=True
        )

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def stop(number: int, frame: FrameType | None) -> None:
            self._stops += 1

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, stop) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
