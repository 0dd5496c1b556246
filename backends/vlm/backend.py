"""The two vision-language lanes as backends: `internvl3` and `llama-vision`. Know settings; must not know queues.

Making a lane checks its checkpoint with processor, vocabulary and chat template: what is wrong is told before a job is
taken. Nothing is downloaded unless `download` says so. The weights load with `load`, or with the first document.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from backends.base import Dialogue, EngineState, Generation, GenerationRequest, ModelFacts
from backends.extract import MAX_IMAGES, ModelLane
from backends.ocr.processes import second_reader
from backends.vlm.checkpoint import REMOTE_CODE, Identity, check, identify
from backends.vlm.hub import INTERNVL3, LLAMA_VISION, locate
from router.errors import BackendError, BackendUnavailableError, DocrouteError

INTERNVL3_COST, LLAMA_VISION_COST = 1.0, 4.6
"""Compute of a document as a multiple of InternVL3's: 105,749 to 22,851 documents an hour in bf16 on one H100
(`benchmarks/README.md`). In int8 it is 5.4; `relative_cost` sets it."""

Family = Literal["internvl", "mllama"]


@dataclass(frozen=True)
class VlmSettings:
    """All that may be set of a lane.

    `checkpoint`, `revision`, `device`, `precision`, `remote_code`: see `loading.LoadSettings`. `download`: fetch a hub
    id that is not here yet. `slots`, `slot_tokens`, `answer_tokens`, `temperature`, `top_p`, `uncaptured`: see
    `EngineSettings`; a prompt may have what an answer leaves of a slot. `min_tiles`, `max_tiles`, `readable_glyph_px`:
    see `TileLimits`. `timeout_s` bounds a document's reading. `second_reading`: never, uncertain or always, in
    `ocr_processes` processes.
    """

    checkpoint: str
    revision: str | None = None
    download: bool = False
    device: str = "auto"
    precision: str = "auto"
    remote_code: bool = False
    slots: int = 64
    slot_tokens: int = 4096
    answer_tokens: int = 2048
    min_tiles: int = 1
    max_tiles: int = 12
    readable_glyph_px: float = 8.0
    temperature: float = 0.0
    top_p: float = 1.0
    uncaptured: bool = False
    timeout_s: float | None = 300.0
    max_pages: int = MAX_IMAGES
    second_reading: str = "uncertain"
    ocr_processes: int = 2
    relative_cost: float = 1.0

    def __post_init__(self) -> None:
        numbers = ("slots", "slot_tokens", "answer_tokens", "min_tiles", "max_tiles", "max_pages")
        for name in numbers:
            if not isinstance(getattr(self, name), int):
                raise BackendError(f"{name} must be a whole number, not {getattr(self, name)!r}")
        if not 1 <= self.min_tiles <= self.max_tiles:
            raise BackendError(f"max_tiles must be at least min_tiles, which is at least 1, not {self.max_tiles}")
        least = {"slots": self.slots, "max_pages": self.max_pages, "answer_tokens": self.answer_tokens}
        for name, value in least.items():
            if value < 1:
                raise BackendError(f"{name} must be at least 1, not {value}")
        if self.slot_tokens < self.answer_tokens + 256:
            raise BackendError(
                f"slot_tokens must leave 256 for a prompt beside answer_tokens ({self.answer_tokens}), not "
                f"{self.slot_tokens - self.answer_tokens}"
            )


class LazyVlm:
    """A `Model` that is there before its weights are; may be called from any thread."""

    def __init__(self, settings: VlmSettings, family: Family) -> None:
        self._settings, self._family = settings, family
        self._lock = threading.Lock()
        self._closed = False
        self._model: Any = None
        self._loaded: Any = None
        self.identity = _identity(settings, family)

    @property
    def name(self) -> str:
        """The checkpoint, its precision once loaded, and its weights' hash: what provenance says."""
        return self.facts().name

    def load(self) -> None:
        """Load, size and capture now rather than with the first document; raise `BackendError`."""
        self._ready()

    def facts(self) -> ModelFacts:
        """Return the checkpoint, its revision and weights' hash; once loaded, the precision, device and slots too."""
        identity, loaded, model = self.identity, self._loaded, self._model
        if loaded is None or model is None:
            return ModelFacts(identity.id, identity.revision, identity.weights_hash)
        return ModelFacts(
            identity.id,
            identity.revision,
            identity.weights_hash,
            precision=loaded.precision,
            device=str(loaded.family.device),
            slots=model.engine.stats.slots,
            ready_s=model.engine.stats.ready_s,
            loaded=True,
            offloaded=loaded.offloaded,
        )

    def state(self) -> EngineState:
        """Return what the engine is doing; the memory is what this process holds of the device."""
        model = self._model
        return EngineState() if model is None else model.state()

    def problem(self) -> str | None:
        """Return what is wrong with the engine, or None: for whoever watches the process."""
        model = self._model
        problem: str | None = model.engine.problem() if model is not None else None
        return problem

    def on_batch(self, observe: Callable[[int], None]) -> None:
        """Call `observe` with the number of requests in every round of the engine; loads the model."""
        self._ready().engine.observe = observe

    def split(self, request: GenerationRequest) -> Sequence[GenerationRequest]:
        """Return requests that together show all images, each small enough for one prompt."""
        parts: Sequence[GenerationRequest] = self._ready().split(request)
        return parts

    def generate_batch(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """Return one `Generation` for every request, in order; raise `ExtractionError` or `RetryableError`."""
        answers: list[Generation] = self._ready().generate_batch(requests)
        return answers

    def converse(self, dialogues: Sequence[Dialogue]) -> None:
        """Run all dialogues to their ends, at the same time; raise what a request or a dialogue raises."""
        self._ready().converse(dialogues)

    def close(self, drain: bool = True) -> None:
        """End the engine; what was asked is answered first, or cancelled."""
        with self._lock:
            self._closed = True
            model, self._model, self._loaded = self._model, None, None
        if model is not None:
            model.close(drain)

    def _ready(self) -> Any:
        with self._lock:
            if self._closed:
                raise BackendError(f"the model {self.identity.id} is closed")
            if self._model is None:
                from backends.vlm.starting import start

                try:
                    self._loaded, self._model = start(self._settings, self._family)
                except DocrouteError:
                    raise
                except Exception as exc:
                    told = f"the model {self.identity.id} cannot be loaded: {type(exc).__name__}: {exc}"
                    raise BackendError(told) from exc
            return self._model


def create_internvl3(
    checkpoint: str = INTERNVL3,
    revision: str | None = None,
    download: bool = False,
    device: str = "auto",
    precision: str = "auto",
    remote_code: bool = False,
    slots: int = 128,
    slot_tokens: int = 6144,
    answer_tokens: int = 2048,
    min_tiles: int = 1,
    max_tiles: int = 12,
    readable_glyph_px: float = 8.0,
    temperature: float = 0.0,
    top_p: float = 1.0,
    uncaptured: bool = False,
    timeout_s: float | None = 300.0,
    max_pages: int = 20,
    second_reading: str = "uncertain",
    ocr_processes: int = 2,
    relative_cost: float = INTERNVL3_COST,
) -> ModelLane:
    """Return the lane `internvl3`; see `VlmSettings` for the options."""
    return _lane("internvl3", "internvl", VlmSettings(**locals()))


def create_llama_vision(
    checkpoint: str = LLAMA_VISION,
    revision: str | None = None,
    download: bool = False,
    device: str = "auto",
    precision: str = "auto",
    slots: int = 64,
    slot_tokens: int = 3072,
    answer_tokens: int = 2048,
    max_tiles: int = 4,
    temperature: float = 0.0,
    top_p: float = 1.0,
    uncaptured: bool = False,
    timeout_s: float | None = 600.0,
    max_pages: int = 8,
    second_reading: str = "uncertain",
    ocr_processes: int = 2,
    relative_cost: float = LLAMA_VISION_COST,
) -> ModelLane:
    """Return the lane `llama-vision`; see `VlmSettings` for the options."""
    return _lane("llama-vision", "mllama", VlmSettings(**locals()))


def _lane(name: str, family: Family, settings: VlmSettings) -> ModelLane:
    for package in ("torch", "torchvision", "transformers", "einops", "accelerate"):
        if importlib.util.find_spec(package) is None:
            raise BackendUnavailableError(
                f"the package {package} is not installed; install it with: pip install 'docroute[vlm]'"
            )
    second = second_reader(settings.second_reading, settings.ocr_processes)
    model = LazyVlm(settings, family)
    return ModelLane(
        model=model,
        name=name,
        relative_cost=settings.relative_cost,
        revision=model.identity.revision,
        max_pages=settings.max_pages,
        second=second,
    )


def _identity(settings: VlmSettings, family: Family) -> Identity:
    folder = locate(settings.checkpoint, settings.revision, settings.remote_code, settings.download)
    config = check(folder, family, settings.remote_code)
    if config["model_type"] != REMOTE_CODE:
        from backends.vlm.processor import ready_positions, ready_processor

        ready_processor(folder, config)
        ready_positions(folder, settings.slot_tokens)
    return identify(settings.checkpoint, settings.revision, folder)
