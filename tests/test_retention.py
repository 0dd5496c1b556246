"""What is deleted, when, and when nothing is: clocks that are off, jobs that still need a blob, the trash."""

import os
import time
import uuid
from pathlib import Path

import pytest
from steps_world import SURE, StepsWorld

from router.errors import PurgeRefusedError
from workers.blobs import EXTRACTIONS, ORIGINALS, RESULTS, Blobs, document_id_of, make_blobs, original_blob
from workers.broker import Server
from workers.jobs import JobSpec
from workers.retention import LEAST, Retention
from workers.service_settings import BlobSettings, BrokerSettings, RetentionSettings
from workers.store import Store
from workers.store_redis import RedisStore
from workers.sweeper import Sweeper

DAY_S = 86400.0
SETTINGS = RetentionSettings(finished_s=7 * DAY_S, dead_s=30 * DAY_S, trash_s=3 * DAY_S)


@pytest.fixture
def store(broker_settings: BrokerSettings) -> RedisStore:
    return RedisStore(Server(broker_settings), SETTINGS)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return make_blobs(BlobSettings(url=str(tmp_path / "blobs"), min_free_mb=0))


def older(blobs: Blobs, blob: str, days: float) -> str:
    """Give a blob an age."""
    at = time.time() - days * DAY_S
    os.utime(Path(blobs.place) / blob, (at, at))
    return blob


def names(blobs: Blobs, kind: str) -> list[str]:
    return sorted(blob for blob, _ in blobs.stamped(kind))


def let_trash_age(blobs: Blobs, days: float) -> None:
    for blob, _ in blobs.trashed():
        older(blobs, f"trash/{blob}", days)


def trash(blobs: Blobs) -> list[str]:
    return sorted(blob for blob, _ in blobs.trashed())


@pytest.mark.parametrize("off_days", [40, -40])
def test_a_machine_whose_clock_is_off_by_40_days_deletes_nothing(store: Store, blobs: Blobs, off_days: float) -> None:
    results = [blobs.put_json(RESULTS, f"job{number}.1", number) for number in range(20)]
    for blob in results:
        older(blobs, blob, days=-off_days)  # as it looks to that machine
    with pytest.raises(PurgeRefusedError, match=r"this machine's clock is .* (ahead of|behind) the broker's"):
        Retention(store, blobs, SETTINGS, clock=lambda: time.time() + off_days * DAY_S).run_once()
    assert names(blobs, RESULTS) == sorted(results)
    assert trash(blobs) == []


def test_a_file_server_whose_clock_is_off_deletes_nothing(
    store: Store, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = older(blobs, blobs.put_json(RESULTS, "job.1", 1), days=31)
    monkeypatch.setattr(blobs._storage, "clock", lambda: time.time() - 61.0 - 5.0)
    with pytest.raises(PurgeRefusedError, match=r"the clock of .*blobs is 6. s behind"):
        Retention(store, blobs, SETTINGS).run_once()
    monkeypatch.setattr(blobs._storage, "clock", lambda: None)
    with pytest.raises(PurgeRefusedError, match="does not say when"):
        Retention(store, blobs, SETTINGS).run_once()
    assert names(blobs, RESULTS) == [blob]


def test_the_sweeper_goes_by_these_rules(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = StepsWorld(tmp_path, [SURE])  # whose store lives in 1970
    world.submit()
    world.drive()
    with pytest.raises(PurgeRefusedError):
        Sweeper(world.runtime, queues=None).purge_blobs()  # type: ignore[arg-type]
    assert world.blobs(RESULTS)


def test_what_no_retention_needs_lies_in_the_trash_for_its_time_and_then_goes(store: Store, blobs: Blobs) -> None:
    old = older(blobs, blobs.put_json(RESULTS, "old.1", 1), days=31)
    left = older(blobs, blobs.put_json(EXTRACTIONS, "old.1", 1), days=31)
    original = older(blobs, original_blob(blobs.put_original(b"old")), days=31)
    fresh = older(blobs, blobs.put_json(RESULTS, "fresh.1", 1), days=29)
    retention = Retention(store, blobs, SETTINGS)
    assert retention.run_once() == 3
    assert retention.run_once() == 0
    assert trash(blobs) == sorted([old, left, original])
    assert names(blobs, RESULTS) == [fresh]
    let_trash_age(blobs, days=2.9)
    retention.run_once()
    assert len(trash(blobs)) == 3
    let_trash_age(blobs, days=3.1)
    retention.run_once()
    assert trash(blobs) == []


def test_what_a_known_job_needs_stays_whatever_its_file_says_of_its_age(store: Store, blobs: Blobs) -> None:
    """As when the machine that wrote it had not yet set its clock."""
    document_id = blobs.put_original(b"waits for 40 days")
    store.create("waiting", JobSpec(document_id=document_id))
    original = older(blobs, original_blob(document_id), days=40)
    result = older(blobs, blobs.put_json(RESULTS, "waiting.1", 1), days=20_000)
    left = older(blobs, blobs.put_json(EXTRACTIONS, "waiting.1", 1), days=40)
    unknown = older(blobs, blobs.put_json(RESULTS, "unknown.1", 1), days=40)
    assert Retention(store, blobs, SETTINGS).run_once() == 1
    assert trash(blobs) == [unknown]
    assert (names(blobs, ORIGINALS), names(blobs, RESULTS), names(blobs, EXTRACTIONS)) == ([original], [result], [left])


def test_the_original_of_a_job_that_may_be_revived_stays(store: Store, blobs: Blobs) -> None:
    document_id = blobs.put_original(b"killed its workers")
    store.create("dead", JobSpec(document_id=document_id))
    lease = store.begin("dead", "intake", "w", 60.0, 3).job
    assert lease is not None
    assert lease.lease is not None
    assert store.fail("dead", lease.lease.token, "broken")
    older(blobs, original_blob(document_id), days=40)
    assert Retention(store, blobs, SETTINGS).run_once() == 0


def test_jobs_that_have_expired_hide_none_that_may_be_revived(
    store: RedisStore, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.retention._BATCH", 1)
    for job_id in ("expired", "dead", "expired-too"):
        store.create(job_id, JobSpec(document_id=blobs.put_original(job_id.encode())))
        job = store.begin(job_id, "intake", "w", 600, 3).job
        assert job is not None
        assert job.lease is not None
        store.fail(job_id, job.lease.token, "broken")
    for job_id in ("expired", "expired-too"):
        store._server.do(lambda client, job_id=job_id: client.delete(store._key(f"j:{job_id}")))
    for blob in names(blobs, ORIGINALS):
        older(blobs, blob, days=31)
    assert Retention(store, blobs, SETTINGS).run_once() == 2
    assert names(blobs, ORIGINALS) == [original_blob(document_id_of(b"dead"))]


def test_one_round_takes_a_share_of_a_kind_only(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.retention.LEAST", 10)
    blobs = make_blobs(BlobSettings(url=f"memory://{uuid.uuid4().hex}"))
    for number in range(100):
        blobs.put_json(RESULTS, f"job{number}.1", number)
    monkeypatch.setattr(blobs._storage, "clock", lambda: time.time() + 50)
    at_once = RetentionSettings(finished_s=0.001, dead_s=0.001)
    assert LEAST >= 100
    assert Retention(store, blobs, at_once).run_once() == 25
    assert len(names(blobs, RESULTS)) == 75
