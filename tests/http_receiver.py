"""A small HTTP(S) server on loopback that records what it gets and answers as it is told."""

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Reply:
    """One answer. `drop`: the connection is cut without one; `announced`: a false Content-Length; `drip_s`: a pause
    after each byte of the body; `header_drip_s`: one between endless headers."""

    status: int = 200
    body: bytes = b"ok"
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    drip_s: float = 0.0
    header_drip_s: float = 0.0
    drop: bool = False
    announced: int | None = None


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class HttpReceiver:
    """`replies` are given once each, in order; then `always`, or the one of the path in `pages`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.received: list[Received] = []
        self.replies: list[Reply] = []
        self.pages: dict[str, Reply] = {}
        self.always = Reply()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.handle_error = lambda request, address: None  # type: ignore[method-assign]
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._scheme = "https" if tls else "http"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    def url(self, path: str = "/") -> str:
        return f"{self._scheme}://{self.host}{path}"

    def stop(self) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, received: Received) -> Reply:
        with self._lock:
            self.received.append(received)
            if received.path in self.pages:
                return self.pages[received.path]
            return self.replies.pop(0) if self.replies else self.always

    def pause(self, seconds: float) -> None:
        self._stopping.wait(seconds)

    def _handler(receiver) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                reply = receiver.take(Received(self.command, self.path, headers, body))
                receiver.pause(reply.delay_s)
                if not reply.drop:
                    _write(self, reply, receiver)
                self.close_connection = True

            do_GET = do_POST = answer  # noqa: N815

            def log_message(self, *args: object) -> None:
                pass

        return Handler


def _write(handler: BaseHTTPRequestHandler, reply: Reply, receiver: HttpReceiver) -> None:
    handler.send_response(reply.status)
    for name, value in reply.headers.items():
        handler.send_header(name, value)
    length = len(reply.body) if reply.announced is None else reply.announced
    handler.send_header("Content-Length", str(length))
    ends = time.monotonic() + 20
    while reply.header_drip_s and not receiver._stopping.is_set() and time.monotonic() < ends:
        handler.send_header("X-More", "1")
        handler.flush_headers()
        receiver.pause(reply.header_drip_s)
    handler.end_headers()
    if not reply.drip_s:
        handler.wfile.write(reply.body)
        return
    for byte in reply.body:
        handler.wfile.write(bytes([byte]))
        receiver.pause(reply.drip_s)


@contextmanager
def http_receiver(tls: ssl.SSLContext | None = None) -> Iterator[HttpReceiver]:
    receiver = HttpReceiver(tls)
    try:
        yield receiver
    finally:
        receiver.stop()
