"""One HTTP request to a host that somebody else named. Knows addresses, time and sizes, not what is asked or why.

Names are resolved once and the checked address is the one connected to, so a name that changes its address in between
gains nothing. Redirects are answers like any other; proxies, cookies and credentials of the environment are not used.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import certifi
import httpcore

from workers.addresses import Target, is_public

Resolver = Callable[[str, int], list[str]]
_PIECE_BYTES = 65_536


@dataclass(frozen=True)
class Answer:
    """What came back. `headers` in lower case; `body` ends soon after `max_bytes`; `cut` says why it is not whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: str = ""


@dataclass(frozen=True)
class NoAnswer:
    """Why nothing came back, in words without secrets; `final`: trying again will not help."""

    error: str
    final: bool = False


@dataclass(frozen=True)
class Outbound:
    """The way out. `tls` None: the system's certificates and those of certifi; `allow_private` lifts the address check.

    The time limit covers connection, TLS, headers and body together; looking up a name takes as long as the resolver
    of the system lets it.
    """

    allow_private: bool = False
    tls: ssl.SSLContext | None = None
    resolve: Resolver | None = None

    def send(
        self,
        method: str,
        target: Target,
        headers: Mapping[str, str],
        body: bytes,
        timeout_s: float,
        max_bytes: int,
    ) -> Answer | NoAnswer:
        """Return the answer to one request, or why there is none; never raises for what the other side does."""
        deadline = time.monotonic() + timeout_s
        backend = _Backend(deadline, self.allow_private, self.resolve or _resolve)
        pool = httpcore.ConnectionPool(
            ssl_context=self._tls if target.scheme == "https" else None, network_backend=backend, retries=0
        )
        try:
            with pool, pool.stream(method, _url(target), headers=_headers(target, headers), content=body) as response:
                return _read(response, max_bytes)
        except _RefusedError as exc:
            return NoAnswer(str(exc), final=True)
        except httpcore.TimeoutException:
            return NoAnswer(f"{target.place} did not answer within {timeout_s:g} s")
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, ValueError) as exc:
            return _no_answer(target, exc)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        if self.tls is not None:
            return self.tls
        context = ssl.create_default_context()
        context.load_verify_locations(certifi.where())
        return context


class _RefusedError(Exception):
    pass


def _read(response: httpcore.Response, max_bytes: int) -> Answer:
    pieces: list[bytes] = []
    size, cut = 0, ""
    try:
        for piece in response.iter_stream():
            pieces.append(piece)
            size += len(piece)
            if size > max_bytes:
                cut = f"it is larger than {max_bytes} bytes"
                break
    except httpcore.TimeoutException:
        cut = "it took too long"
    except (httpcore.NetworkError, httpcore.ProtocolError):
        cut = "the connection broke off"
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
    return Answer(response.status, headers, b"".join(pieces), cut)


def _no_answer(target: Target, exc: Exception) -> NoAnswer:
    cause = exc.args[0] if exc.args else None  # where httpcore leaves it: its pool cuts the chain of causes
    if isinstance(cause, ssl.SSLCertVerificationError):
        return NoAnswer(f"the certificate of {target.place} is not valid: {cause.verify_message}")
    if isinstance(cause, OSError) and cause.strerror:
        return NoAnswer(f"no connection to {target.place}: {cause.strerror}")
    return NoAnswer(f"no valid answer from {target.place}: {cause or type(exc).__name__}")


def _url(target: Target) -> httpcore.URL:
    resource = target.resource.encode("ascii")
    return httpcore.URL(scheme=target.scheme.encode(), host=target.host.encode(), port=target.port, target=resource)


def _headers(target: Target, headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    found = {"Host": target.place, "Accept-Encoding": "identity", "Connection": "close"} | dict(headers)
    return [(name.encode("ascii"), value.encode("utf-8")) for name, value in found.items()]


def _resolve(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as exc:
        raise OSError(None, "the name cannot be looked up") from exc
    return list(dict.fromkeys(str(address[4][0]) for address in found))


class _Backend(httpcore.NetworkBackend):
    """Connects to checked addresses only, all within one deadline (seconds of the monotonic clock)."""

    def __init__(self, deadline: float, allow_private: bool, resolve: Resolver) -> None:
        self._deadline = deadline
        self._allow_private = allow_private
        self._resolve = resolve
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in self._addresses(host, port):
            try:
                remaining_s = _remaining_s(self._deadline, httpcore.ConnectTimeout)
                stream = self._plain.connect_tcp(address, port, remaining_s, local_address, socket_options)
                return _Stream(stream, self._deadline)
            except httpcore.ConnectError as exc:
                failure = exc
        raise failure

    def _addresses(self, host: str, port: int) -> list[str]:
        try:
            addresses = self._resolve(host, port)
        except OSError as exc:
            raise httpcore.ConnectError(exc) from exc
        if not self._allow_private and not all(is_public(address) for address in addresses):
            raise _RefusedError(f"{host} has an address that is not public; such hosts are not called")
        return addresses


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _remaining_s(self._deadline, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _PIECE_BYTES):
            remaining_s = _remaining_s(self._deadline, httpcore.WriteTimeout)
            self._stream.write(buffer[start : start + _PIECE_BYTES], remaining_s)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        remaining_s = _remaining_s(self._deadline, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, remaining_s), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _remaining_s(deadline: float, error: type[httpcore.TimeoutException]) -> float:
    remaining_s = deadline - time.monotonic()
    if remaining_s <= 0:
        raise error("the time is over")
    return remaining_s
