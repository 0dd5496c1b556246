"""Serves the metrics of the queues: joins the look at them, the collector and the HTTP server."""

from __future__ import annotations

from workers.health import Health
from workers.metrics_queues import QueueMetrics
from workers.monitoring import ping
from workers.monitoring_server import MonitoringServer
from workers.queue_watch import QueueWatch
from workers.service_settings import ServiceSettings
from workers.store_redis import make_store

DEFAULT_PORT = 9190


def serve_queue_metrics(service: ServiceSettings, port: int | None = None) -> MonitoringServer:
    """Return the started server of the metrics of the queues; raise `SettingsError` where the port is taken."""
    if port is None:
        port = DEFAULT_PORT if service.monitoring.port is None else service.monitoring.port
    watch = QueueWatch(service.broker, make_store(service))
    health = Health()
    health.require("broker and store", lambda: ping(service.broker))
    monitoring = service.monitoring.model_copy(update={"port": port})
    server = MonitoringServer(monitoring, QueueMetrics(watch.look).registry, health)
    server.start()
    return server
