"""What may be fetched, and what may not, however it is written."""

import contextlib
import os
import socket

import fsspec
import pytest

from router.documents import Limits
from router.errors import LimitExceededError, SettingsError, SourceError, SourceUnavailableError
from workers.redact import redact_text, redact_url
from workers.service_settings import SourceSettings
from workers.sources import fetch

SMALL = Limits(max_bytes=1000)


# -- files
@pytest.fixture
def root(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "a.pdf").write_bytes(b"inside")
    (tmp_path / "in" / "deep" / "b c.pdf").write_bytes(b"deep inside")
    (tmp_path / "in2").mkdir()
    (tmp_path / "in2" / "near.pdf").write_bytes(b"a sibling with the same beginning")
    (tmp_path / "secret.txt").write_bytes(b"outside")
    return tmp_path / "in"


def from_files(uri, root, limits=SMALL):
    return fetch(str(uri), SourceSettings(file_roots=(str(root),)), limits)


@pytest.mark.parametrize("form", ["{}", "file://{}", "file://localhost{}", "FILE://{}"])
def test_a_file_under_a_root_is_read(root, form):
    assert from_files(form.format(f"{root}/a.pdf"), root) == b"inside"


def test_a_file_uri_is_unquoted(root):
    assert from_files(f"file://{root}/deep/b%20c.pdf", root) == b"deep inside"


@pytest.mark.parametrize(
    "path",
    ["../secret.txt", "deep/../../secret.txt", "../in2/near.pdf", "../missing.txt", "deep/../../in2/near.pdf", ".."],
)
def test_a_path_that_leaves_the_root_is_refused_in_the_same_words(root, path):
    for uri in (f"{root}/{path}", f"file://{root}/{path.replace('..', '%2e%2e')}"):
        with pytest.raises(SourceError, match=r"is in no folder that service\.sources\.file_roots allows"):
            from_files(uri, root)


def test_links_are_followed_inside_the_root_only(root):
    (root / "good.pdf").symlink_to(root / "a.pdf")
    (root / "bad.pdf").symlink_to(root.parent / "secret.txt")
    (root / "bad").symlink_to(root.parent)
    (root / "loop").symlink_to(root / "loop")
    assert from_files(root / "good.pdf", root) == b"inside"
    for name in ("bad.pdf", "bad/secret.txt", "bad/in2/near.pdf"):
        with pytest.raises(SourceError, match="is in no folder"):
            from_files(root / name, root)
    with pytest.raises(SourceError):
        from_files(root / "loop", root)


def test_a_link_put_there_after_the_check_is_not_followed(root, monkeypatch):
    real = os.path.realpath

    def swapped(path):
        resolved = real(path)
        if resolved.endswith("a.pdf"):
            (root / "a.pdf").unlink()
            (root / "a.pdf").symlink_to(root.parent / "secret.txt")
        return resolved

    monkeypatch.setattr("os.path.realpath", swapped)
    with pytest.raises(SourceError, match="cannot be read"):
        from_files(root / "a.pdf", root)


def test_a_root_may_be_a_link_itself(root, tmp_path):
    (tmp_path / "alias").symlink_to(root)
    assert from_files(tmp_path / "alias" / "a.pdf", tmp_path / "alias") == b"inside"
    assert from_files(root / "a.pdf", tmp_path / "alias") == b"inside"


def test_only_regular_files_are_read(root):
    os.mkfifo(root / "pipe.pdf")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(root / "socket.pdf"))
        for name in ("pipe.pdf", "socket.pdf", "deep", ""):
            with pytest.raises(SourceError):
                from_files(root / name, root)
    with pytest.raises(SourceError, match="not a file"):
        from_files("/dev/zero", "/dev")


@pytest.mark.parametrize(
    "uri",
    ["a.pdf", "", ".", "file:a.pdf", "file://other/a.pdf", "file:///x?a=1", "/a\0b", "ftp://h/a", "javascript:1",
     "data:,a", "http://h/a", "C:\\a.pdf", "s3:/bucket/key", "/\udc80" + "x" * 5000],
)  # fmt: skip
def test_odd_uris_are_refused_clearly(root, uri):
    with pytest.raises(SourceError):
        from_files(uri, root)


def test_a_missing_file_and_a_closed_service_say_so(root):
    with pytest.raises(SourceError, match=r"there is no file 'none\.pdf'"):
        from_files(root / "none.pdf", root)
    with pytest.raises(SourceError, match=r"name some in service\.sources\.file_roots"):
        fetch(str(root / "a.pdf"), SourceSettings(), SMALL)


def test_a_file_beyond_the_limit_is_refused(root):
    (root / "full.pdf").write_bytes(bytes(1000))
    (root / "large.pdf").write_bytes(bytes(1001))
    assert len(from_files(root / "full.pdf", root)) == 1000
    with pytest.raises(LimitExceededError):
        from_files(root / "large.pdf", root)
    with pytest.raises(LimitExceededError):  # it has no size before it is read
        from_files("/proc/self/maps", "/proc")


# -- S3, with a file system of fsspec in its place
@pytest.fixture
def s3():
    file_system = fsspec.filesystem("memory")
    file_system.pipe_file("/docs/in/a.pdf", b"object")
    file_system.pipe_file("/docs/empty.pdf", b"")
    file_system.pipe_file("/docs/large.pdf", bytes(2000))
    file_system.pipe_file("/private/a.pdf", b"other")
    yield lambda timeout_s: file_system
    for bucket in ("/docs", "/private"):
        file_system.rm(bucket, recursive=True)


def test_objects_of_listed_buckets_are_read(s3):
    settings = SourceSettings(s3_buckets=("docs",))
    assert fetch("s3://docs/in/a.pdf", settings, SMALL, open_s3=s3) == b"object"
    assert fetch("s3://docs/empty.pdf", settings, SMALL, open_s3=s3) == b""
    with pytest.raises(LimitExceededError):
        fetch("s3://docs/large.pdf", settings, SMALL, open_s3=s3)
    for uri in ("s3://private/a.pdf", "s3://docs/none.pdf", "s3://docs", "s3://docs/", "s3://u:p@docs/a", "s3://docs/in",
                "s3://docs.private/a.pdf", "s3://DOCS/in/a.pdf"):  # fmt: skip
        with pytest.raises(SourceError) as caught:
            fetch(uri, settings, SMALL, open_s3=s3)
        assert not caught.value.retryable


def test_a_failing_object_store_is_worth_a_retry():
    class Broken:
        def info(self, path):
            raise RuntimeError("cannot reach https://user:pass@store/x?X-Amz-Signature=abc")

    with pytest.raises(SourceUnavailableError) as caught:
        fetch("s3://docs/a", SourceSettings(s3_buckets=("docs",)), SMALL, open_s3=lambda timeout_s: Broken())
    assert "pass" not in str(caught.value)
    assert "abc" not in str(caught.value)


def test_s3_without_its_package_names_the_command(monkeypatch):
    def missing(*args, **kwargs):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "filesystem", missing)
    with pytest.raises(SettingsError, match=r'pip install "docroute\[s3\]"'):
        fetch("s3://docs/a", SourceSettings(s3_buckets=("docs",)), SMALL)


# -- secrets in URLs
@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://u:p@h:1/a?x=1#f", "https://h:1/a?x=1"),
        ("redis://:pw@h:6379/0", "redis://h:6379/0"),
        ("https://h/a?X-Amz-Signature=s&page=2&token=t", "https://h/a?X-Amz-Signature=***&page=2&token=***"),
        ("https://h/a?sv=1&sig=2", "https://h/a?sv=***&sig=***"),
        ("//u:p@[broken/a?b", "//[broken/a"),
        ("/plain/path.pdf", "/plain/path.pdf"),
    ],
)
def test_urls_lose_their_secrets(url, expected):
    assert redact_url(url) == expected


def test_urls_inside_a_text_lose_their_secrets():
    assert redact_text("at 'redis://u:p@h/0', again") == "at 'redis://h/0', again"
