"""Reading and writing the pipes of a child process until a time limit. Must not know what is said."""

from __future__ import annotations

import os
import select
import time

_CHUNK_BYTES = 1 << 20
_LONGEST_MS = 2**31 - 1


class PipeTimeoutError(Exception):
    """The other side took or gave nothing more in time."""


def write_all(fd: int, data: bytes | memoryview, until: float) -> None:
    """Write all of `data` to a pipe that does not block, until a time of the monotonic clock.

    Raise `PipeTimeoutError`, or `OSError` where the other side has gone.
    """
    poller, view = _poller(fd, select.POLLOUT), memoryview(data)
    while view:
        _await(poller, until)
        try:
            view = view[os.write(fd, view[:_CHUNK_BYTES]) :]
        except BlockingIOError:
            continue


def read_exactly(fd: int, size: int, until: float) -> bytearray:
    """Return so many bytes of a pipe that does not block, until a time of the monotonic clock.

    Raise `PipeTimeoutError`, or `EOFError` where the other side has gone.
    """
    poller, buffer, filled = _poller(fd, select.POLLIN), bytearray(size), 0
    view = memoryview(buffer)
    while filled < size:
        _await(poller, until)
        try:
            count = os.readv(fd, [view[filled:]])
        except BlockingIOError:
            continue
        if count == 0:
            raise EOFError
        filled += count
    return buffer


def _poller(fd: int, events: int) -> select.poll:
    poller = select.poll()
    poller.register(fd, events)
    return poller


def _await(poller: select.poll, until: float) -> None:
    if not poller.poll(min(max(0.0, 1000 * (until - time.monotonic())), _LONGEST_MS)):
        raise PipeTimeoutError
