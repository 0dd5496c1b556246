"""What a server's errors mean and what to do, in one line. Knows the clients' errors; no command, queue or job."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import redis
from redis.exceptions import AuthorizationError, InvalidResponse, NoPermissionError, ReadOnlyError

from workers.broker_tls import tls_problem
from workers.secret_files import is_loopback

_REFUSALS = ("NOAUTH", "WRONGPASS", "NOPERM")


def broker_problem(address: str, exc: BaseException) -> str:
    """Return one line for an error of redis-py; the address is a URL without a password."""
    told = tls_problem(exc) or _told(exc)
    if told is not None:
        return f"{address} {told}{_where_up_keeps_it(address, exc)}"
    if isinstance(exc, redis.ConnectionError | redis.TimeoutError):
        return f"cannot reach {address} ({exc}); {_hint(address, str(exc))}"
    return f"{address} answered: {exc}"


def is_refusal(exc: BaseException) -> bool:
    """Return whether the server turned this client away, or this client that server: trying again changes nothing."""
    if not isinstance(exc, redis.TimeoutError) and tls_problem(exc) is not None:
        return True
    if isinstance(exc, redis.AuthenticationError | AuthorizationError | NoPermissionError):
        return True
    return isinstance(exc, redis.ResponseError) and str(exc).startswith(_REFUSALS)


def is_full_disk(exc: BaseException) -> bool:
    """Return whether the server refuses writes, PING too, because it cannot write its own files."""
    return "MISCONF" in str(exc)


def _where_up_keeps_it(address: str, exc: BaseException) -> str:
    if not isinstance(exc, redis.AuthenticationError) or not is_loopback(urlsplit(address).hostname or ""):
        return ""
    return "; docroute up keeps its password in .docroute of the folder where it was started"


def _hint(address: str, text: str) -> str:
    if "reset" not in text and "closed" not in text:
        return "is the server running?"
    if address.startswith("rediss:"):
        return "is the server running, and does it want a client certificate (broker.certificate_file)?"
    return "is the server running, and does it speak TLS (rediss://)?"


def _told(exc: BaseException) -> str | None:
    text = str(exc)
    if isinstance(exc, NoPermissionError) or "NOPERM" in text or "ACL failure" in text:
        return f"does not allow its user what is needed ({_missing_right(text)}); see docker/valkey-users.acl"
    if isinstance(exc, redis.AuthenticationError | AuthorizationError) or text.startswith(_REFUSALS):
        return "refused the user or password; check broker.username, broker.password_file and broker.url"
    if isinstance(exc, redis.OutOfMemoryError) or "OOM" in text:
        return "is out of memory and takes no more; wait for jobs to end or raise its maxmemory"
    if isinstance(exc, ReadOnlyError) or "READONLY" in text:
        return "is a read-only replica; set broker.url to its primary"
    if is_full_disk(exc):
        return "cannot write its append-only file and takes nothing; look for a full disk on the server"
    if isinstance(exc, InvalidResponse):
        return "answers in no words of Redis; if it speaks TLS, write rediss:// in broker.url"
    return None


def _missing_right(text: str) -> str:
    """Return the right that the server names, without what else it says."""
    command = re.search(r"run the '([^']+)' command", text)
    if command:
        return f"the command {command[1]}"
    if "channel" in text:
        return "a channel"
    if "key" in text:
        return "a key"
    return text
