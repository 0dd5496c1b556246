"""What lies in the broker's queues, counted without taking anything. Knows kombu's keys on Redis, and no job's state.

A queue is one list for each of kombu's priority steps: the queue's own name for step 0, and `NAME 0x06 0x16 STEP` for
the others. Messages that a worker has taken and not yet acknowledged are in a hash, with the time of taking in a sorted
set. All names carry the prefix of the settings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import redis

from router.errors import StoreError
from workers.broker import broker_address, connect
from workers.broker_errors import broker_problem
from workers.envelope import noted_message
from workers.incoming import job_of
from workers.jobs import STAGES, Priority, Stage
from workers.service_settings import BrokerSettings

STEPS = (0, 3, 6, 9)
_SEPARATOR = "\x06\x16"
_UNACKED, _UNACKED_TIMES = "unacked", "unacked_index"
_FRONT_MESSAGES = 20
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Unacked:
    """Messages that workers hold; `oldest_age_s` is None when there are none."""

    count: int
    oldest_age_s: float | None


class BrokerQueues:
    """The queues of a broker, seen from outside. Raises `StoreError` when it is away. Safe for threads."""

    def __init__(self, broker: BrokerSettings) -> None:
        self._client = connect(broker)
        self._prefix = broker.key_prefix
        self._address = broker_address(broker)

    def depths(self) -> dict[Stage, dict[Priority, int]]:
        """Return how many messages wait in each queue; what other clients sent at another priority is `normal`."""
        counts = self._read(lambda pipe: [pipe.llen(self._list(s, step)) for s in STAGES for step in STEPS])
        found: dict[Stage, dict[Priority, int]] = {}
        for at, stage in enumerate(STAGES):
            first, *others = counts[at * len(STEPS) : (at + 1) * len(STEPS)]
            found[stage] = {"high": first, "normal": sum(others)}
        return found

    def unacked(self) -> Unacked:
        """Return how many messages are held, and for how long the oldest has been."""

        def ask(pipe: Any) -> None:
            pipe.zcard(self._prefix + _UNACKED_TIMES)
            pipe.zrange(self._prefix + _UNACKED_TIMES, 0, 0, withscores=True)

        count, oldest = self._read(ask)
        return Unacked(int(count), max(0.0, self._now() - float(oldest[0][1])) if oldest else None)

    def held_jobs(self, stage: Stage, within_s: float) -> set[str]:
        """Return the ids of jobs whose message for a stage a worker took in the last `within_s` seconds and holds."""

        now = self._now()

        def ask(pipe: Any) -> None:
            pipe.hgetall(self._prefix + _UNACKED)
            pipe.zrangebyscore(self._prefix + _UNACKED_TIMES, now - within_s, "+inf")

        messages, tags = self._read(ask)
        held = (noted_message(messages[tag].encode()) for tag in tags if tag in messages)
        return {job_id for message, queue in held if queue == stage and (job_id := job_of(message, stage))}

    def next_jobs(self, stage: Stage) -> list[str]:
        """Return the ids of the few jobs whose messages are taken next, of every priority.

        Submissions and malformed messages have none.
        """
        lists = self._read(lambda pipe: [pipe.lrange(self._list(stage, step), -_FRONT_MESSAGES, -1) for step in STEPS])
        ids = (job_of(text.encode(), stage) for messages in lists for text in messages)
        return [job_id for job_id in ids if job_id]

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _now(self) -> float:
        (clock,) = self._read(lambda pipe: pipe.time())
        return float(clock[0]) + float(clock[1]) / 1e6

    def _list(self, stage: Stage, step: int) -> str:
        return self._prefix + stage + (f"{_SEPARATOR}{step}" if step else "")

    def _read(self, ask: Callable[[Any], object]) -> list[Any]:
        try:
            with self._client.pipeline(transaction=False) as pipe:
                ask(pipe)
                return list(pipe.execute())
        except redis.RedisError as exc:
            raise StoreError(broker_problem(self._address, exc)) from exc
