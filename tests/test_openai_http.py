"""The lane of a served model: what it sends, what it understands, and what it does when the server does not."""

import base64
import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from bad_inputs import encode, picture
from http_receiver import Reply, http_receiver
from PIL import Image
from test_model_lane import read

from backends import openai_calls
from backends.base import GenerationRequest
from backends.openai_answers import generation
from backends.openai_http import create
from router.errors import BackendError, BackendUnavailableError, ExtractionError, RetryableError

SCAN = encode(picture(), "PNG")
ANSWER = '{"supplier_name": "Caf\u00e9", "total_amount": "12.50", "invoice_date": null}'


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(openai_calls.random, "uniform", lambda low, high: 0.0)
    with http_receiver() as receiver:
        receiver.always = completion(ANSWER)
        yield receiver


def lane_of(server, **options):
    return create(url=server.url("/v1"), model="internvl", timeout_s=5, **options)


def completion(text, tokens=None, reason="stop", **message):
    entries = [
        {
            "token": token,
            "bytes": list(token.encode()),
            "logprob": logprob,
            "top_logprobs": [{"token": token, "logprob": logprob}, {"token": "x", "logprob": logprob - 1.5}],
        }
        for token, logprob in tokens or ()
    ]
    choice = {"message": {"content": text, **message}, "finish_reason": reason}
    if tokens:
        choice["logprobs"] = {"content": entries}
    return Reply(body=json.dumps({"choices": [choice], "usage": {"prompt_tokens": 700}}).encode())


def bodies(server):
    return [json.loads(received.body) for received in server.received]


def test_a_page_travels_as_a_data_url_with_the_prompt_and_the_answer_s_schema(server):
    extraction = read(lane_of(server))
    [body] = bodies(server)
    assert server.received[0].path == "/v1/chat/completions"
    image, text = body["messages"][0]["content"]
    kind, _, data = image["image_url"]["url"].partition(";base64,")
    assert kind == "data:image/jpeg"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == picture().size
    assert "total_amount (amount)" in text["text"]
    assert body["response_format"]["json_schema"]["schema"]["required"] == list(extraction.fields)
    assert (body["temperature"], body["logprobs"], body["top_logprobs"]) == (0.0, True, 2)
    assert extraction.fields["supplier_name"].value == "Caf\u00e9"
    assert not extraction.fields["invoice_date"].present
    assert extraction.prompt_tokens == 700


def test_large_pages_are_sent_smaller_and_png_is_lossless(server):
    model = lane_of(server, max_side_px=100, jpeg_quality=None).model
    page = np.asarray(picture().convert("RGB"))
    model.generate_batch([GenerationRequest("x", (page,), 8)])
    kind, _, data = bodies(server)[0]["messages"][0]["content"][0]["image_url"]["url"].partition(";base64,")
    assert kind == "data:image/png"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (75, 100)


def test_log_probabilities_are_aligned_with_values(server):
    tokens = [(letter, -0.1) for letter in ANSWER]
    at = ANSWER.index("12.50")
    tokens[at] = (tokens[at][0], -2.0)
    server.always = completion(ANSWER, [*tokens, ("<|im_end|>", -5.0)])
    fields = read(lane_of(server)).fields
    signals = fields["total_amount"].provenance.signals
    assert (signals["min_logprob"], signals["min_margin"]) == (-2.0, pytest.approx(1.5))
    assert fields["total_amount"].confidence == pytest.approx(math.exp(-2.0))
    assert fields["supplier_name"].provenance.signals["min_logprob"] == -0.1


def test_letters_of_several_tokens_are_put_together():
    answer = json.loads(completion("\u00e9", [("a", -0.5), ("b", -0.7)]).body)
    for entry, byte in zip(answer["choices"][0]["logprobs"]["content"], "\u00e9".encode(), strict=True):
        entry["bytes"] = [byte]
    assert generation(answer).tokens == ("", "\u00e9")


def test_tokens_that_are_not_the_text_are_no_statistics(server):
    server.always = completion(ANSWER, [("other", -0.1)])
    assert read(lane_of(server)).fields["total_amount"].confidence is None


@pytest.mark.parametrize(
    ("said", "left_out"),
    [
        ("response_format is not supported", {"response_format"}),
        ("Unsupported: json_schema", {"response_format"}),
        ("logprobs are not available", {"logprobs", "top_logprobs"}),
        ("extra fields not permitted", {"response_format", "logprobs", "top_logprobs"}),
    ],
)
def test_what_a_server_lacks_is_left_out_from_then_on(server, caplog, said, left_out):
    server.replies = [Reply(400, json.dumps({"error": {"message": said}}).encode())]
    lane = lane_of(server)
    assert read(lane).fields["total_amount"].value == "12.50"
    read(lane)
    first, second, third = bodies(server)
    assert set(first) - set(second) == left_out
    assert set(second) == set(third)
    assert "does without" in caplog.text


def test_a_request_refused_for_what_it_is_fails_the_document(server):
    server.always = Reply(400, b'{"detail": "the prompt is too long"}')
    with pytest.raises(ExtractionError, match="the prompt is too long"):
        read(lane_of(server))
    assert len(server.received) == 2


@pytest.mark.parametrize("reply", [Reply(429), Reply(503), Reply(500), Reply(drop=True), Reply(announced=99)])
def test_a_busy_or_broken_server_is_asked_again(server, reply):
    server.replies = [reply, reply]
    assert read(lane_of(server)).fields["total_amount"].value == "12.50"
    assert len(server.received) == 3


def test_a_server_that_stays_busy_is_left_to_the_queue(server):
    server.always = Reply(503, b"loading the model")
    with pytest.raises(RetryableError, match="loading the model"):
        lane_of(server).model.generate_batch([GenerationRequest("x", (), 8)])
    assert len(server.received) == 3


def test_a_server_says_how_long_to_wait_and_is_believed_up_to_a_bound(server):
    waits = []
    server.replies = [Reply(429, headers={"Retry-After": "3"}), Reply(429, headers={"Retry-After": "9999"})]
    lane = lane_of(server)
    lane.model._caller._sleep = waits.append
    read(lane)
    assert waits == [3.0, openai_calls.MAX_WAIT_S]


def test_nobody_listening_can_pass():
    with http_receiver() as receiver:
        url = receiver.url("/v1")
    lane = create(url=url, model="m", attempts=1)
    with pytest.raises(RetryableError, match="cannot be reached"):
        lane.model.generate_batch([GenerationRequest("x", (), 8)])


@pytest.mark.parametrize("reply", [Reply(delay_s=10.0), Reply(body=b"x" * 200, drip_s=0.05)])
def test_a_server_that_does_not_end_is_given_up(server, reply):
    server.always = reply
    lane = create(url=server.url("/v1"), model="m", timeout_s=0.3, attempts=1)
    with pytest.raises(RetryableError, match="in time"):
        lane.model.generate_batch([GenerationRequest("x", (), 8)])


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(401, b"no"), "api_key_file"),
        (Reply(404, b"no such model"), "no such model"),
        (Reply(302), "check the url"),
    ],
)
def test_a_server_that_refuses_everything_says_what_to_check(server, reply, message):
    server.always = reply
    with pytest.raises(BackendError, match=message) as caught:
        lane_of(server).model.generate_batch([GenerationRequest("x", (), 8)])
    assert not isinstance(caught.value, ExtractionError | RetryableError)
    assert len(server.received) == 1


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b'{"choices": []}', b'{"choices": [{"message": {"content": 5}}]}']
)
def test_an_answer_that_is_none_fails_the_document(server, body):
    server.always = Reply(body=body)
    with pytest.raises(ExtractionError):
        lane_of(server).model.generate_batch([GenerationRequest("x", (), 8)])


@pytest.mark.parametrize(
    ("reply", "ended"),
    [
        (completion(None, refusal="I can't help with that."), "refusal"),
        (completion("", reason="content_filter"), "refusal"),
        (completion('{"supplier_name": "Shop", "total', reason="length"), "length"),
    ],
)
def test_refusals_and_cut_off_answers_are_told(server, reply, ended):
    server.always = reply
    extraction = read(lane_of(server))
    assert extraction.finish_reason == ended
    assert not extraction.fields["total_amount"].present


def test_the_key_is_read_from_its_file_with_every_request_and_never_told(server, tmp_path, caplog):
    key = tmp_path / "key"
    key.write_text("first-secret\n")
    lane = lane_of(server, api_key_file=str(key))
    read(lane)
    key.write_text("second-secret")
    server.always = Reply(401, b"bad key")
    with pytest.raises(BackendError) as caught:
        read(lane)
    assert [r.headers["authorization"] for r in server.received] == ["Bearer first-secret", "Bearer second-secret"]
    assert "secret" not in str(caught.value) + caplog.text
    key.unlink()
    with pytest.raises(BackendUnavailableError, match="cannot be read"):
        read(lane)


def test_many_pages_go_in_several_requests_at_once(server):
    pages = [np.asarray(picture().convert("RGB"))] * 5
    model = lane_of(server, pages_per_prompt=2).model
    parts = model.split(GenerationRequest("x", tuple(pages), 8))
    assert [len(part.images) for part in parts] == [2, 2, 1]
    assert len(model.generate_batch([*parts, replace(parts[0], prompt="y")])) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs the options url"),
        ({"url": "ftp://a/v1", "model": "m"}, "must begin with http"),
        ({"url": "http://user:pass@a/v1", "model": "m"}, "must not hold a password"),
        ({"url": "http://a/v1", "model": "m", "form": "xml"}, "unknown form"),
        ({"url": "http://a/v1", "model": "m", "attempts": 0}, "attempts must be at least 1"),
        ({"url": "http://a/v1", "model": "m", "timeout_s": 0.0}, "timeout_s must be"),
        ({"url": "http://a/v1", "model": "m", "ca_file": "/none.pem"}, "certificates"),
    ],
)
def test_settings_that_cannot_be_are_refused(options, message):
    with pytest.raises(BackendError, match=message):
        create(**options)
