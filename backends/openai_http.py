"""A model behind an OpenAI-compatible server (vLLM, SGLang, `transformers serve`) as a lane. Knows HTTP; no model.

Pages travel as data URLs in one request. What a server does not have - answers held to a JSON schema, log-probabilities
- is asked for once and then left out, with a warning. The API key is read from a file with every request, so that it
can be changed while the process runs, and is in no message and no log.
"""

from __future__ import annotations

import base64
import logging
import math
import ssl
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import cv2
import httpx
import numpy as np

from backends.base import Generation, GenerationRequest
from backends.extract import MAX_IMAGES, ModelLane
from backends.ocr.processes import second_reader
from backends.openai_answers import ServerLacks, generation, without_optional
from backends.openai_calls import Caller, CallSettings
from backends.prompts import AnswerForm
from router.errors import BackendError
from router.types import Rgb


@dataclass(frozen=True)
class ImageSettings:
    """How pages are sent: JPEG of this quality, or PNG where it is None; the longer side at most `max_side_px`.

    `per_prompt` pages go into one request; more are asked for in several and merged.
    """

    max_side_px: int = 2240
    jpeg_quality: int | None = 92
    per_prompt: int = 4


class OpenAIModel:
    """A served model; may be called from any thread."""

    def __init__(self, name: str, caller: Caller, images: ImageSettings, connections: int) -> None:
        self.name = name
        self._caller, self._images = caller, images
        self._pool = ThreadPoolExecutor(connections, thread_name_prefix="openai-http")
        self._lacks: frozenset[str] = frozenset()
        self._lock = threading.Lock()

    def split(self, request: GenerationRequest) -> tuple[GenerationRequest, ...]:
        """Return requests of as many pages as go into one."""
        size, glyphs = self._images.per_prompt, request.glyph_heights_px
        starts = range(0, len(request.images), size)
        return tuple(
            replace(
                request,
                images=request.images[i : i + size],
                glyph_heights_px=glyphs[i : i + size],
                captions=request.captions[i : i + size],
            )
            for i in starts
        )

    def generate_batch(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """Return one `Generation` for every request, in order; the server batches what arrives together.

        Raises `RetryableError` while the server cannot be reached or is busy, `ExtractionError` when it refuses a
        request, `BackendError` when it refuses all of them (key, model, address).
        """
        if len(requests) == 1:
            return [self._generate(requests[0])]
        return list(self._pool.map(self._generate, requests))

    def _generate(self, request: GenerationRequest) -> Generation:
        body = self._body(request)
        while True:
            lacks = self._lacks
            try:
                return generation(self._caller.post("chat/completions", without_optional(body, lacks)))
            except ServerLacks as exc:
                missing = exc.among(set(body) - lacks)
                if not missing:
                    raise exc.error from exc
                with self._lock:
                    self._lacks |= missing
                logging.getLogger(__name__).warning(
                    "the server of %s does without %s: %s", self.name, ", ".join(sorted(missing)), exc.error
                )

    def _body(self, request: GenerationRequest) -> dict[str, Any]:
        # pages first: a server that keeps what it made of a prompt's beginning reads them once for all questions
        body: dict[str, Any] = {
            "model": self.name,
            "messages": [{"role": "user", "content": [*self._pages(request), _text(request.prompt)]}],
            "max_tokens": request.max_tokens,
            "temperature": 0.0,
            "logprobs": True,
            "top_logprobs": 2,
        }
        if request.answer_schema is not None:
            form = {"name": "fields", "schema": dict(request.answer_schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        return body

    def _pages(self, request: GenerationRequest) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = []
        for place, image in enumerate(request.images):
            if request.captions:
                parts.append(_text(request.captions[place]))
            parts.append({"type": "image_url", "image_url": {"url": self._data_url(image)}})
        return parts

    def _data_url(self, image: Rgb) -> str:
        scale = self._images.max_side_px / max(image.shape[:2])
        if scale < 1:
            image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        quality = self._images.jpeg_quality
        kind, options = (".png", []) if quality is None else (".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])
        _, encoded = cv2.imencode(kind, image[:, :, ::-1], options)
        media_type = "image/png" if quality is None else "image/jpeg"
        return f"data:{media_type};base64,{base64.b64encode(encoded.tobytes()).decode()}"


def create(
    url: str = "",
    model: str = "",
    api_key_file: str | None = None,
    ca_file: str | None = None,
    revision: str | None = None,
    form: str = "json",
    timeout_s: float = 120.0,
    connect_timeout_s: float = 5.0,
    attempts: int = 3,
    connections: int = 16,
    max_pages: int = MAX_IMAGES,
    pages_per_prompt: int = 4,
    max_side_px: int = 2240,
    jpeg_quality: int | None = 92,
    second_reading: str = "never",
    ocr_processes: int = 2,
    relative_cost: float = 1.0,
) -> ModelLane:
    """Return the lane of a served model; `url` ends before `/chat/completions` (http://host:8000/v1).

    Raises `BackendError` without an address and a model, and for settings that cannot be.
    """
    if not url or not model:
        raise BackendError("openai-http needs the options url (http://host:8000/v1) and model")
    if form not in get_args(AnswerForm):
        raise BackendError(f"unknown form {form!r}; there are {', '.join(get_args(AnswerForm))}")
    least = {"attempts": attempts, "connections": connections, "pages_per_prompt": pages_per_prompt}
    for name, value in {**least, "max_pages": max_pages, "max_side_px": max_side_px}.items():
        if value < 1:
            raise BackendError(f"openai-http: {name} must be at least 1, not {value}")
    for name, seconds in {"timeout_s": timeout_s, "connect_timeout_s": connect_timeout_s}.items():
        if not seconds > 0 or not math.isfinite(seconds):
            raise BackendError(f"openai-http: {name} must be a time over 0, not {seconds}")
    key_file = Path(api_key_file).expanduser() if api_key_file else None
    settings = CallSettings(_address(url), key_file, timeout_s, connect_timeout_s, attempts)
    caller = Caller(settings, _transport(ca_file, connections))
    images = ImageSettings(max_side_px, jpeg_quality, pages_per_prompt)
    return ModelLane(
        model=OpenAIModel(model, caller, images, connections),
        name="openai-http",
        relative_cost=relative_cost,
        revision=revision,
        max_pages=max_pages,
        form="json" if form == "json" else "lines",
        second=second_reader(second_reading, ocr_processes),
    )


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _address(url: str) -> str:
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL as exc:
        raise BackendError(f"openai-http: {url} is no address ({exc})") from exc
    if address.scheme not in ("http", "https") or not address.host:
        raise BackendError(f"openai-http: the url must begin with http:// or https://, not {address.scheme or url!r}")
    if address.userinfo:
        raise BackendError("openai-http: the url must not hold a password; give the key with api_key_file")
    return str(address).rstrip("/")


def _transport(ca_file: str | None, connections: int) -> httpx.HTTPTransport:
    try:
        trust: Mapping[str, Any] = {"verify": ssl.create_default_context(cafile=ca_file)} if ca_file else {}
    except OSError as exc:
        raise BackendError(f"openai-http: the certificates {ca_file} cannot be read ({exc.strerror or exc})") from exc
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    return httpx.HTTPTransport(limits=limits, **trust)
