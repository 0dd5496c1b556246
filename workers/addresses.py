"""Which hosts and addresses may be called. Knows URLs and IP addresses, opens no connection.

A URL is taken apart once, here, and the parts are what is called: two parsers that disagree about one text are how
allow-lists are got round.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit

PORTS = {"https": 443, "http": 80}
_MAX_URL_CHARS = 4000
_TARGET_SAFE = "/?:@!$&'()*+,;=-._~%[]"
_IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "168.63.129.16/32",  # the metadata address of Azure, which looks public
        "192.0.0.0/24",  # protocol assignments, metadata of Oracle
        "64:ff9b:1::/48",  # NAT64 for local use
        "fec0::/10",  # site-local, deprecated
    )
)


@dataclass(frozen=True)
class Target:
    """The parts of a URL that is called: `host` in ASCII and lower case, `resource` with the query."""

    scheme: str
    host: str
    port: int
    resource: str

    @property
    def place(self) -> str:
        """Return `host` or `host:port`, for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def parse_target(url: str) -> Target:
    """Return the parts of an http(s) URL; raise ValueError, without repeating the URL, for anything unusual."""
    if len(url) > _MAX_URL_CHARS:
        raise ValueError(f"it is longer than {_MAX_URL_CHARS} characters")
    if not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("it has spaces, backslashes or control characters")
    parts = _split(url)
    scheme = parts.scheme.lower()
    if scheme not in PORTS:
        raise ValueError("it is no http(s) URL")
    if "@" in parts.netloc:
        raise ValueError("it carries user info, which would end up in logs; leave it out")
    if not parts.hostname:
        raise ValueError("it names no host")
    resource = quote(parts.path or "/", safe=_TARGET_SAFE) + (
        f"?{quote(parts.query, safe=_TARGET_SAFE)}" if parts.query else ""
    )
    return Target(scheme, _ascii_host(parts.hostname), parts.port or PORTS[scheme], resource)


def is_listed(target: Target, hosts: Iterable[str]) -> bool:
    """Return whether an allow-list of `name` (then the scheme's own port only) or `name:port` has the target."""
    for entry in hosts:
        try:
            listed = parse_target(f"{target.scheme}://{entry}")
        except ValueError:
            continue
        if (listed.host, listed.port) == (target.host, target.port):
            return True
    return False


def is_public(address: str) -> bool:
    """Return whether an IP address is on the public internet, and so is any that it carries inside."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = _carried(ip)
    if inner is not None:
        return is_public(str(inner))
    listed = any(ip.version == network.version and ip in network for network in _NOT_PUBLIC)
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or listed)


def is_private_name(host: str) -> bool:
    """Return whether a host can be told to be private without asking a name server."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal"))
    return not is_public(host)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # it is only looked at when asked for
    except ValueError as exc:
        raise ValueError("its host or port cannot be understood") from exc
    return parts


def _ascii_host(host: str) -> str:
    if ":" in host:
        if "%" in host:
            raise ValueError("its address names a network interface")
        return host
    try:
        ascii_host = host.encode("idna").decode("ascii").lower().removesuffix(".")
    except UnicodeError as exc:
        raise ValueError("its host is no name that can be looked up") from exc
    if not ascii_host or not all(char.isalnum() or char in "-._" for char in ascii_host):
        raise ValueError("its host has characters that no name has")
    return ascii_host


def _carried(ip: _IPAddress) -> ipaddress.IPv4Address | None:
    if isinstance(ip, ipaddress.IPv4Address):
        return None
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
