"""What a raw message is, told before Celery sees it: a task of the service, a refusal, or malformed."""

import base64
import json
import random
import zlib
from typing import Any

import pytest

from benchmarks.malformed_messages import FORMS, encoded, good, mutated, raw, refused
from workers.envelope import MOST_BYTES
from workers.incoming import Incoming, job_of, read_message
from workers.jobs import STAGES


def body_of(incoming: Incoming) -> list[Any]:
    assert incoming.payload is not None, incoming.reason
    body: list[Any] = json.loads(base64.b64decode(incoming.payload["body"]))
    return body


def task_of(incoming: Incoming) -> str:
    assert incoming.payload is not None, incoming.reason
    return str(incoming.payload["headers"]["task"])


@pytest.mark.parametrize("form", FORMS)
def test_a_malformed_message_is_told_with_its_reason(form: str) -> None:
    rng = random.Random(form)
    for _ in range(30):
        for queue in STAGES:
            message = FORMS[form](rng, queue)
            told = read_message(message, queue)
            assert told.payload is None, message[:500]
            assert told.reason
            assert told.reason.isascii()
            assert job_of(message, queue) is None


def test_a_message_for_a_step_goes_on_with_its_job_and_nothing_else_of_the_senders() -> None:
    message = good(
        "docroute.fast", ["job1"], eta="2026-01-01T00:00:00Z", timelimit=[0.001, None], shadow="x", retries=9
    )
    message["properties"] |= {"reply_to": "elsewhere", "priority": float("inf"), "delivery_tag": 5}
    told = read_message(raw(message), "fast", 3)
    assert body_of(told) == [["job1"], {}, {}]
    assert told.payload is not None
    assert set(told.payload["headers"]) == {
        "lang", "group", "parent_id", "ignore_result", "task", "id", "root_id", "argsrepr", "kwargsrepr",
    }  # fmt: skip
    assert told.payload["properties"]["delivery_info"] == {"exchange": "", "routing_key": "fast"}
    assert told.payload["properties"]["priority"] == 3
    assert len(told.payload["properties"]["delivery_tag"]) == 32
    assert job_of(raw(message), "fast") == "job1"
    assert told.sender == "gen7@upstream"


def test_what_the_check_wrote_passes_it_again_and_is_the_same() -> None:
    message = good("docroute.submit", [], {"uri": "a"}, eta="2026-01-01T00:00:00Z", expires="2026-01-02T00:00:00+02:00")
    first = read_message(raw(message), "intake")
    second = read_message(raw(first.payload), "intake")
    assert body_of(first) == body_of(second) == [[], {"uri": "a"}, {}]
    assert first.payload is not None
    assert second.payload is not None
    assert first.payload["headers"] == second.payload["headers"]
    assert first.payload["headers"]["not_after"] == "2026-01-01T22:00:00+00:00"
    assert "expires" not in first.payload["headers"], "Celery would drop it by this machine's clock, without a word"


def test_the_first_protocol_is_read_too() -> None:
    message = good("", [])
    message["headers"] = {}
    message["body"] = encoded({"task": "docroute.deep", "id": "a", "args": ["job1"], "kwargs": {}, "utc": True})
    assert body_of(read_message(raw(message), "deep")) == [["job1"], {}, {}]


def test_a_job_may_be_named_and_a_body_may_be_plain_or_compressed() -> None:
    named = good("docroute.intake", [], {"job_id": "job1"})
    plain = good("docroute.intake", [])
    plain["body"], plain["properties"]["body_encoding"] = json.dumps([["job1"], {}, None]), "utf-8"
    small = good("docroute.intake", [], compression="application/x-gzip")
    small["body"] = encoded(zlib.compress(b'[["job1"], {}, {}]'))
    for message in (named, plain, small):
        assert job_of(raw(message), "intake") == "job1"
        assert body_of(read_message(raw(message), "intake")) == [["job1"], {}, {}]


def test_a_body_that_unpacks_to_more_than_a_message_may_have_is_not_unpacked() -> None:
    message = good("docroute.intake", [], compression="application/x-gzip")
    message["body"] = encoded(zlib.compress(b"[" + b" " * 50_000_000 + b"]"))
    assert len(raw(message)) < MOST_BYTES
    assert "when it is unpacked" in read_message(raw(message), "intake").reason


@pytest.mark.parametrize("link", ["callbacks", "errbacks", "chain", "chord"])
def test_a_worker_sends_nothing_in_the_name_of_others(link: str) -> None:
    message = good("docroute.fast", [])
    message["body"] = encoded([["job1"], {}, {link: [{"task": "docroute.submit", "args": [], "kwargs": {}}]}])
    assert link in read_message(raw(message), "fast").reason
    message = good("docroute.submit", [])
    message["body"] = encoded([[], {"uri": "a", "job_id": "job1"}, {link: [{"task": "x"}]}])
    assert task_of(read_message(raw(message), "intake")) == "docroute.refuse"


def test_a_submission_in_a_wrong_message_becomes_a_refusal_with_the_reason() -> None:
    rng = random.Random(3)
    for _ in range(200):
        message = refused(rng)
        told = read_message(message, "intake")
        assert task_of(told) in {"docroute.refuse", "docroute.submit"}, message
        assert read_message(raw(told.payload), "intake").payload, "it may come again"
    message_in_deep = raw(good("docroute.submit", [], {"uri": "a", "callback_url": "https://example.com"}))
    (_, kwargs, _) = body_of(read_message(message_in_deep, "deep"))
    assert "belongs into the queue intake" in kwargs["reason"]
    assert kwargs["arguments"] == {"uri": "a", "callback_url": "https://example.com"}


def test_a_day_is_the_latest_that_a_message_may_ask_for() -> None:
    message = good("docroute.submit", [], {"job_id": "a", "uri": "a"}, eta="2999-01-01T00:00:00")
    assert "a day away" in body_of(read_message(raw(message), "intake"))[1]["reason"]


def test_no_mutation_of_a_message_is_more_than_the_check_can_tell() -> None:
    rng = random.Random(11)
    kinds = {"good": 0, "bad": 0}
    for _ in range(5000):
        message = mutated(rng, rng.choice(STAGES))
        told = read_message(message, "intake")
        assert "it cannot be read: " not in told.reason or "JSON" in told.reason, (message, told.reason)
        kinds["good" if told.payload else "bad"] += 1
        if told.payload:
            assert task_of(told).startswith("docroute.")
    assert min(kinds.values()) > 50


def test_of_another_queue_only_the_envelope_is_checked() -> None:
    answer = good("", []) | {"headers": {"clock": 5}, "body": encoded({"worker": {"ok": "pong"}})}
    assert read_message(raw(answer), "abc.reply.celery.pidbox").payload == answer
    assert read_message(b"5", "abc.reply.celery.pidbox").payload is None
