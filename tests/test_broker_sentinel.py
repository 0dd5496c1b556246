"""Sentinels named in a URL, whom they are believed, and connections that lead to the master alone."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import trustme
from kombu.exceptions import OperationalError
from kombu.utils.json import dumps
from service_work import fake_settings
from tls_proxy import TlsProxy, ca_file, server_context
from worker_processes import wait_for

from benchmarks.failover_world import NAME, FailoverServers, failover_servers
from router.errors import SettingsError, StoreError, UnconfirmedError
from workers import broker as broker_module
from workers.app import configuration, make_app
from workers.broker import Server, broker_address, broker_url, connect
from workers.broker_errors import broker_problem
from workers.broker_sentinel import SentinelGroup, Sentinels, read_group
from workers.doctor_failover import check_failover
from workers.jobs import JobSpec
from workers.service_settings import BrokerSettings, RetentionSettings
from workers.settings import Settings
from workers.store_redis import RedisStore
from workers.submit import Client

URL = "sentinel://user:p%40ss@one:1,two,three:3/5?master=main"
SPEC = JobSpec(document_id="a" * 64)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FailoverServers]:
    with failover_servers(tmp_path_factory.mktemp("servers") / "all") as made:
        yield made


# -- the URL


def test_one_form_of_url_says_all_to_both_clients() -> None:
    group = read_group(URL, BrokerSettings(url=URL))
    assert group == SentinelGroup("main", (("one", 1), ("two", 26379), ("three", 3)), 5, "user", "p@ss")
    made = configuration(Settings.model_validate({"service": {"broker": {"url": URL}}}))
    assert made["broker_url"] == "sentinel://user:p%40ss@one:1/5"
    assert made["broker_transport_options"]["sentinel_group"] == group


@pytest.mark.parametrize(
    "url",
    [
        "sentinel://one:1,two:2/0",
        "sentinel://one:1/0?master=",
        "sentinel://one:1/0?master=a&master=b",
        "sentinel://one:1/0?master=a&socket_timeout=1",
        "sentinel:///0?master=a",
        "sentinel://one:1,,two:2/0?master=a",
        "sentinel://one:hunter2/0?master=a",
        "sentinel://one:1;sentinel://two:2/0?master=a",
        "sentinel://:hunter2@one:1,:hunter2@two:2/0?master=a",
        "sentinel://one:1/hunter2?master=a",
    ],
)
def test_a_url_that_names_no_group_is_refused_with_the_right_form_and_without_its_secrets(url: str) -> None:
    with pytest.raises(SettingsError, match=r"sentinel://HOST:PORT,HOST:PORT,HOST:PORT/0\?master=NAME") as told:
        connect(BrokerSettings(url=url))
    assert "hunter2" not in str(told.value)


def test_secrets_come_from_files_and_stand_in_no_message(tmp_path: Path) -> None:
    (tmp_path / "servers").write_text("s3cret\n")
    (tmp_path / "sentinels").write_text("wh1sper\n")
    broker = BrokerSettings(
        url="sentinel://worker@one:1,two:2/0?master=main",
        password_file=str(tmp_path / "servers"),
        sentinel_username="watcher",
        sentinel_password_file=str(tmp_path / "sentinels"),
    )
    group = read_group(broker_url(broker), broker)
    assert (group.username, group.password) == ("worker", "s3cret")
    assert (group.own_username, group.own_password) == ("watcher", "wh1sper")
    assert broker_address(broker) == "sentinel://one:1,two:2/0?master=main"
    made = make_app(Settings.model_validate({"service": {"broker": broker.model_dump()}}))
    with made.connection_for_write() as connection:
        told_to_whoever_asks = connection.info()
    del told_to_whoever_asks["password"]  # as Celery does
    told = repr(group) + str(Server(broker).address) + dumps(told_to_whoever_asks) + repr(told_to_whoever_asks)
    assert "s3cret" not in told
    assert "wh1sper" not in told


# -- whom to believe


class Answering:
    """In place of a sentinel's client."""

    def __init__(self, port: int, epoch: int, dead: bool = False) -> None:
        self.asked = 0
        self._answer = {"ip": "h", "port": port, "config-epoch": epoch, "is_master": True, "is_sdown": dead}
        self._answer |= {"is_odown": dead, "num-other-sentinels": 2}

    def sentinel_master(self, name: str) -> dict[str, Any]:
        """Answer."""
        self.asked += 1
        return self._answer


def asked(*answering: Answering) -> Sentinels:
    sentinels = Sentinels(SentinelGroup("main", (("a", 1),)), {})
    sentinels.sentinels = list(answering)
    return sentinels


def test_a_sentinel_that_missed_the_fail_over_is_outvoted() -> None:
    assert asked(Answering(1, epoch=1), Answering(2, epoch=2), Answering(2, epoch=2)).discover_master("x") == ("h", 2)


def test_no_more_sentinels_are_asked_than_a_majority() -> None:
    answering = [Answering(1, epoch=1) for _ in range(5)]
    asked(*answering).discover_master("x")
    assert [one.asked for one in answering] == [1, 1, 1, 0, 0]


def test_a_master_that_all_hold_for_dead_is_none() -> None:
    with pytest.raises(redis.ConnectionError, match="h:1 is held for dead, and no other is chosen yet"):
        asked(Answering(1, 1, dead=True), Answering(1, 1, dead=True)).discover_master("x")


def test_sentinels_that_are_all_away_are_named_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_module, "FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(broker_module, "LONGEST_WAIT_S", 0.001)
    with pytest.raises(StoreError) as told:
        Server(BrokerSettings(url="sentinel://127.0.0.1:1,127.0.0.1:2/0?master=main")).do(lambda client: client.ping())
    assert all(f"connecting to 127.0.0.1:{port}" in str(told.value) for port in (1, 2))


# -- real servers


def test_a_replica_that_answers_is_not_taken_for_the_master(
    servers: FailoverServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = next(node for node in servers.servers if node is not servers.master)
    assert replica.client().ping()
    with monkeypatch.context() as patch, connect(BrokerSettings(url=servers.url)) as client:
        patch.setattr(Sentinels, "discover_master", lambda *_: ("127.0.0.1", replica.port))
        with pytest.raises(redis.ConnectionError, match="is no master any more"):
            client.ping()


def test_a_connection_whose_server_becomes_a_replica_leads_to_the_master_the_next_time(
    servers: FailoverServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = servers.master
    other = next(node for node in servers.servers if node is not old)
    store = RedisStore(Server(BrokerSettings(url=servers.url, key_prefix="moved:", replicas=2)), RetentionSettings())
    store.create("before", SPEC)
    store.confirm("before")
    # by hand, so that nobody cuts the connections
    other.client().replicaof("NO", "ONE")
    old.client().replicaof("127.0.0.1", other.port)
    monkeypatch.setattr(Sentinels, "discover_master", lambda *_: ("127.0.0.1", other.port))
    assert store.create("after", SPEC)[1]
    assert other.client().exists("moved:j:before", "moved:j:after") == 2
    store.close()
    monkeypatch.undo()
    old.client().replicaof("NO", "ONE")
    other.client().replicaof("127.0.0.1", old.port)
    servers.settle()


def test_an_unknown_master_is_told_by_name(servers: FailoverServers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_module, "FAIL_OVER_TRIES", 1)
    with pytest.raises(StoreError, match="no master 'other'"):
        Server(BrokerSettings(url=servers.url.replace(NAME, "other"))).do(lambda client: client.ping())


def test_a_submission_that_no_replica_has_is_refused_and_makes_no_second_job_when_it_comes_again(
    servers: FailoverServers, tmp_path: Path
) -> None:
    broker = {"url": servers.url, "key_prefix": "wait:", "replicas": 1, "replicas_within_s": 0.3}
    service = {"broker": broker, "blobs": {"url": str(tmp_path / "blobs"), "min_free_mb": 0}}
    replicas = [node for node in servers.servers if node is not servers.master]
    with Client(Settings.model_validate({"service": service})) as client:
        for node in replicas:
            node.send(signal.SIGSTOP)
        with pytest.raises(UnconfirmedError, match=r"0 of 1 replicas have job \w+ after 0.3 s.*submit it again"):
            client.submit(b"%PDF-1.7 one", name="one.pdf", schema="receipt")
        for node in replicas:
            node.send(signal.SIGCONT)
        servers.settle()
        again = client.submit(b"%PDF-1.7 one", name="one.pdf", schema="receipt")
        assert not again.new
        assert [job.id for job in client.store.jobs()] == [again.job_id]


def test_a_forced_submission_that_is_tried_again_makes_one_job(
    broker_settings: BrokerSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    def confirm(job_id: str) -> None:
        tries.append(job_id)
        if len(tries) < 3:
            raise UnconfirmedError("no replica has it")

    with Client(fake_settings(broker_settings, tmp_path)) as client:
        monkeypatch.setattr(client.store, "confirm", confirm)
        (submitted,) = client.submit_many([b"%PDF-1.7 one"], force=True)
        assert tries == [submitted.job_id] * 3
        assert [job.id for job in client.store.jobs()] == [submitted.job_id]


def test_a_job_that_the_server_lost_is_not_confirmed(servers: FailoverServers) -> None:
    broker = BrokerSettings(url=servers.url, key_prefix="lost:", replicas=1)
    store = RedisStore(Server(broker), RetentionSettings())
    store.create("job", SPEC)
    store.confirm("job")
    servers.master.client().delete("lost:j:job")
    with pytest.raises(UnconfirmedError, match="does not know job job so any more; submit it again"):
        store.confirm("job")
    store.close()


def test_sentinels_and_servers_are_verified_over_tls_by_both_clients(
    servers: FailoverServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, ask = trustme.CA(), Sentinels.discover_master
    context = server_context(authority, "127.0.0.1")
    with contextlib.ExitStack() as cleanup:
        fronts = {node.port: TlsProxy(node.port, context) for node in [*servers.servers, servers.sentinels[0]]}
        for front in fronts.values():
            cleanup.callback(front.stop)
        # the sentinels know the servers by their plain ports
        monkeypatch.setattr(
            Sentinels, "discover_master", lambda self, name: ("127.0.0.1", fronts[ask(self, name)[1]].port)
        )
        url = f"sentinels://127.0.0.1:{fronts[servers.sentinels[0].port].port}/0?master={NAME}"
        for trusted in (authority, trustme.CA()):
            broker = BrokerSettings(url=url, ca_file=ca_file(trusted, tmp_path / "ca.pem"))
            app = make_app(Settings.model_validate({"service": {"broker": broker.model_dump()}}))
            with connect(broker) as client, app.connection_for_write() as celery:
                if trusted is authority:
                    assert client.ping()
                    assert celery.default_channel.client.ping()
                    continue
                with pytest.raises(redis.ConnectionError) as told:
                    client.ping()
                assert "not trusted" in broker_problem(broker_address(broker), told.value)
                with pytest.raises(OperationalError, match="certificate verify failed"):
                    celery.ensure_connection(max_retries=1, interval_start=0)


# -- the doctor


def found(servers: FailoverServers, **broker: Any) -> dict[str, tuple[str, str]]:
    made = check_failover(BrokerSettings(url=servers.url, **broker))
    return {check.name: (check.state, f"{check.detail} {check.advice}") for check in made}


def test_the_doctor_says_who_is_master_who_follows_and_what_would_be_lost(servers: FailoverServers) -> None:
    servers.settle()
    told = found(servers)
    assert told["sentinels"][0] == "ok"
    assert f"3 of 3 name 127.0.0.1:{servers.master.port} as the master of {NAME}" in told["sentinels"][1]
    assert told["replicas"][0] == "warn"
    assert "2 follow the master" in told["replicas"][1]
    assert "set service.broker.replicas = 1" in told["replicas"][1]
    assert told["cut-off master"][0] == "warn"
    assert found(servers, replicas=1)["replicas"][0] == "ok"
    assert found(servers, replicas=3)["replicas"][0] == "fail"
    with servers.master.client() as client:
        client.config_set("min-replicas-to-write", 1)
        assert "cut-off master" not in found(servers)
        client.config_set("min-replicas-to-write", 0)


def test_the_doctor_names_sentinels_that_are_silent_and_a_group_that_cannot_choose(tmp_path: Path) -> None:
    with failover_servers(tmp_path / "few", replicas=1) as servers:
        servers.sentinels[0].end()
        told = found(servers)
        assert told["sentinels"][0] == "warn"
        assert f"127.0.0.1:{servers.sentinels[0].port}: " in told["sentinels"][1]
        servers.sentinels[1].end()
        wait_for(lambda: found(servers).get("quorum", ("",))[0] == "fail", "no quorum is left")
        servers.sentinels[2].end()
        told = found(servers)
        assert list(told) == ["sentinels"]
        assert told["sentinels"][0] == "fail"
        assert all(f":{node.port}: " in told["sentinels"][1] for node in servers.sentinels)


def test_one_server_has_nothing_of_the_kind_to_be_checked(broker_settings: BrokerSettings) -> None:
    assert list(check_failover(broker_settings)) == []
