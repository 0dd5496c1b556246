"""A broker that answers and takes nothing: what the doctor and a client say of a replica and of a full disk."""

import contextlib
import resource
import time

import pytest
from service_work import fake_settings
from valkey_server import ValkeyServer
from worker_processes import ServiceProcesses, wait_for

from router.errors import StoreError
from workers.doctor import examine
from workers.doctor_broker import check_broker
from workers.jobs import JobSpec
from workers.service_settings import BrokerSettings
from workers.store_redis import make_store


def refused(settings):
    with contextlib.closing(make_store(settings.service)) as store, pytest.raises(StoreError) as caught:
        store.create("j1", JobSpec(document_id="a" * 64))
    return str(caught.value)


def broker_checks(settings):
    return [check for check in examine(settings) if check.name == "broker" and check.state == "fail"]


def test_a_replica_is_named_with_its_primary(valkey_server, tmp_path):
    replica = ValkeyServer(options=("--replicaof", "127.0.0.1", str(valkey_server.port))).start()
    try:
        settings = fake_settings(BrokerSettings(url=replica.url), tmp_path)
        (check,) = broker_checks(settings)
        assert "is a read-only replica" in check.detail
        assert f"127.0.0.1:{valkey_server.port}" in check.advice
        with replica.client() as client:
            wait_for(lambda: client.info("replication")["master_link_status"] == "up", "it follows")
        worker = ServiceProcesses(tmp_path, BrokerSettings(url=replica.url), [])
        try:
            worker.start("fast")
            wait_for(lambda: worker.log.exists() and "trying again" in worker.log.read_text(), "the worker says it")
            time.sleep(2.5)
            said = [line for line in worker.log.read_text().splitlines() if "is a read-only replica" in line]
            assert len(said) == 1
        finally:
            worker.stop()
        told = refused(settings)
        assert "is a read-only replica; set broker.url to its primary" in told
        assert "\n" not in told
    finally:
        replica.stop()


def test_a_full_disk_under_the_append_only_file_is_told_and_passes(valkey_server, tmp_path):
    settings = fake_settings(BrokerSettings(url=valkey_server.url), tmp_path)
    with valkey_server.client() as client:
        client.config_set("appendfsync", "everysec")
        largest = max(path.stat().st_size for path in valkey_server.folder.rglob("*.aof"))
        unlimited = resource.prlimit(valkey_server.pid, resource.RLIMIT_FSIZE, (largest + 100, resource.RLIM_INFINITY))
        with contextlib.suppress(Exception):
            client.set("large", "x" * 10_000)
        wait_for(lambda: client.info("persistence")["aof_last_write_status"] == "err", "it cannot write")
        (check,) = broker_checks(settings)
        assert "cannot write its append-only file" in check.detail
        assert "disk" in check.advice
        told = refused(settings)
        assert "cannot write its append-only file and takes nothing; look for a full disk" in told
        resource.prlimit(valkey_server.pid, resource.RLIMIT_FSIZE, unlimited)
        wait_for(lambda: not broker_checks(settings), "there is room again")
    with contextlib.closing(make_store(settings.service)) as store:
        assert store.create("j1", JobSpec(document_id="a" * 64))[1]


def test_a_server_of_a_network_without_password_or_tls_is_warned_of(valkey_server, monkeypatch):
    monkeypatch.setattr("workers.doctor_broker.is_loopback", lambda host: False)
    (check,) = [c for c in check_broker(BrokerSettings(url=valkey_server.url)) if c.name == "password"]
    assert (check.state, "whoever reaches it" in check.detail) == ("warn", True)
    monkeypatch.undo()
    assert "password" not in [check.name for check in check_broker(BrokerSettings(url=valkey_server.url))]
