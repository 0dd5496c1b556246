"""Log lines: JSON for machines, one short line for a terminal. Knows no job store and no document.

Every line carries the job and the stage it was written for. Secrets in URLs are taken out, and of an error of another
library only its kind and a short message are kept, since it may quote what it failed on.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

from router.errors import DocrouteError
from workers.console import printable
from workers.jsonl import escaped
from workers.redact import redact_text

MAX_MESSAGE_CHARS = 2000
MAX_FOREIGN_CHARS = 200
MAX_FRAMES = 30
_QUOTED_INPUT = re.compile(r"input_value=.*?(?=, input_type=|\]|$)", re.DOTALL)
_QUIET = {"kombu": logging.WARNING, "tornado.access": logging.ERROR, "httpx": logging.WARNING, "amqp": logging.WARNING}
_JOB: ContextVar[tuple[str, str]] = ContextVar("docroute_job", default=("", ""))


@contextmanager
def job_context(job_id: str, stage: str) -> Iterator[None]:
    """Mark all log lines of the body as being about a job and a stage."""
    token = _JOB.set((job_id, stage))
    try:
        yield
    finally:
        _JOB.reset(token)


def start_logging(level: str = "INFO", json_lines: bool | None = None, stream: TextIO | None = None) -> None:
    """Write this process's log lines to a stream (stderr); as JSON unless it is a terminal or `json_lines` says so."""
    stream = sys.stderr if stream is None else stream
    as_json = not stream.isatty() if json_lines is None else json_lines
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if as_json else PlainLines())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(least, root.level))
    logging.captureWarnings(True)


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, process, message, and job, stage, error, traceback if there are."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        job_id, stage = _JOB.get()
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": message_of(record),
        }
        line |= {key: value for key, value in (("job", job_id), ("stage", stage)) if value}
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = safe_error(record.exc_info[1])
            line["traceback"] = _frames(record.exc_info[1])
        return escaped(json.dumps(line, ensure_ascii=False))


class PlainLines(logging.Formatter):
    """One short line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        job_id, stage = _JOB.get()
        about = f" [{stage} {job_id}]" if job_id else ""
        time = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        level = "" if record.levelno == logging.INFO else f" {record.levelname.lower()}:"
        line = printable(f"{time}{level}{about} {message_of(record)}")
        if record.exc_info and record.exc_info[1] is not None:
            line += "\n" + printable(safe_error(record.exc_info[1]))
            line += "".join(f"\n  {printable(frame)}" for frame in _frames(record.exc_info[1]))
        return line


def message_of(record: logging.LogRecord) -> str:
    """Return what a record says, without secrets and not too long; never raises."""
    try:
        text = record.getMessage()
    except Exception:
        text = str(record.msg)
    if "input_value=" in text:
        text = _QUOTED_INPUT.sub("input_value=...", text)
    return redact_text(text if len(text) <= MAX_MESSAGE_CHARS else text[:MAX_MESSAGE_CHARS] + " ...")


def safe_error(error: BaseException) -> str:
    """Return kind and message of an error; of one that is not the project's own only the beginning, without input."""
    if isinstance(error, DocrouteError):
        return f"{type(error).__name__}: {redact_text(str(error))[:MAX_MESSAGE_CHARS]}"
    text = _QUOTED_INPUT.sub("input_value=...", str(error))[:MAX_FOREIGN_CHARS]
    return f"{type(error).__name__}: {redact_text(text)}" if text else type(error).__name__


def _frames(error: BaseException) -> list[str]:
    """Return where an error came from, outermost first: places in the code, which hold no values."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)][
        -30:
    ]
