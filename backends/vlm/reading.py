"""One request on its way through the engine, and what the engine counts. Knows no device."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, fields, replace

from backends.vlm.requests import Decoded, FinishReason, HeldSlot, Prepared
from backends.vlm.sampling import Sampling
from backends.vlm.slots import NewAnswer

Remake = Callable[[int, float], Prepared]
"""Prepares a request again with at most so many tiles a page and pages scaled by a factor in (0, 1]."""

KEPT_WAITS = 4096
"""Of how many documents the wait for a slot is kept."""


@dataclass(eq=False)
class Reading:
    """A request from its submission to its answer.

    `limit` bounds the answer's tokens. With `hold` its slot is kept after the answer. `slot` is the held slot that a
    follow-up goes into: `prepared` has then no pages, and of its tokens only those behind what the slot holds. `steps`
    counts the decode steps queued for it, `ending` is why it was stopped from outside, `shrunk` how often its pages
    were made smaller because memory was short.
    """

    prepared: Prepared
    limit: int
    sampling: Sampling
    deadline_s: float | None
    remake: Remake | None
    arrived_s: float
    hold: bool = False
    slot: HeldSlot | None = None
    future: Future[Decoded] = field(default_factory=Future)
    steps: int = 0
    ending: FinishReason | None = None
    shrunk: int = 0

    def answer(self) -> NewAnswer:
        """Return what its slot is to do."""
        return NewAnswer(self.prepared.prompt_tokens, self.limit, self.sampling)

    def steps_left(self) -> int:
        """Return how many more steps may be of use; the first token is the prefill's."""
        return self.limit - 1 - self.steps

    def filled(self) -> int:
        """Return how many positions of its slot are filled at most after the steps queued so far."""
        return self.prepared.prompt_tokens + self.steps

    def to_stop(self, now_s: float) -> FinishReason | None:
        """Return why nobody waits for it any more, if so."""
        if self.future.cancelled():
            return "cancelled"
        return "deadline" if self.deadline_s is not None and now_s >= self.deadline_s else None

    def settle(self, decoded: Decoded) -> bool:
        """Hand the answer over, unless its owner has cancelled; return whether somebody has it now."""
        if not self.future.set_running_or_notify_cancel():
            return False
        self.future.set_result(decoded)
        return True

    def fail(self, error: BaseException) -> None:
        """Hand an error over, unless its owner has cancelled."""
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


@dataclass
class EngineStats:
    """What an engine did since its start, or since `reset`.

    `busy_slot_s` and `slot_s` are slot-seconds with a document and in all, counted while documents wait, since only
    then a free slot is a loss; `decoding_slot_s` leaves out slots whose prompt is still being prefilled. These are what
    the host knows, which looks every few steps; of `looked_rows` that were in a step where it looked, `live_rows` held
    an answer that grew. `waits_s`: how long a document waited while a slot was free for it, until its prefill was
    queued on the device; the slot that became free first counts as that of the document that is admitted first.
    `follow_ups` counts the questions after a document's first, which `tail_prefills` prefilled; `held_slot_s` are
    slot-seconds between an answer and the prefill of the next question, `slots_lost` slots that were taken from a
    document before it had asked all.
    """

    slots: int = 0
    captured: int = 0
    ready_s: float = 0.0
    documents: int = 0
    tokens: int = 0
    steps: int = 0
    prefills: int = 0
    out_of_memory: int = 0
    capture_failures: int = 0
    slot_s: float = 0.0
    busy_slot_s: float = 0.0
    decoding_slot_s: float = 0.0
    live_rows: int = 0
    looked_rows: int = 0
    follow_ups: int = 0
    tail_prefills: int = 0
    held_slot_s: float = 0.0
    slots_lost: int = 0
    waits_s: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_WAITS))

    def reset(self) -> None:
        """Forget what was counted, not what the engine is."""
        self.__dict__.update(EngineStats(self.slots, self.captured, self.ready_s).__dict__)

    def count_time(self, elapsed_s: float, busy: int, decoding: int) -> None:
        """Add a stretch of time in which documents waited."""
        self.slot_s += elapsed_s * self.slots
        self.busy_slot_s += elapsed_s * busy
        self.decoding_slot_s += elapsed_s * decoding

    def count_live(self, rows: int) -> None:
        """Add a look that found so many answers growing, taken while documents waited."""
        self.live_rows += rows
        self.looked_rows += self.slots

    def copy(self) -> EngineStats:
        """Return these figures as they are now; another thread may go on counting."""
        return replace(self, waits_s=self.waits_s.copy())

    def since(self, earlier: EngineStats) -> EngineStats:
        """Return what was counted after a copy of these was taken (at most `KEPT_WAITS` documents ago)."""
        counts = {
            item.name: getattr(self, item.name) - getattr(earlier, item.name)
            for item in fields(self)
            if item.name not in ("slots", "captured", "ready_s", "waits_s")
        }
        waits = list(self.waits_s)[len(earlier.waits_s) :]
        return EngineStats(self.slots, self.captured, self.ready_s, **counts, waits_s=deque(waits, KEPT_WAITS))

    @property
    def live(self) -> float | None:
        """Return the share of slots whose answers grew while others waited, or None when none ever waited."""
        return self.live_rows / self.looked_rows if self.looked_rows else None

    @property
    def busy(self) -> float | None:
        """Return the share of slot time with a document while others waited, or None when none ever waited."""
        return self.busy_slot_s / self.slot_s if self.slot_s else None
