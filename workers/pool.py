"""A small pool of processes that survives the death of any of them. Knows nothing of documents.

`concurrent.futures` gives up the whole pool when one process dies, and reads all tasks up front; here a death costs the
one task it was working on, and tasks are drawn only as fast as results are taken.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

Task = TypeVar("Task")
Answer = TypeVar("Answer")
_WINDOW_TASKS = 8
_STOP_WAIT_S = 2.0
_START_WAIT_S = 120.0
_READY = "ready"


@dataclass(frozen=True)
class Crash:
    """What became of a task whose process died or was stopped for taking too long."""

    cause: str


@dataclass
class _Slot(Generic[Task]):
    process: BaseProcess
    connection: Connection
    index: int | None = None
    deadline: float = 0.0
    ready: bool = False


class ProcessPool(Generic[Task, Answer]):
    """Runs `open_worker()` once in each process and the function it returns on every task.

    `open_worker` must pickle (a module-level function, or a dataclass with `__call__`). A task that takes longer than
    `timeout_s` is given up and its process replaced.
    """

    def __init__(self, open_worker: Callable[[], Callable[[Task], Answer]], processes: int, timeout_s: float) -> None:
        self._open_worker = open_worker
        self._processes = processes
        self._timeout_s = timeout_s
        self._context = multiprocessing.get_context("spawn")
        self._slots: list[_Slot[Task]] = []

    def run(self, tasks: Iterable[Task], ordered: bool = True) -> Iterator[tuple[int, Answer | Crash]]:
        """Yield the index and answer of every task, in task order or as they are done.

        At most a few tasks for each process are ahead of the consumer. Closing the iterator stops all processes.
        """
        numbered = enumerate(tasks)
        held: dict[int, Answer | Crash] = {}
        given, taken = 0, 0
        more = True
        try:
            while True:
                while more and self._free() and given < taken + _WINDOW_TASKS * self._processes:
                    task = next(numbered, None)
                    more = task is not None
                    if task is not None:
                        self._give(*task)
                        given += 1
                if not more and given == taken:
                    return
                held.update(self._collect())
                for index in sorted(held):
                    if index == taken or not ordered:
                        yield index, held.pop(index)
                        taken += 1
        finally:
            self.stop()

    def stop(self) -> None:
        """End all processes now."""
        for slot in self._slots:
            slot.connection.close()
            slot.process.terminate()
        for slot in self._slots:
            slot.process.join(_STOP_WAIT_S)
            if slot.process.is_alive():
                slot.process.kill()
                slot.process.join()
        self._slots.clear()

    def _free(self) -> bool:
        return len(self._slots) < self._processes or any(slot.index is None for slot in self._slots)

    def _give(self, index: int, task: Task) -> None:
        slot = next((slot for slot in self._slots if slot.index is None), None) or self._start()
        slot.index = index
        slot.deadline = time.monotonic() + (self._timeout_s if slot.ready else _START_WAIT_S)
        try:
            slot.connection.send(task)
        except OSError:  # it died while idle; that is no fault of this task
            self._remove(slot)
            self._give(index, task)

    def _start(self) -> _Slot[Task]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._open_worker), daemon=True)
        process.start()
        theirs.close()
        slot: _Slot[Task] = _Slot(process, ours)
        self._slots.append(slot)
        return slot

    def _collect(self) -> Iterator[tuple[int, Answer | Crash]]:
        busy = {slot.connection: slot for slot in self._slots if slot.index is not None}
        if not busy:
            return
        first_deadline = min(slot.deadline for slot in busy.values())
        readable = wait(list(busy), max(0.0, first_deadline - time.monotonic()))
        for connection in readable:
            slot = busy[connection]  # type: ignore[index]
            index = slot.index
            assert index is not None
            try:
                answer: Answer | Crash = slot.connection.recv()
                if not slot.ready:  # its first message; starting is not counted as work
                    slot.ready, slot.deadline = True, time.monotonic() + self._timeout_s
                    continue
                slot.index = None
            except (EOFError, OSError):
                answer = Crash(self._remove(slot))
            yield index, answer
        for slot in busy.values():
            if slot.index is not None and slot.connection not in readable and time.monotonic() >= slot.deadline:
                index, limit_s = slot.index, self._timeout_s if slot.ready else _START_WAIT_S
                slot.process.kill()
                self._remove(slot)
                yield index, Crash(f"it took longer than {limit_s:g} s and was stopped")

    def _remove(self, slot: _Slot[Task]) -> str:
        """Drop a process and return how it ended."""
        self._slots.remove(slot)
        slot.connection.close()
        slot.process.join(_STOP_WAIT_S)
        if slot.process.is_alive():
            slot.process.kill()
            slot.process.join()
            return "its process stopped answering"
        code = slot.process.exitcode or 0
        if code == -signal.SIGKILL:
            return "its process was killed, most likely for lack of memory"
        return f"its process died with {signal.Signals(-code).name if code < 0 else f'exit code {code}'}"


def _serve(connection: Connection, open_worker: Callable[[], Callable[[Task], Answer]]) -> None:
    # Ctrl-C reaches the whole foreground group; the parent decides when a worker ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        work = open_worker()
        connection.send(_READY)
        while True:
            connection.send(work(connection.recv()))
    except (EOFError, OSError):
        return  # the parent is gone
