"""Idle decoder processes, and asking one of them about a document. Must not know formats or answers.

Starting a worker costs about 100 ms, so idle ones wait for the next document of this process. A forked child never
touches its parent's workers: it forgets them and starts its own. A worker that dies is replaced and asked once more,
since the system may have ended it for others' memory; twice is the document's fault.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from typing import TypeVar

from router.documents.decoder_process import DecoderProcess, WorkerDiedError
from router.errors import CorruptDocumentError, DocumentError, LimitExceededError

T = TypeVar("T")
_ATTEMPTS = 2
MAX_AT_WORK = 4
"""So many decoders of one process work at once, however many threads ask; the others wait for their turn."""
MAX_IDLE = MAX_AT_WORK
"""With fewer, threads that take turns would start a process for every other document."""


class _Turns:
    """A semaphore for each process: a child that was forked while others had their turn starts with all of them."""

    def __init__(self) -> None:
        self._owner = 0
        self._turns = threading.BoundedSemaphore(MAX_AT_WORK)

    def get(self) -> threading.BoundedSemaphore:
        """Return this process's own."""
        if self._owner != os.getpid():
            self._turns = threading.BoundedSemaphore(MAX_AT_WORK)
            self._owner = os.getpid()  # last: another thread would take the parent's, of which no turn comes back
        return self._turns


_TURNS = _Turns()


class DecoderPool:
    """Idle workers of this process. A forked child begins with none, and with a lock that nobody holds.

    `name` is what users call the format, `remedy` what may help when it makes its reader crash.
    """

    def __init__(self, start: Callable[[], DecoderProcess], name: str, remedy: str) -> None:
        self._start = start
        self._name = name
        self._remedy = remedy
        self._idle: list[DecoderProcess] = []
        self._lock = threading.Lock()
        self._hooked = False

    def ask(self, document_id: str, what: str, call: Callable[[DecoderProcess], T]) -> T:
        """Return what `call` gets from a worker, if possible one that holds the document; raise `DocumentError`."""
        with _TURNS.get():
            return self._ask(document_id, what, call)

    def _ask(self, document_id: str, what: str, call: Callable[[DecoderProcess], T]) -> T:
        for attempt in range(_ATTEMPTS):
            worker = self.take(document_id)
            try:
                answer = call(worker)
            except DocumentError:
                # what it could not open it has all the same
                if worker.document_id is not None or worker.drop():
                    self.give(worker)
                raise
            except WorkerDiedError as exc:
                worker.close()
                if exc.timed_out:
                    raise LimitExceededError(
                        f"{what} took too long to read; raise page_timeout_s to wait longer"
                    ) from exc
                if attempt == _ATTEMPTS - 1:
                    raise CorruptDocumentError(f"{what} made the {self._name} reader crash; {self._remedy}") from exc
            except BaseException:
                worker.close()
                raise
            else:
                self.give(worker)
                return answer
        raise AssertionError("the last attempt returns or raises")

    def take(self, document_id: str) -> DecoderProcess:
        """Return a live worker, if possible one that holds the document already."""
        self._hook()
        while (worker := self._pop(document_id)) is not None:
            if worker.is_alive():
                return worker
            worker.close()
        return self._start()

    def _pop(self, document_id: str) -> DecoderProcess | None:
        """Return an idle worker: one that holds the document, else one that holds none, else any."""
        ranks = {document_id: 0, None: 1}
        with self._lock:
            best = min(self._idle, key=lambda worker: ranks.get(worker.document_id, 2), default=None)
            if best is not None:
                self._idle.remove(best)
        return best

    def give(self, worker: DecoderProcess) -> None:
        """Keep a worker for the next call, or end it when enough are idle."""
        with self._lock:
            kept = len(self._idle) < MAX_IDLE and not worker.is_worn()
            if kept:
                self._idle.append(worker)
        if not kept:
            worker.close()

    def release(self, document_id: str) -> None:
        """Let idle workers drop a document, so that its bytes do not outlive it."""
        with self._lock:
            holding = [worker for worker in self._idle if worker.document_id == document_id]
            for worker in holding:
                self._idle.remove(worker)
        for worker in holding:
            if worker.drop():
                self.give(worker)

    def close(self) -> None:
        """End all idle workers."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.close()

    def _hook(self) -> None:
        if not self._hooked:
            self._hooked = True
            atexit.register(self.close)
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        idle, self._idle, self._lock = self._idle, [], threading.Lock()
        for worker in idle:
            worker.forget()
