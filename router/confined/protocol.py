"""Messages between a confined process and its caller, and the bounds that hold while one is answered.

A message is four bytes of length, that many bytes of JSON, then `size` bytes of payload (`size` is a key of the JSON).
Must not know what is asked.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import struct
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO

LENGTH = struct.Struct("<I")
ALARM_SLACK_S = 5

Reply = tuple[dict[str, Any], int, Iterable[Any]]
"""Header, size of the payload in bytes, and its parts."""
Answer = Callable[[dict[str, Any], bytes], Iterator[Reply]]


def send(out: BinaryIO, header: dict[str, Any], size_bytes: int = 0, parts: Iterable[Any] = ()) -> None:
    """Write one message; end the process where its parts cannot be made, since half of it is under way."""
    encoded = json.dumps({**header, "size": size_bytes}).encode()
    out.write(LENGTH.pack(len(encoded)) + encoded)
    try:
        for part in parts:
            out.write(part)
    except Exception:
        os._exit(1)
    out.flush()


def receive(source: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """Return header and payload of the next message, None where the caller is gone."""
    prefix = source.read(LENGTH.size)
    if len(prefix) < LENGTH.size:
        return None
    header = json.loads(source.read(LENGTH.unpack(prefix)[0]))
    return header, source.read(header["size"])


def arm(timeout_s: float) -> None:
    """Die when a decoder never returns, even with the caller gone; the default action needs no interpreter."""
    if hasattr(signal, "alarm"):
        signal.alarm(math.ceil(timeout_s) + ALARM_SLACK_S if timeout_s else 0)


def bound_memory(size_bytes: int) -> None:
    """Let further memory be refused once this process has so much; what it shares with others is not counted."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (size_bytes + _UNUSED_BYTES, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _unused_bytes() -> int:
    """Return how much of the address space is only reserved: libraries that lie on disk, and room for stacks."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123
            mapped, resident = file.read().split()[:2]
    except OSError:
        return 0
    return (int(mapped) - int(resident)) * os.sysconf("SC_PAGE_SIZE")


_UNUSED_BYTES = 0


def serve(answers: Mapping[str, Answer], failure: Callable[[Exception], dict[str, Any]]) -> None:
    """Answer requests until the caller closes stdin; `failure` says in a reply's header what went wrong."""
    global _UNUSED_BYTES
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source, out = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not mix with the replies
    _UNUSED_BYTES = _unused_bytes()
    while (message := receive(source)) is not None:
        header, data = message
        arm(header["timeout_s"])
        try:
            for reply in answers[header["op"]](header, data):
                send(out, *reply)
        except Exception as exc:  # whatever a hostile document provokes is the caller's to name
            send(out, failure(exc))
        del message, data
        arm(0)
