"""The Python client: what it submits, finds, waits for and refuses."""

import hashlib
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from bad_inputs import encode, picture
from service_work import documents, environment_of, fake_settings, work

from router.errors import (
    BlobError,
    BusyError,
    CallbackError,
    ConflictError,
    DocumentError,
    LimitExceededError,
    NoResultError,
    SchemaError,
    SourceError,
    StoreError,
    UnknownJobError,
)
from workers.backpressure import IntakeLimit, retry_after_s
from workers.job_record import read_record, record_blob
from workers.service_settings import BrokerSettings
from workers.store_memory import MemoryStore
from workers.submit import Client, with_broker

PICTURE = encode(picture(), "PNG")
OTHER_PICTURE = encode(picture(70, 50), "PNG")


@pytest.fixture
def settings(broker_settings, tmp_path):
    return fake_settings(broker_settings, tmp_path)


@pytest.fixture
def client(settings):
    with Client(settings) as made:
        yield made


def depth(settings, queue="intake", priority="normal"):
    broker = settings.service.broker
    with redis.Redis.from_url(broker.url) as server:
        return server.llen(broker.key_prefix + queue + ("" if priority == "high" else "\x06\x163"))


def with_service(settings, part, **changes):
    changed = getattr(settings.service, part).model_copy(update=changes)
    return settings.model_copy(update={"service": settings.service.model_copy(update={part: changed})})


def test_a_document_becomes_a_job_with_a_message_and_gets_its_result(client, settings, tmp_path):
    (path,) = documents(tmp_path / "in", 1)
    submitted = client.submit(path, schema="receipt", metadata={"order": "7"})
    assert (submitted.new, submitted.state, submitted.source) == (True, "received", str(path))
    assert client.blobs.has_original(client.job(submitted.job_id).spec.document_id)
    assert depth(settings) == 1
    with pytest.raises(NoResultError, match="received in intake"):
        client.result(submitted.job_id)
    work(settings)
    assert client.wait([submitted.job_id])[submitted.job_id].is_final
    result = client.result(submitted.job_id)
    assert (result["file"], result["schema"], result["metadata"]) == (str(path), "receipt", {"order": "7"})
    assert next(event.kind for event in client.events(submitted.job_id)) == "created"


def test_the_same_again_is_the_same_job_and_gets_no_second_message(client, settings):
    first = client.submit(PICTURE)
    again = client.submit(PICTURE, priority="high", metadata={"a": "b"})
    other = client.submit(PICTURE, tier="deep")
    forced = client.submit(PICTURE, force=True)
    assert (again.job_id, again.new) == (first.job_id, False)
    assert len({first.job_id, other.job_id, forced.job_id}) == 3
    assert forced.new
    assert depth(settings) == 3
    assert client.events(first.job_id)[-1].kind == "resubmitted"


def test_many_at_once_make_one_job_of_one_document(client, settings):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: client.submit(PICTURE), range(32)))
    assert len({one.job_id for one in made}) == 1
    assert sum(one.new for one in made) == 1
    assert depth(settings) == 1


SUBMITTER = """
import sys, time
from workers.submit import Client
with Client() as client:
    client.store.now()
    time.sleep(max(float(sys.argv[1]) - time.time(), 0))
    print(sum(one.new for one in client.submit_many(sys.argv[2:])))
"""


def test_processes_that_submit_the_same_at_once_make_one_job_of_each_document(settings, client, tmp_path):
    paths = documents(tmp_path / "in", 10)
    own = {key: value for key, value in os.environ.items() if not key.startswith("DOCROUTE_")} | environment_of(
        settings
    )
    command = [sys.executable, "-W", "ignore", "-c", SUBMITTER, str(time.time() + 8), *map(str, paths)]
    running = [subprocess.Popen(command, env=own, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    made = [int(process.communicate(timeout=150)[0]) for process in running]
    assert sum(made) == 10
    jobs = client.store.jobs(limit=100)
    assert {job.spec.uri for job in jobs} == set(map(str, paths))
    assert len(jobs) == depth(settings) == 10
    assert all(len(client.events(job.id)) == 8 for job in jobs)


def test_a_message_that_the_broker_does_not_take_loses_no_job(client, settings, monkeypatch):
    monkeypatch.setattr("workers.submit.publish", lambda app, store, job: False)
    submitted = client.submit(PICTURE)
    assert (submitted.new, depth(settings)) == (True, 0)
    assert [job.id for job in client.store.due(9, grace_s=0.0)] == [submitted.job_id]


def test_priority_and_name_and_id_are_the_callers(client, settings):
    submitted = client.submit(PICTURE, job_id="order-7", name="scan 7.png", priority="high")
    assert submitted.job_id == "order-7"
    assert client.job("order-7").spec.uri == "scan 7.png"
    assert (depth(settings, priority="high"), depth(settings)) == (1, 0)


def test_a_known_id_is_the_same_job_or_a_conflict_that_keeps_nothing(client, settings):
    first = client.submit(PICTURE, job_id="order-7")
    again = client.submit(PICTURE, job_id="order-7", priority="high")
    assert (again.job_id, again.new, again.state) == ("order-7", False, "received")
    for source, options in ((PICTURE, {"tier": "deep"}), (PICTURE, {"schema": "receipt"}), (OTHER_PICTURE, {})):
        with pytest.raises(ConflictError, match="order-7 is there already with another"):
            client.submit(source, job_id="order-7", **options)
    assert not client.blobs.has_original(hashlib.sha256(OTHER_PICTURE).hexdigest())
    assert (first.new, depth(settings)) == (True, 1)
    assert [event.kind for event in client.events("order-7")] == ["created", "resubmitted", *["conflict"] * 3]


def test_a_known_uri_with_its_id_is_not_fetched_again(settings, tmp_path):
    (path,) = documents(tmp_path / "in", 1)
    with Client(with_service(settings, "sources", file_roots=(str(tmp_path / "in"),))) as client:
        client.submit(path.as_uri(), job_id="order-7")
        path.unlink()
        assert not client.submit(path.as_uri(), job_id="order-7").new
        with pytest.raises(SourceError):
            client.submit(path.as_uri(), job_id="order-8")


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"schema": "recipe"}, SchemaError, "unknown schema 'recipe'"),
        ({"schema": "../x"}, SchemaError, "no name of a schema"),
        ({"tier": "middle"}, SourceError, "tier"),
        ({"job_id": "a b"}, SourceError, "job_id"),
        ({"job_id": "x", "force": True}, SourceError, "force"),
        ({"metadata": {"a": "x" * 3000}}, SourceError, "metadata"),
        ({"metadata": {"a": 3}}, SourceError, "metadata"),
        ({"callback_url": "http://127.0.0.1/"}, CallbackError, "https"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_kept(client, options, error, said):
    with pytest.raises(error, match=said):
        client.submit(PICTURE, **options)
    assert client.store.counts()["received"] == 0


def test_sources_that_cannot_be_read_are_refused(client, settings, tmp_path):
    with pytest.raises(DocumentError, match="no such file"):
        client.submit(tmp_path / "gone.png")
    with pytest.raises(DocumentError, match="directory"):
        client.submit(tmp_path)
    with pytest.raises(SourceError, match="https_hosts"):
        client.submit("https://example.com/a.pdf")
    with pytest.raises(SourceError):
        client.submit("file:///etc/passwd")
    small = settings.model_copy(update={"limits": settings.limits.model_copy(update={"max_bytes": 10})})
    with Client(small) as strict, pytest.raises(LimitExceededError):
        strict.submit(PICTURE)


def test_a_uri_is_fetched_where_the_settings_allow_it(settings, tmp_path):
    (path,) = documents(tmp_path / "in", 1)
    allowed = with_service(settings, "sources", file_roots=(str(tmp_path / "in"),))
    with Client(allowed) as client:
        submitted = client.submit(path.as_uri())
        assert client.job(submitted.job_id).spec.uri == path.as_uri()


def test_a_full_intake_says_busy_and_when_to_come_back(settings):
    with Client(with_service(settings, "load", intake_limit=2)) as client:
        client.submit(PICTURE)
        client.submit(PICTURE, tier="deep")
        with pytest.raises(BusyError, match="2 jobs wait for intake") as caught:
            client.submit(PICTURE, tier="fast")
        assert 1 <= caught.value.retry_after_s <= 300
        assert client.store.counts()["received"] == 2


def test_many_wait_while_the_service_is_busy_and_lose_none(settings, tmp_path):
    paths = documents(tmp_path / "in", 4)
    with Client(with_service(settings, "load", intake_limit=2)) as client:
        busy = []

        def make_room(refused):
            busy.append(refused)
            for job in client.store.waiting("intake", 9):
                client.cancel(job.id)

        made = list(client.submit_many([*paths[:2], tmp_path / "gone.png", *paths[2:]], on_busy=make_room))
    assert busy
    assert [bool(one.error) for one in made] == [False, False, True, False, False]
    assert made[2].source.endswith("gone.png")
    assert len({one.job_id for one in made if not one.error}) == 4


def test_the_wait_follows_from_how_long_the_line_took():
    assert retry_after_s(waiting=1000, limit=1000, oldest_s=100) == 10
    assert retry_after_s(waiting=1000, limit=1000, oldest_s=0) == 1
    assert retry_after_s(waiting=1000, limit=1000, oldest_s=1e9) == 300


def test_the_store_is_asked_how_much_waits_now_and_then_only():
    store, asked, now = MemoryStore(), [], [0.0]
    store.waiting_count = lambda stage: asked.append(stage) or 0
    limit = IntakeLimit(store, 1000, clock=lambda: now[0])
    for _ in range(500):
        limit.enter()
        now[0] += 0.001
    assert 1 <= len(asked) <= 3


def test_a_full_disk_is_a_clear_error_and_makes_no_job(settings):
    with Client(with_service(settings, "blobs", min_free_mb=10**9)) as client:
        with pytest.raises(BlobError, match="MB are free"):
            client.submit(PICTURE)
        assert client.store.counts()["received"] == 0


def test_an_unknown_job_is_told_apart_from_one_without_a_result(client, settings):
    for call in (client.job, client.result, client.cancel, client.events, lambda job: client.wait([job])):
        with pytest.raises(UnknownJobError, match="no such job: nope"):
            call("nope")
    cancelled = client.submit(PICTURE).job_id
    assert client.cancel(cancelled) == "cancelled"
    with pytest.raises(NoResultError, match="was cancelled"):
        client.result(cancelled)
    failed = client.submit(b"not a document").job_id
    work(settings)
    with pytest.raises(NoResultError, match="failed: "):
        client.result(failed)


def test_a_dead_letter_that_cannot_be_cancelled_is_not_written_down_as_ended(client):
    job_id = client.submit(PICTURE).job_id
    lease = client.store.begin(job_id, "intake", "w", 600.0, 3).job.lease
    assert client.store.fail(job_id, lease.token, "broken", dead=True)
    assert client.cancel(job_id) == "failed"
    assert read_record(client.blobs, record_blob(job_id)).ended is None


def test_waiting_ends_with_its_time_and_says_who_is_not_done(client, settings):
    done, waiting = client.submit(PICTURE).job_id, client.submit(PICTURE, tier="fast").job_id
    client.cancel(done)
    jobs = client.wait([waiting, done], timeout_s=0.1)
    assert {job_id: job.is_final for job_id, job in jobs.items()} == {waiting: False, done: True}


def test_finished_jobs_are_given_from_a_time_on(client):
    first, second = client.submit(PICTURE).job_id, client.submit(PICTURE, tier="fast").job_id
    client.cancel(first)
    ended_at = client.job(first).finished_at
    client.cancel(second)
    assert [job.id for job in client.finished(since=ended_at, timeout_s=0)] == [first, second]
    assert list(client.finished(timeout_s=0)) == []


def test_a_broker_that_is_away_is_named_without_its_password(settings):
    away = with_broker(settings, "redis://:hunter22@127.0.0.1:1/0")
    with Client(away) as client, pytest.raises(StoreError, match=r"cannot reach .*127\.0\.0\.1:1") as caught:
        client.submit(PICTURE)
    assert "hunter22" not in str(caught.value)


def test_a_url_alone_makes_a_client(valkey_url, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with Client(valkey_url) as client:
        assert client.settings.service.broker == BrokerSettings(url=valkey_url)
