"""`docroute dead`: jobs that failed for good and webhooks that were given up, seen, tried again and dropped."""

import json

import pytest
from service_work import command_line, fake_settings

from workers.broker import connect
from workers.jobs import JobSpec
from workers.quarantine import MOST_RAW_BYTES, make_entry, put_aside
from workers.store_redis import make_store


@pytest.fixture
def settings(broker_settings, tmp_path):
    return fake_settings(broker_settings, tmp_path)


@pytest.fixture
def store(settings):
    made = make_store(settings.service)
    yield made
    made.close()


@pytest.fixture
def docroute(settings, tmp_path, monkeypatch, capsys):
    return command_line(settings, tmp_path, monkeypatch, capsys)


def dead_job(store, job_id="j1", callback=None):
    store.create(job_id, JobSpec(document_id="a" * 64, uri="scan.png", callback_url=callback))
    token = store.begin(job_id, "intake", "w", 60, 3).job.lease.token
    store.fail(job_id, token, "the model burst", "Traceback: \x1b[2J line 7", dead=True)


def test_dead_letters_are_listed_shown_retried_and_dropped(docroute, store):
    assert "no dead letters" in docroute("dead", "list")[1]
    dead_job(store)
    dead_job(store, "j2")
    assert all(word in docroute("dead", "list")[1] for word in ("j1", "j2", "the model burst"))
    assert {json.loads(line)["job_id"] for line in docroute("dead", "list", "--json")[1].splitlines()} == {"j1", "j2"}
    code, out, _ = docroute("dead", "show", "j1")
    assert code == 0
    assert "line 7" in out
    assert "\x1b[2J" not in out
    assert docroute("dead", "retry", "j1")[0] == 0
    assert store.get("j1").state == "received"
    code, _, err = docroute("dead", "retry", "j1")
    assert code == 1
    assert "not on the list" in err
    assert docroute("dead", "drop", "--all")[1].startswith("j2")
    assert store.dead() == []
    assert docroute("dead", "show", "j2")[0] == 1
    assert docroute("dead", "show", "nope")[0] == 1


def test_naming_jobs_and_all_at_once_is_wrong_usage(docroute):
    assert docroute("dead", "retry", "j1", "--all")[0] == 2
    assert docroute("dead", "drop", "--webhooks")[0] == 2


def test_webhooks_that_were_given_up_are_sent_again_or_dropped(docroute, store):
    for job_id in ("j1", "j2"):
        dead_job(store, job_id, "https://example.com/hook?token=abc123")
    for webhook in store.due_webhooks(9, 60):
        store.webhook_dead(webhook.job_id, "answered 500")
    assert "answered 500" in docroute("dead", "list")[1]
    told = [docroute(*command)[1] for command in (["dead", "list", "--json"], ["dead", "list"], ["status", "j1"])]
    assert "example.com" in told[0]
    assert "abc123" not in "".join(told)
    assert docroute("dead", "retry", "j1", "--webhooks")[0] == 0
    assert [webhook.job_id for webhook in store.due_webhooks(9, 60)] == ["j1"]
    assert docroute("dead", "drop", "--all", "--webhooks")[0] == 0
    assert store.dead_webhooks() == []
    assert len(store.dead()) == 2


def put_message_aside(broker, raw, reason="it is no object"):
    with connect(broker) as client:
        put_aside(client, broker.key_prefix, make_entry(raw, "fast", reason, "gen7@upstream", "docroute.fast"))


def test_messages_that_were_put_aside_are_listed_shown_sent_again_and_dropped(docroute, broker_settings):
    assert "no message was put aside" in docroute("dead", "list", "--messages")[1]
    put_message_aside(broker_settings, b'{"body": "\x1b[2J\xff"}', "its body is \x1b[2J")
    put_message_aside(broker_settings, b"x" * (MOST_RAW_BYTES + 1))
    cut, sound = (json.loads(line) for line in docroute("dead", "list", "--messages", "--json")[1].splitlines())
    assert (sound["kind"], sound["queue"], sound["sender"], sound["cut"]) == ("message", "fast", "gen7@upstream", False)
    assert all(word in docroute("dead", "list", "--messages")[1] for word in (cut["id"], sound["id"], "fast", "gen7"))
    for message in (cut, sound):
        code, out, _ = docroute("dead", "show", message["id"], "--messages")
        assert (code, "\x1b" in out) == (0, False)
    assert "the first 16,384 of 16,385 bytes" in docroute("dead", "show", cut["id"], "--messages")[1]
    code, out, err = docroute("dead", "retry", "--all", "--messages")
    assert (code, sound["id"] in out, "only 16,384" in err) == (1, True, True)
    with connect(broker_settings) as client:
        assert client.llen(f"{broker_settings.key_prefix}fast\x06\x163") == 1
    assert docroute("dead", "drop", cut["id"], "--messages")[0] == 0
    assert docroute("dead", "show", cut["id"], "--messages")[0] == 1
    assert docroute("dead", "retry", cut["id"], "--messages")[0] == 1
