"""A model of prompts and pictures over an engine and a family. Must not know lanes, schemas, devices or queues."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import wait
from dataclasses import dataclass, field

import torch

from backends.base import Dialogue, EngineState, Generation, GenerationRequest
from backends.vlm.asking import Asked, Asker
from backends.vlm.conversation import converse
from backends.vlm.engine import Engine
from backends.vlm.family import Family


@dataclass(eq=False)
class VlmModel:
    """Implements `Model`, `ConversingModel` and `PagedModel`; may be called from many threads, all are read together.

    `timeout_s` bounds a call: answers end then where they are, and say so.
    """

    name: str
    family: Family
    engine: Engine
    timeout_s: float | None = None
    _asker: Asker = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._asker = Asker(self.family, self.engine)

    def split(self, request: GenerationRequest) -> Sequence[GenerationRequest]:
        """Return requests that together show all images, each small enough for one prompt."""
        return self.family.split(request)

    def generate_batch(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """Return one `Generation` for every request, in order; raise `ExtractionError` or `RetryableError`.

        Pages are made ready in the caller's thread: with many callers many cores do it.
        """
        deadline_s = self._deadline_s()
        sent: list[Asked] = []
        try:
            for request in requests:
                sent.append(self._asker.ask(request, deadline_s))
            wait([asked.future for asked in sent])
            return [self._asker.generation(asked, asked.decoded()) for asked in sent]
        finally:
            for asked in sent:  # of no use when one of them failed
                asked.future.cancel()

    def converse(self, dialogues: Sequence[Dialogue]) -> None:
        """Run all dialogues to their ends, at the same time; raise what a request or a dialogue raises.

        Pictures are read once: a question about the same ones takes the place of the question and the answer before it
        in the slot that has them, and is answered as if it were asked alone.
        """
        converse(self._asker, dialogues, self._deadline_s())

    def _deadline_s(self) -> float | None:
        return None if self.timeout_s is None else time.monotonic() + self.timeout_s

    def state(self) -> EngineState:
        """Return what the engine is doing and has done."""
        stats, device = self.engine.stats, self.family.device
        return EngineState(
            slots=stats.slots,
            busy=self.engine.busy(),
            waiting=self.engine.waiting(),
            documents=stats.documents,
            tokens=stats.tokens,
            out_of_memory=stats.out_of_memory,
            captured=stats.captured,
            capture_failures=stats.capture_failures,
            memory_bytes=torch.cuda.memory_reserved(device) if device.type == "cuda" else None,
        )

    def close(self, drain: bool = True) -> None:
        """End the engine; what was asked is answered first, or cancelled."""
        self.engine.close(drain)
