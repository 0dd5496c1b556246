"""Whether a service can work as it is set up: all checks in the order in which to mend things. Knows no terminal.

Nothing is changed but for a small blob that is written, read and removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

from router.errors import DocrouteError
from workers.blobs import make_blobs
from workers.broker import Server, broker_address
from workers.checks import Check, fail
from workers.doctor_blobs import check_deletion, check_epoch
from workers.doctor_broker import check_broker
from workers.doctor_decoders import check_decoders
from workers.doctor_failover import check_failover
from workers.doctor_local import check_blobs, check_decisions, check_lanes, check_schemas, check_sources, check_webhooks
from workers.doctor_queues import check_dead, check_messages, check_queues, check_receivers
from workers.doctor_workers import check_agreement, check_answers, check_stages
from workers.jobs import STAGES
from workers.presence import present_workers
from workers.quarantine import Quarantine
from workers.settings import Settings
from workers.store_redis import make_store


def examine(settings: Settings) -> list[Check]:
    """Return every check with what to do about it; what needs the broker is left out when that is away."""
    found = check_broker(settings.service.broker)
    found += _guarded("replicas", lambda: check_failover(settings.service.broker))
    if all(check.state != "fail" or check.name != "broker" for check in found):
        found += _guarded("workers", lambda: _with_broker(settings))
    local: tuple[tuple[str, Callable[[], Iterator[Check]]], ...] = (
        ("blobs", lambda: check_blobs(settings.service.blobs)),
        ("sources", lambda: check_sources(settings.service.sources)),
        ("webhooks", lambda: check_webhooks(settings.service.webhooks)),
        ("schemas", lambda: check_schemas(settings.service.schemas)),
        ("decoders", check_decoders),
        ("confidence", lambda: check_decisions(settings)),
    )
    for name, checks in local:
        found += _guarded(name, checks)
    return found


def _with_broker(settings: Settings) -> Iterator[Check]:
    broker = settings.service.broker
    workers = present_workers(broker)
    with closing(make_store(settings.service)) as store:
        waiting = {stage: store.waiting_count(stage) for stage in STAGES}
        yield from check_stages(workers, waiting, f"{broker_address(broker)}, keys {broker.key_prefix}*")
        if workers:
            yield from check_answers(settings, workers)
            yield from check_agreement(settings, workers)
        else:
            yield from check_lanes(settings.lanes)
        yield from check_queues(store, settings.service.load)
        yield from check_dead(store)
        yield from check_receivers(store)
        with closing(Quarantine(Server(broker))) as quarantine:
            yield from check_messages(quarantine)
        blobs = make_blobs(settings.service.blobs)
        yield from check_epoch(store, blobs)
        yield from check_deletion(store, blobs)


def _guarded(name: str, checks: Callable[[], Iterator[Check]]) -> list[Check]:
    found: list[Check] = []
    try:
        found.extend(checks())  # keeps what came before an error
    except DocrouteError as exc:
        found.append(fail(name, str(exc)))
    return found
