"""Checks of what waits and what has failed for good. Knows store and quarantine, no worker."""

from __future__ import annotations

from collections.abc import Iterator

from workers.checks import Check, fail, ok, warn
from workers.job_view import duration
from workers.jobs import STAGES
from workers.quarantine import Quarantine
from workers.service_settings import LoadSettings
from workers.store import Store

LONG_WAIT_S = 600.0
MOST_RECEIVERS = 5


def check_queues(store: Store, load: LoadSettings) -> Iterator[Check]:
    """Yield for each stage how much waits and for how long."""
    now = store.now()
    limits = {"intake": load.intake_limit, "deep": load.deep_limit}
    for stage in STAGES:
        waiting, since = store.waiting_count(stage), store.waiting_since(stage)
        oldest_s = 0.0 if since is None else now - since
        name, detail = f"{stage} queue", f"{waiting:,} jobs wait"
        if waiting:
            detail += f", the oldest for {duration(oldest_s)}"
        if stage == "intake" and waiting >= limits[stage]:
            yield fail(name, f"{detail}; new ones are turned away", "add intake workers, or raise load.intake_limit")
        elif stage == "deep" and waiting >= limits[stage]:
            yield warn(name, f"{detail}; only required fields escalate", "add deep workers, or lower policy.budget")
        elif oldest_s > LONG_WAIT_S:
            yield warn(name, detail, f"add {stage} workers; docroute list --queue {stage} --order oldest shows them")
        else:
            yield ok(name, detail)


def check_messages(quarantine: Quarantine) -> Iterator[Check]:
    """Yield whether messages came that no worker can act on."""
    kept = quarantine.count()
    newest = quarantine.messages(1)
    if kept and newest:
        detail = f"{kept:,} were put aside, the last for {newest[0].queue or 'no queue'}: {newest[0].reason}"
        yield warn("messages", detail, "docroute dead list --messages, then tell their sender, and retry or drop them")
    else:
        yield ok("messages", "none was put aside")


def check_receivers(store: Store) -> Iterator[Check]:
    """Yield the receivers of webhooks that do not answer, a few at most."""
    now = store.now()
    silent = [receiver for receiver in store.receivers(500) if receiver.open_until]
    for receiver in sorted(silent, key=lambda one: -one.waiting)[:MOST_RECEIVERS]:
        detail = f"{receiver.place or 'no valid host'}: {receiver.waiting:,} notifications wait, "
        detail += f"{receiver.failures:,} tries in a row failed, next in {duration(receiver.open_until - now)}"
        yield warn("webhook receiver", detail, "they are tried for service.webhooks.keep_trying_s; see whether it runs")


def check_dead(store: Store) -> Iterator[Check]:
    """Yield whether jobs failed for good, or webhooks were given up."""
    jobs, webhooks = store.dead_count(), store.dead_webhook_count()
    if jobs:
        yield warn("dead letters", f"{jobs:,} jobs failed for good", "docroute dead list, then retry or drop")
    if webhooks:
        advice = "docroute dead list, then docroute dead retry --webhooks"
        yield warn("dead webhooks", f"{webhooks:,} notifications were given up", advice)
    if not jobs and not webhooks:
        yield ok("dead letters", "none")
