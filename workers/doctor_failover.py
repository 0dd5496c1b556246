"""Checks of servers that stand in for each other: what the sentinels name, who follows the master, what would be lost.

Knows the servers' own figures, no job or worker.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import redis

from workers.broker import broker_url, connect
from workers.broker_sentinel import SentinelGroup, Sentinels, address_of, read_group, uses_sentinels
from workers.broker_tls import tls_options
from workers.checks import Check, fail, ok, warn
from workers.service_settings import BrokerSettings

FEWEST_SENTINELS = 3
TIMEOUT_S = 5.0
_LOOK_AGAIN = "look again in a minute: a fail-over may be under way; else look at these sentinels"


def check_failover(broker: BrokerSettings) -> Iterator[Check]:
    """Yield what sentinels and replicas there are; nothing where one server is all that is set up."""
    if uses_sentinels(broker.url):
        yield from _sentinels(read_group(broker_url(broker), broker), broker)
    if uses_sentinels(broker.url) or broker.replicas:
        try:
            with closing(connect(broker, TIMEOUT_S)) as client:
                info: dict[str, Any] = client.info("replication")
        except redis.RedisError:  # said by the check of the broker
            return
        yield _replicas(info, broker.replicas)
        if uses_sentinels(broker.url) and "min_slaves_good_slaves" not in info:
            told = "a master that was cut off and replaced goes on taking messages and jobs, which are lost"
            yield warn("cut-off master", told, "set min-replicas-to-write 1 and min-replicas-max-lag 10 on all servers")


def _sentinels(group: SentinelGroup, broker: BrokerSettings) -> Iterator[Check]:
    named: dict[str, list[str]] = {}
    silent: list[str] = []
    quorum = ""
    with closing(Sentinels(group, tls_options(broker))) as sentinels:
        for client in sentinels.sentinels:
            try:
                state: Any = client.sentinel_master(group.master)
                quorum = quorum or _quorum(client, group.master)
            except redis.RedisError as exc:
                silent.append(f"{address_of(client)}: {exc}")
            else:
                named.setdefault(f"{state['ip']}:{state['port']}", []).append(address_of(client))
    yield _agreement(group, named, silent)
    if quorum:
        yield fail("quorum", quorum, "start the missing sentinels: without them no server takes over")
    if len(group.sentinels) < FEWEST_SENTINELS:
        told = f"{len(group.sentinels)} in broker.url: when one is lost, a majority may be too"
        yield warn("sentinels", told, "run three, on machines that do not fail together, and name them all")


def _quorum(client: Any, master: str) -> str:
    """Return why no server could take over, empty where one could."""
    try:
        client.execute_command("SENTINEL", "CKQUORUM", master)
    except redis.ResponseError as exc:
        return str(exc)
    return ""


def _agreement(group: SentinelGroup, named: dict[str, list[str]], silent: list[str]) -> Check:
    count = len(group.sentinels)
    if not named:
        return fail("sentinels", f"none of {count} answers: {'; '.join(silent)}", "start them, or correct broker.url")
    if len(named) > 1:
        told = "; ".join(f"{', '.join(who)} names {master}" for master, who in named.items())
        return warn("sentinels", f"they do not agree on the master: {told}", _LOOK_AGAIN)
    (master,) = named
    detail = f"{count - len(silent)} of {count} name {master} as the master of {group.master}"
    return warn("sentinels", f"{detail}; {'; '.join(silent)}", _LOOK_AGAIN) if silent else ok("sentinels", detail)


def _replicas(info: dict[str, Any], wanted: int) -> Check:
    states = [
        info[name] for name in (f"slave{at}" for at in range(int(info.get("connected_slaves", 0)))) if name in info
    ]
    online = [state for state in states if state.get("state") == "online"]
    behind = max((int(info["master_repl_offset"]) - int(state["offset"]) for state in online), default=0)
    lag_s = max((int(state["lag"]) for state in online), default=0)
    detail = f"{len(online)} follow the master, at most {lag_s} s and {behind:,} bytes behind"
    if len(online) < wanted:
        told = f"{len(online)} follow the master, and broker.replicas is {wanted}: every submission is refused"
        return fail("replicas", told, "start them, or lower service.broker.replicas")
    if not wanted:
        told = f"{detail}; a submission is acknowledged before any has it, and is lost where the master fails then"
        return warn("replicas", told, "set service.broker.replicas = 1")
    return ok("replicas", f"{detail}; {wanted} must have a submission")
