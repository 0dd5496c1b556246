"""A model of prompts and pictures over an engine and a family. Must not know lanes, schemas, devices or queues."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field

import torch

from backends.base import EngineState, Generation, GenerationRequest
from backends.vlm.engine import Engine
from backends.vlm.family import Family
from backends.vlm.requests import Decoded, Prepared
from backends.vlm.token_text import TokenText


@dataclass(eq=False)
class VlmModel:
    """Implements `Model` and `PagedModel`; may be called from many threads, whose requests are then read together.

    `timeout_s` bounds a call: answers end then where they are, and say so.
    """

    name: str
    family: Family
    engine: Engine
    timeout_s: float | None = None
    _text: TokenText = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._text = TokenText(self.family.tokenizer)

    def split(self, request: GenerationRequest) -> Sequence[GenerationRequest]:
        """Return requests that together show all images, each small enough for one prompt."""
        return self.family.split(request)

    def generate_batch(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """Return one `Generation` for every request, in order; raise `ExtractionError` or `RetryableError`.

        Pages are made ready in the caller's thread: with many callers many cores do it.
        """
        deadline_s = None if self.timeout_s is None else time.monotonic() + self.timeout_s
        sent: list[tuple[Prepared, Future[Decoded]]] = []
        try:
            for request in requests:
                sent.append(self._send(request, deadline_s))
            wait([future for _, future in sent])
            return [self._generation(prepared, future.result()) for prepared, future in sent]
        finally:
            for _, future in sent:  # of no use when one of them failed
                future.cancel()

    def _send(self, request: GenerationRequest, deadline_s: float | None) -> tuple[Prepared, Future[Decoded]]:
        def remake(max_tiles: int, image_scale: float) -> Prepared:
            return self.family.prepare(request, max_tiles, image_scale)

        prepared = self.family.prepare(request)
        return prepared, self.engine.submit(prepared, request.max_tokens, deadline_s=deadline_s, remake=remake)

    def _generation(self, prepared: Prepared, decoded: Decoded) -> Generation:
        spoken = self._text.spoken(decoded.tokens)
        pieces = self._text.pieces([decoded.tokens[place] for place in spoken])

        def of_spoken(values: Sequence[float]) -> tuple[float, ...]:
            return tuple(values[place] for place in spoken)

        return Generation(
            text="".join(pieces),
            finish_reason=decoded.finish_reason,
            tokens=tuple(pieces),
            token_logprobs=of_spoken(decoded.logprobs),
            prompt_tokens=prepared.prompt_tokens,
            token_entropies=of_spoken(decoded.entropies),
            token_margins=of_spoken(decoded.margins),
            signals=prepared.signals,
        )

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
            memory_bytes=torch.cuda.memory_reserved(device) if device.type == "cuda" else None,
        )

    def close(self, drain: bool = True) -> None:
        """End the engine; what was asked is answered first, or cancelled."""
        self.engine.close(drain)
