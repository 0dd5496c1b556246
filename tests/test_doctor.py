"""`docroute doctor`: what it finds in a service that is well, and in many that are not."""

import json
import time

import pytest
from service_work import command_line, fake_settings
from valkey_server import ValkeyServer
from worker_processes import ServiceProcesses, wait_for

from workers import doctor_queues
from workers.broker import connect
from workers.checks import Check
from workers.doctor import examine
from workers.jobs import STAGES, JobSpec
from workers.presence import FORGOTTEN_S, SILENT_S, Presence, present_workers
from workers.service_settings import BrokerSettings
from workers.store_redis import RedisStore, make_store
from workers.submit import with_broker


@pytest.fixture
def settings(broker_settings, tmp_path):
    return fake_settings(broker_settings, tmp_path)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("workers.doctor_workers.PING_S", 0.1)


def changed(settings, part, **values):
    own = getattr(settings.service, part).model_copy(update=values)
    return settings.model_copy(update={"service": settings.service.model_copy(update={part: own})})


def named(checks, name) -> Check:
    found = [check for check in checks if check.name == name]
    assert found, [check.name for check in checks]
    return max(found, key=lambda check: ("ok", "warn", "fail").index(check.state))


def states(checks, *wanted):
    return {check.name: check.detail for check in checks if check.state in wanted}


def speak(settings, stage, **options):
    presence = Presence(settings, stage, **options)
    presence.beat()
    return presence


def rewrite(settings, name, **values):
    """Change what a worker has said."""
    broker = settings.service.broker
    client = connect(broker)
    key = broker.key_prefix + "workers"
    record = json.loads(client.hget(key, name))
    client.hset(key, name, json.dumps(record | values))
    client.close()
    return record


def test_real_workers_are_seen_agree_and_leave_no_trace_when_they_stop(broker_settings, tmp_path, monkeypatch):
    monkeypatch.setattr("workers.doctor_workers.PING_S", 5.0)
    service = ServiceProcesses(tmp_path, broker_settings, [])
    try:
        running = service.start(*STAGES)

        def ready():
            workers = present_workers(broker_settings)
            return len(workers) == 3 and named(examine(service.settings), "celery").state == "ok"

        wait_for(ready, "all workers answer")
        checks = examine(service.settings)
        assert {name: named(checks, name).state for name in ("fast workers", "settings", "versions", "blobs")} == {
            "fast workers": "ok",
            "settings": "ok",
            "versions": "ok",
            "blobs": "ok",
        }
        assert states(checks, "fail") == {}
        other = changed(service.settings, "broker", visibility_timeout_s=60.0)
        assert "60 in this process; 900 in" in named(examine(other), "broker.visibility_timeout_s").detail
        assert service.terminate(*running) == [0, 0, 0]
        assert present_workers(broker_settings) == []
    finally:
        service.stop()


def test_a_stage_without_a_worker_is_named_with_what_starts_one(settings):
    speak(settings, "intake", concurrency=4)
    checks = examine(settings)
    assert named(checks, "intake workers") == Check(name="intake workers", state="ok", detail="1, 4 documents at once")
    assert named(checks, "fast workers").state == "fail"
    assert "docroute worker fast" in named(checks, "fast workers").advice
    assert named(checks, "deep workers").state == "warn"


def test_without_any_worker_the_lanes_of_this_machine_are_looked_at(settings):
    assert named(examine(settings), "fast lane").state == "ok"
    unknown = settings.model_copy(update={"lanes": settings.lanes.model_copy(update={"deep": "oracle"})})
    assert "unknown backend 'oracle'" in named(examine(unknown), "deep lane").detail
    options = {"fake": {"script": "/no/such/script.json"}}
    wrong = settings.model_copy(update={"lanes": settings.lanes.model_copy(update={"options": options})})
    assert "script.json" in named(examine(wrong), "fast lane").detail


def test_workers_that_read_with_different_models_are_told(settings):
    for number, weights in enumerate(("0123", "4567")):
        presence = speak(settings, "fast", backend="internvl3")
        presence.tell(160, f"acme/reader bf16 {weights}", "cuda:0")
        presence._record = presence._record.model_copy(update={"name": f"fast@host.{number}"})
        presence.beat()
    found = {check.name: check for check in examine(settings)}
    assert "internvl3 (acme/reader bf16 0123)" in found["fast workers"].detail
    assert found["fast model"].state == "warn"
    assert "acme/reader bf16 4567" in found["fast model"].detail


def test_settings_that_differ_between_workers_are_found(settings):
    speak(settings, "intake")
    speak(changed(settings, "steps", max_attempts=9), "fast")
    speak(changed(settings, "broker", visibility_timeout_s=5.0), "deep")
    checks = examine(settings)
    assert named(checks, "broker.visibility_timeout_s").state == "fail"
    attempts = named(checks, "steps.max_attempts")
    assert attempts.state == "warn"
    assert "9 in fast@" in attempts.detail


def test_other_versions_and_a_clock_that_is_off_are_found(settings):
    speak(settings, "fast")
    (worker,) = present_workers(settings.service.broker)
    rewrite(settings, worker.name, versions={"celery": "5.6.0"}, clock=worker.at + 60)
    checks = examine(settings)
    assert "5.6.0 in fast@" in named(checks, "celery version").detail
    assert "+60.0 s off" in named(checks, worker.name).detail


def presence_name(settings):
    (worker,) = present_workers(settings.service.broker)
    return worker.name


def test_a_worker_that_is_not_ready_says_why(settings):
    speak(settings, "fast", ready=lambda: "lane is not there yet")
    found = named(examine(settings), presence_name(settings))
    assert (found.state, found.detail) == ("warn", "is not ready: lane is not there yet")


def test_a_worker_that_fell_silent_is_told_and_later_forgotten(settings):
    speak(settings, "fast")
    name = presence_name(settings)
    at = present_workers(settings.service.broker)[0].at
    rewrite(settings, name, at=at - SILENT_S - 5)
    checks = examine(settings)
    assert "has not spoken" in named(checks, name).detail
    assert named(checks, "fast workers").state == "fail"
    rewrite(settings, name, at=at - FORGOTTEN_S - 5)
    assert present_workers(settings.service.broker) == []


def test_a_worker_that_does_not_answer_celery_is_named(settings):
    speak(settings, "fast")
    assert named(examine(settings), "celery").state == "warn"


def test_a_broker_that_is_away_stops_only_what_needs_it(settings):
    checks = examine(with_broker(settings, "redis://:secret1@127.0.0.1:1/0"))
    assert named(checks, "broker").state == "fail"
    assert "secret1" not in str(checks)
    assert named(checks, "blobs").state == "ok"
    assert named(examine(with_broker(settings, "http://x")), "broker").state == "fail"


def test_a_server_that_may_lose_jobs_is_told(valkey_server, settings):
    own = with_broker(settings, valkey_server.url)
    assert named(examine(own), "eviction").state == "ok"
    assert named(examine(own), "persistence").state == "ok"
    with valkey_server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        assert named(examine(own), "eviction").state == "warn"
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 200_000)
        client.config_set("appendonly", "no")
        checks = examine(own)
    assert named(checks, "eviction").state == "fail"
    assert named(checks, "memory").state == "warn"
    assert named(checks, "persistence").state == "warn"


def test_passwords_are_checked_and_told_to_be_kept_in_a_file(settings):
    server = ValkeyServer(password="correct horse").start()
    try:
        place = f"127.0.0.1:{server.port}/0"
        checks = examine(with_broker(settings, f"redis://:wrong@{place}"))
        assert "refused the user or password" in named(checks, "broker").detail
        checks = examine(with_broker(settings, server.url.replace(" ", "%20")))
        assert named(checks, "broker").state == "ok"
        assert "broker.password_file" in named(checks, "password").advice
        assert "correct" not in str(checks)
    finally:
        server.stop()


def test_a_user_who_may_not_look_is_told_apart_from_a_server_that_is_away(valkey_server, settings):
    with valkey_server.client() as client:
        client.acl_setuser("bob", enabled=True, passwords=["+secret1"], keys=["*"], commands=["+ping"])
    checks = examine(with_broker(settings, valkey_server.url.replace("//", "//bob:secret1@")))
    assert "may not look" in named(checks, "broker").detail
    assert "secret1" not in str(checks)


def test_disk_and_blobs_are_tried(settings, tmp_path):
    assert named(examine(changed(settings, "blobs", min_free_mb=10**9)), "disk").state == "fail"
    (tmp_path / "file").write_text("in the way")
    checks = examine(changed(settings, "blobs", url=str(tmp_path / "file" / "blobs")))
    assert named(checks, "blobs").state == "fail"
    assert named(examine(changed(settings, "blobs", url="nonsense://x")), "blobs").state == "fail"


def test_webhooks_need_a_secret_that_can_be_read(settings, tmp_path):
    hosts = changed(settings, "webhooks", hosts=("example.com",))
    assert named(examine(hosts), "webhooks").state == "fail"
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdef0123456789abcdef")
    secret.chmod(0o644)
    signed = changed(hosts, "webhooks", secret_file=str(secret))
    checks = examine(signed)
    assert named(checks, "webhooks").state == "ok"
    assert named(checks, "webhook secret").advice == f"chmod o-rwx {secret}"
    assert "0123456789abcdef" not in str(checks)
    secret.chmod(0o640)
    assert "webhook secret" not in states(examine(signed), "warn")


def test_allow_lists_and_schemas_are_looked_at(settings, tmp_path):
    assert named(examine(changed(settings, "sources", file_roots=("/no/such",))), "sources").state == "warn"
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "odd.toml").write_text('name = "odd"\n[[fields]]\nname = "a"\nkind = "colour"\n')
    service = settings.service.model_copy(update={"schemas": str(tmp_path / "schemas")})
    found = named(examine(settings.model_copy(update={"service": service})), "schemas")
    assert (found.state, "odd.toml" in found.detail) == ("fail", True)


def test_jobs_that_wait_long_or_are_dead_are_told(settings, monkeypatch):
    store = make_store(settings.service)
    job, _ = store.create("j1", JobSpec(document_id="a" * 64))
    with monkeypatch.context() as stopped_clock:
        stopped_clock.setattr(RedisStore, "now", lambda self: job.created_at)
        checks = examine(settings)
    assert "1 jobs wait, the oldest for 0 s" in named(checks, "intake queue").detail
    assert named(examine(changed(settings, "load", intake_limit=1)), "intake queue").state == "fail"
    monkeypatch.setattr(doctor_queues, "LONG_WAIT_S", -1.0)
    assert named(examine(settings), "intake queue").state == "warn"
    token = store.begin("j1", "intake", "w", 60, 3).job.lease.token
    store.fail("j1", token, "burst")
    store.close()
    assert named(examine(settings), "dead letters").detail == "1 jobs failed for good"


def test_the_command_exits_by_what_was_found(settings, tmp_path, monkeypatch, capsys):
    docroute = command_line(settings, tmp_path, monkeypatch, capsys)
    code, out, _ = docroute("doctor")
    assert code == 1
    assert "must be mended" in out
    assert "→ docroute up" in out
    for stage in STAGES:
        speak(settings, stage)
    code, out, _ = docroute("doctor", "--json")
    assert code == 0
    told = json.loads(out)
    assert told["ok"]
    assert {"name", "state", "detail", "advice"} == set(told["checks"][0])


def test_a_broker_setting_that_is_no_url_is_told(settings):
    assert named(examine(changed(settings, "broker", url="nonsense")), "broker").state == "fail"
    missing = BrokerSettings(url=settings.service.broker.url, password_file="/no/such")
    own = settings.model_copy(update={"service": settings.service.model_copy(update={"broker": missing})})
    assert "password_file" in named(examine(own), "broker").detail


def test_blobs_that_must_not_be_deleted_are_told_with_the_clock_that_is_off(settings, monkeypatch):
    assert named(examine(settings), "deletion").state == "ok"
    real = time.time
    monkeypatch.setattr("workers.clocks.time.time", lambda: real() + 86400.0)
    found = named(examine(settings), "deletion")
    assert found.state == "warn"
    assert "no blob is deleted while this machine's clock is 86,400 s ahead of" in found.detail
    assert "NTP" in found.advice
