"""The device's side of the engine: prefills and decode steps over fixed slots. Must not know futures or queues.

On CUDA there are three streams. Steps run on the main one. A prefill runs beside them on its own: it writes only rows
of idle slots, whose steps write to the spare position, and the slot's state is set on the main stream after the prefill
has ended, so that no step ever waits for a prefill. What the host reads is copied on the third to pinned memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from backends.vlm.cache import CacheShape, SlotCache
from backends.vlm.engine_settings import EngineSettings
from backends.vlm.family import Family
from backends.vlm.graphs import StepRunner, length_buckets, row_counts
from backends.vlm.kernels import Kernels, TorchKernels
from backends.vlm.requests import Decoded, Prepared
from backends.vlm.sampling import choose
from backends.vlm.slots import REASONS, NewAnswer, StepRules, begin, draw_of, emit, empty_state, filled_lengths, halt
from backends.vlm.tail_prefill import TailPrefill
from backends.vlm.text_layer import text_layers
from backends.vlm.text_step import TextStep


@dataclass(frozen=True, eq=False)
class Prefilled:
    """A group whose keys are written or being written; `done` is None where nothing runs beside the host."""

    rows: tuple[int, ...]
    answers: tuple[NewAnswer, ...]
    logits: Tensor
    cross_lengths: Tensor | None
    done: torch.cuda.Event | None

    def ready(self) -> bool:
        """Return whether the keys are written."""
        return self.done is None or self.done.query()

    def wait(self) -> None:
        """Wait until the keys are written."""
        if self.done is not None:
            self.done.synchronize()


@dataclass(frozen=True, eq=False)
class Copied:
    """Tensors on their way to the host."""

    tensors: tuple[Tensor, ...]
    done: torch.cuda.Event | None

    def ready(self) -> bool:
        """Return whether they have arrived."""
        return self.done is None or self.done.query()

    def wait(self) -> tuple[Tensor, ...]:
        """Return them when they have arrived."""
        if self.done is not None:
            self.done.synchronize()
        return self.tensors


class SlotDecoder:
    """Slots of one model on one device; every method is called by the one thread that owns the device."""

    def __init__(self, family: Family, settings: EngineSettings, slots: int, kernels: Kernels) -> None:
        self.slots, self.length = slots, settings.slot_tokens
        self._family, self._device = family, family.device
        self._cuda = self._device.type == "cuda"
        self._captures = self._cuda and settings.capture
        self.kernels = kernels
        shape = CacheShape.of(family.text_model.config, family.cross_tokens)
        self.cache = SlotCache(shape, slots, settings.slot_tokens, family.dtype, self._device)
        self._has_cross = bool(shape.cross_layers)
        self._rules = StepRules.of(family.eos_ids, settings.repetition, self.cache.capacity, self._device)
        self._state = empty_state(slots, settings.answer_tokens, self._rules)
        layers = text_layers(family.text_model, shape.head_dim)
        self._forward = TextStep(family.text_model, family.lm_head, layers, self.cache, self.kernels)
        self._tails = TailPrefill(family.text_model, family.lm_head, layers, self.cache, self.kernels)
        lengths = length_buckets(self.length, settings.length_bucket, self.kernels.reads_filled_only)
        self._runner = StepRunner(self._step, row_counts(slots, self._captures), lengths)
        # a step's small kernels go before the large ones of a prefill, else each would wait for a whole product
        self.main = torch.cuda.Stream(self._device, priority=-1) if self._cuda else None
        self._prefill_stream = torch.cuda.Stream(self._device) if self._cuda and settings.overlap else self.main
        self._copy_stream = torch.cuda.Stream(self._device, priority=-1) if self._cuda else None
        if self._cuda:
            torch.cuda.synchronize(self._device)  # all of the above was made on the default stream

    def on_main(self) -> AbstractContextManager[object]:
        """Return a context in which work is queued on the main stream."""
        return _on(self.main)

    def capture(self, random: bool) -> int:
        """Capture all step shapes where the device can, while all slots are idle; return how many."""
        if self._cuda:  # kernels of tails are compiled now and not while others are read
            self.prefill_tails([0], [torch.zeros(2, dtype=torch.long)], [0], []).wait()
        if self._captures:
            with self.on_main():
                self._runner.capture(random)
            torch.cuda.synchronize(self._device)
        return self._runner.captured

    def prefill(self, rows: Sequence[int], items: Sequence[Prepared], answers: Sequence[NewAnswer]) -> Prefilled:
        """Queue the prefill of a group into idle slots."""
        with _on(self._prefill_stream):
            batch = self._family.collate(items)
            where = torch.tensor(list(rows))
            where = where.pin_memory().to(self._device, non_blocking=True) if self._cuda else where
            logits = self._family.prefill(batch, self.cache.prefill_into(where))
            done = _mark(self._prefill_stream)
        if self._cuda and self.main is not None:
            for tensor in (logits, batch.cross_lengths):  # freed by the main stream, allocated on another
                if tensor is not None:
                    tensor.record_stream(self.main)
        return Prefilled(tuple(rows), tuple(answers), logits, batch.cross_lengths, done)

    def prefill_tails(
        self, rows: Sequence[int], tails: Sequence[Tensor], starts: Sequence[int], answers: Sequence[NewAnswer]
    ) -> Prefilled:
        """Queue the prefill of token ids behind the first `starts` positions of idle slots, which are filled already.

        What the slots know of their pictures stays: nothing but these ids goes to the device.
        """
        with _on(self._prefill_stream):
            cross = self._state.cross_lengths if self._has_cross else None
            logits = self._tails(rows, tails, starts, cross)
            done = _mark(self._prefill_stream)
        if self._cuda and self.main is not None:
            logits.record_stream(self.main)
        return Prefilled(tuple(rows), tuple(answers), logits, None, done)

    def activate(self, group: Prefilled) -> None:
        """Choose the first tokens of a prefilled group and let its slots take part in steps."""
        if group.done is not None and self.main is not None:
            self.main.wait_event(group.done)
        rows = self._rows(group.rows)
        part = begin(self._state, rows, group.answers, group.cross_lengths)
        random = any(not answer.sampling.greedy for answer in group.answers)
        emit(part, choose(group.logits, self.kernels, draw_of(part) if random else None), self._rules, fed=0)
        self._state.put(rows, part)

    def run(self, rows: int, longest: int, random: bool, steps: int) -> None:
        """Queue steps of the first `rows` slots, none of which gets longer than `longest` in them."""
        self._runner.run(self._runner.shape(rows, min(longest, self.length), random), steps)

    def _step(self, rows: int, longest: int, random: bool) -> None:
        state = self._state.first(rows)
        cross = state.cross_lengths if self._has_cross else None
        logits = self._forward(state.token, state.position, filled_lengths(state), cross, longest)
        emit(state, choose(logits, self.kernels, draw_of(state) if random else None), self._rules, fed=1)

    def halt(self, rows: Sequence[int]) -> None:
        """Make slots idle after the steps queued so far."""
        halt(self._state, self._rows(rows), self._rules)

    def snapshot(self) -> Copied:
        """Return which slots are live and how many tokens each has, as of the steps queued so far."""
        now = torch.stack((self._state.live.long(), self._state.step))
        return self._to_host((now,), self.main)

    def collect(self, rows: Sequence[int]) -> Copied:
        """Return what idle slots wrote, for `decoded`; waits for no step, since steps leave idle slots alone."""
        with _on(self._copy_stream):
            at, state = self._rows(rows), self._state
            written = (state.tokens, state.logprobs, state.entropies, state.margins, state.step, state.reason)
            return self._to_host(tuple(tensor[at] for tensor in written), self._copy_stream)

    def _to_host(self, tensors: tuple[Tensor, ...], stream: torch.cuda.Stream | None) -> Copied:
        if not self._cuda:
            return Copied(tuple(tensor.clone() for tensor in tensors), None)
        copies = tuple(torch.empty(t.shape, dtype=t.dtype, pin_memory=True) for t in tensors)
        for copy, tensor in zip(copies, tensors, strict=True):
            copy.copy_(tensor, non_blocking=True)
        return Copied(copies, _mark(stream))

    def _rows(self, rows: Sequence[int]) -> Tensor:
        at = torch.tensor(list(rows))
        return at.pin_memory().to(self._device, non_blocking=True) if self._cuda else at


def decoded(copied: Copied) -> list[Decoded]:
    """Return one answer a collected slot."""
    tokens, logprobs, entropies, margins, steps, reasons = copied.wait()
    return [
        Decoded(
            tokens[i, :n].tolist(),
            logprobs[i, :n].clamp(max=0.0).tolist(),
            entropies[i, :n].tolist(),
            margins[i, :n].tolist(),
            REASONS[int(reasons[i])],
        )
        for i, n in enumerate(steps.tolist())
    ]


def best_kernels(device: torch.device) -> Kernels:
    """Return the fused kernels where the device and the installation have them, else the reference."""
    if device.type != "cuda":
        return TorchKernels()
    try:
        from backends.vlm.triton_kernels import TritonKernels
    except ImportError:
        return TorchKernels()
    return TritonKernels()


def _on(stream: torch.cuda.Stream | None) -> AbstractContextManager[object]:
    return nullcontext() if stream is None else torch.cuda.stream(stream)


def _mark(stream: torch.cuda.Stream | None) -> torch.cuda.Event | None:
    if stream is None:
        return None
    event = torch.cuda.Event()
    event.record(stream)
    return event
