"""The caller's side of a process that decodes: starts it, asks it, outlives its death. Must not know the answers.

They are plain child processes: multiprocessing refuses children to daemonic processes, which task queues use. They get
none of this process's environment but what an interpreter needs, since it may hold passwords.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from router.documents.pipes import PipeTimeoutError, read_exactly, write_all
from router.errors import (
    CorruptDocumentError,
    DocumentError,
    EmptyDocumentError,
    EncryptedDocumentError,
    LimitExceededError,
)

_LENGTH = struct.Struct("<I")
_MAX_HEADER_BYTES = 1_000_000
_MAX_PAYLOAD_BYTES = 1_000_000_000
_MAX_DETAIL_CHARS = 400
_DROP_TIMEOUT_S = 5.0
_ROOT = Path(__file__).parents[2]
_START = "import sys; sys.path.append(sys.argv[1]); from router.confined.start import main; main(sys.argv[2:])"
_ENVIRONMENT = ("LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH", "SYSTEMROOT")
_OWN_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
"""Threads of their own would each reserve memory, of which there is little."""
_ERRORS: dict[str, type[DocumentError]] = {
    "corrupt": CorruptDocumentError,
    "empty": EmptyDocumentError,
    "encrypted": EncryptedDocumentError,
    "limit": LimitExceededError,
}


class WorkerDiedError(Exception):
    """The worker ended before it answered; `timed_out` says whether it was ended for taking too long."""

    def __init__(self, timed_out: bool) -> None:
        super().__init__("timed out" if timed_out else "died")
        self.timed_out = timed_out


class DecoderProcess:
    """One worker process; `document_id` is the document that it holds, `page_count` its pages."""

    def __init__(self, script: Path, preload: tuple[str, ...], max_documents: int) -> None:
        self._process = start(script, *preload)
        self._max_documents = max_documents
        self._stdin = cast(IO[bytes], self._process.stdin)
        self._stdout = cast(IO[bytes], self._process.stdout)
        for pipe in (self._stdin, self._stdout):
            os.set_blocking(pipe.fileno(), False)
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
        return self._documents >= self._max_documents and self.document_id is None

    def is_alive(self) -> bool:
        """Return whether the process still runs."""
        return self._process.poll() is None

    def send(self, header: dict[str, Any], payload: bytes, timeout_s: float) -> None:
        """Send one request; raise `WorkerDiedError`."""
        encoded = json.dumps({**header, "timeout_s": timeout_s, "size": len(payload)}).encode()
        with self._deadline(timeout_s) as until:
            write_all(self._stdin.fileno(), _LENGTH.pack(len(encoded)) + encoded, until)
            write_all(self._stdin.fileno(), payload, until)

    def receive(self, timeout_s: float) -> tuple[dict[str, Any], bytearray]:
        """Return header and payload of the next reply; raise `WorkerDiedError`, or the `DocumentError` it reports."""
        with self._deadline(timeout_s) as until:
            size = _LENGTH.unpack(self._read(_LENGTH.size, until))[0]
            header: dict[str, Any] = json.loads(self._read(size, until, _MAX_HEADER_BYTES))
            payload = self._read(header["size"], until)
            failure = _ERRORS[header["error"]](str(header["detail"])[:_MAX_DETAIL_CHARS]) if "error" in header else None
        if failure is not None:
            raise failure
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

    def _read(self, size: int, until: float, at_most: int = _MAX_PAYLOAD_BYTES) -> bytearray:
        if not 0 <= size <= at_most:
            raise ValueError("no worker that is sound sends so much")
        return read_exactly(self._stdout.fileno(), size, until)

    @contextlib.contextmanager
    def _deadline(self, timeout_s: float) -> Iterator[float]:
        """Give the time of the monotonic clock at which the process is ended for taking too long."""
        try:
            yield time.monotonic() + timeout_s
        except PipeTimeoutError as exc:
            self._process.kill()
            raise WorkerDiedError(timed_out=True) from exc
        except (
            OSError,
            EOFError,
            ValueError,
            KeyError,
            TypeError,
            RecursionError,
        ) as exc:  # nothing it sends is trusted
            raise WorkerDiedError(timed_out=False) from exc


def start(script: Path, *preload: str) -> subprocess.Popen[bytes]:
    """Start a script in a confined process that has loaded the modules `preload` before it gave up its rights."""
    command = [sys.executable, "-P", "-B", "-c", _START, str(_ROOT), str(script), *preload]
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ} | _OWN_ENVIRONMENT
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )
