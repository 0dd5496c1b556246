"""A TLS port in front of a server on loopback, for tests: the server of the wheel has no TLS of its own."""

import contextlib
import datetime as dt
import selectors
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import trustme

CHUNK = 65_536
POLL_S = 0.1
HANDSHAKE_S = 30.0


class TlsProxy:
    """Listens on `port` of 127.0.0.1 with a certificate, and passes on what comes, until it is stopped."""

    def __init__(self, target_port: int, context: ssl.SSLContext) -> None:
        self._target, self._context = ("127.0.0.1", target_port), context
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listener.settimeout(POLL_S)
        self.port = int(self._listener.getsockname()[1])
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            with contextlib.suppress(TimeoutError):
                near, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(near,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError), plain:
            plain.settimeout(HANDSHAKE_S)
            with self._context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False) as near:
                try:
                    near.do_handshake()
                except ssl.SSLError:
                    _end_softly(near)
                else:
                    self._forward(near)

    def _forward(self, near: ssl.SSLSocket) -> None:
        with socket.create_connection(self._target) as far, selectors.DefaultSelector() as ready:
            ready.register(near, selectors.EVENT_READ, far)
            ready.register(far, selectors.EVENT_READ, near)
            while not self._stopped.is_set():
                for key, _ in ready.select(POLL_S):
                    if not _passed_on(key.fileobj, key.data):
                        return


def _end_softly(near: ssl.SSLSocket) -> None:
    """Close when the other side has: with bytes unread, the system resets, and what was wrong is never heard."""
    near.shutdown(socket.SHUT_WR)
    while socket.socket.recv(near, CHUNK):
        pass


def _passed_on(source: Any, sink: Any) -> bool:
    """Pass on what is there, also what was deciphered already; return whether there may be more."""
    while data := source.recv(CHUNK):
        sink.sendall(data)
        if not (isinstance(source, ssl.SSLSocket) and source.pending()):
            return True
    return False


def server_context(
    authority: trustme.CA, *names: str, expired: bool = False, clients: trustme.CA | None = None
) -> ssl.SSLContext:
    """A server's side; with `clients` it asks for a client certificate of that authority."""
    now = dt.datetime.now(dt.UTC)
    times = {"not_before": now - dt.timedelta(days=9), "not_after": now - dt.timedelta(days=1)} if expired else {}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, **times).configure_cert(context)
    if clients is not None:
        clients.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def ca_file(authority: trustme.CA, path: Path) -> str:
    """Write an authority's certificate."""
    authority.cert_pem.write_to_path(path)
    return str(path)


def client_files(authority: trustme.CA, folder: Path, name: str = "client") -> dict[str, str]:
    """Write a client certificate and its key; return the settings that name them."""
    issued = authority.issue_cert(f"{name}@docroute.example")
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    key.chmod(0o600)
    return {"certificate_file": str(certificate), "key_file": str(key)}
