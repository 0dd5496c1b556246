"""A network that can be cut: forwards TCP on loopback to a port, until it is told to forward nothing for a while.

A cut loses no bytes and closes no connection, as when a cable is pulled; new connections are taken and get no answer.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading

_CHUNK = 65536
_POLL_S = 0.1


class TcpProxy:
    """Listens on `port` of 127.0.0.1 until it is stopped."""

    def __init__(self, target_port: int) -> None:
        self._target = ("127.0.0.1", target_port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = int(self._listener.getsockname()[1])
        self._flowing = threading.Event()
        self._flowing.set()
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def cut(self) -> None:
        """Forward nothing until `heal`."""
        self._flowing.clear()

    def heal(self) -> None:
        """Forward again, what was sent meanwhile first."""
        self._flowing.set()

    def stop(self) -> None:
        """Close everything."""
        self._stopped.set()
        self._flowing.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        self._listener.settimeout(_POLL_S)
        while not self._stopped.is_set():
            with contextlib.suppress(TimeoutError):
                near, _ = self._listener.accept()
                thread = threading.Thread(target=self._forward, args=(near,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _forward(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError):
            self._flowing.wait()
            with socket.create_connection(self._target) as far, selectors.DefaultSelector() as ready:
                near.setblocking(True)
                ready.register(near, selectors.EVENT_READ, far)
                ready.register(far, selectors.EVENT_READ, near)
                while not self._stopped.is_set():
                    for key, _ in ready.select(_POLL_S):
                        self._flowing.wait()
                        data = key.fileobj.recv(_CHUNK)  # type: ignore[union-attr]
                        if not data:
                            return
                        key.data.sendall(data)
