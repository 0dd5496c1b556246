"""What `benchmarks.vlm_engine` measures. Every mode gives rows, one for each thing measured, as it goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Semaphore
from typing import Any

import cv2
import numpy as np
import torch

from backends.answers import parse_answer
from backends.vlm.engine import Engine
from backends.vlm.model import VlmModel
from benchmarks import vlm_world as w
from router.schema import builtin

Row = dict[str, Any]
Rows = Iterator[Row]
DECODERS = 12
"""JPEGs decoded at once: more would only take turns."""


def internvl(world: w.World, documents: int) -> Rows:
    """The engine with pages in memory, two sizes of its groups, then one document alone."""
    family = w.family(world, w.INTERNVL)
    items = w.prepared(world, family)
    shipped = w.GROUPS[w.INTERNVL].documents
    for group in (shipped, 8):
        w.forget_memory()
        lengths = world.answer_lengths(documents if group == shipped else documents // 2)
        with Engine(family, w.settings(world, w.INTERNVL, 128, group)).start(items[0]) as engine:
            w.warm(engine, items, 24)
            yield from w.serve(f"InternVL3-2B, 128 slots, groups of {group}", engine, items, lengths)
            if group == shipped:
                yield {"what": "InternVL3-2B, one alone", **w.alone(engine, items[0], world.answer())}


def internvl_tiles(world: w.World, documents: int) -> Rows:
    """The same with fewer tiles a page: two and the thumbnail."""
    family = w.family(world, w.INTERNVL, tiles=2)
    items = w.prepared(world, family)
    settings = w.settings(world, w.INTERNVL, 192, documents=16)
    with Engine(family, settings).start(items[0]) as engine:
        w.warm(engine, items, 24)
        yield from w.serve("InternVL3-2B, 3 tiles, 192 slots", engine, items, world.answer_lengths(documents))


def internvl_jpeg(world: w.World, documents: int) -> Rows:
    """From JPEG bytes to fields."""
    family = w.family(world, w.INTERNVL)
    yield from jpegs(world, family, w.INTERNVL, 128, documents, "InternVL3-2B from JPEG")


def jpegs(world: w.World, family: Any, name: str, slots: int, documents: int, what: str, go: Any = None) -> Rows:
    """Documents from JPEG bytes to parsed fields, through the model that a lane uses."""
    files = [w.jpeg(world, seed) for seed in range(8)]
    lengths = world.answer_lengths(documents)
    fields = builtin("invoice").names()
    decoding = Semaphore(DECODERS)
    settings = w.settings(world, name, slots)
    sample = w.prepared(world, family, 1)[0]
    with Engine(family, settings).start(sample) as engine:
        model = VlmModel(name, family, engine)

        def read(number: int) -> int:
            with decoding:
                coded = np.frombuffer(files[number % len(files)], np.uint8)
                image = cv2.cvtColor(cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
                asked = w.request(world, family, image, lengths[number])
            [answer] = model.generate_batch([asked])
            parse_answer(answer.text, fields, answer.finish_reason == "length")
            return len(answer.signals)

        with ThreadPoolExecutor(min(documents, settings.slots * 2 + DECODERS)) as pool:
            list(pool.map(read, range(min(16, documents))))
            if go is not None:
                go()
            engine.stats.reset()
            started, started_at = time.perf_counter(), time.time()
            list(pool.map(read, range(documents)))
            elapsed = time.perf_counter() - started
        stats = engine.stats
        yield {
            "what": what,
            "documents": documents,
            "documents_h": round(documents / elapsed * 3600),
            **w.slot_use(stats),
            "tiles": sample.tiles,
            "prompt": sample.prompt_tokens,
            "started_at": started_at,
            "ended_at": time.time(),
            **w.memory(),
        }


def generate(world: w.World, documents: int) -> Rows:
    """`generate` of transformers: one by one, and 64 at once, on the same work, for the ratio."""
    family = w.family(world, w.INTERNVL)
    item = w.prepared(world, family, 1)[0]
    tokens, many = world.answer(), 4 if world.smoke else 64
    _generated(family, item, 1, 4)
    for count, what in ((1, "generate, one by one"), (many, f"generate, {many} at once")):
        w.forget_memory()
        seconds = _generated(family, item, count, tokens)
        rate = round(count / seconds * 3600)
        yield {"what": what, "documents": count, "documents_h": rate, "seconds": round(seconds, 2), **w.memory()}


def _generated(family: Any, item: Any, count: int, tokens: int) -> float:
    batch = family.collate([item] * count)
    inputs = {name: tensor for name, tensor in batch.inputs.items() if name != "image_places"}
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    started = time.perf_counter()
    with torch.inference_mode():
        family.model.generate(
            **inputs, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, pad_token_id=0, eos_token_id=None
        )
    if family.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def llama_bf16(world: w.World, documents: int) -> Rows:
    """Llama 3.2 11B whole, many slots and one alone."""
    yield from _llama(world, w.family(world, w.LLAMA), "bf16", documents)


def llama_int8(world: w.World, documents: int) -> Rows:
    """The same in 8 bits, and the peak of memory with one slot, to see which card holds it."""
    family = w.family(world, w.LLAMA, "int8")
    yield from _llama(world, family, "int8", documents)
    yield _one_slot(world, family, "int8")


def llama_nf4_one(world: w.World, documents: int) -> Rows:
    """One slot in 4 bits."""
    yield _one_slot(world, w.family(world, w.LLAMA, "nf4"), "nf4")


def _llama(world: w.World, family: Any, precision: str, documents: int) -> Rows:
    items, slots = w.prepared(world, family), 64
    w.forget_memory()
    with Engine(family, w.settings(world, w.LLAMA, slots)).start(items[0]) as engine:
        w.warm(engine, items, 8)
        yield from w.serve(f"Llama 11B {precision}, {slots} slots", engine, items, world.answer_lengths(documents))
        yield {"what": f"Llama 11B {precision}, one alone", **w.alone(engine, items[0], world.answer(), 2)}


def _one_slot(world: w.World, family: Any, precision: str) -> Row:
    items = w.prepared(world, family, 1)
    w.forget_memory()
    with Engine(family, w.settings(world, w.LLAMA, 1, documents=1)).start(items[0]) as engine:
        w.warm(engine, items, 1)
        return {"what": f"Llama 11B {precision}, one slot", **w.alone(engine, items[0], world.answer(), 1)}
