"""`docroute dead`: jobs that failed for good and webhooks that were given up, seen, tried again and dropped."""

import json

import pytest
from service_work import command_line, fake_settings

from workers.jobs import JobSpec
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
