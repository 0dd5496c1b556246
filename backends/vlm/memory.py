"""How much fits on the device. Knows bytes; must not know requests or futures."""

from __future__ import annotations

import gc
from collections.abc import Sequence

import torch

from backends.vlm.cache import CacheShape, SlotCache
from backends.vlm.engine_settings import EngineSettings
from backends.vlm.family import Family
from backends.vlm.requests import Prepared


def plan_slots(wanted: int, slot_bytes: int, free_bytes: int, workspace_bytes: int) -> int:
    """Return how many slots fit beside the workspace of prefills, at least 1 and at most `wanted`."""
    return max(1, min(wanted, (free_bytes - workspace_bytes) // max(1, slot_bytes)))


def free_bytes(device: torch.device) -> int:
    """Return what an allocation may take: free on the device, and held by the allocator without use."""
    free, _ = torch.cuda.mem_get_info(device)
    return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))


def release(device: torch.device) -> None:
    """Give memory that nothing uses back to the device."""
    gc.collect()  # an exception's traceback may hold tensors in a cycle
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()


@torch.inference_mode()
def prefill_bytes(family: Family, group: Sequence[Prepared]) -> int:
    """Return the most memory that a prefill of this group takes above what it leaves, by doing one."""
    device = family.device
    shape = CacheShape.of(family.text_model.config, family.cross_tokens)
    longest = max(item.prompt_tokens for item in group)
    cache = SlotCache(shape, len(group), longest + 1, family.dtype, device)
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    family.prefill(family.collate(group), cache.prefill_into(torch.arange(len(group), device=device)))
    torch.cuda.synchronize(device)
    return int(torch.cuda.max_memory_allocated(device) - before)


def affordable_slots(family: Family, settings: EngineSettings, sample: Prepared) -> tuple[int, int | None]:
    """Return how many slots to make, and the bytes of workspace a padded prompt token takes (None on the CPU).

    `sample` stands for the documents to come; a group of it is prefilled once to see what that takes, which also
    compiles and loads what a first prefill needs.
    """
    if family.device.type != "cuda":
        return settings.slots, None
    documents = max(1, min(settings.group.documents, settings.group.tokens // sample.prompt_tokens))
    while True:
        try:
            workspace = prefill_bytes(family, [sample] * documents)
            break
        except torch.OutOfMemoryError:
            if documents == 1:
                raise
            documents //= 2
            release(family.device)
    release(family.device)
    shape = CacheShape.of(family.text_model.config, family.cross_tokens)
    ahead = settings.prefills_ahead if settings.overlap else 1
    slots = plan_slots(
        settings.slots,
        shape.slot_bytes(settings.slot_tokens, family.dtype),
        free_bytes(family.device) - settings.spare_bytes,
        ahead * workspace,
    )
    return slots, max(1, workspace // (documents * sample.prompt_tokens))
