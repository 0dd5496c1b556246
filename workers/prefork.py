"""Celery's pool of processes, with a repair of how it stops. Knows no task.

When a worker is told to stop, Celery forgets the tasks that a process was given and has not confirmed yet, and then
reads results only until all tasks it knows have one. A process that had just begun a forgotten task does it to the end
and waits up to 30 s for its result to be read, and the worker waits for the process. Here results are read until the
processes have ended. The message of such a task comes once more, and finds a job that has moved on.
"""

from __future__ import annotations

import contextlib

from celery.concurrency import asynpool, prefork

_WAIT_S = 0.2


class _Results(asynpool.ResultHandler):  # type: ignore[misc]
    def on_stop_not_started(self) -> None:
        """Read what the processes have to say until all have ended."""
        super().on_stop_not_started()
        with contextlib.suppress(asynpool.WorkersJoined):
            while self.fileno_to_outq and self._state != asynpool.TERMINATE:
                readable, _, _ = asynpool._select(set(self.fileno_to_outq), timeout=_WAIT_S)
                for fd in readable:
                    self._flush_outqueue(fd, self._forget, self.fileno_to_outq, self.on_state_change)
                self.join_exited_workers(shutdown=True)

    def _forget(self, fd: int) -> None:
        self.fileno_to_outq.pop(fd, None)


class _Processes(asynpool.AsynPool):  # type: ignore[misc]
    ResultHandler = _Results


class PreforkPool(prefork.TaskPool):  # type: ignore[misc]
    """The pool that works in processes."""

    Pool = _Processes
