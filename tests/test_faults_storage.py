"""Disks that are full, blobs that vanish, receivers of webhooks that do not behave: real workers lose nothing."""

import json
import resource
import subprocess
import time
from pathlib import Path

import pytest
from http_receiver import Reply, http_receiver
from steps_world import NO_NUMBER, SURE
from worker_processes import ServiceProcesses, Start, page, wait_for

from benchmarks.service_invariants import blobs_by_job

pytestmark = pytest.mark.redis
FULL_S = 4.0


def fill_disk(worker: subprocess.Popen[bytes], full: bool) -> None:
    """Let a process write to no file, as on a disk without space; its log is one too."""
    size = 1 if full else resource.RLIM_INFINITY
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_a_worker_with_a_full_disk_leaves_the_work_to_others_until_it_has_space(service: Start) -> None:
    s = service(SURE, NO_NUMBER)
    (fast,) = s.start("fast")
    wait_for(lambda: "ready" in s.log.read_text(), "the worker is ready")
    s.start("intake", "deep")
    fill_disk(fast, full=True)
    for number in range(15):
        s.submit(page(number), f"job{number}")
    wait_for(lambda: s.store.statistics()["retried"] > 0, "the disk was found full")
    time.sleep(FULL_S)
    assert s.ended() == 0
    (healthy,) = s.start("fast")
    s.wait_until_ended(15)
    assert s.terminate(healthy) == [0]
    fill_disk(fast, full=False)
    for number in range(15, 25):
        s.submit(page(number), f"job{number}")
    s.wait_until_ended(25)
    assert s.store.counts()["done"] == 25
    s.assert_sound(25)


def test_blobs_that_vanish_while_jobs_wait_cost_the_reading_or_make_a_dead_letter_that_can_be_revived(
    service: Start,
) -> None:
    s = service(SURE, NO_NUMBER)
    s.start("intake")
    for number in range(9):
        s.submit(page(number), f"job{number}")
    wait_for(lambda: s.store.waiting_count("fast") == 9, "all are routed")
    gone = [original(s, f"job{number}") for number in range(3)]
    for path in gone:
        path.unlink()
    s.start("fast")
    wait_for(lambda: s.store.waiting_count("deep") == 6 and s.ended() == 3, "the others are read")
    for number in range(3, 6):
        for name in blobs_by_job(s.folder / "blobs", "extractions")[f"job{number}"]:
            (s.folder / "blobs" / name).unlink()
    s.start("deep")
    s.wait_until_ended(9)
    assert {letter.job_id for letter in s.store.dead()} == {"job0", "job1", "job2"}
    assert all("no blob" in letter.error for letter in s.store.dead())
    s.assert_sound(9)
    for number in range(3):
        s.blobs.put_original(page(number))
        assert s.store.revive(f"job{number}")
    s.wait_until_ended(9)
    assert s.store.counts()["done"] + s.store.counts()["done_with_gaps"] == 9
    s.assert_sound(9)


def test_receivers_that_are_down_slow_or_elsewhere_hold_up_no_job_and_no_other_receiver(
    service: Start, tmp_path: Path
) -> None:
    secret_file = tmp_path / "secret"
    secret_file.write_text("0123456789abcdef0123456789abcdef\n")
    with http_receiver() as receiver:
        receiver.pages = {
            "/slow": Reply(delay_s=30.0),
            "/moved": Reply(status=302, headers={"Location": receiver.url("/elsewhere")}),
            "/down": Reply(drop=True),
        }
        s = service(SURE, **webhooks(receiver.host, secret_file))
        s.start("intake", "fast")
        for number, path in enumerate(["/slow", "/moved", "/down", "/good"] * 4):
            s.submit(page(number), f"job{number}", callback_url=receiver.url(path))
        s.wait_until_ended(16)
        wait_for(lambda: s.store.dead_webhook_count() == 12, "the others are given up")
        assert {s.kinds(f"job{number}").count("notified") for number in range(3, 16, 4)} == {1}
        assert "/elsewhere" not in {received.path for received in receiver.received}
        receiver.pages = {}
        for webhook in s.store.dead_webhooks():
            assert s.store.revive_webhook(webhook.job_id)
        wait_for(lambda: all("notified" in s.kinds(f"job{number}") for number in range(16)), "all are told")
        arrived = [json.loads(received.body)["job_id"] for received in receiver.received if received.body]
        assert set(arrived) == {f"job{number}" for number in range(16)}
        s.assert_sound(16)


def original(s: ServiceProcesses, job_id: str) -> Path:
    (path,) = (s.folder / "blobs" / "originals").rglob(f"{s.job(job_id).spec.document_id}*")
    return path


def webhooks(host: str, secret_file: Path) -> dict[str, str]:
    """The variables by which workers call a receiver on loopback, and give up soon."""
    return {
        "DOCROUTE_SERVICE__WEBHOOKS__HOSTS": json.dumps([host]),
        "DOCROUTE_SERVICE__WEBHOOKS__SECRET_FILE": str(secret_file),
        "DOCROUTE_SERVICE__WEBHOOKS__ALLOW_HTTP": "true",
        "DOCROUTE_SERVICE__WEBHOOKS__ALLOW_PRIVATE": "true",
        "DOCROUTE_SERVICE__WEBHOOKS__TIMEOUT_S": "5.0",
        "DOCROUTE_SERVICE__WEBHOOKS__ATTEMPTS": "2",
        "DOCROUTE_SERVICE__WEBHOOKS__WAIT_S": "0.2",
    }
