"""The connection to Redis or Valkey: address, password, retries, errors. Knows no job, queue or script's meaning."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable
from importlib.resources import files
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

import redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.exceptions import NoScriptError
from redis.retry import Retry

from router.errors import SettingsError, StoreError, UnconfirmedError
from workers.broker_errors import broker_problem, is_refusal
from workers.broker_sentinel import master_client, read_group, uses_sentinels
from workers.broker_tls import tls_options
from workers.secret_files import password_file, read_secret
from workers.service_settings import BrokerSettings

SOCKET_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5.0
HEALTH_CHECK_S = 25
"""A connection that was idle for longer is tried with a PING first, so that a cut is noticed."""
TRIES = 5
FAIL_OVER_TRIES = 12
"""Where another server may take over: so often, which is a dozen seconds."""
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 2.0
_SCHEMES = ("redis", "rediss")
Answer = TypeVar("Answer")


def broker_url(broker: BrokerSettings) -> str:
    """Return the URL with user and password in it, for clients only: never log it.

    They are those of `username` and `password_file`, or the password that `docroute up` made in the working folder.
    """
    secret = password_file(broker)
    if broker.username is None and secret is None:
        return broker.url
    parts = urlsplit(broker.url)
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    if broker.username is not None:
        user = quote(broker.username, safe="")
    if secret is not None:
        password = quote(read_secret(secret, "broker.password_file"), safe="")
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{host}"))


def broker_address(broker: BrokerSettings) -> str:
    """Return the URL without user and password, for messages and logs."""
    parts = urlsplit(broker.url)
    query = parts.query if uses_sentinels(broker.url) else ""
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query))


def connect(broker: BrokerSettings, timeout_s: float = SOCKET_TIMEOUT_S) -> redis.Redis:
    """Return a client; it connects with its first command. Raise `SettingsError` for a URL that is none."""
    tls = tls_options(broker)
    options: dict[str, Any] = {
        "decode_responses": True,
        "encoding_errors": "replace",
        "socket_timeout": timeout_s,
        "socket_connect_timeout": min(CONNECT_TIMEOUT_S, timeout_s),
        "socket_keepalive": True,
        "health_check_interval": HEALTH_CHECK_S,
        "retry": Retry(NoBackoff(), 0),
    }
    if uses_sentinels(broker.url):
        return master_client(read_group(broker_url(broker), broker), tls, **options)
    try:
        if urlsplit(broker.url).scheme not in _SCHEMES:
            raise ValueError("Celery, which must connect too, knows no other")
        return redis.Redis.from_url(broker_url(broker), **tls, **options)
    except (ValueError, TypeError):
        # The cause may quote a part of the password.
        raise SettingsError(
            "broker.url is not a Redis URL; write redis://HOST:PORT/DB, rediss:// for TLS, or "
            "sentinel://HOST:PORT,HOST:PORT/DB?master=NAME"
        ) from None


def check_access(broker: BrokerSettings) -> None:
    """Raise `SettingsError` where the server and this process turn each other away; one that is away is none of it.

    For the start of a process that would otherwise try for ever.
    """
    with contextlib.closing(connect(broker, CONNECT_TIMEOUT_S)) as client:
        try:
            client.time()  # PING would say nothing of missing rights, and is refused with a full disk
        except redis.RedisError as exc:
            if is_refusal(exc):
                raise SettingsError(broker_problem(broker_address(broker), exc)) from exc


def script_text(name: str) -> str:
    """Return a script as it is sent to the server: the head that all share, and its own lines."""
    folder = files("workers") / "lua"
    return (folder / "prelude.lua").read_text("utf-8") + (folder / f"{name}.lua").read_text("utf-8")


class Connections:
    """Connections for one call at a time. Safe for threads and after a fork.

    The client's own pool asks the system before each command whether the connection still stands, and measures it; for
    a script that takes longer than all the rest. Here a cut shows at the call, which its caller must send again.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._pool = client.connection_pool
        self._idle: list[Any] = []
        self._process = os.getpid()

    def call(self, *command: Any) -> Any:
        """Return the answer to a command; raise `redis.RedisError`."""
        return self.call_each(command)[0]

    def call_each(self, *commands: tuple[Any, ...]) -> list[Any]:
        """Return the answers to commands that are given one after another to one connection."""
        connection = self._take()
        try:
            return [self._ask(connection, command) for command in commands]
        except redis.ResponseError:
            raise
        except BaseException:  # even an interrupt: the answer that is on its way must not meet the next command
            connection.disconnect()
            self.disconnect()
            raise
        finally:
            self._idle.append(connection)

    def disconnect(self) -> None:
        """Close those that nobody uses; they connect again with their next call."""
        taken = []
        with contextlib.suppress(IndexError):
            while True:
                taken.append(self._idle.pop())
        for connection in taken:
            connection.disconnect()
        self._idle += taken

    @staticmethod
    def _ask(connection: Any, command: tuple[Any, ...]) -> Any:
        connection.send_command(*command)
        return connection.read_response()

    def _take(self) -> Any:
        if self._process != os.getpid():  # those of before the fork are the parent's
            self._idle, self._process = [], os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            return self._pool.make_connection()


class Server:
    """One server as the store uses it: commands and scripts, sent again after a cut where that is safe."""

    def __init__(self, broker: BrokerSettings, timeout_s: float = SOCKET_TIMEOUT_S) -> None:
        self.address = broker_address(broker)
        self._client = connect(broker, timeout_s)
        self._connections = Connections(self._client)
        self._prefix = broker.key_prefix
        self._replicas, self._replicas_within_s = broker.replicas, broker.replicas_within_s
        self._tries = FAIL_OVER_TRIES if uses_sentinels(broker.url) else TRIES
        self._scripts: dict[str, Script] = {}

    def key(self, name: str) -> str:
        """Return a key's full name."""
        return self._prefix + name

    def run(self, script: str, *args: str | float | bytes) -> Any:
        """Return what `lua/<script>.lua` returns; scripts may be sent again, they know a call they have seen."""
        loaded = self._scripts.get(script) or self._load(script)
        return self.do(lambda _: self._evaluate(loaded, args))

    def confirm(self, job_id: str, result_blob: str = "", within_s: float | None = None) -> None:
        """Return when as many replicas as the settings ask for have a job; raise `UnconfirmedError`. See the store's.

        The wait is on the connection that has asked for the job, and so for the server that has it now, not for one
        that another has meanwhile replaced.
        """
        if self._replicas == 0:
            return
        longest_s = self._replicas_within_s if within_s is None else min(within_s, self._replicas_within_s)
        ask = ("EVAL", script_text("confirm"), 0, self._prefix, job_id, result_blob)
        wait = ("WAIT", self._replicas, max(1, int(1000 * longest_s)))
        known, confirmed = self.do(lambda _: self._connections.call_each(ask, wait))
        if not known:
            raise UnconfirmedError(f"{self.address} does not know job {job_id} so any more; submit it again")
        if confirmed < self._replicas:
            raise UnconfirmedError(
                f"{confirmed} of {self._replicas} replicas have job {job_id} after {longest_s:g} s; it may be lost if "
                f"{self.address} fails; submit it again, which makes no second job"
            )

    def do(self, work: Callable[[Any], Answer], again: bool = True) -> Answer:
        """Return what `work` returns; `again`: it may be sent twice. Raise `StoreError`."""
        wait_s = FIRST_WAIT_S
        for tries_left in range(self._tries - 1 if again else 0, -1, -1):
            try:
                return work(self._client)
            except (redis.ConnectionError, redis.TimeoutError) as exc:
                if not tries_left or is_refusal(exc):
                    raise StoreError(broker_problem(self.address, exc)) from exc
            except redis.RedisError as exc:
                raise StoreError(broker_problem(self.address, exc)) from exc
            # Spread, so that a whole fleet does not come back at the same moment.
            time.sleep(wait_s * random.uniform(0.5, 1.0))
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close the connections."""
        self._connections.disconnect()
        self._client.close()

    def _evaluate(self, script: Script, args: tuple[str | float | bytes, ...]) -> Any:
        try:
            return self._connections.call("EVALSHA", script.sha, 0, self._prefix, *args)
        except NoScriptError:
            return self._connections.call("EVAL", script.script, 0, self._prefix, *args)

    def _load(self, name: str) -> Script:
        script = self._scripts[name] = self._client.register_script(script_text(name))
        return script
