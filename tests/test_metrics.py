"""Metrics, live and ready: of the parts, of a real worker, and of the queues."""

import os
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families
from steps_world import PAGE, SURE
from valkey_server import free_port
from worker_processes import PATIENT, ServiceProcesses, wait_for

from backends.base import EngineState, ModelFacts
from router.errors import SettingsError, StoreError
from workers.health import Health
from workers.jobs import STAGES, JobSpec
from workers.metrics import StepMetrics
from workers.metrics_queues import QueueMetrics
from workers.monitoring import WorkerMonitoring
from workers.monitoring_server import MonitoringServer
from workers.queue_watch import QueueWatch
from workers.report_pipe import ReportPipe
from workers.runtime import StepReport
from workers.service_settings import BrokerSettings, MonitoringSettings, ServiceSettings
from workers.store_redis import make_store

REPORT = StepReport("j1", "fast", "done", 1, 0.2, 3.0, "done", (0.2, 0.97), fields=10, escalated=1)


def values(registry_or_text):
    """Return samples as {(name, labels...): value}."""
    if isinstance(registry_or_text, str):
        families = text_string_to_metric_families(registry_or_text)
    else:
        families = registry_or_text.collect()
    return {(s.name, *sorted(s.labels.values())): s.value for family in families for s in family.samples}


def get(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as exc:
        return exc.code, exc.read().decode()
    except OSError:
        return 0, ""


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


# -- of a worker


def test_a_report_counts_in_every_metric_it_speaks_of():
    metrics = StepMetrics()
    metrics.observe(REPORT)
    found = values(metrics.registry)
    assert found["docroute_steps_total", "done", "fast"] == 1
    assert found["docroute_results_total", "done"] == 1
    assert found["docroute_step_seconds_sum", "fast"] == pytest.approx(0.2)
    assert found["docroute_queue_wait_seconds_sum", "fast"] == 3
    assert found["docroute_field_confidence_count", "fast"] == 2
    assert (found["docroute_fields_total",], found["docroute_fields_escalated_total",]) == (10, 1)


def test_labels_are_stages_outcomes_and_states_and_never_a_job():
    metrics = StepMetrics()
    for number in range(50):
        metrics.observe(StepReport(f"job{number}", "fast", "done", 1, 0.1, state="done"))
    assert not [key for key in values(metrics.registry) if any("job" in part for part in key[1:])]


def test_a_forked_process_reports_over_a_pipe():
    pipe, metrics = ReportPipe(), StepMetrics()
    child = os.fork()
    if child == 0:
        pipe.send(REPORT)
        os._exit(0)
    os.waitpid(child, 0)
    pipe.receive(metrics.observe, metrics.count_lost)
    wait_for(lambda: values(metrics.registry).get(("docroute_steps_total", "done", "fast")) == 1, "the report came")


def test_a_full_pipe_loses_reports_holds_nothing_up_and_counts_them():
    pipe, metrics = ReportPipe(), StepMetrics()
    for _ in range(5000):
        pipe.send(REPORT)
    pipe.receive(metrics.observe, metrics.count_lost)

    def all_accounted_for():
        pipe.send(REPORT)
        found = values(metrics.registry)
        seen, lost = found.get(("docroute_steps_total", "done", "fast"), 0), found["docroute_reports_lost_total",]
        return lost > 0 and seen + lost >= 5000

    wait_for(all_accounted_for, "all reports are seen or counted as lost")


class EngineStandIn:
    said = None
    held = EngineState(64, 50, waiting=3, documents=10, tokens=2000, captured=7, capture_failures=1, memory_bytes=1024)

    def load(self):
        pass

    def facts(self):
        return ModelFacts("acme/reader", "abc", "0123", precision="bf16", device="cuda:0", slots=64, loaded=True)

    def state(self):
        return self.held

    def problem(self):
        return self.said

    def on_batch(self, observe):
        self.observe = observe

    def close(self, drain=True):
        pass


def test_a_model_says_what_it_is_and_what_its_engine_is_doing():
    monitoring, model = WorkerMonitoring(ServiceSettings()), EngineStandIn()
    monitoring.watch_engine("deep", model)
    (info,) = [family for family in monitoring.metrics.registry.collect() if family.name == "docroute_model_info"]
    assert info.samples[0].labels == {
        "stage": "deep",
        "model": "acme/reader",
        "revision": "abc",
        "weights": "0123",
        "precision": "bf16",
        "device": "cuda:0",
    }
    found = values(monitoring.metrics.registry)
    assert found["docroute_model_slots", "deep"] == 64
    assert found["docroute_model_slots_busy", "deep"] == 50
    assert found["docroute_model_waiting", "deep"] == 3
    assert found["docroute_model_memory_bytes", "deep"] == 1024
    assert found["docroute_model_tokens_total", "deep"] == 2000
    assert (found["docroute_model_captured", "deep"], found["docroute_model_capture_failures_total", "deep"]) == (7, 1)
    model.held = EngineState(slots=8)  # on a CPU there is no memory of its own
    assert ("docroute_model_memory_bytes", "deep") not in values(monitoring.metrics.registry)


def test_a_lane_with_an_engine_says_when_it_is_dead_and_how_large_its_batches_are():
    monitoring, model = WorkerMonitoring(ServiceSettings()), EngineStandIn()
    monitoring.watch_engine("deep", model)
    assert monitoring.health.not_live() == []
    model.observe(7)
    assert values(monitoring.metrics.registry)["docroute_batch_size_sum", "deep"] == 7
    model.said = "its thread ended with CUDA error"
    assert monitoring.health.not_live() == ["the engine of the deep lane: its thread ended with CUDA error"]


def test_a_worker_serves_what_its_steps_did_in_its_children_too(tmp_path, broker_settings):
    ports = {"intake": free_port(), "fast": free_port()}
    service = ServiceProcesses(tmp_path, broker_settings, [SURE], **PATIENT)
    try:
        for stage, port in ports.items():
            service.environment["DOCROUTE_SERVICE__MONITORING__PORT"] = str(port)
            service.start(stage)
        for port in ports.values():
            wait_for(lambda port=port: get(port, "/ready")[0] == 200, "the worker is ready")
            assert get(port, "/live") == (200, "ok\n")
        service.submit(PAGE, "j1")
        service.wait_until_ended(1)
        steps = ("docroute_step_seconds_count", "intake"), ("docroute_results_total", "done")
        for port, step in zip(ports.values(), steps, strict=True):
            wait_for(lambda port=port, step=step: step in values(get(port, "/metrics")[1]), f"{step} came")
        intake, fast = (values(get(port, "/metrics")[1]) for port in ports.values())
        assert intake["docroute_step_seconds_count", "intake"] == 1
        assert fast["docroute_results_total", "done"] == 1
        assert fast["docroute_fields_total",] == fast["docroute_field_confidence_count", "fast"] == 2
        wait_for(lambda: '"job": "j1", "stage": "fast"' in service.log.read_text(), "the step is in the log")
    finally:
        service.stop()


# -- health


def test_a_heart_that_stands_still_is_not_live():
    clock = Clock()
    health = Health(clock)
    health.watch("consumer", 30)
    clock.now = 29
    assert health.not_live() == []
    health.beat("consumer")
    clock.now = 58
    assert health.not_live() == []
    clock.now = 60
    assert health.not_live() == ["consumer has not moved for 31 s"]


def test_silence_is_excused_while_the_broker_is_away_and_for_a_while_after():
    clock, away = Clock(), [True]
    health = Health(clock)
    health.watch("consumer", 30, excuse=lambda: away[0])
    clock.now = 100
    assert health.not_live() == []
    away[0] = False
    clock.now = 120
    assert health.not_live() == []
    clock.now = 140
    assert health.not_live() != []


def test_ready_needs_every_part_and_every_probe_and_says_what_is_missing():
    clock, working = Clock(), [False]
    health = Health(clock)

    def probe():
        if not working[0]:
            raise StoreError("cannot reach redis://host")

    health.expect("lane")
    health.require("store", probe)
    assert health.not_ready() == ["lane is not there yet", "store: StoreError: cannot reach redis://host"]
    assert health.not_live() == []
    health.reached("lane")
    working[0], clock.now = True, 10
    assert health.not_ready() == []


def test_probes_are_asked_at_most_every_two_seconds():
    clock, asked = Clock(), []
    health = Health(clock)
    health.require("store", lambda: asked.append(1))
    for _ in range(100):
        health.not_ready()
    assert len(asked) == 1


# -- the server


def test_the_server_answers_with_metrics_and_reasons():
    health, metrics = Health(), StepMetrics()
    health.expect("lane")
    server = MonitoringServer(MonitoringSettings(port=0), metrics.registry, health)
    server.start()
    try:
        assert get(server.port, "/live") == (200, "ok\n")
        assert get(server.port, "/ready") == (503, "lane is not there yet\n")
        assert "docroute_fields_total 0.0" in get(server.port, "/metrics")[1]
        assert get(server.port, "/other")[0] == 404
        with pytest.raises(SettingsError, match=r"service\.monitoring\.port"):
            MonitoringServer(MonitoringSettings(port=server.port), metrics.registry, health)
    finally:
        server.stop()


# -- of the queues


def test_the_metrics_of_the_queues_tell_what_is_there(broker_settings):
    service = ServiceSettings(broker=broker_settings)
    store, watch = make_store(service), None
    store.create("j1", JobSpec(document_id="a" * 64))
    store.count("fields", 200)
    store.count("fields_escalated", 10)
    watch = QueueWatch(broker_settings, store)
    found = values(QueueMetrics(watch.look).registry)
    watch.close()
    store.close()
    assert found["docroute_broker_up",] == 1
    assert {key[1:] for key in found if key[0] == "docroute_queue_depth"} == {
        tuple(sorted((stage, priority))) for stage in STAGES for priority in ("high", "normal")
    }
    assert found["docroute_jobs", "received"] == 1
    assert found["docroute_queue_jobs", "intake"] == 1
    assert found["docroute_escalation_share",] == pytest.approx(0.05)
    assert found["docroute_dead_letters",] == found["docroute_webhook_failures_total",] == 0
    assert found["docroute_broker_memory_bytes",] > 0


def test_without_the_broker_there_are_no_old_numbers():
    broker = BrokerSettings(url=f"redis://127.0.0.1:{free_port()}/0")
    watch = QueueWatch(broker, make_store(ServiceSettings(broker=broker)))
    assert values(QueueMetrics(watch.look).registry) == {("docroute_broker_up",): 0}


def test_many_scrapes_are_one_look():
    looks = []

    def look():
        looks.append(1)
        raise StoreError("away")

    metrics = QueueMetrics(look, Clock())
    for _ in range(20):
        values(metrics.registry)
    assert len(looks) == 1
