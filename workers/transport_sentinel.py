"""Our transport over a group of servers that sentinels watch. Knows kombu's channels, and nothing of jobs.

Kombu's own way to sentinels has none of our repairs, takes the first sentinel's word, and stays with a server that has
become a replica.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from workers.broker import broker_url
from workers.broker_sentinel import (
    MasterConnection,
    MasterPool,
    MasterSSLConnection,
    SentinelGroup,
    Sentinels,
    read_group,
)
from workers.service_settings import BrokerSettings
from workers.transport import Channel, Transport

TIMEOUT_S = 10
"""For a server to answer; half a minute would be long after another has taken over."""
HEALTH_CHECK_S = 5


class SentinelChannel(Channel):
    """A channel whose connections lead to the master."""

    from_transport_options = (*Channel.from_transport_options, "sentinel_group", "sentinel_tls")
    connection_class = MasterConnection
    connection_class_ssl = MasterSSLConnection
    keyprefix_fanout: str
    sentinel_group: SentinelGroup
    sentinel_tls: dict[str, Any]

    def _get_pool(self, asynchronous: bool = False) -> MasterPool:
        params = self._connparams(asynchronous=asynchronous)
        self.keyprefix_fanout = self.keyprefix_fanout.format(db=params["db"])
        options = {name: value for name, value in params.items() if name not in {"host", "port"}}
        sentinels = Sentinels(self.sentinel_group, self.sentinel_tls)
        return MasterPool(self.sentinel_group.master, sentinels, bool(self.sentinel_tls), **options)


class SentinelTransport(Transport):
    """The transport with that channel."""

    Channel = SentinelChannel


def sentinel_settings(broker: BrokerSettings, tls: dict[str, Any]) -> dict[str, Any]:
    """Return what Celery's settings are where a broker's URL names sentinels; `tls`: `ssl_*` options, empty without."""
    group = read_group(broker_url(broker), broker)
    host, port = group.sentinels[0]
    account = f"{quote(group.username or '', safe='')}:{quote(group.password or '', safe='')}@"
    options = {
        "sentinel_group": group,
        "sentinel_tls": tls,
        "master_name": group.master,  # with the next for Flower's view of queues, which asks by itself
        "sentinel_kwargs": group.sentinel_options(tls),
        "socket_timeout": TIMEOUT_S,
        "health_check_interval": HEALTH_CHECK_S,
    }
    # kombu asks the address for a host, which only stands in its messages; the channel asks all sentinels
    url = f"sentinel://{account if group.username or group.password else ''}{host}:{port}/{group.db}"
    return {"broker_url": url, "broker_transport_options": options}
