"""The way to the server cut, its memory full, its messages given out twice, workers' clocks wrong: nothing is lost."""

import time
from collections.abc import Iterator

import pytest
from steps_world import NO_NUMBER, SURE
from valkey_server import ValkeyServer
from worker_processes import PATIENT, Start, page, shifted_clock, wait_for

from benchmarks.tcp_proxy import TcpProxy
from router.errors import StoreError
from workers.jobs import STAGES
from workers.service_settings import BrokerSettings

pytestmark = pytest.mark.redis
DOCUMENTS = 40
CUT_S = 8.0
FULL_S = 4.0
THROUGH_ALL = (SURE, NO_NUMBER, {"delay_s": 0.5})


@pytest.fixture
def proxy(valkey_server: ValkeyServer) -> Iterator[TcpProxy]:
    made = TcpProxy(valkey_server.port)
    yield made
    made.stop()


def test_a_cut_between_workers_and_the_server_loses_nothing(
    service: Start, valkey_server: ValkeyServer, proxy: TcpProxy
) -> None:
    s = service(*THROUGH_ALL, broker=BrokerSettings(url=valkey_server.url))
    through = f"redis://127.0.0.1:{proxy.port}/0"
    workers = s.start(*STAGES, DOCROUTE_SERVICE__BROKER__URL=through)
    for number in range(DOCUMENTS):
        s.submit(page(number), f"job{number}")
    wait_for(lambda: s.ended() >= 2, "some are done")
    proxy.cut()
    for number in range(DOCUMENTS, DOCUMENTS + 10):
        s.submit(page(number), f"job{number}")
    time.sleep(CUT_S)
    during = s.ended()
    proxy.heal()
    s.wait_until_ended(DOCUMENTS + 10)
    assert during < DOCUMENTS
    assert s.store.counts()["done"] == DOCUMENTS + 10
    assert [worker.poll() for worker in workers] == [None] * 3
    s.assert_sound(DOCUMENTS + 10)


def test_a_server_without_memory_refuses_new_jobs_and_the_others_end_when_it_has_some(
    service: Start, valkey_server: ValkeyServer
) -> None:
    s = service(*THROUGH_ALL, broker=BrokerSettings(url=valkey_server.url))
    workers = s.start(*STAGES)
    for number in range(DOCUMENTS):
        s.submit(page(number), f"job{number}")
    wait_for(lambda: s.ended() >= 2, "some are done")
    with valkey_server.client() as client:
        client.config_set("maxmemory", "100kb")
        with pytest.raises(StoreError, match="out of memory"):
            s.submit(page(DOCUMENTS), "refused")
        time.sleep(FULL_S)
        client.config_set("maxmemory", "0")
    s.submit(page(DOCUMENTS), "accepted")
    s.wait_until_ended(DOCUMENTS + 1)
    assert s.store.counts()["done"] == DOCUMENTS + 1
    assert [worker.poll() for worker in workers] == [None] * 3
    s.assert_sound(DOCUMENTS + 1)


def test_submissions_that_workers_take_while_the_memory_is_full_are_not_lost(
    service: Start, valkey_server: ValkeyServer
) -> None:
    s = service(SURE, broker=BrokerSettings(url=valkey_server.url))
    (first,) = s.start("intake")
    wait_for(lambda: "ready" in s.log.read_text(), "the worker is ready")
    for number in range(10):
        path = s.folder / "documents" / f"{number}.png"
        path.write_bytes(page(number))
    with valkey_server.client() as client:
        s.pause(first)
        for number in range(10):
            uri = str(s.folder / "documents" / f"{number}.png")
            s.app.send_task("docroute.submit", kwargs={"uri": uri, "schema": "note"}, queue="intake", priority=3)
        client.config_set("maxmemory", "100kb")
        s.go_on(first)
        second, third = s.start("intake", "fast")
        time.sleep(FULL_S)
        client.config_set("maxmemory", "0")
    s.wait_until_ended(10)
    assert s.store.counts()["done"] == 10
    assert [worker.poll() for worker in (first, second, third)] == [None] * 3
    s.assert_sound(10)


def test_a_message_given_out_again_during_a_long_step_makes_no_second_result(service: Start) -> None:
    s = service(
        SURE,
        {"document": "long.png", "tier": "fast", "delay_s": 10.0},
        DOCROUTE_SERVICE__BROKER__VISIBILITY_TIMEOUT_S="2",
        **PATIENT,
    )
    s.start("intake", "fast", "fast")
    s.submit(page(0), "long")
    wait_for(lambda: s.log.read_text().count("nothing to do in fast (held)") > 0, "the message came again")
    s.wait_until_ended(1)
    assert s.kinds("long") == ["created", "started", "advanced", "started", "finished"]
    s.assert_sound(1)


def test_a_worker_that_slept_past_its_lease_changes_nothing_when_it_wakes(service: Start) -> None:
    s = service(SURE, {"document": "slow.png", "tier": "fast", "delay_s": 5.0})
    _, sleeper = s.start("intake", "fast")
    s.submit(page(0), "slow")
    wait_for(lambda: s.job("slow").stage == "fast" and s.job("slow").lease, "it is worked on")
    s.pause(sleeper)
    s.start("fast", **PATIENT)
    s.wait_until_ended(1)
    s.go_on(sleeper)
    wait_for(lambda: "late" in s.kinds("slow"), "the sleeper was told that it is late")
    wait_for(lambda: s.log.read_text().count("job slow: fast late") == 1, "it has dropped its result")
    assert s.store.statistics()["late"] >= 1
    s.assert_sound(1)


@pytest.mark.parametrize("hours", [-1, 1])
def test_workers_whose_clocks_differ_by_an_hour_do_each_job_once(service: Start, hours: int) -> None:
    s = service(*THROUGH_ALL, **PATIENT)
    wrong = shifted_clock(s.folder / "clock", hours * 3600)
    s.start("intake", "fast", "deep")
    s.start("intake", "fast", "deep", PYTHONPATH=wrong)
    for number in range(DOCUMENTS):
        s.submit(page(number), f"job{number}")
    s.wait_until_ended(DOCUMENTS)
    assert s.store.counts()["done"] == DOCUMENTS
    assert s.store.statistics()["expired"] == s.store.statistics()["retried"] == 0
    assert {s.kinds(f"job{number}").count("started") for number in range(DOCUMENTS)} == {3}
    s.assert_sound(DOCUMENTS)
