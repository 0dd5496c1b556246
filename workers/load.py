"""How much may go deep: the budget after recent traffic, the backlog of the deep lane, the audit sample.

Decides from numbers; knows a store only as the place where recent traffic is kept, and no queue or document.
"""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router.policy import Policy, Review
from router.schema import Schema
from workers.store import Store

Floats = NDArray[np.float64]
LEAST_TRAFFIC = 200
"""Fields of recent traffic under which the shipped table decides."""
REFRESH_S = 5.0
NOTED_AT_ONCE = 400


def in_sample(key: str, share: float) -> bool:
    """Return whether a key is in a sample of this share of all keys; always the same answer."""
    return _unit(key) < share


def descending(gains: Sequence[float]) -> Floats:
    """Return gains with the largest first."""
    return np.sort(np.asarray(gains, dtype=np.float64))[::-1]


def least_gain(ordered: Floats, budget: float, key: str = "") -> float:
    """Return the gain from which a field may go deep so that at most the share `budget` of such traffic does.

    `ordered`: the gains of recent traffic, the largest first. Many fields have the very same gain where a rule and no
    model gave it. Those that stand on the border are let through for a share of the keys (documents), so that the
    budget is held and still used.
    """
    if budget <= 0:
        return math.inf
    allowed = budget * ordered.size
    if allowed >= ordered.size:
        return 0.0
    border = float(ordered[int(allowed)])
    if border == 0.0:
        return 0.0
    over, at = int((ordered > border).sum()), int((ordered == border).sum())
    lets_through = at == 1 or _unit(key) < (allowed - over) / at
    return border if lets_through and over < allowed else float(np.nextafter(border, math.inf))


def under_budget(review: Review, least: float) -> Review:
    """Return the part of a review whose expected gains reach `least`."""
    kept = tuple(name for name in review.fields if review.expected_gains[name] >= least)
    return Review(
        fields=kept,
        reasons={name: review.reasons[name] for name in kept},
        expected_gains={name: review.expected_gains[name] for name in kept},
    )


@dataclass(frozen=True)
class Escalation:
    """The fields that go deep, and those that should have but must not wait; `gap` says why in words."""

    fields: tuple[str, ...]
    refused: tuple[str, ...] = ()
    gap: str = ""


def limit_escalation(fields: tuple[str, ...], schema: Schema, waiting: int, limit: int) -> Escalation:
    """Return what may still go deep with `waiting` jobs there: past the limit required fields, past its double none."""
    if not fields or waiting <= limit:
        return Escalation(fields)
    required = {spec.name for spec in schema.fields if spec.required} if waiting <= 2 * limit else set()
    kept = tuple(name for name in fields if name in required)
    refused = tuple(name for name in fields if name not in required)
    gap = f"{waiting} jobs wait for the deep lane, so {', '.join(refused)} were not read again" if refused else ""
    return Escalation(kept, refused, gap)


class Traffic:
    """Recent gains of all workers, looked up now and then and noted in batches. Safe for threads."""

    def __init__(self, store: Store, policy: Policy, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock
        self._lock = threading.Lock()
        self._gains = descending(())
        self._looked_at = self._noted_at = -math.inf
        self._unnoted: list[float] = []
        self._uncounted: Counter[str] = Counter()

    def least_gain(self, key: str) -> float:
        """Return the gain from which a field of the document `key` goes deep; raise `StoreError`."""
        with self._lock:
            if self._clock() - self._looked_at > REFRESH_S:
                self._exchange()
            gains = self._gains
        if gains.size < LEAST_TRAFFIC:
            return self._policy.least_gain()
        return least_gain(gains, self._policy.budget, key)

    def note(self, review: Review, schema: Schema) -> None:
        """Add a document's fields to the traffic; a field without doubt counts with a gain of 0."""
        gains = [round(gain, 6) for gain in self._policy.traffic(schema.names(), review.expected_gains)]
        with self._lock:
            self._unnoted += gains
            if len(self._unnoted) >= NOTED_AT_ONCE:
                self._note()

    def count(self, fields: int, escalated: int) -> None:
        """Count a document that was read, and how many of its fields go deep."""
        counted = {
            "documents": 1,
            "fields": fields,
            "fields_escalated": escalated,
            "documents_escalated": int(escalated > 0),
        }
        with self._lock:
            self._uncounted.update(counted)

    def flush(self, older_than_s: float = 0.0) -> None:
        """Note what has not been noted for that long; raise `StoreError`."""
        with self._lock:
            if self._clock() - self._noted_at >= older_than_s:
                self._note()

    def _exchange(self) -> None:
        self._note()
        self._gains = descending(self._store.recent_risks())
        self._looked_at = self._clock()

    def _note(self) -> None:
        self._noted_at = self._clock()
        if self._unnoted:
            noted, self._unnoted = self._unnoted, []
            self._store.note_risks(noted)
        counted, self._uncounted = self._uncounted, Counter()
        for name, amount in counted.items():
            if amount:
                self._store.count(name, amount)


def _unit(key: str) -> float:
    """Return a number in [0, 1) that follows from a key and is spread evenly."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
