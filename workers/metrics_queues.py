"""The metrics of the queues and the job store, looked up when they are scraped. Knows no worker and no HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from router.errors import DocrouteError
from workers.jobs import STAGES
from workers.queue_watch import ServiceSight

FRESH_S = 1.0
"""Scrapes within this time are given the same numbers, so that many scrapers are no load."""
COUNTERS = {
    "late": ("docroute_late_results", "Steps that ended after another had taken their lease, dropped."),
    "expired": ("docroute_leases_expired", "Steps whose worker fell silent, given to another."),
    "retried": ("docroute_retries", "Steps that failed for now and were tried again."),
    "dead": ("docroute_jobs_died", "Jobs that failed for good and became dead letters."),
    "put_aside": ("docroute_messages_put_aside", "Messages that no worker could act on, put aside."),
    "webhooks_failed": ("docroute_webhook_failures", "Notifications that were given up."),
}


class QueueMetrics(Collector):
    """A collector over `look`. When that fails it gives `docroute_broker_up 0` and no old numbers."""

    def __init__(self, look: Callable[[], ServiceSight], clock: Callable[[], float] = time.monotonic) -> None:
        self._look = look
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: tuple[float, list[Metric]] | None = None
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Return nothing: to be registered needs no look."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, at most a second old."""
        with self._lock:
            if self._seen is None or self._clock() - self._seen[0] > FRESH_S:
                self._seen = self._clock(), self._metrics()
            metrics = self._seen[1]
        yield from metrics

    def _metrics(self) -> list[Metric]:
        try:
            sight = self._look()
        except DocrouteError:
            return [_gauge("docroute_broker_up", "Whether broker and job store answer.", 0)]
        return [
            _gauge("docroute_broker_up", "Whether broker and job store answer.", 1),
            *_of_queues(sight),
            *_of_jobs(sight),
        ]


def _of_queues(sight: ServiceSight) -> Iterator[Metric]:
    depth = GaugeMetricFamily("docroute_queue_depth", "Messages that wait in a queue.", labels=("queue", "priority"))
    for queue, counts in sight.depth.items():
        for priority, count in counts.items():
            depth.add_metric((queue, priority), count)
    yield depth
    waiting = GaugeMetricFamily("docroute_queue_jobs", "Jobs that wait for a stage.", labels=("queue",))
    oldest = GaugeMetricFamily("docroute_queue_oldest_seconds", "Wait of the longest waiting job.", labels=("queue",))
    for stage in STAGES:
        waiting.add_metric((stage,), sight.waiting[stage])
        oldest.add_metric((stage,), sight.oldest_s[stage])
    yield waiting
    yield oldest
    unacked = sight.unacked
    yield _gauge("docroute_unacked", "Messages that a worker has and has not acknowledged.", unacked.count)
    yield _gauge("docroute_unacked_oldest_seconds", "Age of the oldest such message.", unacked.oldest_age_s or 0.0)
    yield _gauge("docroute_broker_memory_bytes", "Memory that the broker uses.", sight.memory_bytes)


def _of_jobs(sight: ServiceSight) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("docroute_jobs", "Jobs by state.", labels=("state",))
    for state, count in sight.jobs.items():
        jobs.add_metric((state,), count)
    yield jobs
    yield _gauge("docroute_dead_letters", "Jobs on the dead-letter list.", sight.dead_letters)
    lost = "Whether the broker came back empty; also before a service's first submission."
    yield _gauge("docroute_broker_without_epoch", lost, not sight.has_epoch)
    yield _gauge("docroute_messages_aside", "Messages that were put aside and are kept.", sight.aside_messages)
    yield _gauge("docroute_webhooks_dead", "Notifications that were given up and are kept.", sight.dead_webhooks)
    if sight.escalation_share is not None:
        share = sight.escalation_share
        yield _gauge("docroute_escalation_share", "Share of the fields read that were sent to the deep lane.", share)
    for name, (metric, words) in COUNTERS.items():
        yield CounterMetricFamily(metric, words, value=sight.statistics.get(name, 0.0))


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value=value)
