"""Blobs come back as they were put, whole, or as an error; in a folder and in a store that fsspec reaches."""

import hashlib
import time
import uuid
from pathlib import Path

import fsspec
import pytest

from router.errors import BlobError, BlobMissingError, SettingsError
from workers.blobs import Blobs, make_blobs, original_blob
from workers.service_settings import BlobSettings

NOBODY = "0" * 64


@pytest.fixture
def folder(tmp_path):
    return make_blobs(BlobSettings(url=str(tmp_path / "blobs"), min_free_mb=0))


@pytest.fixture(params=["folder", "memory"])
def blobs(request, tmp_path):
    url = f"memory://{uuid.uuid4().hex}" if request.param == "memory" else f"file://{tmp_path}/blobs"
    return make_blobs(BlobSettings(url=url, min_free_mb=0))


def original_file(blobs: Blobs, document_id: str) -> Path:
    return Path(blobs.place) / original_blob(document_id)


def none_needed(blobs):
    return ()


def later(seconds=60.0):
    return time.time() + seconds


@pytest.mark.parametrize("data", [b"", b"%PDF-1.7", bytes(range(256)) * 5000], ids=["empty", "small", "large"])
def test_an_original_comes_back_by_the_hash_of_its_bytes(blobs, data):
    document_id = blobs.put_original(data)
    assert document_id == hashlib.sha256(data).hexdigest()
    assert blobs.put_original(data) == document_id
    assert blobs.open_original(document_id) == data
    assert blobs.has_original(document_id)


def test_what_is_not_there_is_missing_and_not_worth_a_retry(blobs):
    for read in (lambda: blobs.open_original(NOBODY), lambda: blobs.get_json("results/none.1.json")):
        with pytest.raises(BlobMissingError) as caught:
            read()
        assert not caught.value.retryable
    assert not blobs.has_original(NOBODY)
    blobs.delete("results/none.1.json")


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, True, "ü"]}, [], "lone \udc80", {"deep": {"er": {}}}, 10**30])
def test_json_comes_back_as_it_was(blobs, value):
    blob = blobs.put_json("results", "job-1.7", value)
    assert blob == "results/job-1.7.json"
    assert blobs.get_json(blob) == value
    blobs.delete(blob)
    with pytest.raises(BlobMissingError):
        blobs.get_json(blob)


def test_json_is_replaced_whole(blobs):
    blobs.put_json("results", "a.1", {"long": "x" * 10_000})
    assert blobs.get_json(blobs.put_json("results", "a.1", 1)) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"bytes"])
def test_what_is_no_json_is_refused(blobs, value):
    with pytest.raises((TypeError, ValueError)):
        blobs.put_json("results", "a.1", value)


def test_rendered_pages_may_be_kept_as_bytes(blobs):
    assert blobs.get_bytes(blobs.put_bytes("pages", "job.1.png", b"\x89PNG")) == b"\x89PNG"


@pytest.mark.parametrize(
    "name", ["../a", "a/b", "", ".", "..", "a..b", ".a", "a\0", "a\n", "/a", "a" * 300, "a\\b", "ä"]
)
def test_names_cannot_leave_their_place(blobs, name):
    with pytest.raises(ValueError, match="make no blob name"):
        blobs.put_bytes("results", name, b"")
    with pytest.raises(ValueError, match="make no blob name"):
        blobs.put_json(name, "a", 1)
    for blob in (f"results/{name}", f"{name}/a", f"originals/{name}", f"originals/{name}/{NOBODY}"):
        for use in (blobs.get_bytes, blobs.get_json, blobs.delete):
            with pytest.raises(BlobMissingError):
                use(blob)
    for use in (blobs.open_original, blobs.has_original):
        with pytest.raises(BlobMissingError):
            use(name)


def test_an_original_is_not_overwritten_by_a_name(blobs):
    with pytest.raises(ValueError, match="make no blob name"):
        blobs.put_bytes("originals", "a", b"")


def test_a_damaged_original_is_an_error_until_it_is_submitted_again(folder):
    document_id = folder.put_original(b"the document")
    original_file(folder, document_id).write_bytes(b"the documant")
    with pytest.raises(BlobError, match="damaged") as caught:
        folder.open_original(document_id)
    assert caught.value.retryable
    folder.put_original(b"the document")
    assert folder.open_original(document_id) == b"the document"


def test_damaged_json_is_an_error(folder):
    blob = folder.put_json("results", "a.1", {"a": 1})
    for damage in (b"", b'{"a":', b"\xff\xfe\x00", b"[" * 200_000):
        (Path(folder.place) / blob).write_bytes(damage)
        with pytest.raises(BlobError, match="damaged"):
            folder.get_json(blob)


# -- set-up
def test_the_check_finds_a_place_that_cannot_be_written(tmp_path, blobs):
    blobs.check()
    assert list(blobs.stale("probe", later())) == []
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BlobError, match="cannot write"):
        make_blobs(BlobSettings(url=str(tmp_path / "file"), min_free_mb=0)).check()


def test_an_unknown_or_missing_storage_says_what_to_do(monkeypatch):
    with pytest.raises(SettingsError, match="Protocol not known"):
        make_blobs(BlobSettings(url="nosuch://u:secret@x/y"))

    def missing(url):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(SettingsError, match=r'pip install "docroute\[s3\]"'):
        make_blobs(BlobSettings(url="s3://bucket/prefix"))


def test_errors_of_a_remote_store_are_translated_without_secrets(monkeypatch):
    blobs = make_blobs(BlobSettings(url=f"memory://{uuid.uuid4().hex}"))

    def broken(path, *args, **kwargs):
        raise RuntimeError("no route to https://key:secret@store/x")

    monkeypatch.setattr(blobs._storage._fs, "pipe_file", broken)
    monkeypatch.setattr(blobs._storage._fs, "cat_file", broken)
    for use in (lambda: blobs.put_original(b"a"), lambda: blobs.open_original(NOBODY), blobs.check):
        with pytest.raises(BlobError, match="no route") as caught:
            use()
        assert caught.value.retryable
        assert "secret" not in str(caught.value)


def test_blobs_are_purged_in_every_storage(blobs):
    document_id = blobs.put_original(b"a")
    assert blobs.purge("originals", later(-60), none_needed) == 0
    assert blobs.purge("originals", later(), needed=set) == 0
    assert list(blobs.stale("originals", later())) == [original_blob(document_id)]
    assert blobs.purge("originals", later(), none_needed) == 1
    assert list(blobs.stale("originals", later())) == []


def test_what_was_purged_lies_in_the_trash_and_reading_brings_it_back(blobs):
    document_id = blobs.put_original(b"a")
    result = blobs.put_json("results", "job.1", 1)
    assert blobs.purge("originals", later(), none_needed) + blobs.purge("results", later(), none_needed) == 2
    trashed = dict(blobs.trashed())
    assert set(trashed) == {original_blob(document_id), result}
    assert all(at == pytest.approx(time.time(), abs=60) for at in trashed.values()), "stamped by the move"
    assert blobs.open_original(document_id) == b"a"
    assert blobs.get_json(result) == 1
    assert list(blobs.trashed()) == []
    assert blobs.has_original(document_id)


def test_what_has_lain_in_the_trash_is_removed_for_good(blobs):
    result = blobs.put_json("results", "job.1", 1)
    blobs.purge("results", later(), none_needed)
    assert blobs.empty_trash(later(-60)) == 0
    assert blobs.empty_trash(later(), limit=0) == 0
    assert blobs.empty_trash(later()) == 1
    with pytest.raises(BlobMissingError):
        blobs.get_json(result)


def test_nothing_is_put_into_the_trash_by_its_name(blobs):
    with pytest.raises(ValueError, match="make no blob name"):
        blobs.put_bytes("trash", "a", b"")


def test_the_clock_is_that_which_stamps_blobs(blobs):
    assert blobs.clock() == pytest.approx(time.time(), abs=60)
    assert list(blobs.stale("probe", later())) == []
