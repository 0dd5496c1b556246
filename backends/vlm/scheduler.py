"""Who is read next. Knows waiting documents by their numbers only: no model, device, thread or clock of its own.

A group is prefilled at once. The longest-waiting document is always in the next group, so nothing starves; the rest of
the group are those closest to it in tiles, because a group is padded to its longest member and the vision tower's batch
is what fills the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

NEAR_WINDOW = 64
"""How many of the longest-waiting are looked through for a group: bounds the work of a choice, not what may wait."""


@dataclass(frozen=True)
class GroupLimits:
    """Bounds of one prefill: documents, padded prompt tokens, tiles. At least one document always goes.

    Larger groups make no document cheaper on a large GPU, and those that come while one is prefilled wait longer.
    """

    documents: int = 5
    tokens: int = 20_480
    tiles: int = 65

    def admits(self, documents: int, longest_tokens: int, tiles: int) -> bool:
        """Return whether a group of so many documents, padded to the longest of them, is within bounds."""
        if documents <= 1:
            return True
        return documents <= self.documents and documents * longest_tokens <= self.tokens and tiles <= self.tiles


@dataclass(frozen=True, eq=False)
class Waiting(Generic[T]):
    """A document in the queue: its prompt's tokens, its tiles, when it came and until when it is of use (seconds)."""

    item: T
    tokens: int
    tiles: int
    arrived_s: float
    deadline_s: float | None = None

    def expired(self, now_s: float) -> bool:
        """Return whether nobody waits for it any more."""
        return self.deadline_s is not None and now_s >= self.deadline_s


@dataclass
class Scheduler(Generic[T]):
    """A queue in order of arrival that gives groups.

    `patience_s`: how long a free slot is kept waiting for others to become free with it, so that prefills are not all
    of one document; it bounds the wait of a document for a slot that is free.
    """

    limits: GroupLimits = field(default_factory=GroupLimits)
    patience_s: float = 0.1
    _waiting: list[Waiting[T]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Waiting[T]]:
        return iter(self._waiting)

    def add(self, waiting: Waiting[T]) -> None:
        """Queue a document."""
        self._waiting.append(waiting)

    def put_back(self, group: list[Waiting[T]]) -> None:
        """Queue a group again that could not be prefilled, in the order of its arrival."""
        self._waiting = sorted([*group, *self._waiting], key=lambda waiting: waiting.arrived_s)

    def remove(self, gone: Callable[[Waiting[T]], bool]) -> list[Waiting[T]]:
        """Take out and return the documents for which `gone` holds (cancelled, expired)."""
        removed = [waiting for waiting in self._waiting if gone(waiting)]
        if removed:
            dropped = set(map(id, removed))
            self._waiting = [waiting for waiting in self._waiting if id(waiting) not in dropped]
        return removed

    def due(self, free_slots: int, slots_free_since_s: float, now_s: float, idle: bool) -> bool:
        """Return whether a group should go now rather than wait to grow.

        `idle`: nothing else is being read, so waiting would win nothing.
        """
        if not self._waiting or free_slots < 1:
            return False
        full = min(self.limits.documents, len(self._waiting))
        if idle or free_slots >= full:
            return True
        return now_s - max(slots_free_since_s, self._waiting[0].arrived_s) >= self.patience_s

    def next_group(self, free_slots: int, token_room: int | None = None) -> list[Waiting[T]]:
        """Take the next group out of the queue, longest-waiting first; empty when no slot is free.

        `token_room`: how many padded tokens the device's free memory allows now; one document always goes, since only
        trying tells whether it fits.
        """
        if not self._waiting or free_slots < 1:
            return []
        first, *others = self._waiting[:NEAR_WINDOW]
        others.sort(key=lambda waiting: (abs(waiting.tiles - first.tiles), waiting.arrived_s))
        group, longest, tiles = [first], first.tokens, first.tiles
        for waiting in others:
            if len(group) >= free_slots:
                break
            padded = max(longest, waiting.tokens)
            size = len(group) + 1
            fits_memory = token_room is None or size * padded <= token_room
            if fits_memory and self.limits.admits(size, padded, tiles + waiting.tiles):
                group.append(waiting)
                longest, tiles = padded, tiles + waiting.tiles
        taken = set(map(id, group))
        self._waiting = [waiting for waiting in self._waiting if id(waiting) not in taken]
        return group
