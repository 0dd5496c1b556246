"""A scripted model for tests, demos and trying out a deployment without any model. Knows nothing of documents' content.

It goes the way of every generating model: prompt in, answer text with token log-probabilities out, parsed by
`ModelLane`. Without a script it makes up a value for every field from the document's id: always the same, the deep
tier's always right and the fast tier's doubtful now and then. A script is a list of rules; of the rules that match a
request, all apply, the later one winning field by field:

    [
      {"document": "receipt.png", "fields": {"total_amount": "12.30", "due_date": "NOT_FOUND"}},
      {"document": "slow.pdf", "tier": "deep", "delay_s": 0.5},
      {"document": "bad.png", "error": "retryable", "times": 2}
    ]
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NoReturn

from pydantic import Field, TypeAdapter, ValidationError

from backends.base import Generation, GenerationRequest
from backends.extract import ModelLane
from backends.prompts import NOT_FOUND
from router.errors import BackendError, ExtractionError, RetryableError
from router.types import Frozen, Tier

_FIELD_LINE = re.compile(r"^([a-z][a-z0-9_]*) \((\w+)\): ", re.MULTILINE)
_TOKEN = re.compile(r"\s*\S+\s*?(?=\s|$)|\s+")
_DOUBTFUL_SHARE = 0.15


class Rule(Frozen):
    """What happens to matching requests. `document` is a file name, a document id or `*`; no `tier` matches both.

    `text` is the whole answer, `fields` replace single values. `error` is raised on the first `times` matching calls
    (on every one without `times`): a retryable failure, a final one, a bug in the model's code, or the death of the
    process.
    """

    document: str = "*"
    tier: Tier | None = None
    text: str | None = None
    fields: dict[str, str] = Field(default_factory=dict)
    finish_reason: str | None = None
    error: Literal["retryable", "extraction", "bug", "crash"] | None = None
    times: int | None = None
    delay_s: Annotated[float, Field(ge=0.0)] = 0.0

    def matches(self, request: GenerationRequest) -> bool:
        """Return whether the rule speaks of this request."""
        return self.document in {"*", request.filename, request.document_id} and self.tier in {None, request.tier}


@dataclass(frozen=True)
class Invented:
    """A made-up value and how sure the fake is of it."""

    text: str
    probability: float


class FakeModel:
    """Answers from a script, and from the document's id where the script is silent."""

    name = "fake"

    def __init__(self, script: Sequence[Rule] = ()) -> None:
        self._script = tuple(script)
        self._raised: Counter[int] = Counter()

    def generate_batch(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """Return one `Generation` for every request, in order; raise what the script says."""
        return [self._generate(request) for request in requests]

    def _generate(self, request: GenerationRequest) -> Generation:
        rules = [(i, rule) for i, rule in enumerate(self._script) if rule.matches(request)]
        for i, rule in rules:
            time.sleep(rule.delay_s)
            if rule.error and (rule.times is None or self._raised[i] < rule.times):
                self._raised[i] += 1
                _fail(rule.error)
        text = next((rule.text for _, rule in reversed(rules) if rule.text is not None), None)
        reason = next((rule.finish_reason for _, rule in reversed(rules) if rule.finish_reason), "stop")
        if text is not None:
            return Generation(text=text, finish_reason=reason, prompt_tokens=len(request.prompt.split()))
        scripted = {name: value for _, rule in rules for name, value in rule.fields.items()}
        return _speak(request, scripted, reason)


def create(script: str | Sequence[Mapping[str, object]] | None = None, relative_cost: float = 1.0) -> ModelLane:
    """Return the fake lane; `script` is a path to a JSON file of rules, or the rules; raise `BackendError`."""
    return ModelLane(model=FakeModel(_load(script)), name="fake", relative_cost=relative_cost)


def _load(script: str | Sequence[Mapping[str, object]] | None) -> list[Rule]:
    try:
        raw = json.loads(Path(script).read_bytes()) if isinstance(script, str) else (script or [])
        return TypeAdapter(list[Rule]).validate_python(raw)
    except OSError as exc:
        raise BackendError(f"cannot read the fake's script {script}: {exc.strerror}") from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "script"
        raise BackendError(f"the fake's script is wrong at {where}: {first['msg']}") from exc
    except ValueError as exc:
        raise BackendError(f"the fake's script {script} is not JSON: {exc}") from exc


def _fail(error: str) -> NoReturn:
    if error == "retryable":
        raise RetryableError("the fake was told to fail for now")
    if error == "extraction":
        raise ExtractionError("the fake was told to fail")
    if error == "crash":
        os._exit(70)
    raise RuntimeError("the fake was told to have a bug")


def _speak(request: GenerationRequest, scripted: dict[str, str], reason: str) -> Generation:
    """Write the answer token by token, so that log-probabilities line up with values as a real model's do."""
    tokens: list[str] = []
    logprobs: list[float] = []
    asked = _FIELD_LINE.findall(request.prompt)
    if not asked:  # which kind of document it is
        kind = scripted.get("document_type", "receipt")
        return Generation(kind, reason, (kind, ""), (math.log(0.99), 0.0), len(request.prompt.split()))
    for name, kind in asked:
        invented = _invent(request, name, kind)
        if name in scripted:
            invented = Invented(scripted[name], 0.98)
        tokens += [name, ":"]
        logprobs += [0.0, 0.0]
        value_tokens = [*_TOKEN.findall(" " + invented.text), "\n"]
        tokens += value_tokens
        logprobs += [math.log(invented.probability)] * (len(value_tokens) - 1) + [0.0]
    return Generation(
        text="".join(tokens),
        finish_reason=reason,
        tokens=tuple(tokens),
        token_logprobs=tuple(logprobs),
        prompt_tokens=len(request.prompt.split()),
    )


def _invent(request: GenerationRequest, name: str, kind: str) -> Invented:
    digest = hashlib.sha256(f"{request.document_id}/{name}".encode()).digest()
    number = int.from_bytes(digest[:4], "big")
    doubtful = request.tier == "fast" and digest[4] < 256 * _DOUBTFUL_SHARE
    probability = round((0.2 + digest[5] / 850) if doubtful else (0.93 + digest[5] / 4000), 4)
    if name == "document_type":
        return Invented("receipt", 0.99)
    if digest[6] < 20:
        return Invented(NOT_FOUND, probability)
    wrong = 1 if doubtful and digest[7] < 128 else 0
    return Invented(_value(kind, name, number + wrong), probability)


def _value(kind: str, name: str, number: int) -> str:
    if kind == "date":
        return f"{number % 28 + 1:02d}/{number // 28 % 12 + 1:02d}/{2015 + number // 336 % 10}"
    if kind == "amount":
        return f"{number % 100_000 / 100:.2f}"
    if kind == "identifier":
        return f"{name[:3].upper()}-{number % 1_000_000:06d}"
    if kind == "boolean":
        return "true" if number % 2 else "false"
    if kind == "table":
        return json.dumps(
            [{"description": f"Item {i + 1}", "total_price": f"{number % 1000 / 100:.2f}"} for i in range(2)]
        )
    return f"Sample {name.replace('_', ' ').title()} {number % 1000}"
