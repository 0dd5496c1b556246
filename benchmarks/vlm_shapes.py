"""Models of the exact shapes of the two real checkpoints with random weights, and what they take on a card.

Speed and memory of such a model are the real one's; its text means nothing. `python -m benchmarks.vlm_shapes` prints,
for cards of several sizes, which precision is chosen and how many slots fit; no device is needed for that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.initialization import no_init_weights

from backends.vlm.internvl import InternVL
from backends.vlm.llama_vision import LlamaVision
from backends.vlm.quantize import KEPT_WHOLE, PRECISIONS, Precision, choose, footprint, quantise
from backends.vlm.tiling import TileLimits

CARDS_MIB = {"80 GB": 81_559, "40 GB": 40_536, "24 GB": 24_564, "16 GB": 16_376, "10 GB": 10_240}
"""MiB that the driver reports for such cards."""
DRIVER_MIB = 600
"""Taken by the CUDA context and libraries before the first tensor."""


SLOT_TOKENS = {"internvl3-2b": 4096, "llama-3.2-11b-vision": 2048}
"""A prompt with its pages and an answer; the pages of a Llama take no tokens."""


def internvl3_2b() -> transformers.PretrainedConfig:
    """Return the configuration of OpenGVLab/InternVL3-2B-hf."""
    return transformers.InternVLConfig(
        text_config={
            "model_type": "qwen2",
            "vocab_size": 151_674,
            "hidden_size": 1536,
            "intermediate_size": 8960,
            "num_hidden_layers": 28,
            "num_attention_heads": 12,
            "num_key_value_heads": 2,
            "max_position_embeddings": 32_768,
            "rope_parameters": {"rope_type": "dynamic", "rope_theta": 1_000_000.0, "factor": 2.0},
            "tie_word_embeddings": False,
        },
        vision_config={
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "attention_bias": True,
            "image_size": [448, 448],
            "patch_size": [14, 14],
            "norm_type": "layer_norm",
            "use_mean_pooling": True,
        },
        image_token_id=151_667,
        image_seq_length=256,
        tie_word_embeddings=False,
    )


def llama_3_2_11b_vision() -> transformers.PretrainedConfig:
    """Return the configuration of meta-llama/Llama-3.2-11B-Vision-Instruct."""
    return transformers.MllamaConfig(
        text_config={
            "vocab_size": 128_256,
            "hidden_size": 4096,
            "intermediate_size": 14_336,
            "num_hidden_layers": 40,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "cross_attention_layers": [3, 8, 13, 18, 23, 28, 33, 38],
            "max_position_embeddings": 131_072,
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 500_000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192,
            },
        },
        vision_config={
            "hidden_size": 1280,
            "intermediate_size": 5120,
            "num_hidden_layers": 32,
            "num_global_layers": 8,
            "attention_heads": 16,
            "image_size": 560,
            "patch_size": 14,
            "max_num_tiles": 4,
            "vision_output_dim": 7680,
            "intermediate_layers_indices": [3, 7, 15, 23, 30],
        },
        image_token_index=128_256,
    )


SHAPES: dict[str, tuple[Any, Any, Any]] = {
    "internvl3-2b": (internvl3_2b, transformers.InternVLForConditionalGeneration, InternVL),
    "llama-3.2-11b-vision": (llama_3_2_11b_vision, transformers.MllamaForConditionalGeneration, LlamaVision),
}


def empty(name: str) -> Any:
    """Return the model without memory for its weights."""
    config, model, _ = SHAPES[name]
    with torch.device("meta"):
        return model(config())


def random_weights(name: str, device: torch.device, precision: Precision = "bf16", config: Any = None) -> Any:
    """Return a model of the exact shapes with random weights, made on the device; `config` replaces the real one.

    Matrices get the spread that keeps activations as large as they are; norms stay as they are.
    """
    make_config, model_class, _ = SHAPES[name]
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with no_init_weights(), torch.device(device):
            model = model_class(config or make_config())
    finally:
        torch.set_default_dtype(before)
    model.set_attn_implementation("sdpa")
    generator = torch.Generator(device).manual_seed(0)
    with torch.no_grad():
        for weight_name, weight in model.named_parameters():
            if weight.dim() > 1:
                weight.normal_(0, weight.shape[-1] ** -0.5, generator=generator)
            elif weight_name.endswith("bias"):
                weight.zero_()
            else:
                weight.fill_(1.0 if weight.numel() > 1 else 0.5)  # norms; the gates of cross-attention
    quantise(model, precision, KEPT_WHOLE[model.config.model_type])
    return model.eval().requires_grad_(False)


def random_family(
    name: str,
    processor_folder: Path,
    device: torch.device,
    precision: Precision = "bf16",
    limits: TileLimits | None = None,
) -> InternVL | LlamaVision:
    """Return a family of the exact shapes; the tokenizer is that of a tiny checkpoint, tiles have their real size."""
    model = random_weights(name, device, precision)
    processor = transformers.AutoProcessor.from_pretrained(processor_folder)
    processor.image_processor.size = _tile_size(model.config)
    tokenizer = processor.tokenizer
    if name == "internvl3-2b":
        processor.image_seq_length = model.config.image_seq_length
    # ids of a small tokenizer are ids of the large vocabulary too, so only the model's idea of them is set
    model.config.image_token_id = processor.image_token_id
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    _, _, family = SHAPES[name]
    made: InternVL | LlamaVision = family.of(model, processor, limits)
    return made


def table() -> list[str]:
    """Return the lines of a Markdown table: cards, what is chosen, weights and slots by precision."""
    shown = PRECISIONS[1:]
    lines = [
        "| model (weights in GB) | tokens of a slot | card | chosen | "
        + " | ".join(f"{p}: slots" for p in shown)
        + " |",
        "|" + "---|" * (4 + len(shown)),
    ]
    for name, tokens in SLOT_TOKENS.items():
        needs = footprint(empty(name), tokens)
        weights = ", ".join(f"{p} {needs.weights[p] / 1e9:.1f}" for p in shown)
        for card, mib in CARDS_MIB.items():
            free = (mib - DRIVER_MIB) * 1024**2
            slots = " | ".join(str(needs.slots(p, free)) for p in shown)
            chosen = choose(needs, free) or "weights stay with the host"
            lines.append(f"| {name} ({weights}) | {tokens} | {card} | {chosen} | {slots} |")
    return lines


def _tile_size(config: Any) -> dict[str, int]:
    side = config.vision_config.image_size
    side = side if isinstance(side, int) else side[0]
    return {"height": side, "width": side}


if __name__ == "__main__":
    print("\n".join(table()))
