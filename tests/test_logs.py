"""Log lines: what they carry, and what must never be in them."""

import io
import json
import logging

import pytest
from pydantic import TypeAdapter

from router.errors import StoreError
from workers.log_file import LogFile
from workers.logs import MAX_MESSAGE_CHARS, JsonLines, job_context, start_logging

LOG = logging.getLogger("tests.logs")


@pytest.fixture
def written():
    """A stream that this process logs to, given back to pytest afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    start_logging("INFO", json_lines=True, stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_time_level_logger_and_message(written):
    LOG.info("read %d\npages", 3)
    (line,) = lines(written)
    assert line["message"] == "read 3\npages"
    assert (line["level"], line["logger"]) == ("info", "tests.logs")
    assert line["time"].endswith("+00:00")
    assert "job" not in line


def test_what_a_terminal_would_obey_is_escaped(written):
    LOG.info("a\x9b31m\u202eb")
    assert "\\u009b31m\\u202e" in written.getvalue()
    assert lines(written)[0]["message"] == "a\x9b31m\u202eb"


def test_every_line_within_a_step_names_its_job_and_stage(written):
    with job_context("j1", "deep"):
        LOG.warning("slow")
    LOG.info("after")
    during, after = lines(written)
    assert (during["job"], during["stage"]) == ("j1", "deep")
    assert "job" not in after


def test_passwords_in_urls_are_taken_out(written):
    LOG.info("connected to redis://user:hunter2@host/0 and https://x/y?sig=abc123")
    LOG.error("failed: %s", "redis://:hunter2@host")
    assert "hunter2" not in written.getvalue()
    assert "abc123" not in written.getvalue()


def test_an_error_of_another_library_does_not_quote_what_it_failed_on(written):
    try:
        TypeAdapter(int).validate_python("Jane Doe, account 12-34")
    except ValueError:
        LOG.exception("step failed")
    (line,) = lines(written)
    assert "Jane Doe" not in written.getvalue()
    assert line["error"].startswith("ValidationError")
    assert any("test_logs.py" in frame for frame in line["traceback"])


def test_our_own_errors_are_told_in_full(written):
    try:
        raise StoreError("cannot reach redis://:pw@host; is the server running?")
    except StoreError:
        LOG.exception("step failed")
    (line,) = lines(written)
    assert line["error"] == "StoreError: cannot reach redis://host; is the server running?"


def test_a_long_message_is_cut(written):
    LOG.info("x" * 100_000)
    assert len(written.getvalue()) < MAX_MESSAGE_CHARS + 500


def test_a_message_that_cannot_be_formatted_is_still_written():
    record = logging.LogRecord("x", logging.INFO, "x.py", 1, "%d pages", ("many",), None)
    assert json.loads(JsonLines().format(record))["message"] == "%d pages"


def test_on_a_terminal_lines_are_short_and_hold_no_escapes():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = Terminal()
    start_logging(stream=stream)
    with job_context("j1", "fast"):
        LOG.warning("name \x1b[31m")
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    assert " warning: [fast j1] name " in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_a_log_file_does_not_grow_for_ever_and_its_last_line_is_found(tmp_path):
    log = LogFile(tmp_path / "logs" / "worker.log", max_bytes=1000)
    log.follow(io.BytesIO(b"".join(b"line %d\n" % number for number in range(1000)))).join()
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "logs").iterdir()}
    assert set(sizes) == {"worker.log", "worker.log.1", "worker.log.2"}
    assert max(sizes.values()) <= 1000
    assert log.last_line() == "line 999"
