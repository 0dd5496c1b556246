"""The engine's rounds: admit, prefill, step, look. Knows readings and slots; must not know threads or how work arrives.

A round queues steps on the device before it looks at what earlier ones did, so that the device never waits for the
host; on CUDA one look stays behind. Slots are filled from the lowest, because few documents then need few rows.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from backends.vlm.attempts import attempt, device_is_lost
from backends.vlm.capturing import capture
from backends.vlm.decoder import Copied, Prefilled, SlotDecoder, decoded
from backends.vlm.engine_settings import EngineSettings
from backends.vlm.family import Family
from backends.vlm.follow_ups import FollowUps, TailLimits
from backends.vlm.kernels import Kernels
from backends.vlm.memory import free_bytes, release
from backends.vlm.reading import EngineStats, Reading
from backends.vlm.requests import Decoded, HeldSlot
from backends.vlm.scheduler import Scheduler, Waiting
from backends.vlm.shrink import shrink

Group = list[Waiting[Reading]]
SWEEP_EVERY_S = 0.05
SHORT_QUEUE = 128
"""A queue up to this length is looked through every round, a longer one every `SWEEP_EVERY_S`."""


@dataclass(frozen=True, eq=False)
class _Prefill:
    prefilled: Prefilled
    readings: dict[int, Reading]


class Rounds:
    """All that happens on one device, a round at a time, in the one thread that owns it."""

    def __init__(
        self,
        family: Family,
        settings: EngineSettings,
        stats: EngineStats,
        slots: int,
        kernels: Kernels,
        token_bytes: int | None,
        clock: Callable[[], float],
    ) -> None:
        self._family, self._settings, self._stats, self._clock = family, settings, stats, clock
        self._kernels = kernels
        self._token_bytes, self._token_bound = token_bytes, settings.group.tokens
        self.queue: Scheduler[Reading] = Scheduler(settings.group, settings.patience_s)
        self._alone: set[Waiting[Reading]] = set()
        self._follow_ups = FollowUps(TailLimits(), settings.hold_s, stats, self._set_free)
        self._prefills: list[_Prefill] = []
        self._active: dict[int, Reading] = {}
        self._looks: deque[tuple[Copied, dict[int, Reading]]] = deque()
        self._fewer_slots: int | None = None
        self._filling = False
        self._last_s = self._swept_s = clock()
        self._build(slots)

    def _build(self, slots: int) -> None:
        self._decoder = SlotDecoder(self._family, self._settings, slots, self._kernels)
        self._ahead = 1 if self._decoder.main is not None else 0
        self._free = list(range(slots))
        self._freed_s = deque([self._clock()] * slots)
        self._stats.slots = slots
        self._stats.captured = capture(self._decoder, self._settings, self._stats, self._family.device)

    @property
    def idle(self) -> bool:
        """Return whether there is nothing to do."""
        return not len(self.queue) and self._still

    @property
    def held_up(self) -> bool:
        """Return whether documents wait and nothing can be done before somebody gives up the slot that he keeps."""
        return len(self.queue) > 0 and self._still and not self._free

    @property
    def _still(self) -> bool:
        return not (self._prefills or self._active or self._looks or self._follow_ups.waiting)

    @property
    def busy(self) -> int:
        """Return how many slots have a document: its prompt being read, its answer written, or kept for a question."""
        return len(self._active) + sum(len(group.readings) for group in self._prefills) + self._follow_ups.rows

    @property
    def capacity(self) -> int:
        """Return how many tokens of prompt and answer a slot holds."""
        return self._decoder.cache.capacity

    def readings(self) -> list[Reading]:
        """Return everything that has no answer yet."""
        waiting = [one.item for one in self.queue] + self._follow_ups.waiting
        return waiting + [r for group in self._prefills for r in group.readings.values()] + list(self._active.values())

    def add(self, reading: Reading) -> None:
        """Queue a request, a follow-up for its own slot."""
        if reading.slot is not None:
            self._follow_ups.add(reading)
            return
        prepared = reading.prepared
        waiting = Waiting(reading, prepared.prompt_tokens, prepared.tiles, reading.arrived_s, reading.deadline_s)
        self.queue.add(waiting)

    def release(self, slot: HeldSlot) -> None:
        """Free a slot that was kept; one that was lost or is another's by now stays as it is."""
        self._follow_ups.release(slot)

    def lose_held(self) -> None:
        """Free all slots that are kept and not followed."""
        self._follow_ups.lose_held()

    def round(self) -> None:
        """Do what can be done now; waits for the device only when there is nothing else to do."""
        now = self._clock()
        self._count(now)
        self._sweep(now)
        with self._decoder.on_main():
            self._activate()
            if not (self._filling and self._prefills):
                self._step()
            self._look()
            self._follow()
            self._admit()
        # Beside steps a prefill gets only a part of the device; left to themselves both settle where many slots stand
        # free, though a step costs nearly the same with few rows. So steps wait while a document waits for a free slot,
        # or a question for its prefill.
        self._filling = bool(self._follow_ups.waiting) or (bool(self._free) and len(self.queue) > 0)
        if self._prefills and (self._filling or not self._active):
            self._prefills[0].prefilled.wait()
        if self._fewer_slots is not None and not (self._active or self._prefills or self._looks):
            self._rebuild(self._fewer_slots)

    def _count(self, now: float) -> None:
        if len(self.queue):
            self._stats.count_time(now - self._last_s, self.busy, len(self._active))
        self._stats.held_slot_s += (now - self._last_s) * self._follow_ups.rows
        self._last_s = now

    def _sweep(self, now: float) -> None:
        """End what nobody waits for any more."""
        if len(self.queue) <= SHORT_QUEUE or now - self._swept_s >= SWEEP_EVERY_S:
            self._swept_s = now
            for waiting in self.queue.remove(lambda one: one.item.to_stop(now) is not None):
                self._alone.discard(waiting)
                waiting.item.settle(Decoded([], [], [], [], waiting.item.to_stop(now) or "deadline"))
        self._follow_ups.sweep(now, wanted=len(self.queue) > 0 and not self._free)
        stopped = []
        for row, reading in self._active.items():
            if reading.ending is None and (reason := reading.to_stop(now)):
                reading.ending = reason
                stopped.append(row)
        if stopped:
            with self._decoder.on_main():
                self._decoder.halt(stopped)
                self._snapshot()

    def _activate(self) -> None:
        while self._prefills and (not self._settings.overlap or self._prefills[0].prefilled.ready()):
            group = self._prefills.pop(0)
            self._decoder.activate(group.prefilled)
            self._active |= group.readings

    def _step(self) -> None:
        """Queue steps while some answer may still grow, and a look at what they did."""
        if not self._active:
            return
        readings = self._active.values()
        growing = [reading.steps_left() for reading in readings if reading.ending is None]
        steps = min(self._settings.steps_per_look, max(growing, default=0))
        if steps > 0:
            longest = max(r.filled() for r in readings if r.steps_left() > 0) + steps
            random = any(not r.sampling.greedy for r in readings)
            self._decoder.run(max(self._active) + 1, longest, random, steps)
            for reading in readings:
                reading.steps += steps
            self._stats.steps += steps
        if steps > 0 or not self._looks:
            self._snapshot()

    def _snapshot(self) -> None:
        self._looks.append((self._decoder.snapshot(), dict(self._active)))

    def _look(self) -> None:
        """Hand over the answers that have ended, as far as the device has told."""
        while self._looks and (len(self._looks) > self._ahead or not self._growing() or self._looks[0][0].ready()):
            copied, watched = self._looks.popleft()
            live = copied.wait()[0][0].tolist()
            if len(self.queue):
                self._stats.count_live(sum(live))
            ended = [row for row, r in watched.items() if self._active.get(row) is r and not live[row]]
            if ended:
                self._settle(ended)

    def _growing(self) -> bool:
        return any(r.ending is None and r.steps_left() > 0 for r in self._active.values())

    def _settle(self, rows: list[int]) -> None:
        for row, answer in zip(rows, decoded(self._decoder.collect(rows)), strict=True):
            reading = self._active.pop(row)
            self._stats.documents += reading.slot is None
            self._stats.tokens += len(answer.tokens)
            ended = answer if reading.ending is None else replace(answer, finish_reason=reading.ending)
            self._follow_ups.settle(reading, row, ended, self._clock())

    def _set_free(self, row: int) -> None:
        heapq.heappush(self._free, row)
        self._freed_s.append(self._clock())

    def _follow(self) -> None:
        """Prefill the questions whose pictures are in their slots already."""
        while self._fewer_slots is None and len(self._prefills) < self._settings.prefills_ahead:
            group = self._follow_ups.next_group(self._clock(), idle=not (self._active or self._prefills))
            if not group:
                return
            prefilled = self._follow_ups.prefill(group, self._decoder, self._family.device)
            if prefilled is not None:
                self._prefills.append(_Prefill(prefilled, dict(zip(prefilled.rows, group, strict=True))))

    def _admit(self) -> None:
        while self._free and len(self._prefills) < self._settings.prefills_ahead and self._fewer_slots is None:
            idle = not (self._active or self._prefills)
            if not self.queue.due(len(self._free), self._freed_s[0], self._clock(), idle):
                return
            self._prefill(self._next_group())

    def _next_group(self) -> Group:
        oldest = next(iter(self.queue))
        return self.queue.next_group(1 if oldest in self._alone else len(self._free), self._token_room())

    def _token_room(self) -> int:
        if self._token_bytes is None:
            return self._token_bound
        spare = free_bytes(self._family.device) - self._settings.spare_bytes
        return min(self._token_bound, max(0, spare) // self._token_bytes)

    def _prefill(self, group: Group) -> None:
        rows = [heapq.heappop(self._free) for _ in group]
        readings = [waiting.item for waiting in group]
        items, answers = [r.prepared for r in readings], [r.answer() for r in readings]
        prefilled = attempt(lambda: self._decoder.prefill(rows, items, answers))
        if prefilled is not None and not isinstance(prefilled, Exception):
            self._stats.prefills += 1
            now = self._clock()
            for reading in readings:
                self._stats.waits_s.append(max(0.0, now - max(reading.arrived_s, self._freed_s.popleft())))
            self._alone.difference_update(group)
            self._prefills.append(_Prefill(prefilled, dict(zip(rows, readings, strict=True))))
            return
        self._take_back(rows)
        if prefilled is None:
            self._out_of_memory(group)
        elif device_is_lost(prefilled):
            self.queue.put_back(group)
            raise prefilled
        else:
            self._failed(group, prefilled)

    def _take_back(self, rows: Iterable[int]) -> None:
        for row in rows:
            heapq.heappush(self._free, row)

    def _failed(self, group: Group, failure: Exception) -> None:
        """Let the members of a failed group go alone, so that only the faulty one fails."""
        if len(group) > 1:
            self._alone.update(group)
            self.queue.put_back(group)
        else:
            self._alone.discard(group[0])
            group[0].item.fail(failure)

    def _out_of_memory(self, group: Group) -> None:
        """Ask for less: a smaller group, then fewer slots, then fewer tiles, then smaller pages; then give up."""
        self._stats.out_of_memory += 1
        release(self._family.device)
        if len(group) > 1:
            self._token_bound = max(1, len(group) * max(waiting.tokens for waiting in group) // 2)
            self.queue.put_back(group)
        elif self._stats.slots > 1:
            self._fewer_slots = self._stats.slots // 2
            self.queue.put_back(group)
        elif shrink(group[0].item):
            self.add(group[0].item)

    def _rebuild(self, slots: int) -> None:
        self._fewer_slots = None
        self._follow_ups.lose_all()
        del self._decoder
        release(self._family.device)
        self._build(slots)
