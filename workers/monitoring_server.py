"""The HTTP server of `/metrics`, `/live` and `/ready`. Knows no metric: a registry and a health are given to it.

`/live` and `/ready` answer 200, or 503 with what is wrong in words. There is no authentication: it is meant for
loopback and networks without strangers, and tells numbers only.
"""

from __future__ import annotations

import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from router.errors import SettingsError
from workers.health import Health
from workers.service_settings import MonitoringSettings

REQUEST_TIMEOUT_S = 5.0


class MonitoringServer:
    """Serves until it is stopped; `port` is the one that was bound (0 in the settings: any that is free)."""

    def __init__(self, settings: MonitoringSettings, registry: CollectorRegistry, health: Health) -> None:
        class Handler(_Handler):
            pass

        Handler.registry, Handler.health = registry, health
        server = _server_class(settings.host)
        try:
            self._server = server((settings.host, settings.port or 0), Handler)
        except OSError as exc:
            raise SettingsError(
                f"cannot serve metrics on {settings.host} port {settings.port}: {exc.strerror or exc}; "
                "set service.monitoring.port to another one"
            ) from exc
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="monitoring", daemon=True)

    def start(self) -> None:
        """Serve from a thread."""
        self._thread.start()

    def close_in_child(self) -> None:
        """Close the port in a forked process only."""
        self._server.socket.close()

    def stop(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _server_class(host: str) -> type[ThreadingHTTPServer]:
    class Server(ThreadingHTTPServer):
        daemon_threads = True
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    return Server


class _Handler(BaseHTTPRequestHandler):
    registry: CollectorRegistry
    health: Health
    timeout = REQUEST_TIMEOUT_S
    server_version = "docroute"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            encode, content_type = choose_encoder(self.headers.get("Accept", ""))
            self._answer(HTTPStatus.OK, encode(self.registry), content_type)
        elif path == "/live":
            self._state(self.health.not_live())
        elif path == "/ready":
            self._state(self.health.not_ready())
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"see /metrics, /live and /ready\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name in http.server)
        """Say nothing: probes come every few seconds."""

    def _state(self, problems: list[str]) -> None:
        status = HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK
        self._answer(status, ("\n".join(problems or ["ok"]) + "\n").encode())

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
