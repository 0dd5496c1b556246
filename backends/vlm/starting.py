"""From settings to a model that reads: weights, engine, captures. Must not know lanes or schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from backends.base import GenerationRequest
from backends.prompts import fields_prompt
from backends.vlm.engine import Engine
from backends.vlm.engine_settings import EngineSettings
from backends.vlm.loading import Loaded, LoadSettings, load_internvl, load_llama_vision
from backends.vlm.model import VlmModel
from backends.vlm.quantize import Precision
from backends.vlm.requests import Prepared
from backends.vlm.sampling import Sampling
from backends.vlm.scheduler import GroupLimits
from backends.vlm.tiling import TileLimits
from router.errors import BackendError
from router.schema import builtin

if TYPE_CHECKING:
    from backends.vlm.backend import Family, VlmSettings

SLOTS_ON_CPU = 8
STALLED_ON_CPU_S = 3600.0
"""A round of a large model may take very long there."""
WIDE_GROUP = GroupLimits(documents=2)
"""For a family whose tower computes every tile that a page could have: one page fills the device, more only wait."""
TYPICAL_PAGE_PX, TYPICAL_GLYPH_PX = (2339, 1654), 20.0
"""A4 at 200 dpi in ten-point letters: what memory is sized by."""


def start(settings: VlmSettings, family: Family) -> tuple[Loaded, VlmModel]:
    """Return a loaded family and the model that reads with it, captured and ready; raise `BackendError`."""
    limits = TileLimits(
        min_tiles=settings.min_tiles,
        max_tiles=settings.max_tiles,
        readable_glyph_px=settings.readable_glyph_px,
        prompt_tokens=settings.slot_tokens - 1 - settings.answer_tokens,
    )
    load = load_internvl if family == "internvl" else load_llama_vision
    loaded = load(
        LoadSettings(
            checkpoint=settings.checkpoint,
            revision=settings.revision,
            device=settings.device,
            precision=cast("Precision", settings.precision),
            limits=limits,
            slot_tokens=settings.slot_tokens,
            remote_code=settings.remote_code,
            download=settings.download,
        )
    )
    engine = Engine(loaded.family, _engine_settings(settings, loaded)).start(_typical(loaded))
    return loaded, VlmModel(loaded.identity.id, loaded.family, engine, settings.timeout_s)


def _engine_settings(settings: VlmSettings, loaded: Loaded) -> EngineSettings:
    on_gpu = loaded.family.device.type == "cuda"
    try:
        return EngineSettings(
            slots=settings.slots if on_gpu else min(settings.slots, SLOTS_ON_CPU),
            slot_tokens=settings.slot_tokens,
            answer_tokens=settings.answer_tokens,
            group=WIDE_GROUP if loaded.family.cross_tokens and not loaded.offloaded else GroupLimits(),
            stalled_s=EngineSettings.stalled_s if on_gpu else STALLED_ON_CPU_S,
            sampling=Sampling(settings.temperature, settings.top_p),
            random=settings.temperature > 0,
            # weights that are fetched from the host cannot be captured, nor read past their modules
            fused=not loaded.offloaded,
            capture=not loaded.offloaded,
            uncaptured=settings.uncaptured,
        )
    except ValueError as exc:
        raise BackendError(str(exc)) from exc


def _typical(loaded: Loaded) -> Prepared:
    schema = builtin("invoice")
    page = np.full((*TYPICAL_PAGE_PX, 3), 255, np.uint8)
    prompt = fields_prompt(schema, [spec.name for spec in schema.fields if spec.kind != "table"])
    return loaded.family.prepare(GenerationRequest(prompt, (page,), max_tokens=1, glyph_heights_px=(TYPICAL_GLYPH_PX,)))
