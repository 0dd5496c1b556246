"""Sentinel: a group of servers of which one is master, found by asking the sentinels. Knows no command of the service.

    sentinel://[USER[:PASSWORD]@]HOST[:PORT],HOST[:PORT],.../DB?master=NAME

`sentinels://` is the same over TLS. A master that was replaced may be reachable for a while, answer PING as ever and
even take writes: so each new connection asks a majority of the sentinels, follows the latest of their answers, and is
closed where the server found there is none or ceases to be one.
"""
# redis.sentinel has no types
# mypy: disallow-untyped-calls=False

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.credentials import UsernamePasswordCredentialProvider
from redis.exceptions import MasterDownError, NoPermissionError, ReadOnlyError
from redis.retry import Retry
from redis.sentinel import (
    MasterNotFoundError,
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

from router.errors import SettingsError
from workers.service_settings import BrokerSettings

SCHEMES = ("sentinel", "sentinels")
DEFAULT_PORT = 26379
ANSWER_S = 2.0
"""For a sentinel to answer; it holds little and is asked often."""
_NO_MASTER = ("READONLY", "MASTERDOWN", "UNBLOCKED", "NOREPLICAS")
"""What a server says that is no master, has just ceased to be one, or may have: its replicas have left it."""
_NO_MASTER_ERRORS = (ReadOnlyError, MasterDownError)
_FORM = "write sentinel://HOST:PORT,HOST:PORT,HOST:PORT/0?master=NAME, or sentinels:// for TLS"


class _OwnAccount(UsernamePasswordCredentialProvider):
    """As whom to speak to sentinels: workers tell the options of their connections to whoever asks, but not this."""

    def __json__(self) -> str:
        return "***"


@dataclass(frozen=True)
class SentinelGroup:
    """Which sentinels to ask, for which master, and as whom to speak to both."""

    master: str
    sentinels: tuple[tuple[str, int], ...]
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    own_username: str | None = None
    own_password: str | None = field(default=None, repr=False)
    """What the sentinels themselves ask for."""

    def sentinel_options(self, tls: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options of connections to the sentinels."""
        own = _OwnAccount(self.own_username, self.own_password)
        account = {"credential_provider": own} if self.own_username or self.own_password else {}
        encrypted = {"ssl": True, **tls} if tls else {}
        return {"socket_timeout": ANSWER_S, "socket_connect_timeout": ANSWER_S} | account | encrypted

    def __json__(self) -> str:
        """Return what a worker tells of it to whoever asks for its connection, as Flower does."""
        return self.master


def uses_sentinels(url: str) -> bool:
    """Return whether a broker's URL names sentinels."""
    return url.partition("://")[0] in SCHEMES


def read_group(url: str, broker: BrokerSettings) -> SentinelGroup:
    """Return what a URL with the password in it says; raise `SettingsError`, which quotes nothing of it."""
    try:
        parts = urlsplit(url)
        query = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        user, _, hosts = parts.netloc.rpartition("@")
        if "@" in user:  # each sentinel with an account of its own, as other clients write it
            raise ValueError("more than one account")
        sentinels = tuple(_address(host) for host in hosts.split(","))
        db = int(parts.path.strip("/") or 0)
    except ValueError:
        # the cause may quote a part of the password
        raise SettingsError(f"broker.url names no sentinels; {_FORM}") from None
    names = query.pop("master", [""])
    if query or len(names) != 1 or not names[0]:
        raise SettingsError(
            f"broker.url must say which master the sentinels watch, and nothing else after the ?; {_FORM}"
        )
    name, _, password = (unquote(part) for part in user.partition(":"))
    own = _password(broker.sentinel_password_file)
    return SentinelGroup(names[0], sentinels, db, name or None, password or None, broker.sentinel_username, own)


def master_client(group: SentinelGroup, tls: Mapping[str, Any], **options: Any) -> redis.Redis:
    """Return a client of whatever server is master; `tls`: `ssl_*` options, empty without; `options`: as of a pool."""
    account = {"db": group.db, "username": group.username, "password": group.password}
    made = MasterPool(group.master, Sentinels(group, tls), encrypted=bool(tls), **account, **tls, **options)
    return redis.Redis.from_pool(made)


class Sentinels(Sentinel):
    """The sentinels of a group."""

    def __init__(self, group: SentinelGroup, tls: Mapping[str, Any]) -> None:
        once = {"retry": Retry(NoBackoff(), 0), "decode_responses": True}
        super().__init__(list(group.sentinels), sentinel_kwargs=group.sentinel_options(tls) | once)

    def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return the address of the master in the latest of a majority's answers; raise `MasterNotFoundError`.

        A sentinel that is cut off from the others still names the master of before; its answer has a lower epoch.
        """
        answers: list[dict[str, Any]] = []
        problems: list[str] = []
        cause: redis.RedisError | None = None
        for sentinel in self.sentinels:
            try:
                answers.append(cast(dict[str, Any], sentinel.sentinel_master(service_name)))
            except redis.RedisError as exc:
                problems.append(f"{address_of(sentinel)}: {exc}")
                cause = cause or exc
            if 2 * len(answers) > len(self.sentinels):
                break
        latest = max((int(state["config-epoch"]) for state in answers), default=0)
        for state in answers:
            if int(state["config-epoch"]) == latest and self.check_master_state(state, service_name):
                return str(state["ip"]), int(state["port"])
        problems += [
            f"{state['ip']}:{state['port']} is held for dead, and no other is chosen yet" for state in answers[:1]
        ]
        raise MasterNotFoundError(f"no master {service_name!r}: {'; '.join(problems)}") from (
            None if answers else cause
        )


class MasterPool(SentinelConnectionPool):
    """Connections to whatever server is master."""

    def __init__(self, master: str, sentinels: Sentinels, encrypted: bool, **options: Any) -> None:
        options.setdefault("connection_class", MasterSSLConnection if encrypted else MasterConnection)
        super().__init__(master, sentinels, **options)

    def disconnect(self, inuse_connections: bool = True) -> None:
        """Close the connections; all of them with those to the sentinels."""
        super().disconnect(inuse_connections)
        if inuse_connections:
            for sentinel in self.sentinel_manager.sentinels:
                sentinel.connection_pool.disconnect()


class _OnlyMasters(SentinelManagedConnection):
    """Closes itself where the server is no master, so that whoever tries again asks the sentinels."""

    def connect_to(self, address: tuple[str, int]) -> None:
        """Connect, and raise `redis.ConnectionError` where a replica answers."""
        super().connect_to(address)
        try:
            self.send_command("ROLE", check_health=False)
            role = self.read_response(disable_decoding=True)[0]
        except NoPermissionError:  # then its writes tell
            return
        except BaseException:
            self.disconnect()
            raise
        if role != b"master":
            self.disconnect()
            raise redis.ConnectionError(f"{address[0]}:{address[1]} is no master any more, or not yet")

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Send; a connection that was closed asks the sentinels again, where redis-py would go to no address at all."""
        if not self._sock:
            self.connect()
        super().send_packed_command(command, check_health)

    def read_response(self, *args: Any, **options: Any) -> Any:
        """Return the answer; raise `redis.ConnectionError` for one that only a replica gives."""
        try:
            return super().read_response(*args, **options)
        except redis.ResponseError as exc:
            # redis-py takes the first word off some of these, and Redis 6.2 puts others before it
            if not any(word in str(exc) for word in _NO_MASTER) and not isinstance(exc, _NO_MASTER_ERRORS):
                raise
            self.disconnect()
            raise redis.ConnectionError(f"{self.host}:{self.port} is no master any more, or not yet: {exc}") from exc


class MasterConnection(_OnlyMasters):
    """A connection to the master."""


class MasterSSLConnection(_OnlyMasters, SentinelManagedSSLConnection):
    """A connection to the master over TLS."""


def address_of(sentinel: Any) -> str:
    """Return the host and port of a sentinel's client."""
    options = sentinel.connection_pool.connection_kwargs
    return f"{options['host']}:{options['port']}"


def _address(host: str) -> tuple[str, int]:
    parts = urlsplit(f"//{host}")
    if not parts.hostname or "@" in host or ";" in host:
        raise ValueError("no host")
    return parts.hostname, parts.port or DEFAULT_PORT


def _password(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"cannot read broker.sentinel_password_file {path}: {exc}") from exc
