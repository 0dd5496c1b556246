"""The caller's side of the PDF worker: starts it, asks it, outlives its death. Must not know what the answers mean.

Starting a worker costs about 80 ms, so idle ones wait for the next document of this process. They are plain child
processes: multiprocessing refuses children to daemonic processes, which task queues use. A forked child never touches
its parent's workers: it forgets them and starts its own.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from router.errors import CorruptDocumentError, DocumentError, EncryptedDocumentError, LimitExceededError

_SCRIPT = Path(__file__).with_name("pdf_worker.py")
_LENGTH = struct.Struct("<I")
_MAX_IDLE = 2
_MAX_DOCUMENTS = 500
_DROP_TIMEOUT_S = 5.0
_ERRORS: dict[str, type[DocumentError]] = {
    "corrupt": CorruptDocumentError,
    "encrypted": EncryptedDocumentError,
    "limit": LimitExceededError,
}


class WorkerDiedError(Exception):
    """The worker ended before it answered; `timed_out` says whether it was ended for taking too long."""

    def __init__(self, timed_out: bool) -> None:
        super().__init__("timed out" if timed_out else "died")
        self.timed_out = timed_out


class PdfProcess:
    """One worker process; `document_id` is the document that it holds, `page_count` its pages."""

    def __init__(self) -> None:
        command = [sys.executable, "-P", str(_SCRIPT)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._stdin = cast(IO[bytes], self._process.stdin)
        self._stdout = cast(IO[bytes], self._process.stdout)
        self.document_id: str | None = None
        self.page_count = 0
        self._documents = 0

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    def hold(self, document_id: str, page_count: int) -> None:
        """Note which document the process has opened."""
        self.document_id, self.page_count = document_id, page_count
        self._documents += 1

    def is_worn(self) -> bool:
        """Return whether the process has read so many documents that what it leaked may count."""
        return self._documents >= _MAX_DOCUMENTS and self.document_id is None

    def is_alive(self) -> bool:
        """Return whether the process still runs."""
        return self._process.poll() is None

    def send(self, header: dict[str, Any], payload: bytes, timeout_s: float) -> None:
        """Send one request; raise `WorkerDiedError`."""
        encoded = json.dumps({**header, "timeout_s": timeout_s, "size": len(payload)}).encode()
        with self._deadline(timeout_s):
            self._stdin.write(_LENGTH.pack(len(encoded)) + encoded)
            self._stdin.write(payload)
            self._stdin.flush()

    def receive(self, timeout_s: float) -> tuple[dict[str, Any], bytearray]:
        """Return header and payload of the next reply; raise `WorkerDiedError`, or the `DocumentError` it reports."""
        with self._deadline(timeout_s):
            length = _LENGTH.unpack(self._read(_LENGTH.size))[0]
            header: dict[str, Any] = json.loads(self._read(length))
            payload = self._read(header["size"])
        if "error" in header:
            raise _ERRORS[header["error"]](header["detail"])
        return header, payload

    def drop(self) -> bool:
        """Drop the open document and return True; end the process and return False when that fails."""
        self.document_id = None
        try:
            self.send({"op": "drop"}, b"", _DROP_TIMEOUT_S)
            self.receive(_DROP_TIMEOUT_S)
        except (WorkerDiedError, DocumentError):
            self.close()
            return False
        return True

    def close(self) -> None:
        """End the process; it holds nothing worth saving."""
        self._process.kill()
        self.forget()
        self._process.wait()

    def forget(self) -> None:
        """Close the pipes without touching the process, which belongs to another caller after a fork."""
        for pipe in (self._stdin, self._stdout):
            with contextlib.suppress(OSError):
                pipe.close()

    def _read(self, size: int) -> bytearray:
        buffer = bytearray(size)
        view = memoryview(buffer)
        filled = 0
        while filled < size:
            count = self._stdout.readinto(view[filled:])  # type: ignore[attr-defined]
            if not count:
                raise EOFError
            filled += count
        return buffer

    @contextlib.contextmanager
    def _deadline(self, timeout_s: float) -> Iterator[None]:
        # killing the process ends any blocked read or write, on every platform and from any thread
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            self._process.kill()

        timer = threading.Timer(timeout_s, expire)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (OSError, EOFError, ValueError) as exc:
            raise WorkerDiedError(expired.is_set()) from exc
        finally:
            timer.cancel()


class PdfProcessPool:
    """Idle workers of this process; deque operations are atomic, so that no lock can be held across a fork."""

    def __init__(self) -> None:
        self._idle: deque[PdfProcess] = deque()
        self._hooked = False

    def take(self, document_id: str) -> PdfProcess:
        """Return a live worker, if possible one that holds the document already."""
        self._hook()
        idle = self._drain()
        idle.sort(key=lambda worker: worker.document_id != document_id)
        self._idle.extend(idle[1:])
        return idle[0] if idle else PdfProcess()

    def give(self, worker: PdfProcess) -> None:
        """Keep a worker for the next call, or end it when enough are idle."""
        if len(self._idle) < _MAX_IDLE and not worker.is_worn():
            self._idle.append(worker)
        else:
            worker.close()

    def release(self, document_id: str) -> None:
        """Let idle workers drop a document, so that its bytes do not outlive it."""
        for worker in self._drain():
            if worker.document_id != document_id or worker.drop():
                self.give(worker)

    def _drain(self) -> list[PdfProcess]:
        """Return all live idle workers, which are then the caller's."""
        drained = []
        while self._idle:
            with contextlib.suppress(IndexError):  # another thread was quicker
                drained.append(self._idle.popleft())
        alive = [worker for worker in drained if worker.is_alive()]
        for worker in drained:
            if worker not in alive:
                worker.close()
        return alive

    def close(self) -> None:
        """End all idle workers."""
        while self._idle:
            self._idle.popleft().close()

    def _hook(self) -> None:
        if not self._hooked:
            self._hooked = True
            atexit.register(self.close)
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        while self._idle:
            self._idle.popleft().forget()


POOL = PdfProcessPool()
