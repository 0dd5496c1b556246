"""Waiting for jobs: each is given once as it ends, also over a restart of the broker."""

import threading
import time

import pytest
from service_work import documents, fake_settings

from router.errors import StoreError
from workers.following import Ended, as_finished, patiently
from workers.jobs import JobSpec
from workers.store_memory import MemoryStore
from workers.store_redis import make_store
from workers.submit import Client, with_broker


@pytest.mark.parametrize("kind", ["memory", "redis"])
def test_of_very_many_jobs_each_is_given_once_as_it_ends(kind, broker_settings, tmp_path):
    store = MemoryStore() if kind == "memory" else make_store(fake_settings(broker_settings, tmp_path).service)
    ids = [f"job{number}" for number in range(300)]
    for job_id in ids:
        store.create(job_id, JobSpec(document_id="a" * 64))
    thread = threading.Thread(target=lambda: [store.cancel(job_id) for job_id in ids])
    thread.start()
    found = [job.id for job in as_finished(store, ids, time.monotonic() + 60)]
    thread.join()
    assert sorted(found) == sorted(ids)
    ended, listed = Ended(store, 0.0), []
    while jobs := ended.next_jobs():
        listed += [job.id for job in jobs]
    assert listed == ids
    store.close()


@pytest.fixture
def restarted(valkey_server, broker_settings, tmp_path, monkeypatch):
    """A client whose broker dies in the next moment, and is there again a little later."""
    monkeypatch.setattr("workers.broker.TRIES", 1)
    timers = []

    def restart(and_then=lambda: None):
        valkey_server.kill()
        timers.append(threading.Timer(0.5, lambda: (valkey_server.start(), and_then())))
        timers[-1].start()

    with Client(with_broker(fake_settings(broker_settings, tmp_path), valkey_server.url)) as client:
        yield client, restart
        for timer in timers:
            timer.join()


def test_submitting_many_goes_on_after_a_restart_of_the_broker(restarted, tmp_path):
    client, restart = restarted
    many = client.submit_many(documents(tmp_path / "in", 3))
    made = [next(many)]
    restart()
    made += many
    assert len(client.store.get_many([one.job_id for one in made])) == 3


def test_waiting_goes_on_after_a_restart_of_the_broker(restarted, tmp_path):
    client, restart = restarted
    first, second = [one.job_id for one in client.submit_many(documents(tmp_path / "in", 2))]
    client.cancel(first)
    ended = client.as_finished([first, second])
    assert next(ended).id == first
    restart(and_then=lambda: patiently(lambda: client.cancel(second)))  # its connection was cut too
    assert [job.id for job in ended] == [second]


def test_a_broker_that_stays_away_ends_the_waiting(restarted, valkey_server, tmp_path, monkeypatch):
    monkeypatch.setattr("workers.following.AWAY_S", 0.1)
    client, _ = restarted
    first, second = [one.job_id for one in client.submit_many(documents(tmp_path / "in", 2))]
    client.cancel(first)
    ended = client.as_finished([first, second])
    assert next(ended).id == first
    valkey_server.kill()
    with pytest.raises(StoreError, match="cannot reach"):
        next(ended)
