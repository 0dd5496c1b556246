"""Calls to a server: deadlines, retries, limits, errors in words. Knows HTTP; must not know prompts or answers."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from backends.openai_answers import ServerLacks
from router.errors import BackendError, BackendUnavailableError, ExtractionError, RetryableError

MAX_ANSWER_BYTES = 16 * 1024**2
MAX_WAIT_S = 20.0
"""The longest wait between two attempts, whatever the server asks for: a job's queue waits better than a process."""
_BUSY = {408, 409, 425, 429, 500, 502, 503, 504, 529}
_REFUSED_PART = {400, 404, 422, 501}
_SHOWN_CHARS = 300


@dataclass(frozen=True)
class CallSettings:
    """Where and how long: `timeout_s` is for one attempt from its start to the end of the answer."""

    address: str
    key_file: Path | None = None
    timeout_s: float = 120.0
    connect_timeout_s: float = 5.0
    attempts: int = 3


class _Busy(Exception):  # noqa: N818 - not an error yet
    def __init__(self, why: str, wait_s: float | None = None) -> None:
        super().__init__(why)
        self.wait_s = wait_s


class Caller:
    """Posts JSON and returns JSON; may be called from any thread."""

    def __init__(
        self, settings: CallSettings, transport: httpx.BaseTransport, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._settings, self._sleep = settings, sleep
        timeout = httpx.Timeout(settings.timeout_s, connect=settings.connect_timeout_s)
        # proxies and certificates are settings and not read from the environment
        self._client = httpx.Client(transport=transport, timeout=timeout, trust_env=False)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return the server's JSON; raise `RetryableError`, `BackendError`, `ExtractionError` or `ServerLacks`."""
        content = json.dumps(body).encode()
        for attempt in range(1, self._settings.attempts + 1):
            try:
                return self._once(path, content)
            except _Busy as busy:
                if attempt == self._settings.attempts:
                    raise RetryableError(f"the model's server {self._settings.address} {busy}") from busy
                pause = busy.wait_s if busy.wait_s is not None else 0.5 * 2**attempt * random.uniform(0.5, 1.0)
                self._sleep(min(pause, MAX_WAIT_S))
        raise AssertionError("unreachable")

    def _once(self, path: str, content: bytes) -> Any:
        headers = {"Content-Type": "application/json", **self._authorisation()}
        try:
            with self._client.stream(
                "POST", f"{self._settings.address}/{path}", content=content, headers=headers
            ) as response:
                answer = self._read(response)
        except httpx.TimeoutException as exc:
            raise _Busy(f"did not answer in time ({type(exc).__name__})") from exc
        except httpx.TransportError as exc:
            raise _Busy(f"cannot be reached ({exc or type(exc).__name__})") from exc
        if response.status_code != 200:
            self._refuse(response, answer)
        try:
            return json.loads(answer)
        except ValueError as exc:
            raise ExtractionError(f"the model's server {self._settings.address} gave no JSON") from exc

    def _read(self, response: httpx.Response) -> bytes:
        """Read the answer within the attempt's time: a server that drips bytes would otherwise hold a slot for ever."""
        deadline = time.monotonic() + self._settings.timeout_s
        answer = bytearray()
        for piece in response.iter_bytes():
            answer += piece
            if len(answer) > MAX_ANSWER_BYTES:
                raise ExtractionError(f"the model's server {self._settings.address} gave an endless answer")
            if time.monotonic() > deadline:
                raise _Busy("did not end its answer in time")
        return bytes(answer)

    def _authorisation(self) -> dict[str, str]:
        path = self._settings.key_file
        if path is None:
            return {}
        try:
            key = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeError) as exc:
            raise BackendUnavailableError(f"the API key cannot be read from {path} ({type(exc).__name__})") from exc
        if not key or not key.isprintable():
            raise BackendUnavailableError(f"{path} holds no API key")
        return {"Authorization": f"Bearer {key}"}

    def _refuse(self, response: httpx.Response, answer: bytes) -> None:
        status, said = response.status_code, _message(answer)
        server = f"the model's server {self._settings.address}"
        if status in _BUSY:
            raise _Busy(f"is busy or broken ({status}: {said})", _retry_after_s(response))
        if status in (401, 403):
            raise BackendError(f"{server} refuses the API key ({status}): check api_key_file")
        if status in (413, 415):
            raise ExtractionError(f"{server} takes no such pages ({status}: {said}): set max_side_px lower")
        if status in _REFUSED_PART:
            missing = status == 404
            error: Exception = (
                BackendError(f"{server} has no such model or path (404: {said}): check url and model")
                if missing
                else ExtractionError(f"{server} refuses the request ({status}: {said})")
            )
            if missing:
                raise error
            raise ServerLacks(said, error)
        raise BackendError(f"{server} answers {status} ({said}): check the url")


def _message(answer: bytes) -> str:
    """The server's own words, shortened."""
    text = answer.decode("utf-8", "replace")
    try:
        found: Any = json.loads(text)
        for name in ("error", "message", "detail"):
            found = found.get(name, found) if isinstance(found, dict) else found
        text = found if isinstance(found, str) else json.dumps(found)
    except ValueError:
        pass
    return " ".join(text.split())[:_SHOWN_CHARS]


def _retry_after_s(response: httpx.Response) -> float | None:
    try:
        return max(0.0, float(response.headers["retry-after"]))
    except (KeyError, ValueError):
        return None
