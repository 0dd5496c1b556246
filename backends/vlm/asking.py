"""Questions to an engine, and its answers put into words. Must not know dialogues, lanes or schemas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field

from backends.base import Generation, GenerationRequest
from backends.vlm.engine import Engine
from backends.vlm.family import Family
from backends.vlm.requests import Decoded, HeldSlot, Prepared
from backends.vlm.token_text import TokenText
from router.errors import RetryableError


@dataclass(eq=False)
class Asked:
    """A question that the engine has; `prompt_tokens` and `signals` are of how its pages were shown at last."""

    request: GenerationRequest
    prompt_tokens: int
    signals: Mapping[str, float]
    future: Future[Decoded] = field(init=False, repr=False)

    def decoded(self) -> Decoded:
        """Return the answer when it is there; raise what the engine failed with."""
        try:
            return self.future.result()
        except CancelledError as exc:
            raise RetryableError("the engine was closed before it had answered") from exc


class Asker:
    """Asks one engine in the words of its family; may be used from many threads."""

    def __init__(self, family: Family, engine: Engine) -> None:
        self._family, self._engine, self._text = family, engine, TokenText(family.tokenizer)

    def ask(self, request: GenerationRequest, deadline_s: float | None, hold: bool = False) -> Asked:
        """Send a request whole, with its pictures; with `hold` the answer keeps their slot.

        Raises `ExtractionError` when it cannot be shown. Pages are made ready in the caller's thread.
        """
        prepared = self._family.prepare(request)
        asked = Asked(request, prepared.prompt_tokens, prepared.signals)

        def remake(max_tiles: int, image_scale: float) -> Prepared:
            again = self._family.prepare(request, max_tiles, image_scale)
            asked.prompt_tokens, asked.signals = again.prompt_tokens, again.signals
            return again

        asked.future = self._engine.submit(
            prepared, request.max_tokens, deadline_s=deadline_s, remake=remake, hold=hold
        )
        return asked

    def follow(
        self, request: GenerationRequest, before: Asked, slot: HeldSlot, deadline_s: float | None
    ) -> Asked | None:
        """Send a request about what `slot` has kept of the one before, to be kept again.

        None, and nothing sent, where the slot leaves less room for the answer than is asked for: a request with its
        pictures may be shown in fewer tiles.
        """
        tail = self._family.tail(request)
        prompt_tokens = slot.prefix_tokens + len(tail)
        if self._engine.room(prompt_tokens) < min(request.max_tokens, self._engine.settings.answer_tokens):
            return None
        asked = Asked(request, prompt_tokens, before.signals)
        asked.future = self._engine.follow(slot, tail, request.max_tokens, deadline_s=deadline_s)
        return asked

    def release(self, slot: HeldSlot) -> None:
        """Give up a slot that an answer kept."""
        self._engine.release(slot)

    def drop(self, asked: Asked) -> None:
        """Let nobody answer a question any more, nor keep a slot for it."""

        def let_go(future: Future[Decoded]) -> None:
            if not future.cancelled() and future.exception() is None and (held := future.result().held) is not None:
                self._engine.release(held)

        asked.future.cancel()
        asked.future.add_done_callback(let_go)  # it may have been answered just now

    def generation(self, asked: Asked, decoded: Decoded) -> Generation:
        """Return an answer as text, with what the model thought of each token that is text and of the one that ended
        it."""
        ended = decoded.finish_reason == "stop"
        body = decoded.tokens[:-1] if ended else decoded.tokens
        places = self._text.spoken(body)
        pieces = self._text.pieces([body[place] for place in places])
        if ended:
            places, pieces = [*places, len(body)], [*pieces, ""]

        def of(values: Sequence[float]) -> tuple[float, ...]:
            return tuple(values[place] for place in places)

        return Generation(
            text="".join(pieces),
            finish_reason=decoded.finish_reason,
            tokens=tuple(pieces),
            token_logprobs=of(decoded.logprobs),
            prompt_tokens=asked.prompt_tokens,
            token_entropies=of(decoded.entropies),
            token_margins=of(decoded.margins),
            signals=asked.signals,
        )
