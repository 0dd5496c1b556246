"""Notifications of finished jobs: signed, repeated until they arrive, given up in the end; real servers on loopback."""

import json
import logging
import time

import pytest
from http_receiver import Reply, http_receiver

from router.errors import CallbackError
from workers.blobs import make_blobs
from workers.jobs import JobSpec
from workers.notifier import Notifier
from workers.outbound import Outbound
from workers.service_settings import BlobSettings, RetentionSettings, WebhookSettings
from workers.signature import HEADER, verify
from workers.store_memory import MemoryStore
from workers.store_webhooks import Webhook
from workers.webhooks import MAX_RESULT_BYTES, check_callback, delay_s, deliver

SECRET = b"0123456789abcdef0123456789abcdef"
DOCUMENT_ID = "d" * 64


class Clock:
    def __init__(self):
        self.now = time.time()

    def __call__(self):
        return self.now


@pytest.fixture
def receiver():
    with http_receiver() as running:
        yield running


@pytest.fixture
def settings(receiver, tmp_path):
    (tmp_path / "secret").write_bytes(SECRET + b"\n")
    return WebhookSettings(
        hosts=(receiver.host,),
        secret_file=str(tmp_path / "secret"),
        allow_http=True,
        allow_private=True,
        timeout_s=5.0,
        attempts=3,
        wait_s=10.0,
    )


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(clock):
    return MemoryStore(RetentionSettings(), clock)


@pytest.fixture
def blobs(tmp_path):
    return make_blobs(BlobSettings(url=str(tmp_path / "blobs"), min_free_mb=0))


@pytest.fixture
def notifier(store, blobs, settings):
    return Notifier(store, blobs, settings, chance=lambda: 0.0)


def finished_job(store, blobs, url, job_id="job1", result=None):
    store.create(job_id, JobSpec(document_id=DOCUMENT_ID, callback_url=url, metadata={"order": "17"}))
    token = store.begin(job_id, "intake", "w", 60, 3).job.lease.token
    blob = blobs.put_json("results", f"{job_id}.{token}", result or {"fields": {"total": "1.00"}})
    assert store.finish(job_id, token, "done", blob, 0.9, {})
    return blob


def kinds(store, job_id="job1"):
    return [event.kind for event in store.events(job_id)]


# -- at submit
def test_only_listed_hosts_may_be_called_back(tmp_path):
    settings = WebhookSettings(hosts=("hooks.example", "other.example:8443"), secret_file=str(tmp_path / "none"))
    for url in ("https://hooks.example/x?token=1", "https://HOOKS.example:443/", "https://other.example:8443/"):
        check_callback(url, settings)
    for url in ("https://example.com/", "http://hooks.example/", "https://hooks.example:8443/", "https://other.example/",
                "https://u:p@hooks.example/", "https://hooks.example.evil.com/", "ftp://hooks.example/", "",
                "https://hooks.example\\@evil.com/", "https://evil.com#@hooks.example/"):  # fmt: skip
        with pytest.raises(CallbackError) as caught:
            check_callback(url, settings)
        assert "u:p" not in str(caught.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "10.0.0.1", "[::1]", "169.254.169.254", "db.internal"])
def test_private_hosts_are_called_back_only_when_that_is_allowed(host):
    settings = WebhookSettings(hosts=(host,), secret_file="secret")
    with pytest.raises(CallbackError, match="allow_private"):
        check_callback(f"https://{host}/", settings)
    check_callback(f"https://{host}/", settings.model_copy(update={"allow_private": True}))


def test_webhooks_that_are_not_set_up_are_refused_at_submit():
    with pytest.raises(CallbackError, match="is not among"):
        check_callback("https://hooks.example/", WebhookSettings())
    with pytest.raises(CallbackError, match="secret_file"):
        check_callback("https://hooks.example/", WebhookSettings(hosts=("hooks.example",)))


# -- one delivery
def test_waits_double_up_to_an_hour():
    settings = WebhookSettings(wait_s=5)
    assert [delay_s(n, settings) for n in (1, 2, 3, 4)] == [5, 10, 20, 40]
    assert delay_s(100_000, settings) == 3600


@pytest.mark.parametrize(
    ("reply", "outcome", "words"),
    [
        (Reply(200), "sent", ""),
        (Reply(202, body=b"x" * 500_000), "sent", ""),
        (Reply(200, body=b"x" * 100, drip_s=0.2), "sent", ""),
        (Reply(204, body=b""), "sent", ""),
        (Reply(410), "dead", "wants no more"),
        (Reply(404), "retry", "answered 404"),
        (Reply(500), "retry", "answered 500"),
        (Reply(302, headers={"Location": "http://169.254.169.254/"}), "retry", "not followed"),
        (Reply(drop=True), "retry", "no valid answer"),
        (Reply(delay_s=10), "retry", "did not answer within 1 s"),
    ],
)
def test_answers_decide_what_becomes_of_it(receiver, settings, reply, outcome, words):
    receiver.always = reply
    brief = settings.model_copy(update={"timeout_s": 1.0})
    delivery = deliver(
        Webhook(id="a", job_id="a", url=receiver.url(), attempts=1), b"{}", brief, private(), 5, "a.done"
    )
    assert delivery.outcome == outcome
    assert words in delivery.error
    assert len(receiver.received) == 1


def private():
    return Outbound(allow_private=True)


def test_a_receiver_may_ask_for_patience(receiver, settings):
    receiver.always = Reply(429, headers={"Retry-After": "120"})
    delivery = deliver(
        Webhook(id="a", job_id="a", url=receiver.url(), attempts=1), b"{}", settings, private(), 5, "a.done"
    )
    assert delivery.retry_after_s == 120


def test_a_private_address_behind_a_listed_name_is_never_called(receiver, settings):
    closed = settings.model_copy(update={"allow_private": False, "hosts": (f"hooks.example:{receiver.port}",)})
    outbound = Outbound(resolve=lambda host, port: ["127.0.0.1"])
    url = f"http://hooks.example:{receiver.port}/"
    delivery = deliver(Webhook(id="a", job_id="a", url=url, attempts=1), b"{}", closed, outbound, 5, "a.done")
    assert delivery.outcome == "dead"
    assert "not public" in delivery.error
    assert receiver.received == []


# -- all that are due
def test_a_finished_job_is_told_signed_with_its_result(receiver, store, blobs, notifier, clock):
    finished_job(store, blobs, receiver.url("/hook?x=1"))
    assert notifier.run_once() == 1
    (request,) = receiver.received
    assert (request.method, request.path) == ("POST", "/hook?x=1")
    assert request.headers["content-type"] == "application/json"
    assert verify(SECRET, request.headers[HEADER.lower()], request.body, now=clock.now)
    body = json.loads(request.body)
    assert body["event_id"] == request.headers["docroute-event-id"] == "job1.done"
    assert (body["job_id"], body["state"], body["metadata"]) == ("job1", "done", {"order": "17"})
    assert body["result"] == {"fields": {"total": "1.00"}}
    assert kinds(store)[-1] == "notified"
    assert notifier.run_once() == 0


def test_a_receiver_that_is_down_for_a_while_is_told_later(receiver, store, blobs, notifier, clock):
    receiver.replies = [Reply(500), Reply(drop=True)]
    finished_job(store, blobs, receiver.url())
    assert notifier.run_once() == 1
    for wait_s in (10, 20):
        clock.now += wait_s - 0.5
        assert notifier.run_once() == 0
        clock.now += 0.6
        assert notifier.run_once() == 1
    assert [request.headers["docroute-attempt"] for request in receiver.received] == ["1", "2", "3"]
    assert len({request.headers["docroute-event-id"] for request in receiver.received}) == 1
    assert kinds(store)[-1] == "notified"


def test_what_never_arrives_is_kept_and_can_be_sent_again(receiver, store, blobs, notifier, clock):
    receiver.always = Reply(503)
    finished_job(store, blobs, receiver.url())
    for _ in range(5):
        notifier.run_once()
        clock.now += 4000
    assert len(receiver.received) == 3
    (dead,) = store.dead_webhooks()
    assert "answered 503" in dead.error
    receiver.always = Reply()
    assert store.revive_webhook("job1")
    notifier.run_once()
    assert kinds(store)[-1] == "notified"


def test_a_failed_job_is_told_without_a_result(receiver, store, notifier):
    store.create("job1", JobSpec(document_id=DOCUMENT_ID, callback_url=receiver.url()))
    token = store.begin("job1", "intake", "w", 60, 3).job.lease.token
    store.fail("job1", token, "the document needs a password", dead=False)
    notifier.run_once()
    body = json.loads(receiver.received[0].body)
    assert (body["state"], body["result"], body["error"]) == ("failed", None, "the document needs a password")


def test_a_result_that_vanished_or_is_too_large_still_tells_the_state(receiver, store, blobs, notifier):
    blobs.delete(finished_job(store, blobs, receiver.url("/gone"), "gone"))
    finished_job(store, blobs, receiver.url("/large"), "large", {"text": "x" * MAX_RESULT_BYTES})
    assert notifier.run_once() == 2
    bodies = {request.path: json.loads(request.body) for request in receiver.received}
    assert (bodies["/gone"]["result"], bodies["/gone"]["result_omitted"]) == (None, False)
    assert (bodies["/large"]["result"], bodies["/large"]["result_omitted"]) == (None, True)


def test_slow_receivers_do_not_hold_up_the_others(receiver, store, blobs, notifier):
    receiver.pages["/slow"] = Reply(delay_s=2)
    for number in range(20):
        finished_job(store, blobs, receiver.url("/slow" if number == 0 else "/"), f"job{number}")
    assert notifier.run_once(limit=20) == 20
    assert all(kinds(store, f"job{number}")[-1] == "notified" for number in range(20))


def test_a_missing_secret_is_waited_for_and_never_logged(receiver, store, blobs, settings, tmp_path, clock, caplog):
    caplog.set_level(logging.DEBUG)
    notifier = Notifier(store, blobs, settings)
    (tmp_path / "secret").unlink()
    finished_job(store, blobs, receiver.url("/?token=abc123"))
    notifier.run_once()
    assert receiver.received == []
    assert "secret_file" in caplog.text
    (tmp_path / "secret").write_bytes(SECRET)
    clock.now += 60
    notifier.run_once()
    assert kinds(store)[-1] == "notified"
    assert "abc123" not in caplog.text
    assert SECRET.decode() not in caplog.text


def test_a_bug_in_one_delivery_does_not_stop_the_others(receiver, store, blobs, notifier, monkeypatch, clock):
    broken = finished_job(store, blobs, receiver.url("/broken"), "broken")
    finished_job(store, blobs, receiver.url("/good"), "good")
    real = blobs.get_json
    monkeypatch.setattr(blobs, "get_json", lambda blob: 1 // 0 if blob == broken else real(blob))
    notifier.run_once()
    assert [request.path for request in receiver.received] == ["/good"]
    monkeypatch.undo()
    clock.now += 3600
    notifier.run_once()
    assert kinds(store, "broken")[-1] == "notified"
