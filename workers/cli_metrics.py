"""`docroute metrics`: serve the metrics of the queues until it is stopped."""

from __future__ import annotations

import logging
import signal
import threading
from typing import Annotated

import typer

from workers.logs import start_logging
from workers.settings import load_settings

_LOG = logging.getLogger(__name__)


def metrics(
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; service.monitoring.port or 9190 when not given.")
    ] = None,
) -> None:
    """Serve queue depths, jobs by state and the like at /metrics, for Prometheus, until it is stopped.

    /live and /ready answer 200, or 503 with the reason. The host is the setting service.monitoring.host (loopback).
    """
    from workers.queue_exporter import serve_queue_metrics

    start_logging()
    service = load_settings().service
    server = serve_queue_metrics(service, port)
    _LOG.info("metrics of the queues on http://%s:%d/metrics", service.monitoring.host, server.port)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
    server.stop()
