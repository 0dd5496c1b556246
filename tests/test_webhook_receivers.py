"""Notifications of many receivers: one that is gone holds up no other, is left alone, and is told in the end, or it is
given up in words. Real servers on loopback."""

import json
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from http_receiver import HttpReceiver, Reply, http_receiver

from workers import store_webhooks as rules
from workers.blobs import Blobs, make_blobs
from workers.doctor_queues import check_receivers
from workers.job_view import job_json, webhook_json
from workers.jobs import JobSpec
from workers.notifier import Notifier
from workers.redact import hidden, redact_callback
from workers.service_settings import BlobSettings, RetentionSettings, WebhookSettings
from workers.signature import read_secrets, standard_headers
from workers.store_memory import MemoryStore
from workers.webhooks import retry_after_s

SECRET = b"0123456789abcdef0123456789abcdef"
DAY_S = 86400.0


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    return MemoryStore(RetentionSettings(), clock)


@pytest.fixture
def blobs(tmp_path) -> Blobs:
    return make_blobs(BlobSettings(url=str(tmp_path / "blobs"), min_free_mb=0))


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as running:
        yield running


@pytest.fixture
def other() -> Iterator[HttpReceiver]:
    with http_receiver() as running:
        yield running


@pytest.fixture
def settings(receiver, other, tmp_path) -> WebhookSettings:
    (tmp_path / "secret").write_bytes(SECRET)
    return WebhookSettings(
        hosts=(receiver.host, other.host),
        secret_file=str(tmp_path / "secret"),
        allow_http=True,
        allow_private=True,
        timeout_s=0.5,
    )


@pytest.fixture
def notifier(store, blobs, settings) -> Notifier:
    return Notifier(store, blobs, settings, kept_s=RetentionSettings().finished_s, chance=lambda: 0.0)


def ended(store: MemoryStore, url: str, name: str = "job") -> None:
    store.create(name, JobSpec(document_id="d" * 64, callback_url=url))
    store.cancel(name)


def kinds(store: MemoryStore, name: str = "job") -> list[str]:
    return [event.kind for event in store.events(name)]


def silent_for_120(store: MemoryStore, receiver: HttpReceiver) -> None:
    receiver.always = Reply(delay_s=60)
    for number in range(120):
        ended(store, receiver.url(f"/{number}"), f"bad{number}")


def test_120_notifications_of_a_receiver_that_is_silent_hold_up_no_other(store, blobs, settings, receiver, other):
    notifier = Notifier(store, blobs, settings.model_copy(update={"timeout_s": 30.0}))
    silent_for_120(store, receiver)
    for number in range(20):
        ended(store, other.url(f"/{number}"), f"good{number}")
    for _ in range(200):
        notifier.run_for(0.1)
        if all(kinds(store, f"good{number}")[-1] == "notified" for number in range(20)):
            break
    assert len(other.received) == 20
    assert len(receiver.received) <= settings.per_receiver, "all the others were told beside the first of its tries"


def test_a_receiver_that_is_silent_is_left_alone_after_a_few_tries(store, notifier, settings, receiver):
    silent_for_120(store, receiver)
    notifier.run_once()
    assert len(receiver.received) < rules.BREAK_AFTER + settings.per_receiver
    (silent,) = store.receivers()
    assert (silent.waiting, silent.failures) == (120, rules.BREAK_AFTER)


def test_a_receiver_that_is_back_is_told_all(store, notifier, receiver, clock):
    receiver.always = Reply(503)
    for number in range(20):
        ended(store, receiver.url(f"/{number}"), f"job{number}")
    notifier.run_once()
    receiver.always = Reply()
    for _ in range(4):
        clock.now += 4000
        notifier.run_once()
    assert all(kinds(store, f"job{number}")[-1] == "notified" for number in range(20))
    assert store.receivers() == []


def test_a_path_that_is_not_there_keeps_no_other_of_its_host_from_being_told(store, notifier, receiver):
    for number in range(30):
        receiver.pages[f"/{number}"] = Reply(404)
        ended(store, receiver.url(f"/{number}"), f"bad{number}")
    ended(store, receiver.url("/good"), "good")
    notifier.run_once()
    assert kinds(store, "good")[-1] == "notified"


def test_a_notification_is_tried_for_three_days_and_given_up_in_words(store, notifier, receiver, clock, caplog):
    receiver.always = Reply(404)
    ended(store, receiver.url("/hook"))
    began = clock.now
    while kinds(store)[-1] != "unnotified":
        notifier.run_once()
        clock.now += 900.0
    assert 2.9 * DAY_S < clock.now - began < 3.1 * DAY_S
    (dead,) = store.dead_webhooks()
    assert "given up after" in dead.error
    assert "given up after" in caplog.text
    assert len(receiver.received) == dead.attempts > 70
    assert store.revive_webhook("job")
    receiver.always = Reply()
    notifier.run_once()
    assert kinds(store)[-1] == "notified"


def test_a_notification_is_given_up_in_words_before_its_job_is_forgotten(store, blobs, settings, receiver, clock):
    notifier = Notifier(store, blobs, settings, kept_s=7200.0, chance=lambda: 0.0)
    receiver.always = Reply(404)
    ended(store, receiver.url("/hook"))
    began = clock.now
    while kinds(store)[-1] != "unnotified":
        notifier.run_once()
        clock.now += 200.0
    assert clock.now - began < 7200.0


def test_waits_are_spread(store, blobs, settings, receiver, clock):
    late = Notifier(store, blobs, settings, chance=lambda: 0.99)
    receiver.always = Reply(404)
    ended(store, receiver.url("/hook"))
    late.run_once()
    clock.now += settings.wait_s * 1.2
    assert late.run_once() == 0
    clock.now += settings.wait_s * 0.1
    assert late.run_once() == 1


NOW = 1_780_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("9" * 400, DAY_S),
        (format_datetime(datetime.fromtimestamp(NOW + 90, UTC), usegmt=True), 90.0),
        (format_datetime(datetime.fromtimestamp(NOW - 90, UTC), usegmt=True), 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", DAY_S),
        ("Thu, 28 May 2026 20:28:20", 100.0),
        ("-5", 0.0),
        ("1.5", 0.0),
        ("soon", 0.0),
        ("", 0.0),
        ("²", 0.0),
        ("Mon, 99 Foo 2026 99:99:99 GMT", 0.0),
    ],
)
def test_a_receiver_asks_for_patience_in_seconds_or_with_a_date(text, seconds):
    assert retry_after_s(text, NOW) == seconds


def test_the_patience_that_a_receiver_asks_for_is_had(store, notifier, receiver, clock):
    receiver.always = Reply(429, headers={"Retry-After": "7200"})
    ended(store, receiver.url("/hook"))
    notifier.run_once()
    clock.now += 7000
    assert notifier.run_once() == 0
    clock.now += 300
    assert notifier.run_once() == 1


# -- secrets


PATH = "/services/T000/B000/s3cr3tpath?k=s3cr3tkey"


def test_paths_that_are_secrets_are_in_no_log_list_or_check(store, notifier, receiver, settings, clock, caplog):
    caplog.set_level(logging.DEBUG)
    receiver.always = Reply(500)
    for number in range(8):
        ended(store, receiver.url(f"{PATH}{number}"), f"job{number}")
    notifier.run_once()
    checks = [*check_receivers(store)]
    assert receiver.host in checks[0].detail
    told = [caplog.text, repr(checks), json.dumps(job_json(store.get("job0")))]
    store.webhook_dead("job0", "500")
    told += [json.dumps(webhook_json(store.dead_webhooks()[0])), repr(store.receivers())]
    assert all("s3cr3t" not in text and "T000" not in text for text in told)
    assert receiver.host in told[3]


def test_a_callback_is_shown_by_its_host_and_a_short_hash():
    shown = redact_callback("https://user:pw@hooks.example:8443" + PATH)
    assert shown.startswith("https://hooks.example:8443/…")
    assert len(shown.rpartition("…")[2]) == 6
    assert shown != redact_callback("https://hooks.example:8443/other")
    assert redact_callback("https://hooks.example/") == "https://hooks.example/"
    assert "s3cr3t" not in redact_callback("https://[broken" + PATH)
    assert "s3cr3t" not in hidden(f"{{'callback_url': 'https://hooks.example{PATH}', 'uri': 'file:///srv/a.png'}}")
    assert "file:///srv/a.png" in hidden("{'uri': 'file:///srv/a.png'}")


# -- Standard Webhooks


def test_the_example_of_the_standard_has_the_signature_that_it_names(tmp_path):
    (tmp_path / "secret").write_bytes(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
    secrets = read_secrets(str(tmp_path / "secret"))
    headers = standard_headers(secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_notification_has_the_headers_of_the_standard_too(store, notifier, receiver, tmp_path):
    (tmp_path / "secret").write_bytes(b"whsec_" + b"A" * 32 + b"\n" + SECRET)
    ended(store, receiver.url("/hook"))
    notifier.run_once()
    (request,) = receiver.received
    assert request.headers["webhook-id"] == "job_cancelled"
    timestamp = int(request.headers["webhook-timestamp"])
    assert f"t={timestamp}," in request.headers["docroute-signature"]
    expected = standard_headers((b"whsec_" + b"A" * 32, SECRET), "job.cancelled", timestamp, request.body)
    assert request.headers["webhook-signature"] == expected["webhook-signature"]
    assert len(expected["webhook-signature"].split(" ")) == 2
