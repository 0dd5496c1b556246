"""Checks of the Redis or Valkey that holds queues and jobs. Knows the server's own figures, no job or worker."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.exceptions import NoPermissionError

from router.errors import SettingsError
from workers.broker import broker_address, broker_url, connect
from workers.broker_errors import broker_problem, is_full_disk
from workers.checks import Check, fail, ok, warn
from workers.secret_files import is_loopback
from workers.service_settings import BrokerSettings

OLDEST_SERVER = (6, 2)
MOST_SKEW_S = 2.0
FULL_SHARE = 0.8
TIMEOUT_S = 5.0


def check_broker(broker: BrokerSettings) -> list[Check]:
    """Return what the server says of itself; one failed check named `broker` when it does not answer."""
    address = broker_address(broker)
    try:
        with closing(connect(broker, TIMEOUT_S)) as client:
            client.ping()
            info: dict[str, Any] = {}
            for section in ("server", "memory", "persistence", "clients", "replication"):
                info |= client.info(section)
            skew_s = _skew_s(client)
    except SettingsError as exc:
        return [fail("broker", str(exc))]
    except redis.AuthenticationError as exc:
        return [fail("broker", broker_problem(address, exc))]
    except NoPermissionError:
        told = f"{address} answers, but its user may not look at it"
        return [warn("broker", told, "allow INFO and TIME, to have memory, persistence and clock checked")]
    except redis.RedisError as exc:
        return [fail("broker", broker_problem(address, exc), _advice(exc))]
    checks = [_version(info, address), _eviction(info), _memory(info), *_persistence(info), _clock(skew_s)]
    return [*_takes_no_writes(info, address), *checks, *_password(broker)]


def _advice(exc: redis.RedisError) -> str:
    if is_full_disk(exc):  # with this the server refuses PING too, and a question for its figures begins with one
        return "free space on the server's disk, or make its folder writable; it goes on by itself"
    return "start docroute up, or set service.broker.url"


def _skew_s(client: Any) -> float:
    """Return how far this machine's clock is ahead of the server's, half the way there and back taken off."""
    before = time.time()
    seconds, microseconds = client.time()
    after = time.time()
    return (before + after) / 2 - (float(seconds) + float(microseconds) / 1e6)


def _version(info: Mapping[str, Any], address: str) -> Check:
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version") or info.get("redis_version") or "unknown")
    numbers = tuple(map(int, re.findall(r"\d+", version)[:2]))
    if numbers and numbers < OLDEST_SERVER:
        return fail("broker", f"{name} {version} at {address} is too old", "use Redis 6.2 or newer, or Valkey")
    return ok("broker", f"{name} {version} at {address}")


def _takes_no_writes(info: Mapping[str, Any], address: str) -> Iterator[Check]:
    if info.get("role") == "slave":
        primary = f"{info.get('master_host')}:{info.get('master_port')}"
        advice = f"set service.broker.url to its primary ({primary})"
        yield fail("broker", f"{address} is a read-only replica: it answers, and takes no job", advice)


def _eviction(info: Mapping[str, Any]) -> Check:
    policy = str(info.get("maxmemory_policy", "unknown"))
    if policy == "noeviction":
        return ok("eviction", "noeviction")
    advice = "set maxmemory-policy noeviction on the server"
    if int(info.get("maxmemory", 0)):
        return fail("eviction", f"{policy}: a full server throws jobs away", advice)
    return warn("eviction", f"{policy}: with a memory limit the server would throw jobs away", advice)


def _memory(info: Mapping[str, Any]) -> Check:
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if not limit:
        return ok("memory", f"{used / 1e6:,.0f} MB used, no limit set")
    share = used / limit
    detail = f"{used / 1e6:,.0f} of {limit / 1e6:,.0f} MB used ({share:.0%})"
    if share < FULL_SHARE:
        return ok("memory", detail)
    return warn("memory", detail, "a full server takes no new jobs: raise maxmemory, or shorten service.retention")


def _persistence(info: Mapping[str, Any]) -> Iterator[Check]:
    if info.get("loading"):
        yield warn("persistence", "the server is still loading its data", "wait")
    if not int(info.get("aof_enabled", 0)):
        yield warn(
            "persistence", "no append-only file: jobs are lost when the server dies", "set appendonly yes on the server"
        )
    elif info.get("aof_last_write_status", "ok") != "ok":
        yield fail("persistence", "the append-only file cannot be written", "look for a full disk on the server")
    else:
        yield ok("persistence", "append-only file is on")


def _clock(skew_s: float) -> Check:
    detail = f"this machine is {abs(skew_s):.1f} s {'ahead of' if skew_s > 0 else 'behind'} the server"
    if abs(skew_s) <= MOST_SKEW_S:
        return ok("clock", "as the server's" if abs(skew_s) < 0.1 else detail)
    return warn("clock", detail, "set the clocks by NTP: jobs go by the server's, logs by each machine's own")


def _password(broker: BrokerSettings) -> Iterator[Check]:
    parts = urlsplit(broker_url(broker))
    if parts.scheme == "redis" and not parts.password and not is_loopback(parts.hostname or ""):
        told = "the server asks for none and speaks no TLS: whoever reaches it may do everything"
        yield warn("password", told, "set a password on the server and in broker.password_file, and write rediss://")
    if urlsplit(broker.url).password and broker.password_file is None:
        yield warn(
            "password", "it stands in service.broker.url", "put it into a file and name that in broker.password_file"
        )
