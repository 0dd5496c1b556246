"""What only the store in Redis can do wrong: races, lost answers, a server that is full, gone or restarted, secrets."""

import itertools
import multiprocessing
from collections.abc import Iterator

import pytest
import redis
from store_world import LONG_S, World
from valkey_server import ValkeyServer

from router.errors import SettingsError, StoreError, UnconfirmedError
from workers import broker as broker_module
from workers.broker import Server, broker_address, broker_url, connect
from workers.jobs import JobSpec
from workers.service_settings import BrokerSettings, RetentionSettings, ServiceSettings
from workers.store_redis import RedisStore, make_store

SPEC = JobSpec(document_id="a" * 64)
PROCESSES = 8
ROUNDS = 40


def store_of(broker: BrokerSettings, timeout_s: float = 10.0) -> RedisStore:
    return RedisStore(Server(broker, timeout_s), RetentionSettings())


@pytest.fixture
def store(broker_settings) -> Iterator[RedisStore]:
    store = store_of(broker_settings)
    yield store
    store.close()


@pytest.fixture
def no_waiting(monkeypatch):
    monkeypatch.setattr(broker_module, "FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(broker_module, "LONGEST_WAIT_S", 0.002)


# -- races


@pytest.fixture(scope="module")
def processes():
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        yield pool


def create_all(broker: BrokerSettings) -> list[bool]:
    store = store_of(broker)
    return [store.create(f"job{i}", SPEC)[1] for i in range(ROUNDS)]


def begin_all(broker: BrokerSettings) -> list[str]:
    store = store_of(broker)
    return [store.begin(f"job{i}", "intake", "same name", LONG_S, 3).outcome for i in range(ROUNDS)]


def claim_all(broker: BrokerSettings) -> list[str]:
    store = store_of(broker)
    return [job.id for _ in range(ROUNDS) for job in store.due(3, LONG_S)]


def test_one_of_many_processes_makes_a_job_and_one_begins_it(processes, store, broker_settings):
    created = processes.map(create_all, [broker_settings] * PROCESSES, chunksize=1)
    assert [sum(new) for new in zip(*created, strict=True)] == [1] * ROUNDS
    assert store.counts()["received"] == ROUNDS
    begun = processes.map(begin_all, [broker_settings] * PROCESSES, chunksize=1)
    expected = ["held"] * (PROCESSES - 1) + ["started"]
    assert [sorted(outcomes) for outcomes in zip(*begun, strict=True)] == [expected] * ROUNDS
    assert {job.attempts for job in store.jobs(limit=ROUNDS)} == {1}


def test_no_two_processes_claim_the_same_message(processes, store, broker_settings):
    for i in range(ROUNDS):
        store.create(f"job{i}", SPEC)
        store.requeue(f"job{i}", "intake")
    claimed = processes.map(claim_all, [broker_settings] * PROCESSES, chunksize=1)
    assert sorted(itertools.chain(*claimed)) == sorted(f"job{i}" for i in range(ROUNDS))


# -- answers that get lost


class LosesAnswers(Server):
    """Every first answer is lost after the server has done what was asked."""

    def do(self, work, again=True):
        lost = []

        def losing(client):
            answer = work(client)
            if not lost:
                lost.append(answer)
                raise redis.ConnectionError("cut")
            return answer

        return super().do(losing, again)


def test_a_call_whose_answer_was_lost_is_done_once(broker_settings, no_waiting):
    store = RedisStore(LosesAnswers(broker_settings), RetentionSettings())
    world = World(store, lambda _: None)
    assert store.create("job", SPEC)[1]
    token = world.begin()
    assert store.renew("job", token, LONG_S)
    assert store.retry("job", token, 0, "x")
    assert store.advance("job", world.begin(), "fast", False, {})
    assert store.finish("job", world.begin(stage="fast"), "done", "r", 0.5, {})
    assert store.get("job").state == "done"
    assert store.create("broken", SPEC)[1]
    assert store.fail("broken", world.begin("broken"), "x")
    expected = ["created", "started", "retried", "started", "advanced", "started", "finished"]
    assert [event.kind for event in store.events("job")] == expected
    assert [event.attempt for event in store.events("job")] == [0, 1, 1, 2, 2, 1, 1]
    assert {name: n for name, n in store.statistics().items() if n} == {"retried": 1, "dead": 1}


def test_what_would_count_twice_is_not_sent_again(broker_settings, store):
    losing = RedisStore(LosesAnswers(broker_settings), RetentionSettings())
    with pytest.raises(StoreError):
        losing.count("documents")
    with pytest.raises(StoreError):
        losing.note_risks([0.5])
    assert store.statistics()["documents"] == 1
    assert store.recent_risks() == [0.5]


# -- servers in trouble


def test_a_server_that_is_gone_is_a_store_error(valkey_server, no_waiting):
    store = store_of(BrokerSettings(url=valkey_server.url))
    store.create("job", SPEC)
    valkey_server.kill()
    for call in (lambda: store.get("job"), lambda: store.create("b", SPEC), store.counts, store.now):
        with pytest.raises(StoreError, match=f"cannot reach redis://127.0.0.1:{valkey_server.port}/0") as caught:
            call()
        assert caught.value.retryable


def test_jobs_outlive_a_crash_of_the_server(valkey_server):
    store = store_of(BrokerSettings(url=valkey_server.url))
    world = World(store, lambda _: None)
    world.create()
    token = world.begin()
    valkey_server.restart()
    assert store.get("job").lease.token == token
    assert store.renew("job", token, LONG_S)
    assert store.finish("job", token, "done", "r", 0.5, {})
    valkey_server.restart()
    assert [job.state for job in store.jobs(order="least_confident")] == ["done"]


def test_a_server_that_is_silent_for_a_while_loses_and_doubles_nothing(valkey_server, no_waiting):
    store = store_of(BrokerSettings(url=valkey_server.url), timeout_s=1.0)
    world = World(store, lambda _: None)
    world.create()
    token = world.begin()
    valkey_server.pause()
    with pytest.raises(StoreError, match="cannot reach"):
        store.retry("job", token, 0, "x")
    valkey_server.go_on()
    assert store.retry("job", token, 0, "x"), "nobody knows whether it was done, so the worker calls again"
    assert store.begin("job", "intake", "w2", LONG_S, 3).outcome == "started"
    assert [event.kind for event in store.events("job")] == ["created", "started", "retried", "started"]


def test_a_full_server_takes_no_more_but_lets_running_work_end(valkey_server):
    store = store_of(BrokerSettings(url=valkey_server.url))
    world = World(store, lambda _: None)
    for name in ("done", "retried", "failed", "advanced", "cancelled", "waiting"):
        world.create(name, callback_url="https://example.org")
    tokens = {name: world.begin(name) for name in ("done", "retried", "failed", "advanced")}
    with valkey_server.client() as client:
        client.config_set("maxmemory", "1mb")
    with pytest.raises(StoreError, match="out of memory") as caught:
        store.create("new", SPEC)
    assert caught.value.retryable
    with pytest.raises(StoreError, match="out of memory"):
        store.begin("waiting", "intake", "w", LONG_S, 3)
    assert store.get("new") is None
    assert store.get("waiting").attempts == 0
    assert store.renew("done", tokens["done"], LONG_S)
    assert store.finish("done", tokens["done"], "done", "r", 0.5, {})
    replicated = store_of(BrokerSettings(url=valkey_server.url, replicas=1))
    with pytest.raises(UnconfirmedError, match="0 of 1 replicas have job done"):
        replicated.confirm("done", "r", within_s=0.01)
    assert store.retry("retried", tokens["retried"], 0, "x")
    assert store.fail("failed", tokens["failed"], "x")
    assert store.advance("advanced", tokens["advanced"], "fast", False, {})
    assert store.cancel("cancelled") == "cancelled"
    assert store.counts() | {"extracting": 0} == store.counts()
    assert sum(store.counts().values()) == 6
    assert store.purge(10) == 0


def test_jobs_can_be_kept_for_ever(broker_settings):
    for_ever = RetentionSettings(finished_s=float("inf"), dead_s=float("inf"))
    world = World(RedisStore(Server(broker_settings), for_ever), lambda _: None)
    world.bring_to("done")
    world.bring_to("failed", "dead")
    assert world.store.purge(10) == 0
    assert world.store.get("job").state == "done"
    with connect(broker_settings) as client:
        assert client.ttl(f"{broker_settings.key_prefix}j:job") == -1


def test_another_kind_of_refusal_is_told(store, broker_settings):
    with connect(broker_settings) as client:
        client.set(f"{broker_settings.key_prefix}j:job", "not a hash")
    with pytest.raises(StoreError, match="WRONGTYPE"):
        store.get("job")


# -- keys and secrets


def test_every_key_carries_the_prefix_and_prefixes_do_not_mix(store, broker_settings):
    def others() -> set[str]:
        with connect(broker_settings) as client:
            return {key for key in client.scan_iter(count=1000) if not key.startswith(broker_settings.key_prefix)}

    before = others()  # the session's server holds the keys of other tests too
    world = World(store, lambda _: None)
    for state in ("received", "routed", "escalated", "extracting", "done", "failed", "cancelled"):
        world.bring_to(state, state, callback_url="https://example.org")
    store.fail("extracting", world.store.get("extracting").lease.token, "x")
    store.hold("sweeper", "me", LONG_S)
    store.count("x")
    store.note_risks([0.5])
    other = broker_settings.model_copy(update={"key_prefix": broker_settings.key_prefix[:-1] + "-other:"})
    assert store_of(other).jobs() == []
    assert others() - before == set()


@pytest.fixture
def locked_server() -> Iterator[ValkeyServer]:
    server = ValkeyServer(password="s3cr/t@").start()
    yield server
    server.stop()


def test_the_password_is_read_from_its_file_and_never_told(locked_server, tmp_path):
    file = tmp_path / "password"
    url = f"redis://127.0.0.1:{locked_server.port}/0"
    broker = BrokerSettings(url=url, password_file=str(file))
    file.write_text("s3cr/t@\n", encoding="utf-8")
    store = make_store(ServiceSettings(broker=broker))
    assert store.create("job", SPEC)[1]
    store.close()
    file.write_text("wr0ng", encoding="utf-8")
    wrong = make_store(ServiceSettings(broker=broker))
    with pytest.raises(StoreError, match="refused the user or password") as caught:
        wrong.get("job")
    assert "wr0ng" not in repr((str(caught.value), caught.value.__cause__, vars(wrong)))


def test_addresses_for_people_carry_no_credentials():
    broker = BrokerSettings(url="rediss://user:s3cret@broker.example:6380/2?ssl_cert_reqs=none&password=x")
    assert broker_address(broker) == "rediss://broker.example:6380/2"
    assert broker_url(broker) == broker.url


def test_the_password_of_the_file_takes_its_place_in_the_url(tmp_path):
    file = tmp_path / "password"
    file.write_text("a b@c\n", encoding="utf-8")
    broker = BrokerSettings(url="redis://user:old@broker:6379/1", password_file=str(file))
    assert broker_url(broker) == "redis://user:a%20b%40c@broker:6379/1"
    file.unlink()
    with pytest.raises(SettingsError, match=r"cannot read broker\.password_file"):
        broker_url(broker)


@pytest.mark.parametrize("url", ["http://broker:6379", "redis://:s3cret@broker:port/0", "broker:6379", ""])
def test_a_url_that_is_none_says_what_to_write(url):
    with pytest.raises(SettingsError, match="write redis://") as caught:
        make_store(ServiceSettings(broker=BrokerSettings(url=url)))
    assert "s3cret" not in str(caught.value)
