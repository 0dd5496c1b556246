"""Messages that no worker can act on, put aside where they end no worker and nothing circles. Knows their keys.

The newest are kept, a bounded number of them and of each its beginning. What is wrong with a message is not known here.
"""

from __future__ import annotations

import base64
import json
import secrets
from functools import cache, partial
from typing import Any

from router.errors import MessageError
from router.types import Frozen
from workers.broker import Server, script_text
from workers.jobs import STAGES
from workers.store_codec import one_line

MOST_MESSAGES = 1000
MOST_RAW_BYTES = 16 * 1024
_BATCH = 100
_NORMAL_LIST = "{queue}\x06\x163"
"""Kombu's list for the priority of most jobs."""


class AsideMessage(Frozen):
    """A message that was put aside. `at`: the server's time, in seconds since the epoch.

    `raw` is what lay in the queue, or its beginning where `size_bytes` is more. `sender` and `task` are empty where the
    message does not say them in a form that can be read.
    """

    id: str
    at: float
    queue: str
    reason: str
    sender: str = ""
    task: str = ""
    size_bytes: int
    raw: bytes

    @property
    def is_cut(self) -> bool:
        """Return whether more of it came than was kept."""
        return self.size_bytes > len(self.raw)


class Entry(Frozen):
    """A message on its way to be put aside. `tag`: under which a worker holds it, empty where none does."""

    id: str
    text: str
    tag: str = ""


def make_entry(raw: bytes, queue: str, reason: str, sender: str = "", task: str = "", tag: str = "") -> Entry:
    """Return what is kept of a message, cut where it is too long."""
    kept = base64.b64encode(raw[:MOST_RAW_BYTES]).decode()
    said = {"queue": one_line(queue), "reason": one_line(reason), "sender": one_line(sender), "task": one_line(task)}
    return Entry(
        id=secrets.token_hex(6), text=json.dumps(said | {"size_bytes": len(raw), "raw": kept}), tag=one_line(tag)
    )


def put_aside(client: Any, key_prefix: str, entry: Entry) -> bool:
    """Keep a message, on a full server too; the same entry again changes nothing. Raise `redis.RedisError`.

    A message that a worker holds goes in one step with the note of that; False where it is in its queue again.
    """
    # by its text and not by its digest: kombu's clients put their prefix before the first argument of the latter
    return bool(client.eval(_script(), 0, key_prefix, entry.id, entry.text, MOST_MESSAGES, entry.tag))


@cache
def _script() -> str:
    return script_text("put_aside")


class Quarantine:
    """What was put aside, for operators. Raises `StoreError` where the broker is away. Safe for threads."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def messages(self, limit: int = 50) -> list[AsideMessage]:
        """Return the newest, newest first."""
        found: list[AsideMessage] = []
        for first in range(0, min(limit, MOST_MESSAGES), _BATCH):
            found += self._server.do(partial(self._read, first=first, last=min(first + _BATCH, limit) - 1))
        return found

    def get(self, message_id: str) -> AsideMessage | None:
        """Return one, None where it is not there."""
        return next((message for message in self.messages(MOST_MESSAGES) if message.id == message_id), None)

    def count(self) -> int:
        """Return how many are kept."""
        return self._server.do(lambda client: int(client.zcard(self._server.key("m"))))

    def drop(self, message_id: str) -> bool:
        """Forget one; return whether it was there."""
        return bool(self._server.run("drop_message", message_id))

    def send_again(self, message_id: str) -> bool:
        """Put one back into its queue as it came; return whether it was there.

        Raise `MessageError` for one that is cut, or that lay in no queue of the service.
        """
        message = self.get(message_id)
        if message is None:
            return False
        if message.is_cut:
            kept = f"only {len(message.raw):,} of its {message.size_bytes:,} bytes were kept"
            raise MessageError(f"message {message_id} cannot be sent again: {kept}; its sender must send it")
        if message.queue not in STAGES:
            raise MessageError(f"message {message_id} lay in no queue of the service; drop it")
        target = _NORMAL_LIST.format(queue=message.queue)
        return bool(self._server.run("send_again", message_id, target, message.raw))

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    def _read(self, client: Any, first: int, last: int) -> list[AsideMessage]:
        listed = client.zrange(self._server.key("m"), first, last, desc=True, withscores=True)
        texts = client.hmget(self._server.key("mh"), [entry[0] for entry in listed]) if listed else []
        return [_message(entry[0], entry[1], text) for entry, text in zip(listed, texts, strict=True) if text]


def _message(message_id: str, at: float, text: str) -> AsideMessage:
    fields = json.loads(text)
    return AsideMessage(id=message_id, at=at, **fields | {"raw": base64.b64decode(fields["raw"])})
