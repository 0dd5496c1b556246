"""A message as Celery's clients send it through kombu, read without trust. Knows no task, job, queue or server.

Both protocols are read: the second has the call's options in the headers, the first in the body.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from router.errors import MessageError

MOST_BYTES = 256 * 1024
"""Ten times what the longest submission takes."""
MOST_DEPTH = 16
JSON_TYPE = "application/json"
_GZIP = ("application/x-gzip", "gzip", "application/x-zlib", "zlib")  # kombu's gzip is zlib's form
_SHOWN_CHARS = 80


@dataclass(frozen=True)
class Call:
    """What a message asks for. `options`: whatever else it says of the call, unchecked."""

    task: str
    args: list[Any]
    kwargs: dict[str, Any]
    options: Mapping[str, Any]


def read_envelope(raw: bytes) -> dict[str, Any]:
    """Return a message whose headers and properties are objects; raise `MessageError`."""
    if len(raw) > MOST_BYTES:
        raise MessageError(f"it has {len(raw):,} bytes, and {MOST_BYTES:,} are the most")
    envelope = _object(_json(raw, "it"), "it")
    for part in ("headers", "properties"):
        _object(envelope.get(part), f"its {part}")
    return envelope


def sender_of(envelope: Mapping[str, Any]) -> str:
    """Return who sent it, as the client wrote it; empty where it did not."""
    origin = envelope["headers"].get("origin")
    return origin if isinstance(origin, str) else ""


def read_call(envelope: Mapping[str, Any]) -> Call:
    """Return what a message asks for; raise `MessageError` saying what cannot be read."""
    headers, body = envelope["headers"], _json(_unpacked(envelope), "its body")
    if "task" in headers:
        if not isinstance(body, list) or len(body) != 3:
            raise MessageError(f"its body is no list of arguments, named arguments and options: {shown(body)}")
        args, kwargs, embed = body
        options = headers | _object({} if embed is None else embed, "the options in its body")
    else:
        options = _object(body, "it names no task, and its body")
        args, kwargs = options.get("args", []), options.get("kwargs", {})
    return Call(_task(options.get("task")), _arguments(args), _depth(_object(kwargs, "its named arguments")), options)


def noted_message(note: bytes) -> tuple[bytes, str]:
    """Return message and queue from kombu's note that a worker has it; of what is no note, itself and no queue."""
    try:
        message, _, queue = json.loads(note.decode())
        return (json.dumps(message).encode(), queue) if isinstance(queue, str) else (note, "")
    except (ValueError, TypeError, RecursionError):
        return note, ""


def shown(value: object) -> str:
    """Return a value as it may stand in a message to people: short, and of plain characters."""
    text = ascii(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."


def _task(name: object) -> str:
    if not isinstance(name, str):
        raise MessageError(f"its task is {shown(name)}, and no name")
    return name


def _arguments(args: object) -> list[Any]:
    if not isinstance(args, list):
        raise MessageError(f"its arguments are no list: {shown(args)}")
    _depth(args)
    return args


def _unpacked(envelope: Mapping[str, Any]) -> bytes:
    """Return the body as it was before it was packed for the way."""
    if (content_type := envelope.get("content-type")) != JSON_TYPE:
        raise MessageError(f"its content type is {shown(content_type)}, and not {JSON_TYPE}")
    if not isinstance(encoding := envelope.get("content-encoding"), str | None):
        raise MessageError(f"its content encoding is {shown(encoding)}")
    body = _decoded(envelope.get("body"), envelope["properties"].get("body_encoding"))
    return _inflated(body, envelope["headers"].get("compression"))


def _decoded(body: object, encoding: object) -> bytes:
    if not isinstance(body, str) or not body:
        raise MessageError(f"its body is {shown(body)}, and no text")
    if encoding not in (None, "", "utf-8", "base64"):
        raise MessageError(f"the encoding of its body is {shown(encoding)}, and not base64")
    try:
        return base64.b64decode(body) if encoding == "base64" else body.encode()
    except ValueError as exc:
        raise MessageError(f"its body is not {encoding or 'utf-8'}: {exc}") from exc


def _inflated(body: bytes, compression: object) -> bytes:
    if compression is None:
        return body
    if compression not in _GZIP:
        raise MessageError(f"its compression is {shown(compression)}; take gzip, or none")
    try:
        inflated = zlib.decompressobj().decompress(body, MOST_BYTES + 1)
    except zlib.error as exc:
        raise MessageError(f"its body is not {compression}: {exc}") from exc
    if len(inflated) > MOST_BYTES:
        raise MessageError(f"its body has more than {MOST_BYTES:,} bytes when it is unpacked")
    return inflated


def _json(data: bytes, what: str) -> Any:
    try:
        return json.loads(data.decode())
    except (ValueError, RecursionError) as exc:
        raise MessageError(f"{what} cannot be read as JSON: {exc}") from exc


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MessageError(f"{what} should be an object, but is {shown(value)}")
    return value


def _depth(value: Any) -> Any:
    """Return the value; raise `MessageError` where it is nested too deep."""
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [part for outer in level for part in _parts(outer)]
        if not level:
            return value
    raise MessageError(f"its arguments are nested more than {MOST_DEPTH} deep")


def _parts(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [part for part in inner if isinstance(part, list | dict)]
