"""Blobs under stress: many writers, killed writers, full disks, purges while documents are submitted."""

import os
import resource
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from router.errors import BlobError, BlobMissingError
from workers.blobs import make_blobs, original_blob
from workers.service_settings import BlobSettings

DAY_S = 86400.0


@pytest.fixture
def folder(tmp_path):
    return make_blobs(BlobSettings(url=str(tmp_path / "blobs"), min_free_mb=0))


def none_needed(blobs):
    return ()


def days_ago(days):
    return time.time() - days * DAY_S


# -- many at once
PUT_MANY = """
import os, pathlib, sys, time
from workers.blobs import make_blobs
from workers.service_settings import BlobSettings
blobs = make_blobs(BlobSettings(url=sys.argv[1], min_free_mb=0))
while not pathlib.Path(sys.argv[2]).exists():
    time.sleep(0.001)
for number in range(10):
    document_id = blobs.put_original(bytes([number]) * 50_000)
    assert blobs.open_original(document_id) == bytes([number]) * 50_000
    blob = blobs.put_json("results", f"job{number}.1", {"by": os.getpid(), "fill": "x" * 20_000})
    assert len(blobs.get_json(blob)["fill"]) == 20_000
"""


def test_eight_processes_that_put_the_same_blobs_leave_whole_ones(folder, tmp_path):
    command = [sys.executable, "-c", PUT_MANY, folder.place, str(tmp_path / "go")]
    processes = [subprocess.Popen(command) for _ in range(8)]
    time.sleep(1)  # most of them wait at the gate by now
    (tmp_path / "go").touch()
    assert [process.wait(60) for process in processes] == [0] * 8
    assert len(list((Path(folder.place) / "originals").rglob("?" * 64))) == 10
    assert list((Path(folder.place) / ".unfinished").iterdir()) == []


def test_a_reader_never_sees_half_a_result(folder):
    blob = folder.put_json("results", "a.1", ["x" * 300_000])
    done = threading.Event()

    def rewrite():
        for number in range(40):
            folder.put_json("results", "a.1", [str(number % 10) * 300_000])
        done.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    while not done.is_set():
        assert len(folder.get_json(blob)[0]) == 300_000
    writer.join()


KILLED = """
import os, sys, pathlib
from workers import blob_folder
from workers.blobs import make_blobs
from workers.service_settings import BlobSettings
real = os.fsync
blob_folder.os.fsync = lambda descriptor: os.kill(os.getpid(), 9)
make_blobs(BlobSettings(url=sys.argv[1], min_free_mb=0)).put_json("results", "a.1", "x" * 100)
"""


def test_a_writer_that_is_killed_leaves_nothing_to_read(folder):
    ended = subprocess.run([sys.executable, "-c", KILLED, folder.place], check=False)
    assert ended.returncode == -9
    with pytest.raises(BlobMissingError):
        folder.get_json("results/a.1.json")
    (left,) = (Path(folder.place) / ".unfinished").iterdir()
    assert left.exists()
    assert list(folder.stale("results", days_ago(-1))) == []


# -- no space
@contextmanager
def small_files():
    """Let no file of this process grow over 10 KB; pytest's own output may be a file, so for a moment only."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_said_and_leaves_nothing_behind(folder):
    for put in (lambda: folder.put_original(bytes(20_000)), lambda: folder.put_json("results", "a.1", "x" * 20_000)):
        with small_files(), pytest.raises(BlobError, match="no space left") as caught:
            put()
        assert caught.value.retryable
    assert [path for path in Path(folder.place).rglob("*") if path.is_file()] == []
    assert folder.open_original(folder.put_original(b"small"))


def test_originals_are_refused_where_the_reserve_begins(tmp_path):
    blobs = make_blobs(BlobSettings(url=str(tmp_path), min_free_mb=10**9))
    with pytest.raises(BlobError, match=r"free some space, or lower service\.blobs\.min_free_mb"):
        blobs.put_original(b"a document")
    assert blobs.get_json(blobs.put_json("results", "a.1", 1)) == 1


def test_free_space_is_known_for_folders(folder):
    assert folder.free_mb() > 0
    assert make_blobs(BlobSettings(url="memory://x")).free_mb() is None


# -- retention
def make_older(blobs, blob, days):
    if isinstance(blobs.free_mb(), int):
        at = time.time() - days * DAY_S
        os.utime(Path(blobs.place) / blob, (at, at))


def test_purge_removes_by_age_and_spares_what_is_needed(folder):
    names = [folder.put_json("results", f"job{n}.1", n) for n in range(4)]
    for blob in names[:3]:
        make_older(folder, blob, days=8)
    assert folder.purge("results", days_ago(7), needed=lambda blobs: names[1:2]) == 2
    assert sorted(folder.stale("results", days_ago(-1))) == [names[1], names[3]]
    assert folder.purge("results", days_ago(7), none_needed, limit=0) == 0


def test_a_submission_renews_the_age_of_its_original(folder):
    old, again = folder.put_original(b"old"), folder.put_original(b"again")
    for document_id in (old, again):
        make_older(folder, original_blob(document_id), days=9)
    folder.put_original(b"again")
    assert folder.purge("originals", days_ago(7), none_needed) == 1
    assert [blob for blob, _ in folder.trashed()] == [original_blob(old)]
    assert folder.has_original(again)


def test_an_original_submitted_in_the_moment_of_the_purge_stays(folder):
    document_id = folder.put_original(b"again")
    make_older(folder, original_blob(document_id), days=9)

    def submitted_meanwhile(blobs):
        folder.put_original(b"again")
        return ()

    assert folder.purge("originals", days_ago(7), submitted_meanwhile) == 0
    assert folder.open_original(document_id) == b"again"


def test_originals_that_are_submitted_and_purged_all_the_time_are_never_lost(folder, monkeypatch):
    monkeypatch.setattr("workers.blobs._LOOK_AGAIN_S", 1.0)  # of a purger that is held up while it puts a file back
    stop = threading.Event()

    def purge():
        while not stop.is_set():
            folder.purge("originals", days_ago(1), none_needed)

    purger = threading.Thread(target=purge)
    purger.start()
    try:
        for number in range(300):
            document_id = folder.put_original(b"%d" % (number % 3))
            assert folder.open_original(document_id)
            with suppress(FileNotFoundError):  # the purger looks at it
                make_older(folder, original_blob(document_id), days=9)
    finally:
        stop.set()
        purger.join()


def test_what_killed_writers_left_goes_after_a_day(folder):
    left = Path(folder.place) / ".unfinished" / "left"
    folder.check()
    left.write_bytes(b"half")
    folder.clear_unfinished(folder.clock() - DAY_S)
    assert left.exists()
    folder.clear_unfinished(folder.clock() + DAY_S)
    assert not left.exists()
