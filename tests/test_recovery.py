"""A broker that came back empty: it is noticed, told, nothing is deleted, and its jobs are made anew from the blobs."""

import json
import os
import time
from pathlib import Path

import pytest
from service_work import command_line, documents, fake_settings, work

from router.errors import PurgeRefusedError, UnknownJobError
from workers.blobs import make_blobs, original_blob
from workers.broker import connect
from workers.doctor import examine
from workers.epoch import EpochWatch, blobs_epoch, epoch_problem
from workers.job_record import REQUESTS, read_record, record_blob
from workers.recovery import Recovered, Recovery
from workers.retention import Retention
from workers.settings import Settings
from workers.store_redis import make_store
from workers.submit import Client

DAY_S = 86400.0


@pytest.fixture
def settings(broker_settings, tmp_path) -> Settings:
    return fake_settings(broker_settings, tmp_path)


def empty(settings: Settings) -> None:
    """What a server does that has lost its disk."""
    client = connect(settings.service.broker)
    for key in client.scan_iter(f"{settings.service.broker.key_prefix}*"):
        client.delete(key)
    client.close()


def recover(settings: Settings, dry: bool = False) -> dict[str, Recovered]:
    store = make_store(settings.service)
    blobs = make_blobs(settings.service.blobs)
    recovery = Recovery(store, blobs, lambda job: None, settings.service.retention.finished_s, dry)
    found = {job.job_id: job for job in recovery.run()}
    store.close()
    return found


def outcomes(found: dict[str, Recovered]) -> dict[str, str]:
    return {job_id: job.outcome for job_id, job in found.items()}


def age(settings: Settings, blob: str, days: float) -> None:
    at = time.time() - days * DAY_S
    os.utime(Path(settings.service.blobs.url) / blob, (at, at))


def test_broker_and_blobs_carry_one_epoch_from_the_first_submission_on(settings, tmp_path):
    with Client(settings) as client:
        assert blobs_epoch(client.blobs) is None
        client.submit(documents(tmp_path / "in", 1)[0])
        epoch = blobs_epoch(client.blobs)
        assert epoch
        assert client.store.epoch() == epoch
        assert epoch_problem(client.store, client.blobs) == ""


def test_looking_begins_no_epoch(settings):
    with Client(settings) as client:
        assert {check.name: check.state for check in examine(settings)}["epoch"] == "ok"
        with pytest.raises(UnknownJobError):
            client.job("never")
        assert (blobs_epoch(client.blobs), client.store.epoch()) == (None, None)


def test_a_broker_that_came_back_empty_is_told_by_doctor_clients_and_the_log(settings, tmp_path, caplog):
    with Client(settings) as client:
        job_id = client.submit(documents(tmp_path / "in", 1)[0]).job_id
        empty(settings)
        (check,) = [check for check in examine(settings) if check.name == "epoch"]
        assert (check.state, "came back empty" in check.detail) == ("fail", True)
        assert check.advice == "docroute recover makes them anew"
        assert {check.name: check.state for check in examine(settings)}["deletion"] == "warn"
        for ask in (client.job, client.cancel, lambda job_id: client.wait([job_id])):
            with pytest.raises(UnknownJobError, match=r"no such job.*came back empty.*docroute recover"):
                ask(job_id)
        watch = EpochWatch(client.store, client.blobs, clock=lambda: 0.0)
        assert watch.look() == watch.look() != ""
    assert sum("came back empty" in record.getMessage() for record in caplog.records) == 1
    with Client(settings) as client:
        client.submit(documents(tmp_path / "in", 2)[1])
        assert client.store.epoch() is None, "a submission makes it no broker that knows the old jobs"


def test_nothing_is_deleted_for_a_broker_that_came_back_empty_or_is_anothers(settings, tmp_path):
    with Client(settings) as client:
        client.submit(documents(tmp_path / "in", 1)[0])
        work(settings)
        (original,) = [blob for blob, _ in client.blobs.stamped("originals")]
        (result,) = [blob for blob, _ in client.blobs.stamped("results")]
        for blob in (original, result):
            age(settings, blob, days=40)
        empty(settings)
        retention = Retention(client.store, client.blobs, settings.service.retention)
        with pytest.raises(PurgeRefusedError, match="came back empty"):
            retention.run_once()
        client.store.join_epoch("another")
        with pytest.raises(PurgeRefusedError, match="belongs to another service"):
            retention.run_once()
        assert client.blobs.has(original)
        assert client.blobs.has(result)
        assert list(client.blobs.trashed()) == []


def test_jobs_are_made_anew_as_they_were(settings, tmp_path):
    paths = documents(tmp_path / "in", 4)
    with Client(settings) as client:
        done = client.submit(paths[0], schema="receipt", metadata={"order": "17"}, priority="high").job_id
        work(settings)
        cancelled = client.submit(paths[1]).job_id
        client.cancel(cancelled)
        waiting = client.submit(paths[2], job_id="own-name", tier="deep").job_id
        before = client.store.get_many([done, cancelled, waiting])
        result = client.result(done)
        empty(settings)
        fresh = client.submit(paths[3]).job_id
        told = recover(settings, dry=True)
        assert client.store.get_many([done, cancelled, waiting]) == {}
        assert client.store.epoch() is None
        expected = {done: "ended", cancelled: "ended", waiting: "again"}
        assert outcomes(told) == outcomes(recover(settings)) == expected | {fresh: "known"}
        after = client.store.get_many([done, cancelled, waiting])
        assert {name: job.spec for name, job in after.items()} == {name: job.spec for name, job in before.items()}
        same = ("state", "result_blob")
        for name in (done, cancelled):
            assert [getattr(after[name], what) for what in same] == [getattr(before[name], what) for what in same]
            assert after[name].lowest_confidence == pytest.approx(before[name].lowest_confidence, abs=1e-4)
            assert after[name].created_at == pytest.approx(before[name].created_at, abs=0.001)
        assert client.result(done) == result
        assert epoch_problem(client.store, client.blobs) == ""
        assert set(outcomes(recover(settings)).values()) == {"known"}, "a second time changes nothing"
        work(settings)
        assert client.job(waiting).state not in {"received", "failed"}


def test_a_document_that_cannot_be_read_is_not_read_again(settings, tmp_path):
    with Client(settings) as client:
        job_id = client.submit(b"no document").job_id
        work(settings)
        failed = client.job(job_id)
        assert failed.state == "failed"
        empty(settings)
        assert outcomes(recover(settings)) == {job_id: "ended"}
        assert (client.job(job_id).state, client.job(job_id).error) == ("failed", failed.error)


def test_a_recovery_that_was_broken_off_goes_on_and_nothing_is_deleted_before_its_end(settings, tmp_path):
    with Client(settings) as client:
        ids = [client.submit(path).job_id for path in documents(tmp_path / "in", 5)]
        empty(settings)
        recovery = Recovery(client.store, client.blobs, lambda job: None, 7 * DAY_S).run()
        first = [next(recovery).job_id, next(recovery).job_id]
        recovery.close()
        assert client.store.epoch() is None
        found = outcomes(recover(settings))
        assert {job_id: outcome == "known" for job_id, outcome in found.items()} == {i: i in first for i in ids}


def test_what_had_ended_longer_ago_than_its_retention_stays_gone(settings, tmp_path):
    with Client(settings) as client:
        job_id = client.submit(documents(tmp_path / "in", 1)[0]).job_id
        work(settings)
        (result,) = [blob for blob, _ in client.blobs.stamped("results")]
        for blob in (result, record_blob(job_id)):
            age(settings, blob, days=8)
        empty(settings)
        assert outcomes(recover(settings)) == {job_id: "over"}
        assert client.store.get(job_id) is None


def test_what_cannot_be_recovered_is_said(settings, tmp_path):
    with Client(settings) as client:
        submitted = [client.submit(path).job_id for path in documents(tmp_path / "in", 3)]
        lost, damaged, foreign = submitted
        folder = Path(settings.service.blobs.url)
        (folder / original_blob(client.job(lost).spec.document_id)).unlink()
        (folder / record_blob(damaged)).write_bytes(b'{"half')
        (folder / record_blob(foreign)).write_bytes((folder / record_blob(lost)).read_bytes())
        (folder / "results").mkdir()
        (folder / "results" / "odd.1.json").write_text("[]")
        empty(settings)
        found = recover(settings)
        assert outcomes(found) == {lost: "lost", damaged: "damaged", foreign: "damaged", "odd": "damaged"}
        assert "submit it again" in client.job(lost).error
        assert "no JSON" in found[damaged].detail
        assert "names job" in found[foreign].detail
        assert epoch_problem(client.store, client.blobs) == ""


def test_a_result_without_a_record_is_recovered_by_what_it_says(settings, tmp_path):
    """As of a version that kept no records."""
    with Client(settings) as client:
        job_id = client.submit(documents(tmp_path / "in", 1)[0], metadata={"k": "v"}).job_id
        work(settings)
        before = client.job(job_id)
        (Path(settings.service.blobs.url) / record_blob(job_id)).unlink()
        empty(settings)
        assert outcomes(recover(settings)) == {job_id: "ended"}
        after = client.job(job_id)
        assert (after.state, after.spec.document_id, after.spec.uri) == (
            before.state,
            before.spec.document_id,
            before.spec.uri,
        )
        assert after.spec.metadata == {"k": "v"}


def test_the_webhook_of_a_recovered_job_is_sent_with_the_same_event_id(broker_settings, tmp_path):
    from workers.webhooks import event_id

    webhooks = {"hosts": ["receiver.example"], "secret_file": str(tmp_path / "secret")}
    settings = fake_settings(broker_settings, tmp_path, webhooks=webhooks)
    with Client(settings) as client:
        path = documents(tmp_path / "in", 1)[0]
        job_id = client.submit(path, callback_url="https://receiver.example/hook").job_id
        work(settings)
        before = event_id(client.job(job_id))
        assert len(client.store.due_webhooks(9, 60.0)) == 1
        client.store.webhook_sent(job_id)
        empty(settings)
        recover(settings)
        assert [hook.job_id for hook in client.store.due_webhooks(9, 60.0)] == [job_id]
        assert event_id(client.job(job_id)) == before


def test_a_record_of_a_job_goes_with_it(settings, tmp_path):
    with Client(settings) as client:
        job_id = client.submit(documents(tmp_path / "in", 1)[0]).job_id
        age(settings, record_blob(job_id), days=40)
        retention = Retention(client.store, client.blobs, settings.service.retention)
        assert retention.run_once() == 0, "while the job is known"
        assert read_record(client.blobs, record_blob(job_id)).spec == client.job(job_id).spec
        client.store.join_epoch("x")
        connection = connect(settings.service.broker)
        connection.delete(*connection.keys(f"{settings.service.broker.key_prefix}j:*"))
        connection.close()
        assert retention.run_once() == 1
        assert list(client.blobs.stamped(REQUESTS)) == []


def test_the_command_says_what_it_would_do_does_it_and_names_what_is_lost(settings, tmp_path, monkeypatch, capsys):
    docroute = command_line(settings, tmp_path, monkeypatch, capsys)
    with Client(settings) as client:
        ids = [client.submit(path).job_id for path in documents(tmp_path / "in", 3)]
        (Path(settings.service.blobs.url) / original_blob(client.job(ids[0]).spec.document_id)).unlink()
        empty(settings)
        code, out, err = docroute("status", ids[0])
        assert (code, "docroute recover makes them anew" in err) == (1, True)
        code, out, err = docroute("recover", "--dry-run")
        assert (code, "nothing was changed" in out, "wait for intake again" in out) == (1, True, True)
        assert client.store.get(ids[1]) is None
        code, out, err = docroute("recover", "--json")
        lines = [json.loads(line) for line in out.splitlines()]
        assert code == 1
        assert lines[-1] == {
            "kind": "summary",
            "dry_run": False,
            "ended": 0,
            "again": 2,
            "known": 0,
            "over": 0,
            "lost": 1,
            "damaged": 0,
        }
        assert {line["job_id"]: line["outcome"] for line in lines[:-1]} == dict(
            zip(ids, ["lost", "again", "again"], strict=True)
        )
        assert docroute("recover")[0] == 0
        assert sum(client.store.waiting_count(stage) for stage in ("intake", "fast", "deep")) == 2


def test_a_broker_may_be_taken_as_it_is(settings, tmp_path, monkeypatch, capsys):
    docroute = command_line(settings, tmp_path, monkeypatch, capsys)
    with Client(settings) as client:
        job_id = client.submit(documents(tmp_path / "in", 1)[0]).job_id
        empty(settings)
        assert docroute("recover", "--accept", "--dry-run")[0] == 2
        assert docroute("recover", "--accept")[0] == 0
        assert epoch_problem(client.store, client.blobs) == ""
        assert client.store.get(job_id) is None


def test_an_id_that_another_takes_while_it_is_recovered_is_known(settings, tmp_path, monkeypatch):
    first, second = documents(tmp_path / "in", 2)
    with Client(settings) as client:
        client.submit(first, job_id="order-7")
        empty(settings)
        monkeypatch.setattr(client.store, "get", lambda job_id: client.submit(second, job_id=job_id) and None)
        recovery = Recovery(client.store, client.blobs, lambda job: None, settings.service.retention.finished_s)
        assert [(job.job_id, job.outcome) for job in recovery.run()] == [("order-7", "known")]
