"""Slots kept for the next question about the same pictures, and the questions that wait to go into them.

Knows rows and readings; must not know new documents, nor how a tail is prefilled. A slot that is kept is
free for nobody: its owner follows it or releases it, and if he does neither while others wait, it is taken from him.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from backends.vlm.attempts import attempt, device_is_lost
from backends.vlm.decoder import Prefilled, SlotDecoder
from backends.vlm.memory import release
from backends.vlm.reading import EngineStats, Reading
from backends.vlm.requests import Decoded, HeldSlot
from router.errors import SlotLostError


@dataclass(frozen=True)
class TailLimits:
    """Bounds of one prefill of follow-ups: slots, and padded tokens; one always goes.

    `patience_s`: how long the first waits for others while the device has something to do. Answers to short questions
    end together, and a prefill reads all weights, however few tokens it is of.
    """

    slots: int = 8
    tokens: int = 4096
    patience_s: float = 0.004


class FollowUps:
    """Held slots and waiting follow-ups of one set of slots; `free` is given a row that nobody keeps any more."""

    def __init__(self, limits: TailLimits, hold_s: float, stats: EngineStats, free: Callable[[int], None]) -> None:
        self._limits, self._hold_s, self._stats, self._free = limits, hold_s, stats, free
        self._held: dict[HeldSlot, float] = {}
        self.waiting: list[Reading] = []
        self._alone: set[Reading] = set()
        self._most = limits.slots

    @property
    def rows(self) -> int:
        """Return how many slots are kept, a follow-up waiting for them or not."""
        return len(self._held) + len(self.waiting)

    def settle(self, reading: Reading, row: int, answer: Decoded, now_s: float) -> None:
        """Hand an answer over; its slot is kept where its owner wanted it and is still there, else freed."""
        if not reading.hold:
            self._free(row)
            reading.settle(answer)
            return
        slot = HeldSlot(row, reading.prepared.prefix_tokens)
        self._held[slot] = now_s
        if not reading.settle(replace(answer, held=slot)):
            self.release(slot)

    def release(self, slot: HeldSlot) -> None:
        """Free a slot, if this still names one that is kept."""
        if self._held.pop(slot, None) is not None:
            self._free(slot.row)

    def add(self, reading: Reading) -> None:
        """Let a follow-up wait in its slot; it fails where that is not its owner's any more."""
        if self._held.pop(_slot(reading), None) is None:
            reading.fail(SlotLostError("the slot of this document was taken for another; ask it whole again"))
        else:
            self.waiting.append(reading)

    def sweep(self, now_s: float, wanted: bool) -> None:
        """End what nobody waits for any more; with `wanted`, free slots whose owners let them stand too long."""
        for reading in [one for one in self.waiting if one.to_stop(now_s) is not None]:
            self._leave(reading)
            ended = Decoded([], [], [], [], reading.to_stop(now_s) or "deadline")
            self.settle(reading, _slot(reading).row, ended, now_s)
        overdue = [slot for slot, since_s in self._held.items() if now_s - since_s >= self._hold_s] if wanted else []
        self._stats.slots_lost += len(overdue)
        for slot in overdue:
            self.release(slot)

    def next_group(self, now_s: float, idle: bool) -> list[Reading]:
        """Take the follow-ups that are to be prefilled now, longest-waiting first; empty when none is due."""
        if not self.waiting:
            return []
        first = self.waiting[0]
        group = [first] if first in self._alone else self._fitting()
        company = len(group) >= self._most or len(group) < len(self.waiting) or first in self._alone
        if not (idle or company or now_s - first.arrived_s >= self._limits.patience_s):
            return []
        taken = set(map(id, group))
        self.waiting = [one for one in self.waiting if id(one) not in taken]
        return group

    def _fitting(self) -> list[Reading]:
        group: list[Reading] = []
        longest = 0
        for reading in self.waiting:
            padded = max(longest, len(reading.prepared.input_ids))
            full = len(group) >= self._most or (len(group) + 1) * padded > self._limits.tokens
            if group and (full or reading in self._alone):
                continue
            group.append(reading)
            longest = padded
        return group

    def prefill(self, group: list[Reading], decoder: SlotDecoder, device: torch.device) -> Prefilled | None:
        """Queue the prefill of a group; None where it failed, and was put back or told to its owners.

        Raises only what no later call would survive.
        """
        rows, starts = [_slot(one).row for one in group], [_slot(one).prefix_tokens for one in group]
        tails, answers = [one.prepared.input_ids for one in group], [one.answer() for one in group]
        prefilled = attempt(lambda: decoder.prefill_tails(rows, tails, starts, answers))
        if prefilled is None:
            self._out_of_memory(group, device)
        elif not isinstance(prefilled, Exception):
            self._alone.difference_update(group)
            self._stats.follow_ups += len(group)
            self._stats.tail_prefills += 1
            return prefilled
        elif device_is_lost(prefilled):
            self._put_back(group)
            raise prefilled
        else:
            self._failed(group, prefilled)
        return None

    def _put_back(self, group: list[Reading]) -> None:
        self.waiting = [*group, *self.waiting]

    def _failed(self, group: list[Reading], failure: Exception) -> None:
        """Let the members of a failed group go alone, so that only the faulty one fails."""
        if len(group) > 1:
            self._alone.update(group)
            self._put_back(group)
        else:
            self._drop(group[0], failure)

    def _out_of_memory(self, group: list[Reading], device: torch.device) -> None:
        """Try fewer at once; one for which alone there is no memory loses its slot and is asked whole again."""
        self._stats.out_of_memory += 1
        release(device)
        self._most = max(1, len(group) // 2)
        if len(group) > 1:
            self._put_back(group)
        else:
            self._lose(group[0])

    def lose_held(self) -> None:
        """Free the slots that no follow-up waits for: none will come."""
        self._stats.slots_lost += len(self._held)
        for slot in list(self._held):
            self.release(slot)

    def lose_all(self) -> None:
        """Forget every slot: they are made anew."""
        self.lose_held()
        for reading in list(self.waiting):
            self._leave(reading)
            self._lose(reading)

    def _lose(self, reading: Reading) -> None:
        self._stats.slots_lost += 1
        self._drop(reading, SlotLostError("memory ran short; ask the document whole again"))

    def _drop(self, reading: Reading, error: Exception) -> None:
        self._alone.discard(reading)
        self._free(_slot(reading).row)
        reading.fail(error)

    def _leave(self, reading: Reading) -> None:
        self.waiting.remove(reading)
        self._alone.discard(reading)


def _slot(reading: Reading) -> HeldSlot:
    assert reading.slot is not None
    return reading.slot
