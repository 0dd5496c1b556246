"""Whether the engine reads on this device what it should: kernels against the reference, the engine against `generate`.

Tiny models in float32 must give the same tokens; of the real shapes in bfloat16 rounding decides close calls, so that
only the share of equal tokens is given.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from backends.vlm.cache import CacheShape, SlotCache
from backends.vlm.decoder import best_kernels
from backends.vlm.engine import Engine
from backends.vlm.fused_prefill import PatchProduct, fuse
from backends.vlm.kernels import HeadStates, Kernels, TorchKernels
from benchmarks import vlm_world as w

Row = dict[str, Any]


def check(world: w.World, documents: int) -> Iterator[Row]:
    """Kernels, both tiny families, then the real shapes of the smaller model."""
    torch.backends.cudnn.allow_tf32 = False  # or the reference's convolution rounds where ours does not
    with torch.inference_mode():
        yield from kernels(world)
    tiny = dataclasses.replace(world, smoke=True)
    for name in (w.INTERNVL, w.LLAMA):
        yield equal_tokens(tiny, name, documents)
        yield equal_tokens(tiny, name, documents, overlap=False, slots=3)
    yield from real_shapes(world)


GPU_TESTS = ("tests/test_vlm_gpu.py", "tests/test_vlm_tails_gpu.py", "tests/test_vlm_rotary_gpu.py")


def gpu_tests(world: w.World, documents: int) -> Iterator[Row]:
    """The tests that need a GPU, without the other tests' fixtures and settings, which need more installed."""
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", ".", "--noconftest", "-rs"]
    done = subprocess.run([*command, *GPU_TESTS], capture_output=True, text=True, check=False)
    print(done.stdout[-8000:], done.stderr[-2000:], flush=True)
    lines = done.stdout.strip().splitlines() or ["nothing"]
    yield {"what": f"tests on the device: {lines[-1]}"}
    if done.returncode != 0:
        raise RuntimeError("tests on the device failed; see log.txt")


def kernels(world: w.World) -> Iterator[Row]:
    """The largest difference of each kernel from the reference, relative to the largest value."""
    fused, reference = best_kernels(world.device), TorchKernels()
    for dtype in (torch.float32, torch.bfloat16):
        for name, operation in _operations(world, dtype).items():
            pairs = list(zip(operation(fused), operation(reference), strict=True))
            worst = max(_difference(got, wanted) for got, wanted in pairs)
            allowed = 1e-4 if dtype == torch.float32 else 2e-2
            verdict = "equal" if worst <= allowed else "DIFFERENT"
            yield {"what": f"kernel {name} {dtype}: {verdict}", "difference": worst}
        convolution = nn.Conv2d(3, 1024, 14, stride=14).to(world.device, dtype)
        tiles = torch.randn(2, 3, 448, 448, device=world.device, dtype=dtype)
        worst = _difference(PatchProduct(convolution)(tiles), convolution(tiles))
        yield {
            "what": f"patches as a product {dtype}: {'equal' if worst <= 2e-2 else 'DIFFERENT'}",
            "difference": worst,
        }


def _difference(got: Tensor, wanted: Tensor) -> float:
    got, wanted = got.float(), wanted.float()
    return float((got - wanted).abs().max() / wanted.abs().max().clamp(min=1e-6))


def _operations(world: w.World, dtype: torch.dtype) -> dict[str, Callable[[Kernels], list[Tensor]]]:
    torch.manual_seed(0)
    rows, heads, kv_heads, dim, length = (3, 4, 2, 16, 90) if world.smoke else (16, 12, 2, 128, 2600)
    width = heads * dim

    def noise(*size: int) -> Tensor:
        return torch.randn(*size, device=world.device, dtype=dtype)

    x, update, gain, gates = noise(rows, width), noise(rows, width), noise(width), noise(rows, 2 * width)
    root = _RootNorm(width).to(world.device, dtype)
    layer = nn.LayerNorm(width).to(world.device, dtype)
    head_states = HeadStates(noise(rows, heads, dim), noise(rows, kv_heads, dim), noise(rows, kv_heads, dim))
    angle = noise(rows, dim // 2).repeat(1, 2)
    keys, values = noise(rows + 2, kv_heads, length, dim), noise(rows + 2, kv_heads, length, dim)
    lengths = torch.linspace(1, length, rows, device=world.device).long()
    logits = noise(rows, 500 if world.smoke else 151_674) * 3
    prompt = noise(2, 30, heads, dim)
    turn = (noise(30, dim // 2).repeat(1, 2), noise(30, dim // 2).repeat(1, 2))
    slots = lengths.new_tensor([2, 0])
    seen = lengths.new_tensor([[0], [length - 30]]) + torch.arange(1, 31, device=world.device)

    def written(kernels: Kernels) -> list[Tensor]:
        own_keys, own_values = keys.clone(), values.clone()
        turned = kernels.rotate_and_write(head_states, (angle.cos(), angle.sin()), own_keys, own_values, lengths - 1)
        return [turned, own_keys, own_values]

    def scored(kernels: Kernels) -> list[Tensor]:
        scores = kernels.scores(logits)
        return [scores.logprob, scores.entropy, scores.margin]

    return {
        "norm": lambda k: [k.norm(x, root)],
        "add_norm": lambda k: list(k.add_norm(x, update, root)),
        "layer_norm": lambda k: [k.layer_norm(x, layer)],
        "add_layer_norm": lambda k: list(k.add_layer_norm(x, update, gain, layer)),
        "rotate_and_write": written,
        "rotate_prompt": lambda k: [k.rotate_prompt(prompt.clone(), turn)],
        "attend": lambda k: [k.attend(head_states.query, keys, values, lengths, dim**-0.5, length)],
        "attend_tails": lambda k: [k.attend_tails(prompt, keys, values, slots, seen, dim**-0.5, length)],
        "gate": lambda k: [k.gate(gates[:, :width], gates[:, width:], nn.SiLU())],
        "scores": scored,
    }


class _RootNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(width) + 0.5)
        self.variance_epsilon = 1e-6

    def forward(self, x: Tensor) -> Tensor:
        y = x.float()
        y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)
        return self.weight * y.to(x.dtype)


def equal_tokens(world: w.World, name: str, documents: int, slots: int = 6, **changes: Any) -> Row:
    """Ragged requests through a tiny engine, against `generate` for each alone."""
    family = w.family(world, name)
    items = [
        family.prepare(dataclasses.replace(asked, prompt=asked.prompt[: 40 + 9 * (seed % 17)]))
        for seed in range(documents)
        for asked in [w.request(world, family, w.page(world, seed), 1)]
    ]
    limits = world.answer_lengths(documents)
    wanted = [_generated(family, item, limit) for item, limit in zip(items, limits, strict=True)]
    with Engine(family, w.settings(world, name, slots, documents=4, **changes)).start(items[0]) as engine:
        futures = [engine.submit(item, limit) for item, limit in zip(items, limits, strict=True)]
        got = [future.result().tokens for future in futures]
        captured = engine.stats.captured
    equal = sum(a == b for a, b in zip(got, wanted, strict=True))
    verdict = "equal" if equal == documents else "DIFFERENT"
    what = f"tiny {name} against generate {changes or ''}: {equal} of {documents} {verdict}"
    return {"what": what, "documents": documents, "captured": captured}


def _generated(family: Any, item: Any, tokens: int) -> list[int]:
    batch = family.collate([item])
    inputs = {key: tensor for key, tensor in batch.inputs.items() if key != "image_places"}
    mask = torch.ones_like(inputs["input_ids"])
    with torch.inference_mode():
        out = family.model.generate(
            **inputs, attention_mask=mask, max_new_tokens=tokens, do_sample=False, pad_token_id=0, eos_token_id=None
        )
    answer: list[int] = out[0, item.prompt_tokens :].tolist()
    return answer


def real_shapes(world: w.World) -> Iterator[Row]:
    """Logits of a prefill before and after fusing, then tokens of the engine against `generate`."""
    family = w.family(world, w.INTERNVL)
    items = w.prepared(world, family, 3)
    wanted = [_generated(family, item, 24) for item in items]
    before = _logits(family, items)
    with torch.inference_mode():
        fuse(family.model, family.text_model, best_kernels(world.device))
    after = _logits(family, items)
    same = float((before.argmax(-1) == after.argmax(-1)).float().mean())
    yield {"what": f"fused prefill, likeliest token the same in {same:.0%}", "difference": _difference(after, before)}
    with Engine(family, w.settings(world, w.INTERNVL, 8)).start(items[0]) as engine:
        got = [engine.submit(item, 24).result().tokens for item in items]
        again = [future.result().tokens for future in [engine.submit(item, 24) for item in items]]
    pairs = [(a, b) for left, right in zip(got, wanted, strict=True) for a, b in zip(left, right, strict=True)]
    firsts = sum(left[0] == right[0] for left, right in zip(got, wanted, strict=True))
    share = sum(a == b for a, b in pairs) / len(pairs)
    yield {"what": f"engine against generate, real shapes: {share:.0%} of tokens, {firsts} of {len(items)} first ones"}
    yield {
        "what": f"alone and beside others: {sum(a == b for a, b in zip(got, again, strict=True))} of {len(items)} same"
    }


def _logits(family: Any, items: Any) -> Tensor:
    longest = max(item.prompt_tokens for item in items) + 1
    with torch.inference_mode():
        shape = CacheShape.of(family.text_model.config, family.cross_tokens)
        cache = SlotCache(shape, len(items), longest, family.dtype, family.device)
        rows = torch.arange(len(items), device=family.device)
        logits: Tensor = family.prefill(family.collate(items), cache.prefill_into(rows))
        return logits.float()
