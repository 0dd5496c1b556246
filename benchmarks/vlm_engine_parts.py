"""Where the time of a document goes: prefill by group and part, a step by rows, and the kernels that take the most."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from backends.vlm.cache import CacheShape, SlotCache
from backends.vlm.decoder import SlotDecoder, best_kernels
from backends.vlm.fused_prefill import fuse
from backends.vlm.sampling import GREEDY
from backends.vlm.slots import NewAnswer
from benchmarks import vlm_world as w

Row = dict[str, Any]


def parts(world: w.World, documents: int) -> Iterator[Row]:
    """InternVL3-2B unless the real shapes are tiny."""
    family = w.family(world, w.INTERNVL)
    items = w.prepared(world, family)
    kernels = best_kernels(world.device)
    with torch.inference_mode():
        yield from _attention(world)
        yield from _decode_attention(world)
        yield from _prefills(world, family, items, "as transformers does")
        fuse(family.model, family.text_model, kernels)
        yield from _prefills(world, family, items, "fused")
        decoder = SlotDecoder(family, w.settings(world, w.INTERNVL, documents), documents, kernels)
        began = time.perf_counter()
        captured = decoder.capture(False)
        yield {"what": "capture", "captured": captured, "seconds": round(time.perf_counter() - began, 2)}
        _fill(decoder, items)
        yield from _steps(world, decoder)
        yield from _profile(world, "step", lambda: _run(decoder, decoder.slots, 4))
        batch = family.collate((items * 8)[:8])
        rows = torch.arange(min(8, decoder.slots), device=world.device)
        if len(rows) == 8:
            yield from _profile(world, "prefill of 8", lambda: family.prefill(batch, decoder.cache.prefill_into(rows)))


def _prefills(world: w.World, family: Any, items: Any, how: str) -> Iterator[Row]:
    for count in (1, 4, 8):
        group = (items * 8)[:count]
        batch = family.collate(group)
        shape = CacheShape.of(family.text_model.config, family.cross_tokens)
        cache = SlotCache(shape, count, group[0].prompt_tokens + 1, family.dtype, family.device)
        rows = torch.arange(count, device=world.device)
        fresh = cache.prefill_into(rows)
        whole, host = _timed(world, lambda batch=batch, fresh=fresh: family.prefill(batch, fresh))
        collate, _ = _timed(world, lambda group=group: family.collate(group))
        vision, _ = _timed(world, lambda batch=batch: family.image_features(batch.inputs["pixel_values"]))
        yield {
            "what": f"prefill of {count} {how}",
            "prefill_ms": whole,
            "host_ms": host,
            "vision_ms": vision,
            "collate_ms": collate,
            "a_document_ms": round((whole + collate) / count, 2),
        }


def _timed(world: w.World, work: Callable[[], Any], times: int = 3) -> tuple[float, float]:
    """Return milliseconds until the device is done and until the host is, the least of some runs."""
    work()
    best: list[tuple[float, float]] = []
    for _ in range(times):
        w.synchronize(world)
        began = time.perf_counter()
        work()
        host = time.perf_counter() - began
        w.synchronize(world)
        best.append(((time.perf_counter() - began) * 1000, host * 1000))
    return round(min(best)[0], 2), round(min(host for _, host in best), 2)


def _fill(decoder: SlotDecoder, items: Any) -> None:
    """Put a document into every slot."""
    for first in range(0, decoder.slots, 8):
        rows = list(range(first, min(first + 8, decoder.slots)))
        group = [items[row % len(items)] for row in rows]
        answers = [NewAnswer(item.prompt_tokens, 10**6, GREEDY) for item in group]
        with decoder.on_main():
            prefilled = decoder.prefill(rows, group, answers)
            prefilled.wait()
            decoder.activate(prefilled)


def _run(decoder: SlotDecoder, rows: int, steps: int) -> None:
    with decoder.on_main():
        decoder.run(rows, decoder.length, False, steps)


def _steps(world: w.World, decoder: SlotDecoder) -> Iterator[Row]:
    steps = 4 if world.smoke else 16
    for rows in [count for count in (1, 8, 16, 32, 64, 96, 128) if count <= decoder.slots]:
        whole, host = _timed(world, lambda rows=rows: _run(decoder, rows, steps), 2)
        yield {"what": f"step of {rows} rows", "step_ms": round(whole / steps, 3), "host_ms": round(host / steps, 3)}


def _attention(world: w.World) -> Iterator[Row]:
    """The vision tower's attention by implementation, for 28 tiles, and the text's for 4 prompts."""
    if world.smoke:
        return
    shapes = {"vision": (28, 16, 16, 1025, 64, False), "text": (4, 12, 2, 2094, 128, True)}
    for name, (batch, heads, kv_heads, tokens, dim, causal) in shapes.items():
        q, k, v = (
            torch.randn(batch, tokens, h * dim, device=world.device, dtype=torch.bfloat16)
            .view(batch, tokens, h, dim)
            .transpose(1, 2)
            for h in (heads, kv_heads, kv_heads)
        )
        for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION):
            try:
                context: AbstractContextManager[Any] = sdpa_kernel(backend)
                with context:
                    ms, _ = _timed(
                        world,
                        lambda q=q, k=k, v=v, causal=causal: functional.scaled_dot_product_attention(
                            q, k, v, is_causal=causal, enable_gqa=q.shape[1] != k.shape[1]
                        ),
                    )
            except RuntimeError as exc:
                yield {"what": f"{name} attention, {backend.name}: {str(exc)[:80]}"}
                continue
            work = 4 * batch * heads * tokens**2 * dim / (2 if causal else 1)
            yield {"what": f"{name} attention, {backend.name}", "ms": ms, "tflops": round(work / ms / 1e9)}


def _decode_attention(world: w.World) -> Iterator[Row]:
    """One layer's attention of a step over 128 slots, by how the kernel is cut."""
    if world.smoke:
        return
    from backends.vlm.triton_kernels import TritonKernels

    rows, heads, kv_heads, length, dim, calls = 128, 12, 2, 3072, 128, 50
    query = torch.randn(rows, heads, dim, device=world.device, dtype=torch.bfloat16)
    keys, values = torch.randn(2, rows, kv_heads, length, dim, device=world.device, dtype=torch.bfloat16)
    lengths = torch.randint(2100, 2500, (rows,), device=world.device)
    size = int(lengths.sum()) * kv_heads * dim * 2 * 2
    for block, stages in ((64, 3), (64, 2), (32, 4), (128, 2), (128, 3)):
        kernels = TritonKernels(block, stages)

        def run(kernels: TritonKernels = kernels) -> None:
            for _ in range(calls):
                kernels.attend(query, keys, values, lengths, dim**-0.5, length)

        ms, _ = _timed(world, run)
        rate = round(size * calls / ms / 1e6)
        yield {"what": f"decode attention, blocks of {block}, {stages} stages", "ms": ms / calls, "gb_s": rate}


def _profile(world: w.World, what: str, work: Callable[[], Any]) -> Iterator[Row]:
    """The kernels that take the most time."""
    if world.device.type != "cuda":
        return
    work()
    w.synchronize(world)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        work()
        w.synchronize(world)
    events = sorted(profile.key_averages(), key=lambda event: -event.self_device_time_total)
    for event in events[:22]:
        ms = event.self_device_time_total / 1000
        yield {"what": f"{what}: {event.key[:90]}", "count": event.count, "ms": round(ms, 3)}
