"""What an OpenAI-compatible server answers, read into a `Generation`. Knows the protocol's JSON; no HTTP, no prompt."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Any

from backends.base import Generation
from router.errors import ExtractionError

OPTIONAL = ("response_format", "logprobs", "top_logprobs")
"""Parts of a request that not every server has."""
_REASONS = {"content_filter": "refusal", "length": "length"}


class ServerLacks(Exception):  # noqa: N818 - it says what to do without, `error` is what went wrong
    """A server refused a request, perhaps for an optional part; `error` is what to raise if it was not that."""

    def __init__(self, message: str, error: Exception) -> None:
        super().__init__(message)
        self.message, self.error = message, error

    def among(self, sent: set[str]) -> frozenset[str]:
        """Return the optional parts to do without: those that the message names, else all that were sent."""
        optional = {part for part in OPTIONAL if part in sent}
        said = self.message.lower()
        named = {part for part in optional if part in said or part.replace("_", " ") in said}
        if "response_format" in optional and ("json_schema" in said or "guided" in said or "grammar" in said):
            named.add("response_format")
        if "logprobs" in named:
            named |= optional & {"top_logprobs"}
        return frozenset(named or optional)


def without_optional(body: Mapping[str, Any], lacks: frozenset[str]) -> dict[str, Any]:
    """Return the request without what the server lacks."""
    return {name: value for name, value in body.items() if name not in lacks}


def generation(answer: Any) -> Generation:
    """Return the first choice of a chat completion; raise `ExtractionError` when there is none."""
    try:
        choice = answer["choices"][0]
        message = choice["message"]
        text, refusal = message.get("content") or "", message.get("refusal")
        reason = _REASONS.get(choice.get("finish_reason"), "stop")
        prompt_tokens = (answer.get("usage") or {}).get("prompt_tokens")
    except (KeyError, IndexError, TypeError, AttributeError) as exc:
        raise ExtractionError("the model's server gave an answer without a choice") from exc
    if not isinstance(text, str):
        raise ExtractionError("the model's server gave an answer that is no text")
    if refusal and not text:
        return Generation(text=str(refusal), finish_reason="refusal", prompt_tokens=prompt_tokens)
    tokens, logprobs, margins = _tokens(choice.get("logprobs"), text)
    return Generation(text, reason, tokens, logprobs, prompt_tokens, token_margins=margins)


def _tokens(logprobs: Any, text: str) -> tuple[tuple[str, ...], tuple[float, ...], tuple[float, ...]]:
    """Tokens with their statistics; nothing where they do not add up to the text and could not be aligned with it."""
    try:
        entries = list(logprobs["content"])
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        pieces = [
            entry["token"] if entry.get("bytes") is None else decoder.decode(bytes(entry["bytes"])) for entry in entries
        ]
        values = [float(entry["logprob"]) for entry in entries]
        margins = [_margin(entry) for entry in entries]
    except (KeyError, TypeError, ValueError, AttributeError):
        return (), (), ()
    count = len(pieces)
    while count and len("".join(pieces[:count])) > len(text):
        count -= 1  # end tokens that the text does not show
    if "".join(pieces[:count]) != text:
        return (), (), ()
    if count < len(pieces):
        pieces[count] = ""  # the first of them ended the answer
        count += 1
    known = tuple(margin for margin in margins[:count] if margin is not None)
    return tuple(pieces[:count]), tuple(values[:count]), known if len(known) == count else ()


def _margin(entry: Mapping[str, Any]) -> float | None:
    best = sorted((float(other["logprob"]) for other in entry.get("top_logprobs") or ()), reverse=True)
    return best[0] - best[1] if len(best) > 1 else None
