"""`docroute doctor --deep`: store and blobs compared both ways, and what can be repaired repaired."""

import json
import os
import time
from pathlib import Path

import pytest
from service_work import command_line, documents, fake_settings, work

from router.errors import PurgeRefusedError
from workers.blobs import EXTRACTIONS, RESULTS, original_blob
from workers.broker import connect
from workers.deep_check import DeepCheck
from workers.deep_findings import NAMED, Findings
from workers.job_record import record_blob
from workers.settings import Settings
from workers.submit import Client


@pytest.fixture
def settings(broker_settings, tmp_path) -> Settings:
    return fake_settings(broker_settings, tmp_path)


@pytest.fixture
def client(settings):
    with Client(settings) as client:
        yield client


@pytest.fixture
def done(client, settings, tmp_path) -> list[str]:
    """Jobs that have ended."""
    ids = [client.submit(path).job_id for path in documents(tmp_path / "in", 3)]
    work(settings)
    return ids


def compare(client: Client, repair: bool = False) -> Findings:
    comparison = DeepCheck(client.store, client.blobs, client.settings.service.retention, repair)
    for _ in comparison.run():
        pass
    return comparison.findings


def counts(client: Client, repair: bool = False) -> dict[str, tuple[int, int]]:
    """Of each kind how many were found and repaired."""
    found = compare(client, repair)
    return {kind: (count, found.repaired[kind]) for kind, count in found.counts.items()}


def file_of(client: Client, blob: str) -> Path:
    return Path(client.blobs.place) / blob


def age(client: Client, blob: str, hours: float = 2.0) -> None:
    at = time.time() - hours * 3600
    os.utime(file_of(client, blob), (at, at))


def test_a_service_that_is_well_has_no_findings(client, done, settings, tmp_path):
    client.submit(documents(tmp_path / "more", 4)[3])
    comparison = DeepCheck(client.store, client.blobs, settings.service.retention)
    assert comparison.total() == sum(1 for _ in comparison.run())
    found = comparison.findings
    assert found.counts == {}
    assert dict(found.looked) == {"jobs": 4, "results": 3, "requests": 4, "originals": 4, "in the trash": 0}
    (check,) = found.checks()
    assert (check.name, check.state) == ("compared", "ok")


def test_a_result_that_is_gone_is_read_again_where_its_document_is_there(client, done, settings):
    first, second, _ = done
    for job_id in (first, second):
        file_of(client, client.job(job_id).result_blob).unlink()
    file_of(client, original_blob(client.job(second).spec.document_id)).unlink()
    assert counts(client) == {"result_gone": (2, 0)}
    assert client.job(first).is_final, "nothing is changed without being told to"
    assert counts(client, repair=True) == {"result_gone": (2, 1)}
    assert [client.job(job_id).state for job_id in (first, second)] == ["received", "done"]
    work(settings)
    assert client.result(first)["job_id"] == first
    assert counts(client) == {"result_gone": (1, 0)}


def test_what_is_needed_and_lies_in_the_trash_comes_back(client, done, settings, tmp_path):
    waiting = client.submit(documents(tmp_path / "more", 4)[3]).job_id
    original = original_blob(client.job(waiting).spec.document_id)
    result = client.job(done[0]).result_blob
    for blob in (original, result):
        client.blobs.throw_away(blob)
    assert counts(client) == {"original_trashed": (1, 0), "result_trashed": (1, 0)}
    assert {client.blobs.place_of(blob) for blob in (original, result)} == {"trash"}
    assert counts(client, repair=True) == {"original_trashed": (1, 1), "result_trashed": (1, 1)}
    assert {client.blobs.place_of(blob) for blob in (original, result)} == {"here"}
    assert counts(client) == {}


@pytest.mark.parametrize("damage", [b'{"half', b"[]", b'{"job_id": "another", "status": "done", "fields": {}}'])
def test_a_result_that_is_no_result_of_its_job_is_read_again(client, done, settings, damage):
    file_of(client, client.job(done[0]).result_blob).write_bytes(damage)
    assert counts(client, repair=True) == {"result_damaged": (1, 1)}
    work(settings)
    assert client.result(done[0])["job_id"] == done[0]


def test_a_document_that_is_gone_or_damaged_is_told(client, done, settings, tmp_path):
    waiting = client.submit(documents(tmp_path / "more", 4)[3]).job_id
    file_of(client, original_blob(client.job(waiting).spec.document_id)).unlink()
    file_of(client, original_blob(client.job(done[0]).spec.document_id)).write_bytes(b"other bytes")
    (Path(client.blobs.place) / "originals" / "notes.txt").write_text("strange")
    assert counts(client, repair=True) == {"original_gone": (1, 0), "original_damaged": (1, 0), "strange_name": (1, 0)}


def test_what_attempts_left_over_goes_to_the_trash_unless_it_is_young(client, done):
    late = client.blobs.put_json(RESULTS, f"{done[0]}.9", {"late": True})
    reading = client.blobs.put_json(EXTRACTIONS, f"{done[1]}.9", {"late": True})
    assert counts(client, repair=True) == {}
    for blob in (late, reading):
        age(client, blob)
    assert counts(client, repair=True) == {"left_over": (2, 2)}
    assert sorted(blob for blob, _ in client.blobs.trashed()) == sorted([late, reading])


def test_what_a_dead_letter_needs_when_it_is_revived_is_not_left_over(client, tmp_path):
    (path,) = documents(tmp_path / "in", 1)
    job_id = client.submit(path).job_id
    reading = client.blobs.put_json(EXTRACTIONS, f"{job_id}.1", {"read": True})
    for stage in ("intake", "deep"):
        lease = client.store.begin(job_id, stage, "w", 600.0, 3).job.lease
        if stage == "intake":
            client.store.advance(job_id, lease.token, "deep", True, {"extraction": reading})
    assert client.store.fail(job_id, lease.token, "broken", dead=True)
    age(client, reading)
    assert counts(client, repair=True) == {}


def test_records_of_requests_are_written_anew(client, done, tmp_path):
    waiting, other = (client.submit(path).job_id for path in documents(tmp_path / "more", 5)[3:])
    file_of(client, record_blob(waiting)).unlink()
    file_of(client, record_blob(other)).write_bytes(b"{")
    assert counts(client) == {"request_gone": (1, 0), "request_damaged": (1, 0)}
    assert counts(client, repair=True) == {"request_gone": (1, 1), "request_damaged": (1, 1)}
    assert counts(client) == {}


def test_jobs_that_the_broker_has_lost_are_told_and_those_whose_retention_is_over_are_not(client, done, settings):
    connection = connect(settings.service.broker)
    for job_id in done:
        connection.delete(f"{settings.service.broker.key_prefix}j:{job_id}")
    connection.close()
    assert counts(client) == {}, "they are young, as those of a job that is just being made"
    for blob in [record_blob(job_id) for job_id in done] + [blob for blob, _ in client.blobs.stamped(RESULTS)]:
        age(client, blob)
    assert counts(client) == {"job_unknown": (3, 0)}
    for blob in [record_blob(job_id) for job_id in done] + [blob for blob, _ in client.blobs.stamped(RESULTS)]:
        age(client, blob, hours=24 * 8)
    assert counts(client) == {}


def test_nothing_is_compared_with_a_broker_that_came_back_empty(client, done, settings):
    connection = connect(settings.service.broker)
    connection.delete(f"{settings.service.broker.key_prefix}epoch")
    connection.close()
    with pytest.raises(PurgeRefusedError, match="docroute recover"):
        compare(client)


def test_all_are_counted_and_some_are_named():
    found = Findings()
    for number in range(NAMED + 2):
        found.add("result_gone", f"job{number}", repaired=number == 0)
    _, check = found.checks()
    assert check.state == "fail"
    assert check.detail.startswith("7 ended jobs have no result any more: job0, job1")
    assert check.detail.endswith("…; 1 repaired")


def test_the_command_tells_repairs_and_exits_by_what_is_left(client, done, settings, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("workers.doctor_workers.PING_S", 0.1)
    docroute = command_line(settings, tmp_path, monkeypatch, capsys)
    file_of(client, client.job(done[0]).result_blob).unlink()
    assert docroute("doctor", "--repair")[0] == 2
    code, out, _ = docroute("doctor", "--deep")
    assert (code, "1 ended jobs have no result any more" in out, done[0] in out) == (1, True, True)
    code, out, _ = docroute("doctor", "--deep", "--repair", "--json")
    told = json.loads(out)
    assert told["deep"]["found"] == {"result_gone": {"count": 1, "repaired": 1, "examples": [done[0]]}}
    assert told["deep"]["looked_at"]["jobs"] == 3
    assert [check["state"] for check in told["checks"] if check["name"] == "results"] == ["ok"]
    assert client.job(done[0]).state == "received"


def test_what_cannot_be_compared_is_a_check_that_failed(client, done, settings, tmp_path, monkeypatch, capsys):
    docroute = command_line(settings, tmp_path, monkeypatch, capsys)
    monkeypatch.setattr("workers.doctor_workers.PING_S", 0.1)
    client.store.join_epoch("another", replace=True)
    code, out, _ = docroute("doctor", "--deep", "--json")
    checks = {check["name"]: check for check in json.loads(out)["checks"]}
    assert (code, checks["compared"]["state"]) == (1, "fail")
    assert "belongs to another service" in checks["compared"]["detail"]
