"""Messages that no worker can do anything with, in the raw form in which they lie in a queue.

For benchmarks and tests of what comes from outside. Knows kombu's form of a message and the names of the service's
tasks; knows no server. Every form is drawn from a generator that the caller seeds.

    malformed(rng, "intake")   always malformed: it is put aside by whoever takes it, and makes no job
    refused(rng)               a submission that cannot be obeyed, but says who is to be told: it becomes a failed job
    mutated(rng, "intake")     a good message with something else in one or more places; some of them are still good
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from typing import Any

Message = dict[str, Any]
Form = Callable[[random.Random, str], bytes]
RAW: tuple[bytes, ...] = (
    b"",
    b"5",
    b"null",
    b"true",
    b'"text"',
    b"[1, 2]",
    b"{}",
    b"{",
    b'{"body": ',
    b"not json",
    b"\xff\xfe\x00{}",
    b"NaN",
    b"9" * 5000,
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"\x80\x04\x95\x05\x00\x00\x00",
    b'{"headers": {}, "properties": {}}',
)
JUNK: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    5,
    1e308,
    float("inf"),
    float("nan"),
    2**70,
    "",
    " ",
    "words",
    "\ud800",
    "\x00",
    "é" * 300,
    [],
    [1, 2],
    [[]],
    {},
    {"a": 1},
    {"__type__": "uuid", "__value__": {"hex": 5}},
    {"__type__": "decimal", "__value__": "x"},
)
TIMES: tuple[Any, ...] = ("tomorrow", "2026-13-45T99:00:00", 5, [], {}, "9999-99-99", "", "\ud800", True)


def good(task: str, args: list[Any], kwargs: Message | None = None, **headers: Any) -> Message:
    """Return a message as a Celery client of protocol 2 sends it."""
    return {
        "body": encoded([args, kwargs or {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": task, "id": f"{task}-1", "origin": "gen7@upstream", **headers},
        "properties": {
            "body_encoding": "base64",
            "delivery_info": {"exchange": "", "routing_key": "intake"},
            "delivery_mode": 2,
            "delivery_tag": "d6d2f6b7-1f0a-4a6a-9d1e-0d2f0e4b8a11",
            "priority": 0,
        },
    }


def encoded(body: Any) -> str:
    """Return a body as it stands in a message."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return base64.b64encode(text).decode()


def raw(message: Any) -> bytes:
    """Return the bytes that lie in the queue."""
    return json.dumps(message).encode()


def malformed(rng: random.Random, queue: str = "intake") -> bytes:
    """Return a message for a queue that makes no job and names nobody who could be told."""
    return rng.choice(list(FORMS.values()))(rng, queue)


def refused(rng: random.Random, document: str = "file:///nowhere.png") -> bytes:
    """Return a submission that becomes a failed job: its arguments can be read, and something else is wrong."""
    number = rng.randrange(10**9)
    arguments: Message = {"uri": document, "job_id": f"refused{number}"}
    headers: Message = {}
    match rng.randrange(7):
        case 0:
            headers["task"] = rng.choice(["docroute.sumbit", "celery.starmap", "", "\ud800"])
        case 1:
            headers["eta"] = rng.choice(TIMES[:2])
        case 2:
            headers["expires"] = rng.choice(TIMES[:2])
        case 3:
            headers["timelimit"] = ["soon", "later"]
        case 4:
            headers["id"] = {"id": number}
        case 5:
            arguments["metadata"] = {"ticket\ud800": "\udfff"}
        case _:
            arguments["schema"] = "\ud800"
    message = good("docroute.submit", [], arguments)
    message["headers"].update(headers)
    return raw(message)


def mutated(rng: random.Random, queue: str = "intake") -> bytes:
    """Return a message that was good before some of its parts were exchanged, removed or moved."""
    task = rng.choice([queue, "submit", *["intake", "fast", "deep"]])
    message: Any = good(f"docroute.{task}", [f"fuzz{rng.randrange(10**6)}"])
    body: Any = [[f"fuzz{rng.randrange(10**6)}"], {}, {}]
    for _ in range(rng.randint(1, 3)):
        if isinstance(message, dict) and rng.random() < 0.4:
            body = _changed(rng, body)
            message["body"] = encoded(body)
        else:
            message = _changed(rng, message)
    text = raw(message)
    if rng.random() < 0.1:
        at = rng.randrange(len(text))
        text = text[:at] + bytes([rng.randrange(256)]) + text[at + rng.randint(0, 3) :]
    return text


def _changed(rng: random.Random, value: Any) -> Any:
    """Return a copy with one part, at any depth, exchanged or removed."""
    if not isinstance(value, list | dict) or not value or rng.random() < 0.15:
        return rng.choice(JUNK)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    at = rng.choice(keys)
    copy: Any = value.copy()
    if rng.random() < 0.25:
        del copy[at]
    else:
        copy[at] = _changed(rng, value[at])
    return copy


def _raw(rng: random.Random, queue: str) -> bytes:
    return rng.choice(RAW)


def _noise(rng: random.Random, queue: str) -> bytes:
    return b"\xff" + rng.randbytes(rng.randint(1, 2000))


def _too_long(rng: random.Random, queue: str) -> bytes:
    return raw(good(f"docroute.{queue}", ["x" * (1_100_000 + rng.randrange(1000))]))


def _with(path: tuple[str, ...], *values: Any) -> Form:
    """Return the form of a message that has one of these values at a place; `_MISSING`: the place is not there."""

    def made(rng: random.Random, queue: str) -> bytes:
        message = good(f"docroute.{queue}", [f"fuzz{rng.randrange(10**6)}"])
        inner, value = message, rng.choice(values)
        for name in path[:-1]:
            inner = inner[name]
        if value is _MISSING:
            del inner[path[-1]]
        else:
            inner[path[-1]] = value
        return raw(message)

    return made


def _job(*args: Any, **kwargs: Any) -> Form:
    def made(rng: random.Random, queue: str) -> bytes:
        return raw(good(f"docroute.{queue}", list(args), kwargs))

    return made


def _elsewhere(rng: random.Random, queue: str) -> bytes:
    other = rng.choice([stage for stage in ("intake", "fast", "deep") if stage != queue])
    return raw(good(f"docroute.{other}", ["job1"]))


def _first_protocol(rng: random.Random, queue: str) -> bytes:
    message = good("", [])
    message["headers"] = {}
    fields = {"task": f"docroute.{queue}", "id": "a", "args": ["job1"], "kwargs": {}}
    message["body"] = encoded(
        fields | {rng.choice(["task", "id", "args", "kwargs"]): rng.choice([5, {"a": 1}, [[1]], 1.5])}
    )
    return raw(message)


_MISSING = object()
_NO_OBJECT: tuple[Any, ...] = (None, 5, "words", [], [1, 2], True)
_NO_TEXT: tuple[Any, ...] = (None, 5, [], [1], {}, {"a": 1}, True, _MISSING)
_BODIES: tuple[Any, ...] = (
    5,
    None,
    "words",
    {},
    [],
    [1, 2],
    [[], {}],
    [[1], [2], [3]],
    [{}, {}, {}],
    [["job1"], {}, 5],
    {"args": 5},
)
FORMS: dict[str, Form] = {
    "raw": _raw,
    "noise": _noise,
    "too long": _too_long,
    "body is none": _with(("body",), 5, None, _MISSING, [1, 2], {}, True, "", "not base64!", "A", "\ud800"),
    "body is something else": _with(("body",), *map(encoded, _BODIES)),
    "body cannot be read": _with(("body",), *map(encoded, (b"", b"\xff", b"[[", b"[" * 50_000, b"9" * 5000))),
    "properties": _with(("properties",), *_NO_OBJECT, _MISSING),
    "encoding of the body": _with(("properties", "body_encoding"), "rot13", 5, [], {}),
    "content type": _with(
        ("content-type",), *_NO_TEXT, "application/x-python-serialize", "application/x-yaml", "text/plain"
    ),
    "content encoding": _with(("content-encoding",), 5, [], {"a": 1}, True),
    "headers": _with(("headers",), *_NO_OBJECT, _MISSING),
    "task": _with(
        ("headers", "task"), *_NO_TEXT, "", "no.such.task", "celery.backend_cleanup", "\ud800", "docroute.Intake"
    ),
    "id": _with(("headers", "id"), *_NO_TEXT, "", "\ud800", "x" * 5000),
    "eta": _with(("headers", "eta"), *TIMES),
    "expires": _with(("headers", "expires"), *TIMES),
    "time limit": _with(("headers", "timelimit"), "soon", ["soon", "later"], [1], {"a": 1}, 5, [[], []]),
    "compression": _with(("headers", "compression"), "application/x-gzip", "zstd", 5, "application/x-bz2"),
    "job id is a number": _job(5),
    "job id is an object": _job({"id": "job1"}),
    "job id is none": _job(None),
    "job id is no id": _job("../../etc/passwd"),
    "job id is too long": _job("x" * 65),
    "job id is a surrogate": _job("\ud800"),
    "no job id": _job(),
    "two job ids": _job("job1", "job2"),
    "job id twice": _job("job1", job_id="job2"),
    "unknown argument": _job("job1", colour="red"),
    "queue of another": _elsewhere,
    "first protocol": _first_protocol,
}
"""By name; each is malformed whatever it draws."""
