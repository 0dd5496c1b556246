"""Models, pages and requests for measuring the vision-language engine: the real shapes, or tiny ones as a rehearsal."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import transformers

from backends.base import GenerationRequest
from backends.vlm.engine import Engine
from backends.vlm.engine_settings import EngineSettings
from backends.vlm.reading import EngineStats
from backends.vlm.repetition import RepetitionRule
from backends.vlm.requests import Prepared
from backends.vlm.scheduler import GroupLimits
from backends.vlm.starting import WIDE_GROUP
from backends.vlm.tiling import TileLimits
from benchmarks.checkpoints.internvl import make_internvl
from benchmarks.checkpoints.llama_vision import make_llama_vision

INTERNVL, LLAMA = "internvl3-2b", "llama-3.2-11b-vision"
GROUPS = {INTERNVL: GroupLimits(), LLAMA: WIDE_GROUP}
"""What a worker prefills together."""
NEVER = RepetitionRule(least_tokens=10**9)
"""Looks for repetition and never finds it: random weights repeat themselves."""
WORDS = "Supplier invoice number date total amount due tax "


@dataclasses.dataclass(frozen=True)
class World:
    """Where and how large: `smoke` takes tiny models, so that every line runs on a CPU in seconds."""

    device: torch.device
    smoke: bool

    @property
    def text_tokens(self) -> int:
        """Tokens of a prompt beside its pictures, at least."""
        return 60 if self.smoke else 300

    @property
    def page_px(self) -> tuple[int, int]:
        """Width and height of a page: A4 at 200 dpi."""
        return (83, 117) if self.smoke else (1654, 2339)

    def answer_lengths(self, count: int) -> list[int]:
        """Return answers of 64 to 448 tokens in random order, 256 in the mean."""
        low, high = (4, 28) if self.smoke else (64, 448)
        steps = np.linspace(low, high, count).round().astype(int)
        return [int(n) for n in np.random.default_rng(0).permutation(steps)]

    def answer(self) -> int:
        """Return the mean answer's tokens."""
        return 16 if self.smoke else 256


def family(world: World, name: str, precision: str = "bf16", tiles: int = 6) -> Any:
    """Return a family with random weights that never ends an answer by itself; `tiles` beside InternVL's thumbnail."""
    folder = tiny_folder(name)
    limits = TileLimits(min_tiles=tiles, max_tiles=tiles) if name == INTERNVL else TileLimits()
    if world.smoke:
        made = _tiny_family(folder, name, world.device, limits)
    else:
        from benchmarks.vlm_shapes import random_family

        made = random_family(name, folder, world.device, precision, limits)  # type: ignore[arg-type]
    synchronize(world)
    return dataclasses.replace(made, eos_ids=())


@functools.cache
def tiny_folder(name: str) -> Path:
    """Return a checkpoint of the family with tiny weights, for its tokenizer and processor."""
    make = make_internvl if name == INTERNVL else make_llama_vision
    return make(Path(tempfile.mkdtemp(prefix="vlm-")))


def _tiny_family(folder: Path, name: str, device: torch.device, limits: TileLimits) -> Any:
    from backends.vlm.internvl import InternVL
    from backends.vlm.llama_vision import LlamaVision
    from benchmarks.vlm_shapes import SHAPES

    config: Any = transformers.AutoConfig.from_pretrained(folder)
    config.text_config.rope_parameters = SHAPES[name][0]().text_config.rope_parameters
    models: Any = transformers.AutoModelForImageTextToText
    model = models.from_pretrained(folder, config=config, dtype=torch.float32).eval().to(device)
    processor = transformers.AutoProcessor.from_pretrained(folder)  # type: ignore[no-untyped-call]
    return (InternVL if name == INTERNVL else LlamaVision).of(model, processor, limits)


def settings(world: World, name: str, slots: int, documents: int | None = None, **changes: Any) -> EngineSettings:
    """Return an engine's settings as a worker would have them for such documents, groups of so many or as shipped."""
    prompt = 2560 if name == INTERNVL else 512
    size = {"slots": slots, "slot_tokens": prompt + 512, "answer_tokens": 512}
    if world.smoke:
        size = {"slots": min(slots, 6), "slot_tokens": 256, "answer_tokens": 64}
    documents = documents or GROUPS[name].documents
    group = GroupLimits(documents=documents, tokens=documents * 2560, tiles=documents * 13)
    return EngineSettings(**size, group=group, repetition=NEVER, **changes)  # type: ignore[arg-type]


def page(world: World, seed: int = 0) -> np.ndarray[Any, Any]:
    """Return a page of printed lines, uint8 (height, width, 3)."""
    width, height = world.page_px
    image = np.full((height, width, 3), 255, np.uint8)
    rng = np.random.default_rng(seed)
    for y in range(60, height - 40, 44):
        words = WORDS + str(rng.integers(0, 10**9))
        cv2.putText(image, words, (80, y), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (20, 20, 20), 2)
    return image


def jpeg(world: World, seed: int) -> bytes:
    """Return a page as JPEG."""
    done, coded = cv2.imencode(".jpg", page(world, seed), [cv2.IMWRITE_JPEG_QUALITY, 90])
    assert done
    return bytes(coded)


def request(world: World, family: Any, image: Any, max_tokens: int) -> GenerationRequest:
    """Return a request whose text has the wanted number of tokens at least, the chat's own not counted."""
    per_word = len(family.tokenizer(WORDS, add_special_tokens=False)["input_ids"])
    prompt = WORDS * -(-world.text_tokens // per_word)
    return GenerationRequest(prompt, (image,), max_tokens)


def prepared(world: World, family: Any, pages: int = 4) -> list[Prepared]:
    """Return some prepared requests, to be used over and over."""
    return [family.prepare(request(world, family, page(world, seed), 1)) for seed in range(pages)]


def warm(engine: Engine, items: Sequence[Prepared], count: int) -> None:
    """Let the engine read a few documents, so that nothing is done for the first time later."""
    for future in [engine.submit(items[i % len(items)], 8) for i in range(count)]:
        future.result()


def serve(what: str, engine: Engine, items: Sequence[Prepared], limits: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Submit one request for each of `limits` at once; yield what was measured of all, then of the steady state.

    The steady state is from when the first document of every slot is being read until no document waits any more.
    """
    engine.stats.reset()
    started = time.perf_counter()
    futures = [engine.submit(items[i % len(items)], limit) for i, limit in enumerate(limits)]
    firsts = min(engine.stats.slots, len(limits))
    first, first_s = _when(engine, lambda: len(engine.stats.waits_s) >= firsts)
    last, last_s = _when(engine, lambda: engine.waiting() == 0)
    tokens = sum(len(future.result().tokens) for future in futures)
    elapsed = time.perf_counter() - started
    if tokens != sum(limits):
        raise RuntimeError(f"{tokens} tokens were read where {sum(limits)} were asked for")
    stats = engine.stats
    yield {
        "what": what,
        "documents": len(limits),
        "documents_h": round(len(limits) / elapsed * 3600),
        "tokens_s": round(tokens / elapsed),
        "prompt": items[0].prompt_tokens,
        "steps": stats.steps,
        "step_ms": round(elapsed / max(1, stats.steps) * 1000, 2),
        "group": round(len(limits) / max(1, stats.prefills), 1),
        "ready_s": round(stats.ready_s, 1),
        "captured": stats.captured,
        "out_of_memory": stats.out_of_memory,
        **slot_use(stats),
        **memory(),
    }
    steady = last.since(first)
    if steady.documents:
        rate = round(steady.documents / (last_s - first_s) * 3600)
        yield {
            "what": f"{what}, steady state",
            "documents": steady.documents,
            "documents_h": rate,
            "seconds": round(last_s - first_s, 1),
            "group": round(len(steady.waits_s) / max(1, steady.prefills), 1),
            **slot_use(steady),
        }


def _when(engine: Engine, reached: Callable[[], bool]) -> tuple[EngineStats, float]:
    while not reached():
        time.sleep(0.005)
    return engine.stats.copy(), time.perf_counter()


def slot_use(stats: EngineStats) -> dict[str, Any]:
    """Return how full the slots were while documents waited, and how long these waited for a slot that was free."""
    waits = sorted(stats.waits_s) or [0.0]
    return {
        "slots": stats.slots,
        "busy": None if stats.busy is None else round(stats.busy, 3),
        "decoding": round(stats.decoding_slot_s / stats.slot_s, 3) if stats.slot_s else None,
        "live": None if stats.live is None else round(stats.live, 3),
        "wait_p50_ms": round(waits[len(waits) // 2] * 1000),
        "wait_p99_ms": round(waits[int(len(waits) * 0.99)] * 1000),
        "wait_max_ms": round(waits[-1] * 1000),
    }


def alone(engine: Engine, item: Prepared, tokens: int, times: int = 3) -> dict[str, Any]:
    """Return the seconds of a single document, nothing beside it."""
    spent = []
    for _ in range(times):
        started = time.perf_counter()
        engine.submit(item, tokens).result()
        spent.append(time.perf_counter() - started)
    return {"documents": 1, "slots": engine.stats.slots, "seconds": round(min(spent), 3), **memory()}


def memory() -> dict[str, Any]:
    """Return the peaks of this process on the device in GB, and what is in use on it by all."""
    if not torch.cuda.is_available():
        return {}
    free, total = torch.cuda.mem_get_info()
    return {
        "peak_gb": round(torch.cuda.max_memory_allocated() / 1e9, 2),
        "reserved_gb": round(torch.cuda.max_memory_reserved() / 1e9, 2),
        "device_gb": round((total - free) / 1e9, 2),
    }


def forget_memory() -> None:
    """Start new peaks."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def synchronize(world: World) -> None:
    """Wait for the device."""
    if world.device.type == "cuda":
        torch.cuda.synchronize()
