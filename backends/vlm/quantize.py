"""In how many bits weights are held, and what of that fits on a device. Knows modules and bytes, no checkpoint files.

8-bit weights go through bitsandbytes with threshold 0: its default looks at the data of every product, which no
captured graph can hold. Vision tower, projector and output layer stay whole, and that is checked after loading, because
a list of names that matches nothing is silent.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from backends.vlm.cache import CacheShape
from router.errors import BackendError

Precision = Literal["fp32", "bf16", "int8", "nf4"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "int8", "nf4")

KEPT_WHOLE: Mapping[str, tuple[str, ...]] = {
    "internvl": ("model.vision_tower", "model.multi_modal_projector", "lm_head"),
    "mllama": ("model.vision_model", "model.multi_modal_projector", "lm_head"),
}
"""Modules that are never quantised, by model type; naming any drops transformers' own default, the output layer."""

WHOLE_SLOTS = 8
"""Whole weights are kept only where so many slots fit beside them: on a full card a smaller model reads faster."""

_NF4_BLOCK, _NF4_NESTED = 64, 256
_PACKED_ROWS = 32
"""Rows of a block in the layout of 4-bit weights on CPUs with AVX512-BF16; its columns are those of a scale."""


@dataclass(frozen=True)
class Footprint:
    """What a model takes on a device, in bytes: weights by precision, one slot, and the workspace of a prefill."""

    weights: Mapping[Precision, int]
    slot_bytes: int
    workspace_bytes: int

    def slots(self, precision: Precision, free_bytes: int) -> int:
        """Return how many slots fit beside the weights; 0 where not even one does."""
        return max(0, (free_bytes - self.weights[precision] - self.workspace_bytes) // self.slot_bytes)


def choose(footprint: Footprint, free_bytes: int) -> Precision | None:
    """Return the finest precision that fits, or None where even the coarsest does not."""
    if footprint.slots("bf16", free_bytes) >= WHOLE_SLOTS:
        return "bf16"
    coarser: tuple[Precision, ...] = ("int8", "nf4")
    return next((precision for precision in coarser if footprint.slots(precision, free_bytes) >= 1), None)


def footprint(model: nn.Module, slot_tokens: int, workspace_bytes: int = 1024**3) -> Footprint:
    """Return what a model takes; it may live on the meta device. Answers are of at most `slot_tokens` with prompt."""
    config: Any = model.config
    kept = KEPT_WHOLE[config.model_type]
    text = config.get_text_config()
    pictures = 0
    if config.model_type == "mllama":
        vision = config.vision_config
        pictures = vision.max_num_tiles * ((vision.image_size // vision.patch_size) ** 2 + 1)
    slot = CacheShape.of(text, pictures).slot_bytes(slot_tokens, torch.bfloat16)
    sizes: dict[Precision, int] = {precision: weight_bytes(model, precision, kept) for precision in PRECISIONS}
    return Footprint(sizes, slot, workspace_bytes)


def weight_bytes(model: nn.Module, precision: Precision, kept: tuple[str, ...]) -> int:
    """Return the bytes of all weights; quantised matrices with their scales."""
    total = 0
    for name, module in model.named_modules():
        for weight_name, weight in module.named_parameters(recurse=False):
            quantised = isinstance(module, nn.Linear) and weight_name == "weight" and not _is_kept(name, kept)
            total += _matrix_bytes(weight, precision) if quantised else _whole_bytes(weight, precision)
    return total


def bitsandbytes_config(precision: Precision, kept: tuple[str, ...]) -> Any:
    """Return transformers' quantisation settings, or None for whole weights."""
    if precision not in ("int8", "nf4"):
        return None
    import transformers

    config: Any = transformers.BitsAndBytesConfig

    if precision == "int8":
        _expect_casts()
        return config(load_in_8bit=True, llm_int8_threshold=0.0, llm_int8_skip_modules=list(kept))
    return config(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=list(kept),
    )


def check_quantised(model: nn.Module, precision: Precision, kept: tuple[str, ...]) -> None:
    """Raise `BackendError` unless exactly the matrices outside of `kept` are quantised."""
    if precision not in ("int8", "nf4"):
        return
    wrong = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and _is_quantised(module) == _is_kept(name, kept):
            wrong.append(name)
    if wrong:
        raise BackendError(
            f"after loading as {precision} {len(wrong)} layers are quantised that must not be, or the other way round "
            f"({wrong[0]} is one): this version of transformers reads the list of exceptions in another way"
        )


def keep_unpackable(model: nn.Module) -> None:
    """Keep 4-bit matrices in the common layout where the packed one of CPUs with AVX512-BF16 cannot hold them.

    There bitsandbytes packs a matrix with its first product, whole blocks only, and a matrix of another shape fails in
    the middle of it, damaged. In the common layout the product is slower and right. Other devices never pack.
    """
    for module in model.modules():
        if type(module).__name__ != "Linear4bit" or not getattr(module, "support_avx512bf16_for_cpu", False):
            continue
        layer: Any = module
        if layer.out_features % _PACKED_ROWS or layer.in_features % _NF4_BLOCK:
            layer.support_avx512bf16_for_cpu = False


def quantise(model: nn.Module, precision: Precision, kept: tuple[str, ...]) -> None:
    """Quantise the matrices of a model in place where they lie: for models that were not loaded from a checkpoint."""
    if precision not in ("int8", "nf4"):
        return
    import bitsandbytes

    _expect_casts()
    for name, module in list(model.named_modules()):
        for child_name, child in list(module.named_children()):
            path = f"{name}.{child_name}" if name else child_name
            if type(child) is nn.Linear and not _is_kept(path, kept):
                setattr(module, child_name, _quantised(bitsandbytes, child, precision))
    keep_unpackable(model)


class _ExpectedCast(logging.Filter):
    """Drops what bitsandbytes says of every 8-bit product of bfloat16, which is how these models compute."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("MatMul8bitLt: inputs will be cast")


def _expect_casts() -> None:
    logger = logging.getLogger("bitsandbytes.autograd._functions")
    if not any(isinstance(known, _ExpectedCast) for known in logger.filters):
        logger.addFilter(_ExpectedCast())


def _quantised(bitsandbytes: Any, linear: nn.Linear, precision: Precision) -> nn.Module:
    device, weight, bias = linear.weight.device, linear.weight.data, linear.bias
    shape = (linear.in_features, linear.out_features, bias is not None)
    made: nn.Module
    if precision == "int8":
        made = bitsandbytes.nn.Linear8bitLt(*shape, has_fp16_weights=False, threshold=0.0, device="meta")
        codes, scales, _ = bitsandbytes.functional.int8_vectorwise_quant(weight.to(torch.float16))
        # the layer moves these two into its state with the first product, as after loading from a checkpoint
        made.weight = bitsandbytes.nn.Int8Params(codes, requires_grad=False, CB=codes, SCB=scales)
    else:
        made = bitsandbytes.nn.Linear4bit(*shape, compute_dtype=weight.dtype, quant_type="nf4", device="meta")
        whole = bitsandbytes.nn.Params4bit(weight, requires_grad=False, quant_type="nf4", compress_statistics=True)
        made.weight = whole._quantize(device)
    made.bias = bias
    return made.eval()


def _is_quantised(module: nn.Module) -> bool:
    return type(module).__name__ in ("Linear8bitLt", "Linear4bit")


def _is_kept(name: str, kept: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in kept)


def _whole_bytes(weight: torch.Tensor, precision: Precision) -> int:
    return weight.numel() * (4 if precision == "fp32" else 2)


def _matrix_bytes(weight: torch.Tensor, precision: Precision) -> int:
    if precision == "int8":
        return weight.numel() + 4 * weight.shape[0]
    if precision == "nf4":
        blocks = weight.numel() // _NF4_BLOCK
        return weight.numel() // 2 + blocks + 4 * (blocks // _NF4_NESTED)
    return _whole_bytes(weight, precision)
