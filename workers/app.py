"""The Celery application: queues, delivery and transport as this service needs them. Knows no document.

Nothing is made at import; `celery -A workers.app ...` and Flower find the application as the attribute `app`, which is
made from this process's settings when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from celery import Celery
from kombu import Queue

from workers.broker import broker_url
from workers.broker_sentinel import uses_sentinels
from workers.broker_tls import tls_options
from workers.jobs import STAGES, Job
from workers.publish import publish
from workers.runtime import LaneChoice
from workers.service_settings import BrokerSettings
from workers.settings import Settings, load_settings
from workers.store import Store
from workers.tasks import Processes, register
from workers.transport import use_repaired_transport
from workers.transport_sentinel import sentinel_settings

if TYPE_CHECKING:
    app: Celery

PUBLISH_TRIES = 3


def make_app(settings: Settings, choice: LaneChoice = LaneChoice()) -> Celery:  # noqa: B008 (immutable)
    """Return the application with its tasks; it connects with the first message. Raise `SettingsError`."""
    use_repaired_transport()
    made = Celery("docroute", set_as_current=False)
    made.conf.update(configuration(settings))
    register(made, Processes(made, settings, choice))
    return made


def configuration(settings: Settings) -> dict[str, Any]:
    """Return Celery's settings; those of the transport must be the same in every process."""
    broker = settings.service.broker
    return {
        "broker_url": _through_sentinels(broker).get("broker_url") or broker_url(broker),
        # told nothing, kombu would take any certificate
        "broker_use_ssl": tls_options(broker) or None,
        "broker_transport_options": transport_options(settings),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # a server that refuses a command, as one whose memory is full, is no reason for a worker to end
        "broker_channel_error_retry": True,
        "task_queues": [Queue(stage, routing_key=stage) for stage in STAGES],
        "task_default_queue": "intake",
        "task_create_missing_queues": False,
        "task_serializer": "json",
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "result_backend": None,
        "task_acks_late": True,
        "task_reject_on_worker_lost": False,
        "worker_prefetch_multiplier": 1,
        # it asks the result backend about every message that comes again, and fails the message where there is none
        "worker_deduplicate_successful_tasks": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_consumer": "workers.event_consumer:EventGatheringConsumer",
        "worker_send_task_events": True,
        "task_send_sent_event": True,
        "task_publish_retry_policy": {"max_retries": PUBLISH_TRIES, "interval_start": 0.1, "interval_step": 0.4},
        "worker_hijack_root_logger": False,
        "worker_enable_remote_control": True,
        "enable_utc": True,
    }


def transport_options(settings: Settings) -> dict[str, Any]:
    """Return kombu's options for Redis, as every other Celery client of the service needs them too."""
    broker = settings.service.broker
    options = {
        "visibility_timeout": broker.visibility_timeout_s,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "socket_timeout": 30,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 25,
        "queue_order_strategy": "priority",
        "global_keyprefix": broker.key_prefix,
        # by its name, since workers tell these options to whoever asks
        "door": "workers.incoming:read_message",
    }
    changed: dict[str, Any] = _through_sentinels(broker).get("broker_transport_options", {})
    return options | changed


def _through_sentinels(broker: BrokerSettings) -> dict[str, Any]:
    return sentinel_settings(broker, tls_options(broker)) if uses_sentinels(broker.url) else {}


def make_publish(settings: Settings, store: Store) -> Callable[[Job], bool]:
    """Return the function by which a client puts a job into the queue of its stage; see `publish`."""
    made = make_app(settings)
    return lambda job: publish(made, store, job)


@cache
def _own() -> Celery:
    return make_app(load_settings())


def __getattr__(name: str) -> Celery:
    if name == "app":
        return _own()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
