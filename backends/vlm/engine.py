"""Continuous batching over one model on one device. Must not know documents, prompts, jobs or HTTP.

One thread owns the device. Whoever submits gets a future; cancelling it frees the slot. When the thread dies its device
cannot be trusted, so by default the process ends and the jobs come back to their queue.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType

import torch
from torch import Tensor

from backends.vlm.decoder import best_kernels
from backends.vlm.engine_settings import EngineSettings
from backends.vlm.family import Family
from backends.vlm.fused_prefill import fuse
from backends.vlm.kernels import Kernels, TorchKernels
from backends.vlm.memory import affordable_slots, release
from backends.vlm.reading import EngineStats, Reading, Remake
from backends.vlm.requests import Decoded, HeldSlot, Prepared
from backends.vlm.rotary import fix_rotary
from backends.vlm.rounds import Rounds
from backends.vlm.sampling import Sampling
from router.errors import BackendError, ExtractionError, RetryableError

IDLE_LOOK_S = 0.5
HELD_LOOK_S = 0.01
"""How long the engine sleeps where every slot is kept by somebody who may ask more."""
SWITCH_S = 0.0003
"""How long other threads of Python may keep the device's from running, in seconds."""


class Engine:
    """Reads many requests at once, each at its own length."""

    def __init__(
        self, family: Family, settings: EngineSettings | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.settings = settings or EngineSettings()
        self.stats = EngineStats()
        self.observe: Callable[[int], None] | None = None
        """Told after each round how many requests had a slot in it; must be quick and raise nothing."""
        self._family, self._clock = family, clock
        self._arrived: list[Reading | HeldSlot] = []  # requests, and slots that were given up, in their order
        self._changed = threading.Condition()
        self._ready = threading.Event()
        self._closing = self._hurry = False
        self._failure: BaseException | None = None
        self._rounds: Rounds | None = None
        self._moved_s = clock()
        self._thread = threading.Thread(target=self._own_device, name=f"engine-{family.name}", daemon=True)
        self._sample: Prepared | None = None

    def start(self, sample: Prepared | None = None) -> Engine:
        """Size, capture and return when ready; raises what went wrong.

        `sample` stands for the requests to come: a group of it is prefilled to learn how much memory that takes.
        """
        self._sample = sample
        # callers prepare pages in threads of Python beside the one that launches kernels, which by default waits up to
        # 5 ms for its turn after every call that let go of it: 74,000 documents an hour from JPEG, 84,000 with 0.3 ms
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_S))
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise BackendError(f"the engine of {self._family.name} cannot start: {self._failure}") from self._failure
        return self

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(drain=kind is None)

    def submit(
        self,
        prepared: Prepared,
        max_tokens: int,
        *,
        deadline_s: float | None = None,
        sampling: Sampling | None = None,
        remake: Remake | None = None,
        hold: bool = False,
    ) -> Future[Decoded]:
        """Return the future of the answer to a prepared request, of at most `max_tokens` tokens.

        `deadline_s` is a time of `time.monotonic`: then the answer ends where it is. `remake` prepares the request with
        less to show when memory is short. With `hold` the slot stays the caller's after the answer, which names it:
        `follow` or `release` it. Raises `ExtractionError` when the prompt leaves no room for an answer, and
        `RetryableError` when the engine is closed.
        """
        limit = self._limit(prepared.prompt_tokens, max_tokens)
        chosen = sampling or self.settings.sampling
        return self._send(Reading(prepared, limit, chosen, deadline_s, remake, self._clock(), hold))

    def follow(
        self,
        slot: HeldSlot,
        tail: Tensor,
        max_tokens: int,
        *,
        deadline_s: float | None = None,
        sampling: Sampling | None = None,
        hold: bool = True,
    ) -> Future[Decoded]:
        """Return the future of the answer to another question about what a held slot has.

        `tail` are the token ids (n,) behind its prefix; they take the place of the former question and answer. Fails
        with `SlotLostError` when the slot was taken meanwhile. Raises what `submit` raises; the slot stays held then.
        """
        prompt_tokens = slot.prefix_tokens + len(tail)
        limit = self._limit(prompt_tokens, max_tokens)
        prepared = Prepared(tail, (), (), 0, prompt_tokens, prefix_tokens=slot.prefix_tokens)
        chosen = sampling or self.settings.sampling
        return self._send(Reading(prepared, limit, chosen, deadline_s, None, self._clock(), hold, slot))

    def release(self, slot: HeldSlot) -> None:
        """Give a held slot up; one that is not the caller's any more is left alone."""
        with self._changed:
            self._arrived.append(slot)
            self._changed.notify()

    def room(self, prompt_tokens: int) -> int:
        """Return how many tokens an answer may have behind a prompt of so many."""
        return self.settings.slot_tokens - 1 - prompt_tokens

    def _limit(self, prompt_tokens: int, max_tokens: int) -> int:
        room = self.room(prompt_tokens)
        if room < 1:
            raise ExtractionError(
                f"the prompt has {prompt_tokens} tokens, a slot holds {self.settings.slot_tokens - 1}: "
                "show fewer tiles or pages"
            )
        return max(1, min(max_tokens, self.settings.answer_tokens, room))

    def _send(self, reading: Reading) -> Future[Decoded]:
        with self._changed:
            if self._closing or self._failure is not None or not self._thread.is_alive():
                raise RetryableError(f"the engine of {self._family.name} takes no more requests")
            self._arrived.append(reading)
            self._changed.notify()
        return reading.future

    def waiting(self) -> int:
        """Return about how many requests have no slot yet."""
        rounds = self._rounds
        return len(self._arrived) + (len(rounds.queue) if rounds is not None else 0)

    def busy(self) -> int:
        """Return how many slots have a request now."""
        rounds = self._rounds
        return rounds.busy if rounds is not None else 0

    def problem(self) -> str | None:
        """Return what is wrong with the engine, or None: for whoever watches the process."""
        if self._failure is not None:
            return f"it died: {type(self._failure).__name__}"
        silent_s = self._clock() - self._moved_s
        if self._ready.is_set() and not self._closing and silent_s > self.settings.stalled_s:
            return f"it has not moved for {silent_s:.0f} s"
        return None

    def close(self, drain: bool = True) -> None:
        """Take no more requests and end; those without an answer are finished first, or cancelled."""
        with self._changed:
            self._closing, self._hurry = True, not drain
            self._changed.notify()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()

    def _unanswered(self) -> list[Reading]:
        arrived = [one for one in self._arrived if isinstance(one, Reading)]
        return arrived + (self._rounds.readings() if self._rounds is not None else [])

    @torch.inference_mode()
    def _own_device(self) -> None:
        try:
            self._build()
        except Exception as exc:
            self._failure = exc
            self._ready.set()
            return
        self._ready.set()
        try:
            self._serve()
        except BaseException as exc:
            self._die(exc)
        else:
            self._rounds = None  # slots and captures go with the engine, not with whoever still holds it
            release(self._family.device)

    def _build(self) -> None:
        started, device = self._clock(), self._family.device
        if device.type == "cuda":
            torch.cuda.set_device(device)
            torch.cuda.synchronize(device)  # the weights were made on another stream
        fix_rotary(self._family.text_model, self.settings.slot_tokens)
        kernels: Kernels = TorchKernels()
        if self.settings.fused:
            kernels = best_kernels(device)
            fuse(self._family.model, self._family.text_model, kernels)
        slots, token_bytes = self.settings.slots, None
        if self._sample is not None:
            slots, token_bytes = affordable_slots(self._family, self.settings, self._sample)
        self._rounds = Rounds(self._family, self.settings, self.stats, slots, kernels, token_bytes, self._clock)
        self.stats.ready_s = self._clock() - started

    def _serve(self) -> None:
        rounds = self._rounds
        assert rounds is not None
        while True:
            self._moved_s = self._clock()
            with self._changed:
                if not self._arrived:
                    if rounds.idle and self._closing:
                        return
                    if rounds.idle or rounds.held_up:
                        self._changed.wait(IDLE_LOOK_S if rounds.idle else HELD_LOOK_S)
                self._take_in(rounds)
            if self._hurry:
                for reading in rounds.readings():
                    reading.future.cancel()
            if not rounds.idle:
                rounds.round()
                if self.observe is not None and rounds.busy:
                    self.observe(rounds.busy)

    def _take_in(self, rounds: Rounds) -> None:
        arrived, self._arrived = self._arrived, []
        for one in arrived:
            if isinstance(one, HeldSlot):
                rounds.release(one)
            else:
                rounds.add(one)
        if self._closing:  # nobody can follow
            rounds.lose_held()

    def _die(self, cause: BaseException) -> None:
        self._failure = cause
        error = RetryableError(f"the engine of {self._family.name} died: {type(cause).__name__}")
        error.__cause__ = cause
        with self._changed:
            for reading in self._unanswered():
                reading.fail(error)
        self.settings.on_death(cause)
